package tokenize

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

func parse(tokenizerJSON, tokenizerConfigJSON []byte) (Tokenizer, error) {
	if !utf8.Valid(tokenizerJSON) {
		return nil, fmt.Errorf("%s is not UTF-8: %w", tokenizerFile, ErrInvalid)
	}
	var f fileJSON
	if err := unmarshalWhole(tokenizerJSON, &f); err != nil {
		return nil, err
	}
	if f.isSpaced() {
		return parseSpaced(&f, tokenizerConfigJSON)
	}
	b := &bpe{classes: classes(), tokenTable: tokenTable{bos: -1, eos: -1}}
	if err := b.parsePipeline(&f); err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerFile, err)
	}
	if err := b.parseModel(&f); err != nil {
		return nil, fmt.Errorf("%s: %w", tokenizerFile, err)
	}
	if err := b.parseConfig(tokenizerConfigJSON, f.AddedTokens, b.prefixSpace); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	return b, nil
}

// unmarshalWhole refuses trailing data, which a streaming decoder would not see.
func unmarshalWhole(data []byte, f *fileJSON) error {
	if !json.Valid(data) {
		err := json.Unmarshal(data, &struct{}{})
		return fmt.Errorf("%s: %w: %w", tokenizerFile, err, ErrInvalid)
	}
	return decodeStrict(tokenizerFile, data, f)
}

// parsePipeline reads all but the model and its added tokens.
func (b *bpe) parsePipeline(f *fileJSON) error {
	if f.Version != "" && f.Version != "1.0" {
		return unsupported("version %q", f.Version)
	}
	kind, err := typeOf("normalizer", f.Normalizer)
	if err != nil {
		return err
	}
	switch kind {
	case "":
		if !isNull(f.Normalizer) {
			return unsupported("normalizer %s", clip(f.Normalizer))
		}
	case "NFC":
		b.nfc = nfcFlags()
	default:
		return unsupported("normalizer %s", kind)
	}
	if err := b.parsePreTokenizer(f.PreTokenizer); err != nil {
		return err
	}
	if err := checkPostProcessor("post_processor", f.PostProcessor, 0); err != nil {
		return err
	}
	kind, err = typeOf("decoder", f.Decoder)
	if err == nil && kind != "ByteLevel" {
		err = unsupported("decoder %s", clip(f.Decoder))
	}
	return err
}

func (b *bpe) parsePreTokenizer(data json.RawMessage) error {
	stages := []json.RawMessage{data}
	kind, err := typeOf("pre_tokenizer", data)
	if err != nil {
		return err
	}
	if kind == "Sequence" {
		var seq sequenceJSON
		if err := decodeStrict("pre_tokenizer", data, &seq); err != nil {
			return err
		}
		stages = seq.PreTokenizers
	}
	for i, stage := range stages {
		place := "pre_tokenizer"
		if kind == "Sequence" {
			place = fmt.Sprintf("pre_tokenizer.pretokenizers[%d]", i)
		}
		if err := b.parseStage(place, stage, i, len(stages)); err != nil {
			return err
		}
	}
	if len(stages) == 0 {
		return unsupported("an empty pre_tokenizer")
	}
	return nil
}

// parseStage reads stage i of n. ByteLevel must be the last: it ends in the alphabet of the
// vocabulary, which no stage here reads.
func (b *bpe) parseStage(place string, data json.RawMessage, i, n int) error {
	kind, err := typeOf(place, data)
	if err != nil {
		return err
	}
	last := i == n-1
	switch {
	case kind == "ByteLevel" && last:
		return b.parseByteLevel(place, data, n)
	case kind == "Split" && !last:
		var s splitJSON
		if err := decodeStrict(place, data, &s); err != nil {
			return err
		}
		return b.addSplit(place, &s)
	case kind == "Digits" && !last:
		var d digitsJSON
		if err := decodeStrict(place, data, &d); err != nil {
			return err
		}
		split := splitDigitRun
		if d.IndividualDigits {
			split = splitDigit
		}
		b.splitters = append(b.splitters, split)
		return nil
	case last:
		return unsupported("%s %s: a pre-tokenizer that does not end in ByteLevel", place, clip(data))
	}
	return unsupported("%s %s before the last place", place, clip(data))
}

func (b *bpe) parseByteLevel(place string, data json.RawMessage, stages int) error {
	var l byteLevelJSON
	if err := decodeStrict(place, data, &l); err != nil {
		return err
	}
	if l.AddPrefixSpace == nil || *l.AddPrefixSpace { // the format's default is true
		if stages > 1 {
			return unsupported("%s: add_prefix_space true after another pre-tokenizer", place)
		}
		b.prefixSpace = true
	}
	switch {
	case l.UseRegex == nil || *l.UseRegex:
		b.splitters = append(b.splitters, splitGPT2)
	case stages == 1:
		b.splitters = append(b.splitters, splitWhole)
	}
	return nil
}

func (b *bpe) addSplit(place string, s *splitJSON) error {
	if s.Pattern.Regex == nil || s.Pattern.String != nil {
		return unsupported("%s: a pattern that is not a Regex", place)
	}
	split, ok := splitters[*s.Pattern.Regex]
	if !ok {
		return unsupported("%s: the pattern %q (known: those of GPT-2, Llama-3 and Qwen2)",
			place, *s.Pattern.Regex)
	}
	// The patterns leave no gap, so keeping matches and gaps, or the matches alone, is the same.
	isolated := s.Behavior == "Isolated" && !s.Invert
	matches := s.Behavior == "Removed" && s.Invert
	if !isolated && !matches {
		return unsupported("%s: behavior %q with invert %v", place, s.Behavior, s.Invert)
	}
	b.splitters = append(b.splitters, split)
	return nil
}

// checkPostProcessor accepts what adds no more than special tokens, which is the packer's work.
func checkPostProcessor(place string, data json.RawMessage, depth int) error {
	kind, err := typeOf(place, data)
	if err != nil {
		return err
	}
	switch {
	case isNull(data), kind == "ByteLevel", kind == "TemplateProcessing":
		return nil
	case kind == "Sequence" && depth == 0:
		var seq sequenceJSON
		if err := decodeStrict(place, data, &seq); err != nil {
			return err
		}
		for i, p := range seq.Processors {
			place := fmt.Sprintf("%s.processors[%d]", place, i)
			if err := checkPostProcessor(place, p, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return unsupported("%s %s", place, clip(data))
}
