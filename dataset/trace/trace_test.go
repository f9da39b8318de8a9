package trace_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	"github.com/banyan-train/banyan/dataset/trace"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// config is a stream over the example corpora.
func config(t *testing.T) dataset.Config {
	t.Helper()
	root, err := filepath.Abs("../../examples")
	must(t, err)
	op, err := router.New(nil)
	must(t, err)
	tok, _, err := tokenize.Load(t.Context(), op, filepath.Join(root, "tokenizer"))
	must(t, err)
	data := &pb.Data{Sources: []*pb.Source{
		{Name: "en", Lang: "en", Weight: 0.4, Uri: filepath.Join(root, "corpora/en-facts.jsonl")},
		{Name: "zh", Lang: "zh", Weight: 0.6, Uri: filepath.Join(root, "corpora/zh-*.jsonl")},
	}}
	corpus, err := dataset.Pin(t.Context(), op, data, 4)
	must(t, err)
	return dataset.Config{Corpus: corpus, SeqLen: 96, GlobalBatch: 4, DocMask: true, Seed: 3,
		Tokenizer: tok, Stores: op}
}

// record trains nothing, but keeps the ledger as a run does: the curve and the cursors.
func record(t *testing.T, cfg dataset.Config, steps int,
) (curve []*pb.StepRecord, cursors []*dataset.Cursor) {
	t.Helper()
	cfg.Hi = dataset.Slot(cfg.GlobalBatch)
	stream, err := dataset.Open(t.Context(), cfg, nil)
	must(t, err)
	defer stream.Close()
	digest, targets := "", uint64(0)
	for range steps {
		b, err := stream.Next(t.Context())
		must(t, err)
		var slots [][32]byte
		for _, s := range b.Sequences {
			slots = append(slots, s.Digest)
			for _, id := range s.Targets {
				if id >= 0 {
					targets++
				}
			}
		}
		digest = dataset.ChainDigest(digest, slots)
		curve = append(curve, &pb.StepRecord{Step: b.Step, DataDigest: digest, Tokens: targets})
		cursors = append(cursors, b.Cursor)
	}
	return curve, cursors
}

func TestI2_AuditOfAWholeHistory(t *testing.T) {
	const steps = 600 // some epochs of the small sources
	cfg := config(t)
	curve, _ := record(t, cfg, steps)
	seen := uint64(0)
	r, err := trace.Audit(context.Background(), cfg, curve, func(step uint64) { seen = step })
	must(t, err)
	if seen != steps || r.Steps != steps || r.Digest != curve[steps-1].GetDataDigest() ||
		r.Targets != curve[steps-1].GetTokens() {
		t.Fatalf("audit of %d steps: %+v", steps, r)
	}
	for i, share := range []float64{0.4, 0.6} {
		s := r.Sources[i]
		if off := (s.Share - share) * steps * 4; off < -2 || off > 2 {
			t.Errorf("%s has %.4f of the sequences, planned %.2f", s.Name, s.Share, share)
		}
		if s.Documents == 0 || s.Targets == 0 || s.Epochs <= 1 {
			t.Errorf("%+v: want more than an epoch", s)
		}
	}
}

func TestI2_AuditOfBestFit(t *testing.T) {
	cfg := config(t)
	cfg.Packing = pb.Packing_BEST_FIT
	curve, _ := record(t, cfg, 150)
	report, err := trace.Audit(t.Context(), cfg, curve, func(uint64) {})
	must(t, err)
	if report.Steps != 150 || report.Sources[0].Documents == 0 || report.Sources[0].Epochs < 0.1 {
		t.Errorf("report %+v", report)
	}
}

// stagedConfig is config with both sources staged.
func stagedConfig(t *testing.T, packing pb.Packing) dataset.Config {
	t.Helper()
	cfg := config(t)
	cfg.Packing, cfg.Stage = packing, t.TempDir()
	for _, m := range cfg.Corpus.Sources {
		m.Staged = true
	}
	must(t, dataset.Stage(t.Context(), cfg, 0, 1, func(string, uint64) {}))
	return cfg
}

func TestI2_AuditOfStagedSources(t *testing.T) {
	for _, packing := range []pb.Packing{pb.Packing_CONCAT, pb.Packing_BEST_FIT} {
		const steps = 400
		cfg := stagedConfig(t, packing)
		curve, cursors := record(t, cfg, steps)
		report, err := trace.Audit(t.Context(), cfg, curve, func(uint64) {})
		must(t, err)
		for _, s := range report.Sources {
			if s.Sequences == 0 || s.Documents == 0 || s.Epochs < 0.5 {
				t.Errorf("%v: %+v", packing, s)
			}
		}
		from := trace.Origin{Cursor: cursors[80], Digest: curve[80].GetDataDigest()}
		account, err := trace.Why(t.Context(), cfg, from, 90, curve[89].GetDataDigest())
		must(t, err)
		if !account.Verified || len(account.Passages) == 0 || account.Passages[0].Text == "" ||
			account.Passages[0].Place != fmt.Sprintf("byte %d", account.Passages[0].Record) {
			t.Errorf("%v: account %+v", packing, account)
		}
	}
}

func TestAuditNamesTheFirstStepThatDiffers(t *testing.T) {
	cfg := config(t)
	curve, _ := record(t, cfg, 20)
	for name, spoil := range map[string]func(*dataset.Config, []*pb.StepRecord){
		"step 13: the replay differs": func(_ *dataset.Config, c []*pb.StepRecord) {
			c[12].DataDigest = strings.Repeat("0", 64)
		},
		"step 7: the replay differs": func(_ *dataset.Config, c []*pb.StepRecord) { c[6].Tokens++ },
		"step 1: the replay differs": func(cfg *dataset.Config, _ []*pb.StepRecord) { cfg.Seed++ },
		"the record behind step 4 is of step 6": func(_ *dataset.Config, c []*pb.StepRecord) {
			c[4].Step = 6
		},
	} {
		changed := cfg
		var records []*pb.StepRecord
		for _, r := range curve {
			records = append(records, &pb.StepRecord{Step: r.Step, DataDigest: r.DataDigest,
				Tokens: r.Tokens})
		}
		spoil(&changed, records)
		_, err := trace.Audit(context.Background(), changed, records, func(uint64) {})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}

func TestWhyIsTheSameFromEveryCursor(t *testing.T) {
	cfg := config(t)
	curve, cursors := record(t, cfg, 40)
	const step = 35
	want := curve[step-1].GetDataDigest()
	whole, err := trace.Why(t.Context(), cfg, trace.Origin{}, step, want)
	must(t, err)
	for _, at := range []int{1, 17, 34} {
		from := trace.Origin{Cursor: cursors[at-1], Digest: curve[at-1].GetDataDigest()}
		got, err := trace.Why(t.Context(), cfg, from, step, want)
		must(t, err)
		if !got.Verified || got.Digest != want || !slices.Equal(got.Passages, whole.Passages) {
			t.Errorf("from step %d: another account than from the start", at)
		}
	}
	_, err = trace.Why(t.Context(), cfg, trace.Origin{}, step, curve[step].GetDataDigest())
	if !errors.Is(err, trace.ErrDiffers) {
		t.Errorf("error %v for a wrong digest", err)
	}
}

// The texts of a slot's passages, joined, are the text of its documents.
func TestWhyShowsTheTextOfTheDocuments(t *testing.T) {
	cfg := config(t)
	var texts strings.Builder
	for step := uint64(1); step <= 3; step++ {
		a, err := trace.Why(t.Context(), cfg, trace.Origin{}, step, "")
		must(t, err)
		tokens := 0
		for _, p := range a.Passages {
			if p.Slot == 0 {
				tokens += p.Tokens
				texts.WriteString(p.Text)
			}
			if !strings.HasPrefix(filepath.Base(p.File), p.Source+"-") || p.Lang != p.Source {
				t.Errorf("step %d: %s (%s) in %s", step, p.Source, p.Lang, p.File)
			}
		}
		if a.Verified || tokens != cfg.SeqLen+1 {
			t.Errorf("step %d: verified %v, %d tokens", step, a.Verified, tokens)
		}
	}
	if strings.Contains(texts.String(), "<|") || len(texts.String()) < cfg.SeqLen {
		t.Errorf("texts %q", texts.String())
	}
}
