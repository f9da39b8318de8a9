package tokenize

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	search "github.com/banyan-train/banyan/dataset/tokenize/pieces"
)

// isSpaced says that a file is of the kind that spaced reads.
func (f *fileJSON) isSpaced() bool {
	var m struct {
		ByteFallback bool `json:"byte_fallback"`
	}
	_ = json.Unmarshal(f.Model, &m) // what is broken is said by whoever parses it
	return m.ByteFallback
}

func parseSpaced(f *fileJSON, config []byte) (Tokenizer, error) {
	s := &spaced{tokenTable: tokenTable{bos: -1, eos: -1}}
	cut, err := s.parsePipeline(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerFile, err)
	}
	if err := s.parseModel(f, cut); err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerFile, err)
	}
	if err := s.parseConfig(config, f.AddedTokens, s.prefix != prependNever); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	return s, nil
}

// parsePipeline reads all but the model. cut says that words begin before each mark of a space.
func (s *spaced) parsePipeline(f *fileJSON) (cut bool, err error) {
	if f.Version != "" && f.Version != "1.0" {
		return false, unsupported("version %q", f.Version)
	}
	if err := checkPostProcessor("post_processor", f.PostProcessor, 0); err != nil {
		return false, err
	}
	if err := s.parseDecoder(f.Decoder); err != nil {
		return false, err
	}
	if isNull(f.PreTokenizer) {
		return false, s.parseNormalizer(f)
	}
	if !isNull(f.Normalizer) {
		return false, unsupported("a normalizer beside pre_tokenizer %s", clip(f.PreTokenizer))
	}
	var m metaspaceJSON
	if kind, err := typeOf("pre_tokenizer", f.PreTokenizer); err != nil || kind != "Metaspace" {
		return false, unsupported("pre_tokenizer %s beside model.byte_fallback", clip(f.PreTokenizer))
	}
	if err := decodeStrict("pre_tokenizer", f.PreTokenizer, &m); err != nil {
		return false, err
	}
	schemes := map[string]prepend{"always": prependUnless, "first": prependFirst,
		"never": prependNever}
	var known bool
	if s.prefix, known = schemes[m.PrependScheme]; !known || m.Replacement != metaspace {
		return false, unsupported("pre_tokenizer %s", clip(f.PreTokenizer))
	}
	return m.Split == nil || *m.Split, nil
}

type metaspaceJSON struct {
	Type          string `json:"type"`
	Replacement   string `json:"replacement"`
	PrependScheme string `json:"prepend_scheme"`
	Split         *bool  `json:"split"` // the format's default is true
}

// The normalizer and the decoder of Llama 2, as its file writes them.
var (
	normalizerPrepend = `{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},` +
		`{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}`
	normalizerReplace = `{"type":"Replace","pattern":{"String":" "},"content":"▁"}`
	decoderStart      = `{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},` +
		`"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}`
	decoderStrip = `,{"type":"Strip","content":" ","start":1,"stop":0}`
)

// parseNormalizer knows two forms. With a mark put before each stretch, an added token that is
// looked for in normalized text would have to have it too.
func (s *spaced) parseNormalizer(f *fileJSON) error {
	switch {
	case sameJSON(f.Normalizer, normalizerPrepend):
		s.prefix = prependAlways
		for i, t := range f.AddedTokens {
			if t.Normalized {
				return unsupported("added_tokens[%d] %q: normalized beside a normalizer Prepend", i,
					t.Content)
			}
		}
	case sameJSON(f.Normalizer, normalizerReplace):
	default:
		return unsupported("normalizer %s beside model.byte_fallback", clip(f.Normalizer))
	}
	return nil
}

func (s *spaced) parseDecoder(data json.RawMessage) error {
	switch {
	case sameJSON(data, decoderStart+decoderStrip+"]}"):
		s.strip = true
	case sameJSON(data, decoderStart+"]}"):
	default:
		return unsupported("decoder %s beside model.byte_fallback", clip(data))
	}
	return nil
}

// sameJSON compares values, whatever their spelling.
func sameJSON(data json.RawMessage, want string) bool {
	var a, b any
	if json.Unmarshal(data, &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		return false
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func (s *spaced) parseModel(f *fileJSON, cut bool) error {
	if kind, err := typeOf("model", f.Model); err != nil || kind != "BPE" && kind != "" {
		return unsupported("model type %s", kind)
	}
	var m modelJSON
	if err := decodeStrict("model", f.Model, &m); err != nil {
		return err
	}
	unk := m.UnkToken
	m.UnkToken, m.ByteFallback = nil, false // these are done here
	if err := m.refuse(); err != nil {
		return err
	}
	if m.IgnoreMerges {
		return unsupported("model.ignore_merges true beside model.byte_fallback")
	}
	if unk != nil {
		if _, ok := m.Vocab[*unk]; !ok {
			return fmt.Errorf("model.unk_token %q is not in model.vocab: %w", *unk, ErrInvalid)
		}
	}
	if err := s.setTokens(&m); err != nil {
		return err
	}
	if err := s.setMerger(&m, cut); err != nil {
		return err
	}
	if err := s.addTokens(f.AddedTokens, m.Vocab, func(c string) string { return c }); err != nil {
		return err
	}
	for id := len(s.pieceOf); id < s.size; id++ {
		s.pieceOf = append(s.pieceOf, string(s.text[id]))
		s.isByte = append(s.isByte, false)
	}
	return nil
}

// setTokens fills the table of tokens from the vocabulary.
func (s *spaced) setTokens(m *modelJSON) error {
	for token, id := range m.Vocab {
		if id < 0 || id >= maxID || id >= int64(16*len(m.Vocab)) {
			return fmt.Errorf("model.vocab[%q]: id %d is out of range: %w", token, id, ErrInvalid)
		}
		s.size = max(s.size, int(id)+1)
	}
	s.text, s.pieceOf = make([][]byte, s.size), make([]string, s.size)
	s.isByte = make([]bool, s.size)
	for token, id := range m.Vocab {
		if s.text[id] != nil {
			return fmt.Errorf("model.vocab: id %d has two tokens, one is %q: %w", id, token, ErrInvalid)
		}
		s.pieceOf[id] = token
		if b, ok := byteToken(token); ok {
			s.text[id], s.isByte[id] = []byte{b}, true
			continue
		}
		s.text[id] = append([]byte{}, strings.ReplaceAll(token, metaspace, " ")...)
	}
	return nil
}

// byteToken reads <0x0A>.
func byteToken(token string) (byte, bool) {
	const digits = "0123456789ABCDEF"
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	high, low := strings.IndexByte(digits, token[3]), strings.IndexByte(digits, token[4])
	return byte(high<<4 | low), high >= 0 && low >= 0
}

func (s *spaced) setMerger(m *modelJSON, cut bool) error {
	c := search.MergerConfig{Fallback: search.Fallback{Bytes: new([256]int32), Unknown: -1}}
	if cut {
		c.CutAt = ' '
	}
	for b := range c.Fallback.Bytes {
		token := fmt.Sprintf("<0x%02X>", b)
		id, ok := m.Vocab[token]
		if !ok {
			return fmt.Errorf("model.vocab lacks %s, which model.byte_fallback needs: %w", token,
				ErrInvalid)
		}
		c.Fallback.Bytes[b] = int32(id)
	}
	if len(m.Merges) >= maxID {
		return fmt.Errorf("model.merges: %d merges, at most %d: %w", len(m.Merges), maxID-1, ErrInvalid)
	}
	symbols := map[string]int32{}
	symbol := func(token string) (int32, bool) {
		id, ok := m.Vocab[token]
		if !ok || token == "" || strings.Contains(token, " ") {
			return 0, false // a space of a text is never a plain one
		}
		at, seen := symbols[token]
		if !seen {
			at = int32(len(c.Symbols))
			symbols[token] = at
			c.Symbols = append(c.Symbols, search.Symbol{
				Text: strings.ReplaceAll(token, metaspace, " "), ID: int32(id)})
		}
		return at, true
	}
	for token := range m.Vocab {
		if utf8.RuneCountInString(token) == 1 {
			symbol(token)
		}
	}
	for rank, pair := range m.Merges {
		left, ok := symbol(pair[0])
		right, ok2 := symbol(pair[1])
		whole, ok3 := symbol(pair[0] + pair[1])
		if !ok || !ok2 || !ok3 {
			return fmt.Errorf("model.merges[%d] %q: one of the tokens is not in model.vocab, or holds a "+
				"space: %w", rank, strings.Join(pair[:], " "), ErrInvalid)
		}
		c.Rules = append(c.Rules, search.Rule{Left: left, Right: right, Whole: whole,
			Rank: uint32(rank)})
	}
	s.merger = search.NewMerger(&c)
	return nil
}
