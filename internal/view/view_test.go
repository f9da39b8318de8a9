package view

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// history is a short run with everything that has a form of its own.
func history() []*pb.WatchItem {
	step := func(n, generation uint64, loss float64) *pb.WatchItem {
		return &pb.WatchItem{Item: &pb.WatchItem_Step{Step: &pb.StepRecord{Step: n,
			Generation: generation, Loss: loss, GradNorm: 1.25, Lr: 1e-4, Tokens: n * 4096,
			LossByLang:   []*pb.GroupLoss{{Name: "en", Loss: 3.5, BitsPerByte: 1.25}, {Name: "zh", Loss: 4}},
			LossBySource: []*pb.GroupLoss{{Name: "books", Loss: 3.5}}, DataDigest: "abc",
			Timings: &pb.Timings{UnixMs: 1700000000000, StepS: float64(n), DataS: 0.25, CommS: 0.125,
				TokensPerS: math.Pow(10, float64(min(n, 5)+2)), World: 2}}}}
	}
	event := func(kind pb.EventKind, index uint64, text string) *pb.WatchItem {
		return &pb.WatchItem{Item: &pb.WatchItem_Event{Event: &pb.Event{Kind: kind, Index: index,
			Generation: 1, Step: 2, UnixMs: 1700000000000, Text: text}}}
	}
	evals := func(loss, base float64) []*pb.EvalResult {
		return []*pb.EvalResult{
			{Set: "en-held", Lang: "en", Loss: loss, Perplexity: math.Exp2(loss), BitsPerByte: 1.5,
				Targets: 4096, BaseLoss: base},
			{Set: "zh-held", Lang: "zh", Loss: 4 - loss/2, Perplexity: 20.25, BitsPerByte: 2,
				Targets: 2048, BaseLoss: base / 2}}
	}
	third := 1.0
	third /= 3
	first, fourth, bad := step(1, 1, third), step(4, 2, 1e21), step(5, 2, math.NaN())
	first.GetStep().EvalBase = evals(3, 0)
	fourth.GetStep().Eval, fourth.GetStep().Guard = evals(3.5, 3), "loss of en-held is 16.7% above"
	bad.GetStep().Skipped, bad.GetStep().GradNorm = "not finite", math.Inf(1)
	bad.GetStep().Eval = evals(math.Inf(1), 3)
	last := step(12, 2, 2)
	last.GetStep().Mixture = []*pb.SourceShare{{Name: "books", Sequences: 9, Share: 0.75, Owed: 0.5},
		{Name: "wiki", Sequences: 3, Share: 0.25, Owed: -0.5}}
	last.GetStep().Padding = 7
	return []*pb.WatchItem{
		event(pb.EventKind_RUN_LAUNCHED, 2, "launched: 12 steps"),
		event(pb.EventKind_WAITING, 0, "waits: needs 2 free devices, has 1; run zh holds 3"),
		event(pb.EventKind_GENERATION_ASSIGNED, 3, "generation 1: 2 ranks <on 2 workers> & more"),
		first,
		step(2, 1, math.Nextafter(2, 3)),
		event(pb.EventKind_CHECKPOINT_COMMITTED, 4, "checkpoint of step 2 committed"),
		event(pb.EventKind_GENERATION_ENDED, 5, "generation 1 ended: worker w2 lost"),
		event(pb.EventKind_REWIND, 6, "rewinds from step 3 to step 2"),
		step(3, 2, 5e-324),
		event(pb.EventKind_GUARD_ALARM, 0, "guard: loss of en-held is 16.7% above"),
		fourth,
		event(pb.EventKind_UPDATE_SKIPPED, 0, "update of step 5 skipped: not finite"),
		bad,
		event(pb.EventKind_DATA_LATE, 0, "step 6 waits for data of books (rank 0 on w1)"),
		last,
		event(pb.EventKind_CHECKPOINT_CORRUPT, 7, "checkpoint of step 2 is corrupt"),
		event(pb.EventKind_RUN_FAILED, 8, "failed"),
		event(pb.EventKind_RUN_SUCCEEDED, 9, "done"),
		{},
	}
}

// TestReasonIsShownOnce: why a generation ended is not said again as the reason of the run's end.
func TestReasonIsShownOnce(t *testing.T) {
	const why = "rank 0 on w1: read corpus: a.jsonl: line 3: no field \"text\""
	for _, x := range []struct {
		ended, over, want string
		shown             bool
	}{
		{"generation 1 ended: " + why, why, "✗ the run has failed", true},
		{"generation 9 ended: " + why, "9 generations in a row ended without a new checkpoint " +
			"(limit 8), the last: " + why, "✗ 9 generations in a row ended without a new " +
			"checkpoint (limit 8), the last: see above", true},
		{"generation 1 ended: worker w1 lost", why, "✗ " + why, false},
		{"", why, "✗ " + why, false},
	} {
		var b strings.Builder
		v := NewText(&b, false, 12)
		show := func(kind pb.EventKind, text string) {
			item := &pb.WatchItem{Item: &pb.WatchItem_Event{Event: &pb.Event{Kind: kind, Text: text}}}
			if err := v.Item(item); err != nil {
				t.Fatal(err)
			}
		}
		if x.ended != "" {
			show(pb.EventKind_GENERATION_ENDED, x.ended)
		}
		show(pb.EventKind_RUN_FAILED, x.over)
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if got := lines[len(lines)-1]; got != x.want || v.Shown(x.over) != x.shown {
			t.Errorf("%q then %q shows %q, want %q", x.ended, x.over, got, x.want)
		}
	}
}

// golden compares with testdata/<name>.txt, where escape sequences are written as text.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.NewReplacer("\x1b", "<ESC>", "\r", "<CR>").Replace(got)
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it); got:\n%s", file, got)
	}
}

func TestJSON(t *testing.T) {
	for name, events := range map[string]bool{"json": false, "json-events": true} {
		var b strings.Builder
		v := NewJSON(&b, events)
		for _, item := range history() {
			if err := v.Item(item); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, name, b.String())
	}
}

// TestJSONRoundTrip: the floats printed are the floats recorded, bit for bit.
func TestJSONRoundTrip(t *testing.T) {
	for _, loss := range []float64{1.0 / 3, math.Nextafter(2, 3), 5e-324, math.MaxFloat64,
		1e21, 1e-7, math.Copysign(0, -1)} {
		var b strings.Builder
		item := &pb.WatchItem{Item: &pb.WatchItem_Step{Step: &pb.StepRecord{Loss: loss, GradNorm: -loss}}}
		if err := NewJSON(&b, false).Item(item); err != nil {
			t.Fatal(err)
		}
		var back stepJSON
		if err := json.Unmarshal([]byte(b.String()), &back); err != nil {
			t.Fatal(err)
		}
		if math.Float64bits(float64(back.Loss)) != math.Float64bits(loss) ||
			math.Float64bits(float64(back.GradNorm)) != math.Float64bits(-loss) {
			t.Errorf("%x was printed as %s", math.Float64bits(loss), b.String())
		}
	}
}

func TestText(t *testing.T) {
	for name, terminal := range map[string]bool{"terminal": true, "pipe": false} {
		var b strings.Builder
		v := NewText(&b, terminal, 12)
		for i, item := range history() {
			if err := v.Item(item); err != nil {
				t.Fatal(err)
			}
			if i == 3 {
				if err := v.Note("connection lost; looking for a leader"); err != nil {
					t.Fatal(err)
				}
			}
		}
		v.Close()
		v.Close()
		golden(t, name, b.String())
	}
}

// TestLiveLineStands: a watch that ends amid steps leaves its last line.
func TestLiveLineStands(t *testing.T) {
	var b strings.Builder
	v := NewText(&b, true, 0) // a total that is not known draws an empty bar
	if err := v.Item(history()[2]); err != nil {
		t.Fatal(err)
	}
	v.Close()
	if got := b.String(); !strings.HasSuffix(got, "\n") || strings.Contains(got, "█") {
		t.Errorf("got %q", got)
	}
}

func TestShort(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 9999.4: "9999", 10_000: "10.0k", 12_345: "12.3k",
		1e6: "1.0M", 2.55e7: "25.5M"} {
		if got := short(x); got != want {
			t.Errorf("%v is written %s, want %s", x, got, want)
		}
	}
}
