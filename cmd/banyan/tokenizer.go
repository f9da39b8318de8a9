package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/store/router"
)

func tokenizerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tokenizer", Short: "Work on a tokenizer"}
	cmd.AddCommand(encodeCommand(), decodeCommand(), tokenizerExtendCommand())
	return cmd
}

func encodeCommand() *cobra.Command {
	return lineCommand("encode", `Read JSON lines {"text": ...}, print {"ids": [...]}`,
		"put", encodeLine)
}

func decodeCommand() *cobra.Command {
	return lineCommand("decode", `Read JSON lines {"ids": [...]}, print {"text": ...}`,
		"drop", decodeLine)
}

// lineCommand is a command that turns each line of its input into one of output. work gets the
// ids of BOS and EOS, empty unless asked for.
func lineCommand(name, short, verb string,
	work func(tok tokenize.Tokenizer, bos, eos []int32) lineFunc,
) *cobra.Command {
	var o storeFlags
	var uri string
	var bos, eos bool
	cmd := &cobra.Command{
		Use:   name + " --tokenizer PATH",
		Short: short,
		Args:  args(0, "--tokenizer PATH < lines.jsonl"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			tok, err := o.tokenizer(cmd, uri)
			if err != nil {
				return err
			}
			begin, err := special("--bos", bos, tok.BOS)
			if err != nil {
				return err
			}
			end, err := special("--eos", eos, tok.EOS)
			if err != nil {
				return err
			}
			return eachLine(cmd.InOrStdin(), cmd.OutOrStdout(), work(tok, begin, end))
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&uri, "tokenizer", "", "folder or file of the tokenizer: a path, "+
		"file:// or s3://")
	cmd.Flags().BoolVar(&bos, "bos", false, verb+" the beginning-of-text token at the start")
	cmd.Flags().BoolVar(&eos, "eos", false, verb+" the end-of-text token at the end")
	return cmd
}

// tokenizer loads the tokenizer at uri. A tokenizer that cannot be used is invalid input.
func (o *storeFlags) tokenizer(cmd *cobra.Command, uri string) (tokenize.Tokenizer, error) {
	if uri == "" {
		return nil, fmt.Errorf("%w: --tokenizer is missing; name a tokenizer's folder or file",
			errUsage)
	}
	opener, err := router.New(o.stores())
	if err != nil {
		return nil, err
	}
	tok, _, err := tokenize.Load(cmd.Context(), opener, uri)
	if errors.Is(err, tokenize.ErrInvalid) || errors.Is(err, tokenize.ErrUnsupported) {
		return nil, fmt.Errorf("%w: %w", errInput, err)
	}
	return tok, err
}

// special is the one id that a flag asks for, none if it is off.
func special(flag string, on bool, id func() (int32, bool)) ([]int32, error) {
	if !on {
		return nil, nil
	}
	token, ok := id()
	if !ok {
		return nil, fmt.Errorf("%w: %s: the tokenizer names no such token; leave the flag out, or "+
			"name one in tokenizer_config.json", errInput, flag)
	}
	return []int32{token}, nil
}
