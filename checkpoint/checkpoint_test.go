package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/store/storetest/faulty"
	"google.golang.org/protobuf/proto"
)

// testCut makes segments small, so that tests are fast.
const testCut = 1 << 14

// units of the test model. Unit 0 spans several segments; unit 1 has two tensors and padding.
func units() []manifest.Unit {
	return []manifest.Unit{
		{Name: "embed", Size: 2*testCut + 4096, Params: []manifest.Param{
			{Name: "z.weight", Shape: []int{2*testCut + 100}},
		}},
		{Name: "block.0", Size: 32768, Params: []manifest.Param{
			{Name: "b", Shape: []int{100, 3}, Offset: 5000},
			{Name: "a", Shape: []int{5000}},
		}},
	}
}

// value is element i of a unit's kind; the padding differs from run to run, as it means nothing.
func value(unit int, kind manifest.Kind, i int) float32 {
	return float32(i%65521)*0.25 + float32(unit*10) + float32(kind[0])
}

func openers(t testing.TB) (*faulty.Opener, string) {
	t.Helper()
	r, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return faulty.Wrap(r), "file://" + t.TempDir()
}

// write makes a checkpoint as a world of w ranks would, with every shard cut again at parts pieces.
func write(t testing.TB, op store.Opener, to string, w, pieces int) (uri, digest string) {
	t.Helper()
	ctx, dir := context.Background(), Dir(to, "run", 40, 2)
	var shards []manifest.Shard
	for k := range w {
		var parts []Part
		for u, unit := range units() {
			for _, kind := range manifest.Kinds() {
				lo, hi := unit.Size*k/w, unit.Size*(k+1)/w
				for p := range pieces {
					parts = append(parts, part(u, kind, lo+(hi-lo)*p/pieces, lo+(hi-lo)*(p+1)/pieces))
				}
			}
		}
		cursor := json.RawMessage(fmt.Sprintf(`{"rank":%d}`, k))
		s, err := writeShard(ctx, op, dir, k, parts, cursor, testCut)
		if err != nil {
			t.Fatal(err)
		}
		shards = append(shards, s)
	}
	curve, err := WriteCurve(ctx, op, dir, curve())
	if err != nil {
		t.Fatal(err)
	}
	shards[0].Curve = &curve
	m, err := manifest.Build(manifest.Manifest{
		Run: "run", Step: 40, Generation: 2, Units: units(), Model: json.RawMessage(`{}`),
	}, shards)
	if err != nil {
		t.Fatal(err)
	}
	if uri, digest, err = Commit(ctx, op, dir, m); err != nil {
		t.Fatal(err)
	}
	return uri, digest
}

func part(u int, kind manifest.Kind, lo, hi int) Part {
	p := Part{Unit: u, Kind: kind, Start: lo, Data: make([]float32, hi-lo)}
	for i := range p.Data {
		p.Data[i] = value(u, kind, lo+i)
	}
	return p
}

func curve() []*pb.StepRecord {
	return []*pb.StepRecord{
		{Step: 1, Loss: 1 / 3.0, Tokens: 1 << 60, LossByLang: []*pb.GroupLoss{{Name: "zh", Loss: 2}}},
		{Step: 2, Loss: math.SmallestNonzeroFloat64, GradNorm: math.Inf(1)},
	}
}

func open(t testing.TB, op store.Opener, uri, digest string) *Reader {
	t.Helper()
	r, err := Open(context.Background(), op, uri, digest)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 2, 1)
	r := open(t, op, uri, digest)
	ctx := context.Background()
	for u, unit := range units() {
		for _, kind := range manifest.Kinds() {
			for _, c := range [][2]int{{0, unit.Size}, {1, 2}, {unit.Size / 3, unit.Size - 1}, {7, 7}} {
				dst := make([]float32, c[1]-c[0])
				if err := r.Read(ctx, u, kind, c[0], c[1], dst); err != nil {
					t.Fatal(err)
				}
				for i, x := range dst {
					if x != value(u, kind, c[0]+i) {
						t.Fatalf("unit %d, kind %s, element %d is %v", u, kind, c[0]+i, x)
					}
				}
			}
		}
	}
	if err := r.Read(ctx, 9, manifest.KindM, 0, 1, make([]float32, 1)); err == nil {
		t.Error("read a unit that is not there")
	}
	got, err := r.Curve(ctx)
	if err != nil || len(got) != 2 {
		t.Fatalf("curve of %d records, %v", len(got), err)
	}
	for i, want := range curve() {
		if !proto.Equal(got[i], want) {
			t.Errorf("record came back as %v, want %v", got[i], want)
		}
	}
	if string(r.Manifest().Shards[1].Cursor) != `{"rank":1}` {
		t.Errorf("cursor: %s", r.Manifest().Shards[1].Cursor)
	}
	if err := r.Verify(ctx); err != nil {
		t.Error(err)
	}
}

// Other tools can read a shard: it is a valid safetensors file with the segments as tensors.
func TestShardIsSafetensors(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 3, 1)
	m := open(t, op, uri, digest).Manifest()
	for _, s := range m.Shards {
		name := strings.TrimPrefix(strings.TrimSuffix(uri, manifest.Name), "file://") + s.Object.Key
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h, err := safetensors.ParseHeader(data, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range s.Segments {
			tensor := fmt.Sprintf("unit.%d/%s@%d-%d", g.Unit, g.Kind, g.Start, g.End)
			at, ok := h.Lookup(tensor)
			if !ok || at.Start != g.Offset || at.Elements() != g.End-g.Start {
				t.Errorf("tensor %s: %+v, segment %+v", tensor, at, g)
			}
		}
	}
}

func TestI3_LogicalDigestDoesNotDependOnWorldOrSegments(t *testing.T) {
	var want string
	for i, c := range [][2]int{{1, 1}, {1, 3}, {2, 1}, {3, 2}, {5, 1}} {
		op, to := openers(t)
		uri, digest := write(t, op, to, c[0], c[1])
		got, err := LogicalDigest(context.Background(), open(t, op, uri, digest))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = got
		}
		if got != want {
			t.Errorf("W=%d in %d pieces: %s, W=1: %s", c[0], c[1], got, want)
		}
	}
}

// A restore at another W reads each segment it needs once, and few bytes that it does not keep.
func TestRestoreAtAnotherWorldReadsSegmentsOnce(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 2, 1)
	r := open(t, op, uri, digest)
	op.Clear()
	size := units()[0].Size
	for k := range 3 {
		lo, hi := size*k/3, size*(k+1)/3
		plan := r.Manifest().Plan(0, manifest.KindParam, lo, hi)
		before := op.Calls(faulty.Read)
		err := r.Read(context.Background(), 0, manifest.KindParam, lo, hi, make([]float32, hi-lo))
		if got := op.Calls(faulty.Read) - before; err != nil || got != len(plan) {
			t.Errorf("rank %d: %d reads for %d segments, %v", k, got, len(plan), err)
		}
	}
	// Two inner boundaries, each in one segment that both neighbours read.
	if got, most := op.BytesRead(), int64(4*(size+2*testCut)); got > most {
		t.Errorf("read %d bytes, at most %d expected", got, most)
	}
}

// Two leaders race to commit different manifests at one place: one wins, the other is told.
func TestI1_RacingCommits(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 1, 1)
	ctx, dir := context.Background(), strings.TrimSuffix(uri, "/"+manifest.Name)
	m := open(t, op, uri, digest).Manifest()
	again, sameDigest, err := Commit(ctx, op, dir, m)
	if err != nil || again != uri || sameDigest != digest {
		t.Fatalf("commit again: %s, %s, %v", again, sameDigest, err)
	}
	fresh := Dir(to, "run", 40, 3)
	var errs [2]error
	var digests [2]string
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			mine, err := manifest.Build(manifest.Manifest{
				Run: "run", Step: 40, Generation: uint64(3 + i), Units: m.Units, Model: m.Model,
			}, m.Shards)
			if err != nil {
				panic(err)
			}
			_, digests[i], errs[i] = Commit(ctx, op, fresh, mine)
		})
	}
	wg.Wait()
	winner := 0
	if errs[0] != nil {
		winner = 1
	}
	if errs[winner] != nil || !errors.Is(errs[1-winner], store.ErrExists) {
		t.Fatalf("errors: %v", errs)
	}
	if !strings.Contains(errs[1-winner].Error(), digests[winner]) {
		t.Errorf("the loser does not name the winner: %v", errs[1-winner])
	}
	open(t, op, ManifestURI(fresh), digests[winner])
}

// The answer to the manifest's Put is lost: the retry meets its own manifest, which is success.
func TestI1_CommitSurvivesALostAnswer(t *testing.T) {
	op, to := openers(t)
	lost := errors.New("connection reset")
	uri, digest := write(t, op, to, 1, 1)
	m := open(t, op, uri, digest).Manifest()
	op.Add(faulty.Rule{Op: faulty.Put, Key: manifest.Name, Nth: 1, Fault: faulty.Fault{After: lost}})
	dir := Dir(to, "run", 41, 2)
	if _, _, err := Commit(context.Background(), op, dir, m); !errors.Is(err, lost) {
		t.Fatalf("got %v", err)
	}
	if _, got, err := Commit(context.Background(), op, dir, m); err != nil || got != digest {
		t.Errorf("second commit: %s, %v", got, err)
	}
}

func TestDelete(t *testing.T) {
	op, to := openers(t)
	uri, _ := write(t, op, to, 2, 1)
	ctx, dir := context.Background(), strings.TrimSuffix(uri, "/"+manifest.Name)
	other, otherDigest := uri, ""
	{ // a neighbour whose name has this one's as a prefix
		r := open(t, op, uri, "")
		var err error
		if other, otherDigest, err = Commit(ctx, op, dir+"0", r.Manifest()); err != nil {
			t.Fatal(err)
		}
	}
	// A crash after the first deletion leaves no manifest; a repeat finds the rest.
	crash := errors.New("crash")
	op.Add(faulty.Rule{Op: faulty.Delete, Nth: 2, Fault: faulty.Fault{Err: crash}})
	if err := Delete(ctx, op, dir); !errors.Is(err, crash) {
		t.Fatalf("got %v", err)
	}
	if _, err := Open(ctx, op, uri, ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("half deleted checkpoint opens: %v", err)
	}
	for range 2 {
		if err := Delete(ctx, op, dir); err != nil {
			t.Fatal(err)
		}
	}
	path := strings.TrimPrefix(dir, "file://")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("folder stays: %v", err)
	}
	open(t, op, other, otherDigest)
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{to, to + "/", to + "/run", "s3://bucket", to + "/run/step-1/gen-2"} {
		if err := Delete(ctx, op, bad); err == nil || !strings.Contains(err.Error(), "not a folder") {
			t.Errorf("delete %q: %v", bad, err)
		}
	}
}

func TestDir(t *testing.T) {
	if got := Dir("s3://b/p/", "zh", 40, 2); got != "s3://b/p/zh/step-00000040/gen-2" {
		t.Error(got)
	}
}
