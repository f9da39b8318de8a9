package survey

import (
	"context"
	"fmt"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// FirstSteps is how many steps the realised share is taken over.
const FirstSteps = 1000

// Report is what `banyan data inspect` shows.
type Report struct {
	PlannedTokens uint64         `json:"planned_tokens"` // targets of the whole run
	Steps         uint64         `json:"steps"`          // that Realised is taken over
	Sources       []SourceReport `json:"sources"`        // in spec order
	Samples       []Sample       `json:"samples"`
}

// SourceReport is one source of a run.
type SourceReport struct {
	Name      string `json:"name"`
	Lang      string `json:"lang"`
	FileBytes uint64 `json:"file_bytes"`
	Counts
	TokensPerCharacter float64 `json:"tokens_per_character"`
	Planned            float64 `json:"planned_share"`
	Realised           float64 `json:"realised_share"` // of the first steps
	Epochs             float64 `json:"epochs"`         // at the planned budget
}

// Sample is the start of a sequence that the run would train on.
type Sample struct {
	Slot   int    `json:"slot"`
	Source string `json:"source"`
	Text   string `json:"text"`
}

// Options say how a survey is made.
type Options struct {
	Config   dataset.Config // all of it but the slots; Stage is a folder to be thrown away
	Tokens   uint64         // planned targets of the run
	Steps    uint64         // of the run
	Samples  int            // sequences shown of each source
	Progress func(source string, done, total int64)
}

// Run surveys every source. What it finds wrong with the data is in the report; an error is of the
// store, of the context, or of a file that is not what was pinned.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &Report{PlannedTokens: o.Tokens, Steps: min(FirstSteps, o.Steps)}
	planned := dataset.PlanOf(o.Config.Corpus).Share(max(1, o.Steps))
	for i, m := range o.Config.Corpus.GetSources() {
		s, err := one(ctx, &o, m, planned[i])
		if err != nil {
			return nil, fmt.Errorf("inspect source %q: %w", m.GetName(), err)
		}
		r.Sources = append(r.Sources, *s)
	}
	if err := r.realise(&o); err != nil {
		return nil, err
	}
	return r, r.sample(ctx, &o)
}

func one(ctx context.Context, o *Options, m *pb.SourceManifest, planned float64,
) (*SourceReport, error) {
	s := &SourceReport{Name: m.GetName(), Lang: m.GetLang(), Planned: planned}
	for _, f := range m.GetFiles() {
		s.FileBytes += f.GetSize()
	}
	done := newMeter(m.GetName(), int64(s.FileBytes), o.Progress)
	c := &counter{manifest: m, stores: o.Config.Stores, tok: o.Config.Tokenizer, extra: 1,
		max: o.Config.MaxRecord, progress: done.add}
	if o.Config.BOS {
		c.extra++
	}
	counts, err := c.count(ctx)
	if err != nil {
		return nil, err
	}
	s.Counts = *counts
	if s.Characters > 0 {
		s.TokensPerCharacter = float64(s.Tokens) / float64(s.Characters)
	}
	if s.Tokens > 0 {
		s.Epochs = s.Planned * float64(o.Tokens) / float64(s.Tokens)
	}
	return s, nil
}

// realise asks the mixer what the first steps would read.
func (r *Report) realise(o *Options) error {
	shares, err := o.Config.Realised(r.Steps)
	if err != nil {
		return err
	}
	for i := range r.Sources {
		r.Sources[i].Realised = shares[i]
	}
	return nil
}

// sample decodes the first sequences of every source.
func (r *Report) sample(ctx context.Context, o *Options) error {
	for _, s := range r.Sources {
		if o.Samples == 0 || s.Broken > 0 {
			return nil // a run could not read it either
		}
	}
	cfg := o.Config
	cfg.Lo, cfg.Hi = 0, dataset.Slot(cfg.GlobalBatch)
	if err := dataset.Stage(ctx, cfg, 0, 1, func(string, uint64) {}); err != nil {
		return err
	}
	stream, err := dataset.Open(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer stream.Close()
	left := make([]int, len(r.Sources))
	for i := range left {
		left[i] = o.Samples
	}
	for step := uint64(0); step < r.Steps && total(left) > 0; step++ {
		b, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		for i := range b.Sequences {
			s := &b.Sequences[i]
			if left[s.Source] == 0 {
				continue
			}
			left[s.Source]--
			r.Samples = append(r.Samples, Sample{int(s.Slot), r.Sources[s.Source].Name,
				string(cfg.Tokenizer.Decode(s.Tokens))})
		}
	}
	return nil
}

func total(counts []int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}
