package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// sharesOf is what constant weights come to.
func sharesOf(sources []*pb.Source) ([]uint64, error) {
	corpus := &pb.Corpus{Sources: make([]*pb.SourceManifest, len(sources))}
	for i := range sources {
		corpus.Sources[i] = &pb.SourceManifest{}
	}
	if err := Weigh(corpus, &pb.Data{Sources: sources}, 1); err != nil {
		return nil, err
	}
	return weightsOf(corpus), nil
}

// weights names the sources s0, s1, ...
func weights(values ...float64) []*pb.NamedWeight {
	var list []*pb.NamedWeight
	for i, v := range values {
		list = append(list, &pb.NamedWeight{Source: fmt.Sprintf("s%d", i), Weight: v})
	}
	return list
}

// twoSources is a spec and its corpus, sampled: a token is 2 bytes of s0 and 4 bytes of s1, a
// document 10 tokens of s0 and 1000 of s1.
func twoSources(unit pb.WeightUnit) (*pb.Data, *pb.Corpus) {
	data := &pb.Data{WeightUnit: unit, SeqLen: 10, Sources: []*pb.Source{
		{Name: "s0", Weight: 1}, {Name: "s1", Weight: 1}}}
	corpus := &pb.Corpus{Sources: []*pb.SourceManifest{
		{Name: "s0", Sample: &pb.Sample{Documents: 7, Tokens: 70, Bytes: 140}},
		{Name: "s1", Sample: &pb.Sample{Documents: 3, Tokens: 3000, Bytes: 12000}}}}
	return data, corpus
}

func TestWeightUnits(t *testing.T) {
	for unit, want := range map[pb.WeightUnit][2]float64{
		pb.WeightUnit_TOKENS:    {0.5, 0.5},
		pb.WeightUnit_BYTES:     {2.0 / 3, 1.0 / 3},
		pb.WeightUnit_DOCUMENTS: {1.0 / 101, 100.0 / 101},
	} {
		data, corpus := twoSources(unit)
		if err := Weigh(corpus, data, 4); err != nil {
			t.Fatal(err)
		}
		if len(corpus.Mixture) != 0 {
			t.Errorf("%v: constant weights made %v", unit, corpus.Mixture)
		}
		for i, m := range corpus.Sources {
			if off := float64(m.WeightQ32)/mix.One - want[i]; math.Abs(off) > 1e-9 {
				t.Errorf("%v: source %d has %d, want %g", unit, i, m.WeightQ32, want[i])
			}
		}
		corpus.Sources[1].Sample = nil
		err := Weigh(corpus, data, 4)
		if unit == pb.WeightUnit_TOKENS && err != nil ||
			unit != pb.WeightUnit_TOKENS && !strings.Contains(fmt.Sprint(err), `source "s1"`) {
			t.Errorf("%v without a sample: %v", unit, err)
		}
	}
}

func TestScheduleAndEdits(t *testing.T) {
	data, corpus := twoSources(pb.WeightUnit_TOKENS)
	data.Schedule = []*pb.MixPhase{
		{UntilStep: 4, Weights: weights(0, 1)},
		{UntilTokens: 321, Weights: weights(1, 3), Ramp: true}, // 9 steps of 40 tokens
		{UntilStep: 12, Weights: weights(3, 1)},
	}
	data.Edits = []*pb.WeightEdit{
		{FromStep: 7, Weights: weights(1, 1)}, {FromStep: 11, Weights: weights(1, 0)}}
	if err := Weigh(corpus, data, 4); err != nil {
		t.Fatal(err)
	}
	quarter := func(n uint64) uint64 { return n * mix.One / 4 }
	want := mix.Plan{
		{Until: 4, From: []uint64{0, mix.One}},
		{Until: 6, From: []uint64{quarter(1), quarter(3)}, To: []uint64{quarter(3), quarter(1)},
			Start: 4, Steps: 5},
		{Until: 10, From: []uint64{quarter(2), quarter(2)}},
		{From: []uint64{mix.One, 0}},
	}
	if got := PlanOf(corpus); !reflect.DeepEqual(got, want) {
		t.Errorf("plan %+v\nwant %+v", got, want)
	}
	for name, spoil := range map[string]func(*pb.Data){
		"no weight: name every": func(d *pb.Data) { d.Schedule[0].Weights = weights(1) },
		`no source "s2"`:        func(d *pb.Data) { d.Edits[0].Weights = weights(1, 1, 1) },
		"every weight is 0":     func(d *pb.Data) { d.Edits[1].Weights = weights(0, 0) },
		"two weights":           func(d *pb.Data) { d.Edits[1].Weights[1].Source = "s0" },
		"from_step is 0":        func(d *pb.Data) { d.Edits[0].FromStep = 0 },
		"not after step 4":      func(d *pb.Data) { d.Schedule[1].UntilTokens = 160 },
		"never be read; raise":  func(d *pb.Data) { d.Edits[0].Weights[0].Weight = 1e-12 },
		"a number from 0 up":    func(d *pb.Data) { d.Schedule[2].Weights[0].Weight = -1 },
		"is 0 throughout": func(d *pb.Data) {
			d.Schedule, d.Edits, d.Sources[0].Weight = nil, nil, 0
		},
		"data.schedule[2]: ends": func(d *pb.Data) { d.Schedule[2].UntilStep = 0 },
	} {
		data, corpus := twoSources(pb.WeightUnit_TOKENS)
		data.Schedule = []*pb.MixPhase{{UntilStep: 4, Weights: weights(0, 1)},
			{UntilTokens: 321, Weights: weights(1, 3), Ramp: true},
			{UntilStep: 12, Weights: weights(3, 1)}}
		data.Edits = []*pb.WeightEdit{{FromStep: 7, Weights: weights(1, 1)},
			{FromStep: 11, Weights: weights(1, 0)}}
		spoil(data)
		if err := Weigh(corpus, data, 4); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A source that is small is measured whole; of a large one the estimate comes near.
func TestMeasure(t *testing.T) {
	small, large := repeat(30, 0, 200), repeat(3000, 2000, 6000)
	cfg := testConfig(t, 4, 512, text("a", small...), text("b", large...))
	cfg.BOS = true
	b := cfg.Corpus.Sources[1]
	b.BlockBytes = 100 << 10
	b.Blocks = (b.Files[0].Size-1)/b.BlockBytes + 1
	data := &pb.Data{Sources: []*pb.Source{{Name: "s0", MaxEpochs: 1}, {Name: "s1", MaxEpochs: 2}}}
	if err := Measure(context.Background(), cfg, data); err != nil {
		t.Fatal(err)
	}
	count := func(lengths []int, name string) (n uint64) { // as text makes them; BOS and EOS
		for i, length := range lengths {
			n += uint64(max(length, len(fmt.Sprintf("%s-%d ", name, i)))) + 2
		}
		return n
	}
	got, want := cfg.Corpus.Sources[0].Sample, count(small, "a")
	if got.Documents != 30 || got.Tokens != want || got.Bytes != want-60 || got.SourceTokens != want {
		t.Errorf("small: %v, want %d tokens", got, want)
	}
	got, want = b.Sample, count(large, "b")
	if got.Documents == 0 || got.Documents == 3000 || got.Tokens != got.Bytes+2*got.Documents ||
		math.Abs(float64(got.SourceTokens)/float64(want)-1) > 0.02 {
		t.Errorf("large: %v, want about %d tokens in all", got, want)
	}
	again := testConfig(t, 4, 512, text("a", small...), text("b", large...))
	again.BOS = true
	again.Corpus.Sources[1].BlockBytes, again.Corpus.Sources[1].Blocks = b.BlockBytes, b.Blocks
	again.Corpus.Sources[0].Sample = nil
	data.Sources[0].MaxEpochs = 0
	if err := Measure(context.Background(), again, data); err != nil {
		t.Fatal(err)
	}
	if s := again.Corpus.Sources; s[0].Sample != nil || s[1].Sample.String() != got.String() {
		t.Errorf("again: %v and %v", s[0].Sample, s[1].Sample)
	}
}

func TestMeasureOfASourceWithoutText(t *testing.T) {
	cfg := testConfig(t, 2, 64, strings.Repeat("\n", 1000))
	data := &pb.Data{Sources: []*pb.Source{{Name: "s0", MaxEpochs: 1}}}
	err := Measure(context.Background(), cfg, data)
	if err == nil || !strings.Contains(err.Error(), `source "s0"`) {
		t.Error(err)
	}
}

// Offsets in a compressed file say nothing about its size: nothing is estimated from them.
func TestMeasureOfACompressedFile(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(text("a", repeat(300, 2000, 6000)...))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mem := memstore.New()
	mem.Set("mem://corpus/a.jsonl.gz", zipped.Bytes())
	data := &pb.Data{Sources: []*pb.Source{{Name: "a", Uri: "mem://corpus/a.jsonl.gz", Weight: 1,
		MaxEpochs: 1}}}
	corpus, err := Pin(context.Background(), mem, data, 1)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, 1, 512, text("a", 10))
	cfg.Corpus, cfg.Stores = corpus, mem
	if err := Measure(context.Background(), cfg, data); err != nil {
		t.Fatal(err)
	}
	s := corpus.Sources[0].Sample
	if s.Documents == 0 || s.Documents == 300 || s.SourceTokens != 0 {
		t.Errorf("sample %v: want a part, and no estimate of the whole", s)
	}
}
