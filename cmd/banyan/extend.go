package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/model"
)

// recipeFile keeps, in a grown folder, how it was grown.
const recipeFile = "extend_vocab.json"

type extendOptions struct {
	storeFlags
	replace                                  replaceFlag
	base, tokenizer, init, initOutput, dtype string
	padTo                                    int
	seed                                     uint64
}

// recipe is the content of recipeFile.
type recipe struct {
	Model           string  `json:"model"`
	BaseTokenizer   string  `json:"base_tokenizer"`
	BaseSHA256      string  `json:"base_tokenizer_sha256"`
	Tokenizer       string  `json:"tokenizer"`
	TokenizerSHA256 string  `json:"tokenizer_sha256"`
	BaseTokens      int     `json:"base_tokens"`
	NewTokens       int     `json:"new_tokens"`
	Rows            uint32  `json:"rows"`
	PadTo           int     `json:"pad_to"`
	Init            hf.Init `json:"init"`
	InitOutput      hf.Init `json:"init_output"`
	Seed            uint64  `json:"seed"`
}

func modelExtendCommand() *cobra.Command {
	var o extendOptions
	cmd := &cobra.Command{
		Use:   "extend BASE DEST",
		Short: "Write a model with the rows that a grown tokenizer needs",
		Args:  args(2, "BASE DEST --tokenizer GROWN"),
		RunE: func(cmd *cobra.Command, given []string) error {
			r, err := o.run(cmd.Context(), given[0], given[1])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %d tokens of the base, %d new, %d rows\n",
				given[1], r.BaseTokens, r.NewTokens, r.Rows)
			return err
		},
	}
	o.register(cmd)
	o.replace.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.tokenizer, "tokenizer", "", "the grown tokenizer: its first tokens are the base's")
	f.StringVar(&o.base, "base-tokenizer", "", "the base's tokenizer (default: in BASE)")
	f.StringVar(&o.init, "init", "",
		"new rows: mean_subtokens (default) | mean_all | gaussian | random")
	f.StringVar(&o.initOutput, "init-output", "", "new rows of the head (default: as --init)")
	f.IntVar(&o.padTo, "pad-to", 0, "make the number of rows a multiple of this")
	f.Uint64Var(&o.seed, "seed", 0, "seed of gaussian and random")
	f.StringVar(&o.dtype, "dtype", "fp32", "type of the weights: fp32 | bf16")
	return cmd
}

func (o *extendOptions) run(ctx context.Context, base, dest string) (*recipe, error) {
	if o.tokenizer == "" {
		return nil, fmt.Errorf("%w: --tokenizer is missing; name the grown tokenizer", errUsage)
	}
	if o.base == "" {
		o.base = base
	}
	if o.initOutput == "" {
		o.initOutput = o.init
	}
	input, err := hf.ParseInit(o.init)
	if err != nil {
		return nil, fmt.Errorf("%w: --init: %w", errInput, err)
	}
	output, err := hf.ParseInit(o.initOutput)
	if err != nil {
		return nil, fmt.Errorf("%w: --init-output: %w", errInput, err)
	}
	format, err := hf.ParseFormat(o.dtype)
	if err != nil {
		return nil, fmt.Errorf("%w: --dtype: %w", errInput, err)
	}
	op, err := router.New(o.stores())
	if err != nil {
		return nil, err
	}
	if same(base, dest) {
		return nil, fmt.Errorf("%w: %s is BASE and DEST; name a new folder", errInput, dest)
	}
	if err := o.replace.check(ctx, op, dest); err != nil {
		return nil, err
	}
	r := &recipe{Model: base, PadTo: o.padTo, Init: input, InitOutput: output, Seed: o.seed}
	grown, err := r.grow(ctx, op, o.base, o.tokenizer)
	if err != nil {
		return nil, err
	}
	files, err := tokenize.Files(ctx, op, o.tokenizer)
	if err != nil {
		return nil, err
	}
	if files[recipeFile], err = json.MarshalIndent(r, "", "  "); err != nil {
		return nil, fmt.Errorf("encode recipe: %w", err)
	}
	err = hf.WriteAs(ctx, op, dest, grown.Config(), grown.Sources(), files, format)
	return r, err
}

// grow reads both tokenizers and shows the base as it is with the rows of the second.
func (r *recipe) grow(ctx context.Context, op store.Opener, base, grown string) (*hf.Grown, error) {
	from, pin, err := tokenize.Load(ctx, op, base)
	if err != nil {
		return nil, err
	}
	to, grownPin, err := tokenize.Load(ctx, op, grown)
	if err != nil {
		return nil, err
	}
	fresh, err := tokenize.NewTokens(from, to)
	if err != nil {
		return nil, fmt.Errorf("%w: %s over %s: %w", errInput, grown, base, err)
	}
	folder, err := hf.Load(ctx, op, r.Model)
	if err != nil {
		return nil, err
	}
	r.BaseTokenizer, r.BaseSHA256 = pin.GetUri(), pin.GetSha256()
	r.Tokenizer, r.TokenizerSHA256 = grownPin.GetUri(), grownPin.GetSha256()
	r.BaseTokens, r.NewTokens = from.VocabSize(), len(fresh)
	g, err := folder.Grow(hf.Growth{First: from.VocabSize(), New: fresh, PadTo: r.PadTo,
		Input: r.Init, Output: r.InitOutput, Seed: r.Seed})
	if err != nil {
		return nil, err
	}
	r.Rows = g.Config().GetVocabSize()
	if err := model.Check(g.Config()); err != nil {
		return nil, err
	}
	return g, nil
}
