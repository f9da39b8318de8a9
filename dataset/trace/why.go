package trace

import (
	"context"
	"fmt"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/source"
)

// Passage is a part of one document that a slot was trained on.
type Passage struct {
	Slot   int    `json:"slot"`
	Source string `json:"source"`
	Lang   string `json:"lang"`
	File   string `json:"file"`
	Record int64  `json:"record"` // where the record starts in the file: the byte, or the row
	Place  string `json:"place"`  // the same in words
	Block  uint64 `json:"block"`  // block number
	Token  int    `json:"token"`  // first token, in the document
	Tokens int    `json:"tokens"`
	Text   string `json:"text"` // what the tokens stand for; may be cut inside a character
}

// Account is what one step was trained on.
type Account struct {
	Step     uint64    `json:"step"`
	Digest   string    `json:"data_digest"`
	Verified bool      `json:"verified"` // the digest is that of the run's record
	Passages []Passage `json:"passages"`
}

// Why replays from an origin before the step and accounts for the step, by slot. want is the
// digest of the step's record; "" where there is none, and then nothing is verified.
func Why(ctx context.Context, cfg dataset.Config, from Origin, step uint64, want string,
) (*Account, error) {
	account := &Account{Step: step, Verified: want != ""}
	err := replay(ctx, cfg, from, step, func(b *dataset.Batch, digest string) error {
		if b.Step != step {
			return nil
		}
		if want != "" && digest != want {
			return differs(step, digest, want)
		}
		account.Digest = digest
		for i := range b.Sequences {
			account.Passages = append(account.Passages, passages(&cfg, &b.Sequences[i])...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("account for step %d: %w", step, err)
	}
	return account, nil
}

func passages(cfg *dataset.Config, s *dataset.Sequence) []Passage {
	m := cfg.Corpus.GetSources()[s.Source]
	var out []Passage
	at := 0
	for _, span := range s.Spans {
		tokens := s.Tokens[at : at+span.Count]
		at += span.Count
		file := m.GetFiles()[span.File]
		out = append(out, Passage{
			Slot: int(s.Slot), Source: m.GetName(), Lang: m.GetLang(),
			File: file.GetUri(), Record: span.Start, Place: source.Place(file, span.Start),
			Block: span.Block, Token: span.Token, Tokens: span.Count, Text: text(cfg, tokens),
		})
	}
	return out
}

// text is what tokens stand for, without BOS and EOS.
func text(cfg *dataset.Config, tokens []int32) string {
	bos, hasBOS := cfg.Tokenizer.BOS()
	eos, _ := cfg.Tokenizer.EOS()
	if len(tokens) > 0 && tokens[len(tokens)-1] == eos {
		tokens = tokens[:len(tokens)-1]
	}
	if len(tokens) > 0 && hasBOS && cfg.BOS && tokens[0] == bos {
		tokens = tokens[1:]
	}
	return string(cfg.Tokenizer.Decode(tokens))
}
