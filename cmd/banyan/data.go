package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/dataset/trace"
	"github.com/banyan-train/banyan/internal/view"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

func dataCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "data", Short: "Work on the data of a run"}
	cmd.AddCommand(inspectCommand(), whyCommand(), auditCommand(), setWeightsCommand(),
		stagedCommand())
	return cmd
}

type whyOptions struct {
	slot, text int
	asJSON     bool
}

func whyCommand() *cobra.Command {
	var o whyOptions
	cmd := &cobra.Command{
		Use:   "why RUN STEP",
		Short: "List what a step was trained on: source, file, record, tokens and text",
		Args:  args(2, "RUN STEP"),
		RunE: func(cmd *cobra.Command, given []string) error {
			step, err := strconv.ParseUint(given[1], 10, 64)
			if err != nil || step == 0 {
				return fmt.Errorf("%w: STEP is %q: want a number from 1 on", errUsage, given[1])
			}
			return why(cmd, given[0], step, o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.slot, "slot", -1, "this slot only")
	f.IntVar(&o.text, "text", 120, "characters of text shown of each document; -1: all")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object, texts whole")
	return cmd
}

func why(cmd *cobra.Command, name string, step uint64, o whyOptions) error {
	h, err := openHistory(cmd, name)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if last := h.run.GetResolved().GetTotalSteps(); step > last {
		return fmt.Errorf("%w: run %s has %d steps; name one of them", errInput, h.run.GetId(), last)
	}
	from, err := h.before(ctx, step)
	if err != nil {
		return err
	}
	want := ""
	if step <= uint64(len(h.curve)) {
		want = h.curve[step-1].GetDataDigest()
	}
	cleanup, err := stagedOf(ctx, &h.cfg)
	if err != nil {
		return err
	}
	defer cleanup()
	account, err := trace.Why(ctx, h.cfg, from, step, want)
	if err != nil {
		return err
	}
	slots := int(h.run.GetResolved().GetSpec().GetTrain().GetGlobalBatch())
	if o.slot >= slots {
		return fmt.Errorf("%w: --slot %d: a step of run %s has the slots 0 to %d", errInput, o.slot,
			h.run.GetId(), slots-1)
	}
	if o.slot >= 0 {
		account.Passages = ofSlot(account.Passages, o.slot)
	}
	if o.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(account)
	}
	return view.Account(cmd.OutOrStdout(), account, o.text)
}

func ofSlot(all []trace.Passage, slot int) (of []trace.Passage) {
	for _, p := range all {
		if p.Slot == slot {
			of = append(of, p)
		}
	}
	return of
}

func auditCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "audit RUN",
		Short: "Replay a run's data up to its newest checkpoint and hold it against the ledger",
		Args:  args(1, "RUN"),
		RunE: func(cmd *cobra.Command, given []string) error {
			h, err := openHistory(cmd, given[0])
			if err != nil {
				return err
			}
			if len(h.curve) == 0 {
				return fmt.Errorf("run %s has no checkpoint yet: there is no record to audit",
					h.run.GetId())
			}
			cleanup, err := stagedOf(cmd.Context(), &h.cfg)
			if err != nil {
				return err
			}
			defer cleanup()
			bar := newBar(cmd.ErrOrStderr(), asJSON)
			report, err := trace.Audit(cmd.Context(), h.cfg, h.curve, func(step uint64) {
				bar.show("step", int64(step), int64(len(h.curve)))
			})
			bar.clear()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			return view.Audit(cmd.OutOrStdout(), report)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// history is what is on record of a run's data.
type history struct {
	run   *pb.Run
	op    store.Opener
	cfg   dataset.Config
	curve []*pb.StepRecord // of the newest good checkpoint; empty without one
}

func openHistory(cmd *cobra.Command, name string) (*history, error) {
	h := &history{}
	err := withClient(cmd, func(ctx context.Context, c *client.Client) (err error) {
		h.run, err = c.Run(ctx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, resolved := cmd.Context(), h.run.GetResolved()
	if h.op, err = router.New(resolved.GetSpec().GetStores()); err != nil {
		return nil, err
	}
	tok, err := tokenize.LoadPinned(ctx, h.op, resolved.GetTokenizer())
	if err != nil {
		return nil, err
	}
	h.cfg = dataset.ConfigOf(resolved, tok, h.op)
	var newest *pb.CheckpointRef
	for _, ref := range h.run.GetCheckpoints() {
		if !ref.GetCorrupt() {
			newest = ref
		}
	}
	if newest == nil {
		return h, nil
	}
	r, err := checkpoint.Open(ctx, h.op, newest.GetUri(), newest.GetDigest())
	if err != nil {
		return nil, err
	}
	h.curve, err = r.Curve(ctx)
	return h, err
}

// before is the last kept place of the run's data before a step, or its start.
func (h *history) before(ctx context.Context, step uint64) (trace.Origin, error) {
	to := h.run.GetResolved().GetSpec().GetCheckpoint().GetTo()
	limit := min(step, uint64(len(h.curve))+1) // what no record vouches for is no place to start
	at, parts, err := checkpoint.CursorsBefore(ctx, h.op, to, h.run.GetId(), limit)
	if err != nil || at == 0 {
		return trace.Origin{}, err
	}
	cursors := make([]*dataset.Cursor, len(parts))
	for i, part := range parts {
		if err := json.Unmarshal(part, &cursors[i]); err != nil {
			return trace.Origin{}, fmt.Errorf("read cursors of step %d: %w", at, err)
		}
	}
	cursor, err := dataset.MergeCursors(cursors)
	if err != nil {
		return trace.Origin{}, fmt.Errorf("read cursors of step %d: %w", at, err)
	}
	if cursor.Step() != at {
		return trace.Origin{}, fmt.Errorf("read cursors of step %d: they are of step %d", at,
			cursor.Step())
	}
	return trace.Origin{Cursor: cursor, Digest: h.curve[at-1].GetDataDigest()}, nil
}

// bar is a progress bar on a terminal, and nothing elsewhere.
type bar struct {
	w    io.Writer
	last int64
}

func newBar(w io.Writer, quiet bool) *bar {
	if quiet || !isTerminal(w) {
		w = nil
	}
	return &bar{w: w, last: -1}
}

const barWidth = 40

func (b *bar) show(what string, done, total int64) {
	if b.w == nil || total <= 0 || done*barWidth/total == b.last {
		return
	}
	b.last = done * barWidth / total
	fmt.Fprintf(b.w, "\r\x1b[K%s [%s%s] %d%%", what, strings.Repeat("#", int(b.last)),
		strings.Repeat(" ", barWidth-int(b.last)), 100*done/total)
}

func (b *bar) clear() {
	if b.w != nil && b.last >= 0 {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

var errBroken = errors.New("some records cannot be read; a run would stop at the first of them")
