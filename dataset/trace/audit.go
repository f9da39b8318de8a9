package trace

import (
	"context"
	"fmt"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/source"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Report is the outcome of an audit that found nothing wrong.
type Report struct {
	Steps   uint64         `json:"steps"`
	Targets uint64         `json:"targets"` // as the records count them
	Digest  string         `json:"data_digest"`
	Sources []SourceReport `json:"sources"` // in spec order
}

// SourceReport is what the history consumed of one source.
type SourceReport struct {
	Name      string  `json:"name"`
	Lang      string  `json:"lang"`
	Sequences uint64  `json:"sequences"`
	Targets   uint64  `json:"targets"`   // masked ones left out
	Documents uint64  `json:"documents"` // begun
	Share     float64 `json:"share"`     // of the sequences
	Planned   float64 `json:"planned"`
	Epochs    float64 `json:"epochs"` // of the lane that is farthest
}

// Audit replays a whole history from its first step and holds it against the run's records, which
// must be those of steps 1, 2, ... It fails with ErrDiffers at the first step whose digest or
// number of tokens is not the recorded one, and with an error that names step and slot where a
// token would be consumed twice or left out. progress is called after each step.
func Audit(ctx context.Context, cfg dataset.Config, curve []*pb.StepRecord,
	progress func(step uint64),
) (*Report, error) {
	a := newAuditor(&cfg)
	if err := a.openStaged(ctx); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	for i, record := range curve {
		if record.GetStep() != uint64(i)+1 {
			return nil, fmt.Errorf("audit: the record behind step %d is of step %d", i,
				record.GetStep())
		}
	}
	err := replay(ctx, cfg, Origin{}, uint64(len(curve)),
		func(b *dataset.Batch, digest string) error {
			if err := a.step(ctx, b, digest, curve[b.Step-1]); err != nil {
				return err
			}
			progress(b.Step)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return a.finish(), nil
}

type auditor struct {
	cfg    *dataset.Config
	report Report
	lanes  map[laneKey]*lane
	staged []*staged // by source; nil: it is read by blocks
}

type laneKey struct {
	slot   dataset.Slot
	source int
}

// lane is the end of what a slot has consumed of a source.
type lane struct {
	last dataset.Span
	end  int   // token of the last document behind the last span
	eos  int32 // the last token of a staged series
	free bool  // it belongs to no slot: the series of a staged source

	documents map[documentKey]*document // best_fit only: those not settled yet
}

func newAuditor(cfg *dataset.Config) *auditor {
	a := &auditor{cfg: cfg, lanes: map[laneKey]*lane{},
		staged: make([]*staged, len(cfg.Corpus.GetSources()))}
	for _, m := range cfg.Corpus.GetSources() {
		a.report.Sources = append(a.report.Sources, SourceReport{Name: m.GetName(),
			Lang: m.GetLang()})
	}
	return a
}

func (a *auditor) step(ctx context.Context, b *dataset.Batch, digest string,
	record *pb.StepRecord,
) error {
	if digest != record.GetDataDigest() {
		return differs(b.Step, digest, record.GetDataDigest())
	}
	for i := range b.Sequences {
		if err := a.sequence(ctx, &b.Sequences[i]); err != nil {
			return fmt.Errorf("step %d, slot %d: %w", b.Step, b.Sequences[i].Slot, err)
		}
	}
	for key, l := range a.lanes {
		if err := a.settle(key, l, b.Cursor.Slots[key.slot][key.source].Block); err != nil {
			return fmt.Errorf("step %d, slot %d: %w", b.Step, key.slot, err)
		}
	}
	if a.report.Targets != record.GetTokens() {
		return fmt.Errorf("step %d: %w: %d targets so far, recorded were %d", b.Step, ErrDiffers,
			a.report.Targets, record.GetTokens())
	}
	a.report.Steps, a.report.Digest = b.Step, digest
	return nil
}

// sequence proves that a sequence is the next of its lane (I2), and counts it.
func (a *auditor) sequence(ctx context.Context, s *dataset.Sequence) error {
	if st := a.staged[s.Source]; st != nil {
		if err := st.next(ctx, s); err != nil {
			return err
		}
	} else {
		key := laneKey{s.Slot, s.Source}
		if a.lanes[key] == nil {
			a.lanes[key] = &lane{}
		}
		if err := a.goOn(a.lanes[key], s); err != nil {
			return err
		}
	}
	source := &a.report.Sources[s.Source]
	for _, span := range s.Spans {
		if span.Token == 0 {
			source.Documents++
		}
	}
	for _, id := range s.Targets {
		if id >= 0 {
			source.Targets++
			a.report.Targets++
		}
	}
	source.Sequences++
	return nil
}

// goOn proves that a sequence goes on where its lane stood.
func (a *auditor) goOn(l *lane, s *dataset.Sequence) error {
	begun := l.end > 0
	whole := a.cfg.Packing == pb.Packing_BEST_FIT
	at := 0
	for i, span := range s.Spans {
		var err error
		switch {
		case whole:
			err = a.piece(l, s, span, at)
		case i == 0 && begun:
			err = a.goesOn(s.Source, l, span)
		case span.Token != 0:
			err = fmt.Errorf("the document at %s starts with its token %d",
				a.place(s.Source, span), span.Token)
		case begun || i > 0:
			err = a.follows(s.Source, l, span)
		}
		if err != nil {
			return err
		}
		at += span.Count
		if eos, _ := a.cfg.Tokenizer.EOS(); !whole && i+1 < len(s.Spans) && s.Tokens[at-1] != eos {
			return fmt.Errorf("the document at %s is left before its end",
				a.place(s.Source, span))
		}
		if !l.free && span.Block%uint64(a.cfg.GlobalBatch) != uint64(s.Slot) {
			return fmt.Errorf("block number %d is not of this slot", span.Block)
		}
		if !whole || span.Block >= l.last.Block {
			l.last, l.end = span, span.Token+span.Count
		}
	}
	return nil
}

// goesOn: the first token of a sequence is the last one of the sequence before it.
func (a *auditor) goesOn(of int, l *lane, span dataset.Span) error {
	if span.Block != l.last.Block || span.File != l.last.File || span.Start != l.last.Start ||
		span.Token != l.end-1 {
		return fmt.Errorf("it starts at token %d of %s in block number %d, the lane stood at token "+
			"%d of %s in block number %d", span.Token, a.place(of, span), span.Block, l.end-1,
			a.place(of, l.last), l.last.Block)
	}
	return nil
}

// follows: a document lies behind the one before it.
func (a *auditor) follows(of int, l *lane, span dataset.Span) error {
	if span.Block > l.last.Block ||
		span.Block == l.last.Block && span.File == l.last.File && span.Start > l.last.Start {
		return nil
	}
	return fmt.Errorf("the document at %s in block number %d comes after %s in block number %d",
		a.place(of, span), span.Block, a.place(of, l.last), l.last.Block)
}

// place is the document that a span is of.
func (a *auditor) place(of int, span dataset.Span) string {
	file := a.cfg.Corpus.GetSources()[of].GetFiles()[span.File]
	return file.GetUri() + " " + source.Place(file, span.Start)
}

func (a *auditor) finish() *Report {
	all := uint64(0)
	for _, s := range a.report.Sources {
		all += s.Sequences
	}
	planned := dataset.PlanOf(a.cfg.Corpus).Share(max(1, a.report.Steps))
	for i := range a.report.Sources {
		s := &a.report.Sources[i]
		s.Planned = planned[i]
		if all > 0 {
			s.Share = float64(s.Sequences) / float64(all)
		}
		if a.staged[i] != nil {
			s.Epochs = a.staged[i].epochs()
		}
		blocks := a.cfg.Corpus.GetSources()[i].GetBlocks()
		for key, l := range a.lanes {
			if key.source == i && blocks > 0 {
				s.Epochs = max(s.Epochs, float64(l.last.Block+1)/float64(blocks))
			}
		}
	}
	return &a.report
}
