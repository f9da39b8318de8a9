package tokenize

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A folder with vocab.json and merges.txt but without tokenizer.json names no pre-tokenizer: the
// class in tokenizer_config.json stands for one, as in the peer (transformers).

// tokenizerClass is what a class of the peer's does.
type tokenizerClass struct {
	nfc      bool
	splitter splitter
	prefix   bool   // add_prefix_space is supported
	bos, eos string // what bos_token and eos_token are where the config has no such field
}

var tokenizerClasses = map[string]tokenizerClass{
	"Qwen2Tokenizer": {nfc: true, splitter: splitQwen2, eos: endOfText},
	"GPT2Tokenizer":  {splitter: splitGPT2, prefix: true, bos: endOfText, eos: endOfText},
}

const endOfText = "<|endoftext|>"

// folderConfig is what matters of tokenizer_config.json and of special_tokens_map.json here.
type folderConfig struct {
	Class          string               `json:"tokenizer_class"`
	AddPrefixSpace *bool                `json:"add_prefix_space"`
	SplitSpecial   bool                 `json:"split_special_tokens"`
	AddedTokens    map[string]flagsJSON `json:"added_tokens_decoder"`

	BOS        json.RawMessage   `json:"bos_token"`
	EOS        json.RawMessage   `json:"eos_token"`
	UNK        json.RawMessage   `json:"unk_token"`
	SEP        json.RawMessage   `json:"sep_token"`
	PAD        json.RawMessage   `json:"pad_token"`
	CLS        json.RawMessage   `json:"cls_token"`
	Mask       json.RawMessage   `json:"mask_token"`
	Additional []json.RawMessage `json:"additional_special_tokens"`
	Extra      tokenList         `json:"extra_special_tokens"`
}

// tokenList reads tokens written as a list or as the values of an object.
type tokenList []json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (l *tokenList) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, (*[]json.RawMessage)(l)) == nil {
		return nil
	}
	var byName map[string]json.RawMessage
	if err := json.Unmarshal(data, &byName); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		*l = append(*l, byName[name])
	}
	return nil
}

// parseVocab reads a tokenizer from the contents of vocab.json, merges.txt, tokenizer_config.json,
// added_tokens.json and special_tokens_map.json; the last two may be empty.
func parseVocab(vocab, merges, config, added, specials []byte) (Tokenizer, error) {
	b, err := parseFolder(vocab, merges, config, added, specials)
	if err != nil {
		return nil, fmt.Errorf("parse tokenizer: %w", err)
	}
	return b, nil
}

func parseFolder(vocab, merges, config, added, specials []byte) (*bpe, error) {
	var m modelJSON
	var err error
	if err := decodeFile(vocabFile, vocab, &m.Vocab); err != nil {
		return nil, err
	}
	if m.Merges, err = parseMerges(merges); err != nil {
		return nil, err
	}
	var c folderConfig
	if len(config) == 0 {
		return nil, fmt.Errorf("there is no %s, whose tokenizer_class says how words are split: %w",
			configFile, ErrInvalid)
	}
	if err := decodeFile(configFile, config, &c); err != nil {
		return nil, err
	}
	if c.AddedTokens == nil && len(specials) > 0 { // the peer reads it only then
		if err := decodeFile(specialsFile, specials, &c); err != nil {
			return nil, err
		}
	}
	class, ok := tokenizerClasses[strings.TrimSuffix(c.Class, "Fast")]
	if !ok {
		return nil, unsupported("%s: tokenizer_class %q without a %s", configFile, c.Class, tokenizerFile)
	}
	if c.SplitSpecial {
		return nil, unsupported("%s: split_special_tokens true", configFile)
	}
	if c.AddPrefixSpace != nil && *c.AddPrefixSpace && !class.prefix {
		return nil, unsupported("%s: add_prefix_space true for %s", configFile, c.Class)
	}
	c.setDefaults(class)
	tokens, err := c.tokens(m.Vocab, added)
	if err != nil {
		return nil, err
	}
	b := &bpe{classes: classes(), splitters: []splitter{class.splitter}}
	if class.nfc {
		b.nfc = nfcFlags()
	}
	b.prefixSpace = c.AddPrefixSpace != nil && *c.AddPrefixSpace
	if err := b.setModel(&m, tokens); err != nil {
		return nil, fmt.Errorf("%s and %s: %w", vocabFile, mergesFile, err)
	}
	if b.bos, err = b.tokenID("bos_token", c.BOS); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	if b.eos, err = b.tokenID("eos_token", c.EOS); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	return b, nil
}

// setDefaults fills the fields that are not in the file; null means none.
func (c *folderConfig) setDefaults(class tokenizerClass) {
	for _, f := range []struct {
		field *json.RawMessage
		name  string
	}{{&c.BOS, class.bos}, {&c.EOS, class.eos}, {&c.UNK, endOfText}} {
		if *f.field == nil && f.name != "" {
			*f.field = json.RawMessage(strconv.Quote(f.name))
		}
	}
}

// parseMerges reads merges.txt: a version, then one pair a line, the best first.
func parseMerges(data []byte) (mergeList, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%s is empty or missing: %w", mergesFile, ErrInvalid)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s is not UTF-8: %w", mergesFile, ErrInvalid)
	}
	var list mergeList
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return nil, fmt.Errorf("%s line %d: %q is not two tokens with a space between: %w",
				mergesFile, n, line, ErrInvalid)
		}
		list = append(list, [2]string{left, right})
	}
	return list, nil
}

// tokens lists the added tokens in the order in which the peer adds them: those with an id, by id;
// then those that are only named, which the vocabulary must hold.
func (c *folderConfig) tokens(vocab map[string]int64, added []byte) ([]addedToken, error) {
	named, err := c.named()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	tokens, err := c.withIDs(named, added)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tokens, func(x, y addedToken) int { return int(x.ID - y.ID) })
	for _, t := range named {
		if slices.ContainsFunc(tokens, func(o addedToken) bool { return o.Content == t.Content }) {
			continue
		}
		id, ok := vocab[t.Content]
		if !ok {
			return nil, fmt.Errorf("%s: the special token %q has no id; give it one in %s: %w",
				configFile, t.Content, addedFile, ErrInvalid)
		}
		t.ID = id
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// withIDs reads the tokens whose ids are written: in tokenizer_config.json or, with flags that
// follow from the rest, in added_tokens.json.
func (c *folderConfig) withIDs(named []addedToken, added []byte) ([]addedToken, error) {
	isNamed := func(s string) bool {
		return slices.ContainsFunc(named, func(t addedToken) bool { return t.Content == s })
	}
	var tokens []addedToken
	if c.AddedTokens != nil {
		for key, t := range c.AddedTokens {
			id, err := strconv.ParseInt(key, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%s: added_tokens_decoder[%q]: the key is no id: %w",
					configFile, key, ErrInvalid)
			}
			token := t.token(isNamed(t.Content))
			token.ID = id
			tokens = append(tokens, token)
		}
		return tokens, nil
	}
	if len(added) == 0 {
		return nil, nil
	}
	var ids map[string]int64
	if err := decodeFile(addedFile, added, &ids); err != nil {
		return nil, err
	}
	for content, id := range ids {
		special := isNamed(content)
		tokens = append(tokens, addedToken{ID: id, Content: content, Special: special,
			Normalized: !special})
	}
	return tokens, nil
}

// named lists the special tokens that the config names, each once.
func (c *folderConfig) named() ([]addedToken, error) {
	fields := []json.RawMessage{c.BOS, c.EOS, c.UNK, c.SEP, c.PAD, c.CLS, c.Mask}
	var tokens []addedToken
	for _, data := range slices.Concat(fields, c.Additional, c.Extra) {
		if isNull(data) {
			continue
		}
		written, err := namedToken("a special token", data)
		if err != nil {
			return nil, err
		}
		t := written.token(true)
		if !slices.ContainsFunc(tokens, func(o addedToken) bool { return o.Content == t.Content }) {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}

// decodeFile decodes one file whole.
func decodeFile(name string, data []byte, dst any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%s is not UTF-8: %w", name, ErrInvalid)
	}
	if err := json.Unmarshal(data, dst); err != nil {
		return fmt.Errorf("%s: %w: %w", name, err, ErrInvalid)
	}
	return nil
}
