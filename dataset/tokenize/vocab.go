package tokenize

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// parseModel reads the model and the added tokens.
func (b *bpe) parseModel(f *fileJSON) error {
	kind, err := typeOf("model", f.Model)
	if err != nil {
		return err
	}
	if kind != "BPE" && kind != "" { // old files name no type
		return unsupported("model type %s", kind)
	}
	var m modelJSON
	if isNull(f.Model) {
		return fmt.Errorf("there is no model: %w", ErrInvalid)
	}
	if err := decodeStrict("model", f.Model, &m); err != nil {
		return err
	}
	if err := m.refuse(); err != nil {
		return err
	}
	return b.setModel(&m, f.AddedTokens)
}

func (b *bpe) setModel(m *modelJSON, added []addedToken) (err error) {
	if b.model, err = newModel(m); err != nil {
		return err
	}
	b.size, b.text = b.model.size, b.model.text
	return b.addTokens(added, m.Vocab, func(content string) string {
		if b.nfc != nil {
			content = nfc(content)
		}
		return content
	})
}

// tokenTable is all tokens by id, and those that are looked for in texts.
type tokenTable struct {
	raw        *matcher // added tokens looked for in the text as it is
	normalized *matcher // added tokens looked for after the normalizer

	size     int      // largest id + 1
	text     [][]byte // bytes by id; nil: no such id
	special  []bool   // by id
	bos, eos int32    // -1: none
}

func (b *tokenTable) known(id int32) bool { return id >= 0 && int(id) < b.size }

// VocabSize implements Tokenizer.
func (b *tokenTable) VocabSize() int { return b.size }

// BOS implements Tokenizer.
func (b *tokenTable) BOS() (int32, bool) { return b.bos, b.bos >= 0 }

// EOS implements Tokenizer.
func (b *tokenTable) EOS() (int32, bool) { return b.eos, b.eos >= 0 }

// addTokens checks the added tokens against the vocabulary. The peer numbers tokens that the
// model lacks by itself, on from the vocabulary's size; a file that says otherwise would get
// other ids there than it names, so it is refused.
func (b *tokenTable) addTokens(tokens []addedToken, vocab map[string]int64,
	normalize func(string) string,
) error {
	next := int64(len(vocab)) // what the peer gives the next token that the model lacks
	seen := map[string]bool{}
	var raw, normalized []addedToken
	for i, t := range tokens {
		place := fmt.Sprintf("added_tokens[%d] %q", i, t.Content)
		want, inModel := vocab[t.Content]
		if !inModel {
			want = next
		}
		next = max(next, want+1)
		switch {
		case t.Content == "" || seen[t.Content]:
			return fmt.Errorf("%s is empty or stands twice: %w", place, ErrInvalid)
		case t.ID != want:
			return fmt.Errorf("%s has id %d, its place in the vocabulary is %d: %w",
				place, t.ID, want, ErrInvalid)
		case !inModel && t.ID < int64(b.size):
			if b.text[t.ID] != nil {
				return fmt.Errorf("%s has the id of another token, %d: %w", place, t.ID, ErrInvalid)
			}
		}
		seen[t.Content] = true
		for int64(b.size) <= t.ID {
			b.text = append(b.text, nil)
			b.size++
		}
		b.text[t.ID] = []byte(t.Content)
		if t.Normalized {
			t.Content = normalize(t.Content)
			normalized = append(normalized, t)
		} else {
			raw = append(raw, t)
		}
	}
	b.special = make([]bool, b.size)
	for _, t := range tokens {
		b.special[t.ID] = t.Special
	}
	b.raw, b.normalized = newMatcher(raw), newMatcher(normalized)
	return nil
}

// parseConfig reads tokenizer_config.json: the names of BOS and EOS, and whatever there would
// change ids against tokenizer.json.
func (b *tokenTable) parseConfig(data []byte, tokens []addedToken, prefixSpace bool) error {
	if len(data) == 0 {
		return nil
	}
	var c configJSON
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if c.AddPrefixSpace != nil && *c.AddPrefixSpace != prefixSpace {
		return unsupported("add_prefix_space %v against %v in %s",
			*c.AddPrefixSpace, prefixSpace, tokenizerFile)
	}
	byID := make(map[string]string, len(tokens))
	for _, t := range tokens {
		byID[strconv.FormatInt(t.ID, 10)] = t.Content
	}
	for id, t := range c.AddedTokens {
		if byID[id] != t.Content {
			return unsupported("added_tokens_decoder[%q] %q, which is not in added_tokens of %s,",
				id, t.Content, tokenizerFile)
		}
	}
	var err error
	if b.bos, err = b.tokenID("bos_token", c.BOS); err != nil {
		return err
	}
	b.eos, err = b.tokenID("eos_token", c.EOS)
	return err
}

// tokenID resolves a token that the config names by a string or an object; -1: it names none.
func (b *tokenTable) tokenID(field string, data json.RawMessage) (int32, error) {
	if isNull(data) {
		return -1, nil
	}
	token, err := namedToken(field, data)
	if err != nil {
		return -1, err
	}
	name := token.Content
	for id, text := range b.text {
		if text != nil && string(text) == name {
			return int32(id), nil
		}
	}
	return -1, fmt.Errorf("%s %q is not a token of the vocabulary: %w", field, name, ErrInvalid)
}

// flagsJSON is an added token as a config writes it: what is missing has a default.
type flagsJSON struct {
	addedToken
	Normalized *bool `json:"normalized"`
}

// token fills the defaults in. A token that the config names is special, whatever its flag says.
func (f flagsJSON) token(named bool) addedToken {
	t := f.addedToken
	t.Special = t.Special || named
	t.Normalized = !t.Special
	if f.Normalized != nil {
		t.Normalized = *f.Normalized
	}
	return t
}

// namedToken reads a token that is written as a string or as an object with its flags.
func namedToken(field string, data json.RawMessage) (flagsJSON, error) {
	var t flagsJSON
	if json.Unmarshal(data, &t.Content) == nil {
		return t, nil
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("%s %s: neither a string nor an object with content: %w",
			field, clip(data), ErrInvalid)
	}
	return t, nil
}
