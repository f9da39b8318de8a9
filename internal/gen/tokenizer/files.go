package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/banyan-train/banyan/dataset/tokenize"
)

// specials are the special tokens, by id. The first ends a document.
var specials = []string{"<|endoftext|>", "<|begin|>"}

// maxLength is what the example model's positions allow.
const maxLength = 512

type object = map[string]any

// encodeFiles writes both files. Objects are encoded with sorted keys, the vocabulary by id.
func encodeFiles(merges []pair) (map[string][]byte, error) {
	var tokens []string // by id, in the alphabet of the file
	tokens = append(tokens, specials...)
	for b := range 256 {
		tokens = append(tokens, tokenize.ByteToken(byte(b)))
	}
	symbol := func(s int) string { return tokens[len(specials)+s] }
	var lines [][2]string
	known := map[string]bool{}
	for _, m := range merges {
		token := symbol(m[0]) + symbol(m[1])
		if known[token] { // the format has one id for a token, the trainer one for a merge
			return nil, fmt.Errorf("two merges make %q: train on other text", token)
		}
		known[token] = true
		lines = append(lines, [2]string{symbol(m[0]), symbol(m[1])})
		tokens = append(tokens, token)
	}
	var added []object
	for id, content := range specials {
		added = append(added, object{"id": id, "content": content, "single_word": false,
			"lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	byteLevel := object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
		"use_regex": false}
	main := object{
		"version": "1.0", "truncation": nil, "padding": nil, "normalizer": nil,
		"post_processor": nil, "added_tokens": added, "decoder": byteLevel,
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{
			{"type": "Split", "pattern": object{"Regex": tokenize.Llama3},
				"behavior": "Isolated", "invert": false},
			byteLevel,
		}},
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
			"end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false,
			"ignore_merges": false, "vocab": vocabulary(tokens), "merges": lines,
		},
	}
	config := object{
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": maxLength,
		"eos_token": specials[0], "bos_token": specials[1], "pad_token": specials[0],
		"clean_up_tokenization_spaces": false, "add_prefix_space": false,
	}
	files := map[string][]byte{}
	for name, content := range map[string]object{
		"tokenizer.json": main, "tokenizer_config.json": config,
	} {
		data, err := encode(content)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
		files[name] = data
	}
	return files, nil
}

// vocabulary encodes as an object in the order of the ids, as people read it.
type vocabulary []string

// MarshalJSON implements json.Marshaler.
func (v vocabulary) MarshalJSON() ([]byte, error) {
	var fields []string
	for id, token := range v {
		key, err := encode(token)
		if err != nil {
			return nil, err
		}
		fields = append(fields, fmt.Sprintf("%s:%d", bytes.TrimSpace(key), id))
	}
	return []byte("{" + strings.Join(fields, ",") + "}"), nil
}

func encode(x any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(x)
	return out.Bytes(), err
}
