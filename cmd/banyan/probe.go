package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/probe"
)

// probeFlags name the model of commands that compute outside of a run.
type probeFlags struct {
	stores         storeFlags
	dir, precision string
}

func (f *probeFlags) register(cmd *cobra.Command) {
	f.stores.register(cmd)
	cmd.Flags().StringVar(&f.dir, "model", "", "Hugging Face folder")
	cmd.Flags().StringVar(&f.precision, "precision", "fp32", "fp32 | bf16")
}

// open checks the flags and opens the store.
func (f *probeFlags) open() (store.Opener, probe.Options, error) {
	opt, err := probe.ParsePrecision(f.precision)
	if err != nil {
		return nil, opt, fmt.Errorf("%w: --precision: %w", errInput, err)
	}
	if f.dir == "" {
		return nil, opt, fmt.Errorf("%w: --model: want a Hugging Face folder", errUsage)
	}
	op, err := router.New(f.stores.stores())
	return op, opt, err
}

// with loads the model, hands it to use and frees it.
func (f *probeFlags) with(cmd *cobra.Command, op store.Opener, opt probe.Options,
	use func(m *probe.Model, vocab int) error) error {
	folder, err := hf.Load(cmd.Context(), op, f.dir)
	if err != nil {
		return err
	}
	be, err := cpu.New(cpu.Options{})
	if err != nil {
		return err
	}
	defer be.Close()
	m, err := probe.Load(cmd.Context(), folder, be, opt)
	if err != nil {
		return fmt.Errorf("load model %s: %w", f.dir, err)
	}
	return use(m, int(folder.Config().GetVocabSize()))
}

func modelLogitsCommand() *cobra.Command {
	var f probeFlags
	var list string
	cmd := &cobra.Command{
		Use:   "logits",
		Short: "Print the logits of one sequence of token ids as a line of JSON",
		Args:  args(0, "--model DIR --ids 1,2,3"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ids, err := parseIDs(list)
			if err != nil {
				return fmt.Errorf("%w: %w", errInput, err)
			}
			op, opt, err := f.open()
			if err != nil {
				return err
			}
			return f.with(cmd, op, opt, func(m *probe.Model, vocab int) error {
				logits, err := m.Logits(ids)
				if err != nil {
					return err
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
					Shape  [2]int    `json:"shape"`
					Logits []float32 `json:"logits"`
				}{[2]int{len(ids), vocab}, logits})
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&list, "ids", "", "token ids, comma-separated")
	return cmd
}

func parseIDs(list string) ([]int32, error) {
	var ids []int32
	for s := range strings.SplitSeq(list, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("--ids: %q is not a token id; want a list such as 1,2,3", s)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

func modelLossCommand() *cobra.Command {
	var f probeFlags
	var path, field, tokenizer string
	var seqLen int
	cmd := &cobra.Command{
		Use:   "loss",
		Short: "Print the mean loss over a file of texts, in nats per target, as a line of JSON",
		Long: "Print the mean loss over a file of texts, in nats per target, as a line of JSON.\n\n" +
			"Each line is a document: its tokens, without BOS or EOS, are cut into windows of\n" +
			"--seq-len inputs that see nothing of one another. Every token but the document's\n" +
			"first is a target once. A line {\"ids\": [...]} needs no tokenizer.",
		Args: args(0, "--model DIR --jsonl FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			op, opt, err := f.open()
			if err != nil {
				return err
			}
			in, err := openLines(path)
			if err != nil {
				return fmt.Errorf("%w: --jsonl%w", errInput, err)
			}
			defer in.Close()
			if tokenizer == "" {
				tokenizer = f.dir
			}
			records := probe.NewRecords(in, dataset.ParsePath(field), lazyEncoder(cmd, op, tokenizer))
			return f.with(cmd, op, opt, func(m *probe.Model, _ int) error {
				result, err := m.Loss(records, seqLen)
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&path, "jsonl", "", "file of JSON lines, each with a text or ids")
	cmd.Flags().StringVar(&field, "text-field", "text",
		"field with the text; meta.body is one inside another")
	cmd.Flags().StringVar(&tokenizer, "tokenizer", "", "tokenizer's folder (default the model's)")
	cmd.Flags().IntVar(&seqLen, "seq-len", 0,
		"inputs of a window (default 1024, or what the model has)")
	return cmd
}

// openLines opens a file of JSON lines; what the error says follows the name of the flag.
func openLines(path string) (*os.File, error) {
	switch ext := filepath.Ext(path); {
	case path == "":
		return nil, errors.New(" is missing; name a file of JSON lines")
	case ext == ".gz" || ext == ".zst":
		return nil, fmt.Errorf(": %s is compressed; decompress it first", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf(": %w", err)
	}
	return f, nil
}

// lazyEncoder loads the tokenizer when the first text comes: files of ids need none.
func lazyEncoder(cmd *cobra.Command, op store.Opener, uri string) func(string) ([]int32, error) {
	var tok tokenize.Tokenizer
	return func(text string) ([]int32, error) {
		if tok == nil {
			var err error
			if tok, _, err = tokenize.Load(cmd.Context(), op, uri); errors.Is(err, store.ErrNotFound) {
				return nil, fmt.Errorf("%w; name one by --tokenizer, or give ids", err)
			} else if err != nil {
				return nil, err
			}
		}
		return tok.Encode(nil, text), nil
	}
}
