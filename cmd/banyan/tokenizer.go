package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/store/router"
)

func tokenizerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tokenizer", Short: "Work on a tokenizer"}
	cmd.AddCommand(encodeCommand())
	return cmd
}

func encodeCommand() *cobra.Command {
	var o storeFlags
	cmd := &cobra.Command{
		Use:   "encode TOKENIZER",
		Short: `Read JSON lines {"text": ...}, print {"text": ..., "ids": [...]}`,
		Args:  args(1, "TOKENIZER < texts.jsonl"),
		RunE: func(cmd *cobra.Command, given []string) error {
			opener, err := router.New(o.stores())
			if err != nil {
				return err
			}
			tok, _, err := tokenize.Load(cmd.Context(), opener, given[0])
			if err != nil {
				return err
			}
			return encodeLines(tok, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	o.register(cmd)
	return cmd
}

// encodeLines encodes records one by one, without BOS and EOS.
func encodeLines(tok tokenize.Tokenizer, in io.Reader, out io.Writer) error {
	type record struct {
		Text *string `json:"text"`
		IDs  []int32 `json:"ids"`
	}
	w := bufio.NewWriter(out)
	enc, dec := json.NewEncoder(w), json.NewDecoder(in)
	enc.SetEscapeHTML(false)
	for n := 1; ; n++ {
		var line struct {
			Text *string `json:"text"`
		}
		err := dec.Decode(&line)
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err == nil && line.Text == nil {
			err = errors.New(`no field "text"`)
		}
		if err != nil {
			return fmt.Errorf("%w: record %d: %w", errUsage, n, err)
		}
		if err := enc.Encode(record{line.Text, tok.Encode(nil, *line.Text)}); err != nil {
			return fmt.Errorf("write record %d: %w", n, err)
		}
	}
}
