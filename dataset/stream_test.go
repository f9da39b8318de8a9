package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	"github.com/banyan-train/banyan/dataset/pack"
	"github.com/banyan-train/banyan/dataset/source"
	"github.com/banyan-train/banyan/store"
)

// split draws W ranges that cover the slots, empty ones among them.
func split(t *rapid.T, slots int) []Slot {
	world := rapid.IntRange(1, 4).Draw(t, "world")
	cuts := []Slot{0}
	for range world - 1 {
		cuts = append(cuts, Slot(rapid.IntRange(int(cuts[len(cuts)-1]), slots).Draw(t, "cut")))
	}
	return append(cuts, Slot(slots))
}

// Any world, killed at any step and resumed at any other world from cursors that went through
// JSON, must deliver the very sequences of one undisturbed stream.
func TestI2SequencesAreTheSameForEveryWorldAndFailureSchedule(t *testing.T) {
	const slots, steps = 6, 30
	base := testConfig(t, slots, 128, text("a", repeat(40, 0, 90)...),
		text("b", repeat(25, 10, 300)...), text("c", 2000, 3, 500))
	base.BOS = true
	undisturbed := mustOpen(t, base, nil)
	var want []*Batch
	for range steps {
		want = append(want, mustNext(t, undisturbed))
	}
	rapid.Check(t, func(rt *rapid.T) {
		var at *Cursor
		for step := 0; step < steps; {
			cuts := split(rt, slots)
			life := rapid.IntRange(1, 15).Draw(rt, "life")
			var cursors []*Cursor
			for k := range len(cuts) - 1 {
				cfg := base
				cfg.Lo, cfg.Hi = cuts[k], cuts[k+1]
				cursors = append(cursors, runRank(t, cfg, at, want[step:min(step+life, steps)]))
			}
			merged, err := MergeCursors(cursors)
			if err != nil {
				t.Fatal(err)
			}
			at = roundTrip(t, merged)
			step += life
		}
		if !reflect.DeepEqual(at, want[steps-1].Cursor) {
			t.Fatal("the merged cursor differs from that of one stream")
		}
	})
}

// runRank compares the steps of one rank with those wanted, and returns its cursor.
func runRank(t *testing.T, cfg Config, at *Cursor, want []*Batch) *Cursor {
	t.Helper()
	s, err := Open(context.Background(), cfg, at)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, w := range want {
		b := mustNext(t, s)
		if b.Step != w.Step || len(b.Sequences) != int(cfg.Hi-cfg.Lo) {
			t.Fatalf("step %d with %d sequences, want %d", b.Step, len(b.Sequences), w.Step)
		}
		for i, got := range b.Sequences {
			if !sameSequence(got, w.Sequences[int(cfg.Lo)+i]) {
				t.Fatalf("step %d, slot %d differs", b.Step, int(cfg.Lo)+i)
			}
		}
		at = b.Cursor
	}
	return roundTrip(t, at)
}

// sameSequence leaves out Spans: they are in the digest. (reflect is slow under the race detector.)
func sameSequence(a, b Sequence) bool {
	return a.Slot == b.Slot && a.Source == b.Source && a.Digest == b.Digest &&
		a.TargetBytes == b.TargetBytes && slices.Equal(a.Tokens, b.Tokens) &&
		slices.Equal(a.Pos, b.Pos) && slices.Equal(a.First, b.First) &&
		slices.Equal(a.Targets, b.Targets)
}

func roundTrip(t *testing.T, c *Cursor) *Cursor {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	back := new(Cursor)
	if err := json.Unmarshal(raw, back); err != nil {
		t.Fatal(err)
	}
	if err := back.Validate(); err != nil {
		t.Fatal(err)
	}
	return back
}

// Within an epoch each token of each record is consumed once, and the ledger says which.
func TestI2EveryTokenOfAnEpochIsConsumedOnce(t *testing.T) {
	const slots = 4
	for name, lengths := range map[string][]int{
		"short": repeat(60, 0, 40), "long": repeat(12, 50, 700), "huge": {5000}, "two": {3000, 1},
	} {
		cfg := testConfig(t, slots, 96, text("a", lengths...))
		k := cfg.Corpus.Sources[0].Blocks
		consumed := map[int64][]int{} // by record: how often each of its tokens was a target
		s := mustOpen(t, cfg, nil)
		first := map[Slot]bool{}
		for done := 0; done < slots; {
			b := mustNext(t, s)
			done = 0
			for _, sequence := range b.Sequences {
				index := 0
				for _, span := range sequence.Spans {
					for i := range span.Count {
						// The first token of a sequence was the last of the one before.
						if (index > 0 || !first[sequence.Slot]) && span.Block < k {
							count(consumed, span.Start, span.Token+i)
						}
						index++
					}
				}
				first[sequence.Slot] = true
				if b.Cursor.Slots[sequence.Slot][0].Block >= k {
					done++
				}
			}
		}
		if len(consumed) != len(lengths) {
			t.Errorf("%s: %d records consumed of %d", name, len(consumed), len(lengths))
		}
		for record, counts := range consumed {
			for token, n := range counts {
				if n != 1 {
					t.Fatalf("%s: token %d of the record at %d was consumed %d times",
						name, token, record, n)
				}
			}
		}
	}
}

func count(consumed map[int64][]int, record int64, token int) {
	for len(consumed[record]) <= token {
		consumed[record] = append(consumed[record], 0)
	}
	consumed[record][token]++
}

// A lane reads on from one epoch into the next within a sequence.
func TestEpochTurnsInsideASequence(t *testing.T) {
	cfg := testConfig(t, 1, 64, text("a", 5, 6, 7))
	cfg.SeqLen = 50
	k := cfg.Corpus.Sources[0].Blocks
	turned := false
	s := mustOpen(t, cfg, nil)
	for range 10 {
		spans := mustNext(t, s).Sequences[0].Spans
		for i := 1; i < len(spans); i++ {
			turned = turned || spans[i-1].Block/k < spans[i].Block/k
			if spans[i].Block < spans[i-1].Block || spans[i].Token != 0 {
				t.Fatalf("span %+v behind %+v", spans[i], spans[i-1])
			}
		}
	}
	if !turned {
		t.Error("no sequence spans two epochs")
	}
}

func TestI10MixtureOfTheStream(t *testing.T) {
	cfg := testConfig(t, 5, 128, text("a", repeat(40, 0, 90)...), text("b", repeat(40, 5, 60)...),
		text("c", repeat(40, 5, 60)...))
	s := mustOpen(t, cfg, nil)
	taken := make([]float64, 3)
	for step := 1; step <= 60; step++ {
		for _, sequence := range mustNext(t, s).Sequences {
			taken[sequence.Source]++
			if !strings.HasPrefix(fmt.Sprintf("s%d", sequence.Source),
				cfg.Corpus.Sources[sequence.Source].Name) {
				t.Fatal("source index does not name the source")
			}
		}
		for i, n := range taken {
			planned := float64(step) * 5 * float64(i+1) / 6
			if off := planned - n; off <= -3 || off >= 3 {
				t.Fatalf("step %d: source %d is %g sequences off its plan", step, i, off)
			}
		}
	}
}

func TestTargetBytesCountUnmaskedTargets(t *testing.T) {
	cfg := testConfig(t, 2, 128, text("a", repeat(40, 0, 50)...))
	s := mustOpen(t, cfg, nil)
	for range 20 {
		for _, sequence := range mustNext(t, s).Sequences {
			want := int64(0)
			for _, id := range sequence.Targets {
				if id != pack.Masked && id < 256 {
					want++
				}
			}
			if sequence.TargetBytes != want || want == 0 {
				t.Fatalf("%d bytes, want %d", sequence.TargetBytes, want)
			}
		}
	}
}

func TestMaxEpochsEndsTheStreamByName(t *testing.T) {
	cfg := testConfig(t, 2, 128, text("a", repeat(40, 0, 50)...))
	cfg.Corpus.Sources[0].MaxEpochs = 1
	s := mustOpen(t, cfg, nil)
	for range 1000 {
		_, err := s.Next(context.Background())
		if err == nil {
			continue
		}
		if !errors.Is(err, source.ErrExhausted) || !strings.Contains(err.Error(), `source "s0"`) {
			t.Fatal(err)
		}
		if _, again := s.Next(context.Background()); again != err {
			t.Fatalf("then %v", again)
		}
		return
	}
	t.Fatal("read a thousand steps of one epoch")
}

func TestBadRecordEndsTheStreamAfterTheStepsBefore(t *testing.T) {
	good := text("a", repeat(40, 20, 20)...)
	cfg := testConfig(t, 1, 1<<20, good+"{\"text\":\"\xff\"}\n")
	s := mustOpen(t, cfg, nil)
	steps := 0
	for {
		_, err := s.Next(context.Background())
		if err == nil {
			steps++
			continue
		}
		if !errors.Is(err, source.ErrInvalid) || !strings.Contains(err.Error(), "mem://corpus/0.jsonl") {
			t.Fatal(err)
		}
		break
	}
	if want := 40 * 21 / cfg.SeqLen; steps < want-1 || steps > want {
		t.Errorf("%d steps before the bad record, want %d", steps, want)
	}
}

func TestChangedCorpusEndsTheStream(t *testing.T) {
	cfg := testConfig(t, 2, 128, text("a", repeat(40, 0, 50)...))
	cfg.Stores.(*memstore.Store).Set("mem://corpus/0.jsonl", []byte("{\"text\":\"other\"}\n"))
	_, err := mustOpen(t, cfg, nil).Next(context.Background())
	if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), "mem://corpus/0.jsonl") {
		t.Error(err)
	}
}

// Close must end a stream whose reads hang, and a Next that waits for it.
func TestCloseEndsHangingReads(t *testing.T) {
	cfg := testConfig(t, 4, 128, text("a", repeat(40, 0, 50)...))
	hanging := make(chan struct{})
	var once sync.Once
	cfg.Stores.(*memstore.Store).Before = func(ctx context.Context, _ string) error {
		once.Do(func() { close(hanging) })
		<-ctx.Done()
		return ctx.Err()
	}
	s := mustOpen(t, cfg, nil)
	result := make(chan error)
	go func() {
		_, err := s.Next(context.Background())
		result <- err
	}()
	<-hanging
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Next(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	s.Close()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("Next during Close: %v", err)
	}
	s.Close()
	if _, err := s.Next(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

func TestNextWorksAheadInBounds(t *testing.T) {
	cfg := testConfig(t, 2, 64, text("a", repeat(2000, 20, 50)...))
	s := mustOpen(t, cfg, nil)
	b := mustNext(t, s)
	s.Close() // waits for the background, which had all the time to run away
	ahead := uint64(cfg.ahead())
	if ran := s.mixer.Step() - b.Step; ran > ahead+2 {
		t.Errorf("%d steps ahead, want at most %d", ran, ahead+2)
	}
}

// While a store is silent, Busy names the source that lies there, and it alone.
func TestBusyNamesTheSourceThatIsWaitedFor(t *testing.T) {
	cfg := testConfig(t, 2, 128, text("a", repeat(40, 10, 60)...), text("b", repeat(40, 10, 60)...))
	store := cfg.Stores.(*memstore.Store)
	silent, held := make(chan struct{}), make(chan struct{}, 64)
	store.Before = func(ctx context.Context, key string) error {
		if !strings.Contains(key, "/1.") {
			return nil
		}
		held <- struct{}{}
		select {
		case <-silent:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s := mustOpen(t, cfg, nil)
	<-held
	for slices.Contains(s.Busy(), "s0") { // the other slot may still be at work on it
		runtime.Gosched()
	}
	if got := s.Busy(); !slices.Equal(got, []string{"s1"}) {
		t.Errorf("busy with %v", got)
	}
	close(silent)
	mustNext(t, s)
}
