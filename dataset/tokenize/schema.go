package tokenize

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// fileJSON is tokenizer.json. Every field of the format is here, so that an unknown one is an
// error and not a silent difference.
type fileJSON struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// modelJSON is the model of type BPE. The type is checked before.
type modelJSON struct {
	Type                    string           `json:"type"`
	Dropout                 *float64         `json:"dropout"`
	UnkToken                *string          `json:"unk_token"`
	ContinuingSubwordPrefix *string          `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string          `json:"end_of_word_suffix"`
	FuseUnk                 bool             `json:"fuse_unk"` // without unk_token: no effect
	ByteFallback            bool             `json:"byte_fallback"`
	IgnoreMerges            bool             `json:"ignore_merges"`
	Vocab                   map[string]int64 `json:"vocab"`
	Merges                  mergeList        `json:"merges"`
}

// refuse names the first setting this package does not do exactly.
func (m *modelJSON) refuse() error {
	switch {
	case m.Dropout != nil && *m.Dropout != 0:
		return unsupported("model.dropout %v", *m.Dropout)
	case m.UnkToken != nil:
		return unsupported("model.unk_token %q", *m.UnkToken)
	case m.ContinuingSubwordPrefix != nil && *m.ContinuingSubwordPrefix != "":
		return unsupported("model.continuing_subword_prefix %q", *m.ContinuingSubwordPrefix)
	case m.EndOfWordSuffix != nil && *m.EndOfWordSuffix != "":
		return unsupported("model.end_of_word_suffix %q", *m.EndOfWordSuffix)
	case m.ByteFallback:
		return unsupported("model.byte_fallback true")
	}
	return nil
}

// mergeList reads merges written as "a b" or as ["a", "b"].
type mergeList [][2]string

// UnmarshalJSON implements json.Unmarshaler.
func (l *mergeList) UnmarshalJSON(data []byte) error {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return err
	}
	*l = make(mergeList, 0, len(items))
	for i, item := range items {
		if item[0] == '[' {
			var parts []string
			if err := json.Unmarshal(item, &parts); err != nil || len(parts) != 2 {
				return fmt.Errorf("merges[%d] %s is not a pair of strings", i, clip(item))
			}
			*l = append(*l, [2]string{parts[0], parts[1]})
			continue
		}
		var line string
		if err := json.Unmarshal(item, &line); err != nil {
			return fmt.Errorf("merges[%d] %s is neither a string nor a pair", i, clip(item))
		}
		if strings.HasPrefix(line, "#version") {
			continue
		}
		parts := strings.Split(line, " ")
		if len(parts) != 2 {
			return fmt.Errorf("merges[%d] %q is not two tokens with a space between", i, line)
		}
		*l = append(*l, [2]string{parts[0], parts[1]})
	}
	return nil
}

// byteLevelJSON is ByteLevel as pre-tokenizer, decoder or post-processor.
type byteLevelJSON struct {
	Type           string `json:"type"`
	AddPrefixSpace *bool  `json:"add_prefix_space"`
	TrimOffsets    bool   `json:"trim_offsets"` // moves offsets, not ids
	UseRegex       *bool  `json:"use_regex"`
}

type splitJSON struct {
	Type    string `json:"type"`
	Pattern struct {
		Regex  *string `json:"Regex"`
		String *string `json:"String"`
	} `json:"pattern"`
	Behavior string `json:"behavior"`
	Invert   bool   `json:"invert"`
}

type digitsJSON struct {
	Type             string `json:"type"`
	IndividualDigits bool   `json:"individual_digits"`
}

type sequenceJSON struct {
	Type          string            `json:"type"`
	PreTokenizers []json.RawMessage `json:"pretokenizers"`
	Processors    []json.RawMessage `json:"processors"`
}

// configJSON is what matters of tokenizer_config.json; the rest of it is for other programs.
type configJSON struct {
	BOS            json.RawMessage        `json:"bos_token"`
	EOS            json.RawMessage        `json:"eos_token"`
	AddPrefixSpace *bool                  `json:"add_prefix_space"`
	AddedTokens    map[string]configToken `json:"added_tokens_decoder"`
}

type configToken struct {
	Content string `json:"content"`
}

// decodeStrict decodes one JSON value; a field that dst does not name is an error.
func decodeStrict(place string, data []byte, dst any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		kind := ErrInvalid
		if strings.Contains(err.Error(), "unknown field") {
			kind = ErrUnsupported
		}
		return fmt.Errorf("%s: %w: %w", place, err, kind)
	}
	return nil
}

// typeOf reads the "type" of a component; "" for null or none.
func typeOf(place string, data json.RawMessage) (string, error) {
	if isNull(data) {
		return "", nil
	}
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return "", fmt.Errorf("%s: %w: %w", place, err, ErrInvalid)
	}
	return head.Type, nil
}

func isNull(data json.RawMessage) bool {
	return len(data) == 0 || string(data) == "null"
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%s is %w", fmt.Sprintf(format, args...), ErrUnsupported)
}

// clip keeps error messages short.
func clip(data []byte) string {
	const most = 60
	if len(data) == 0 {
		return "null"
	}
	if len(data) > most {
		return string(data[:most]) + "..."
	}
	return string(data)
}
