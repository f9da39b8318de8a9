package dataset

import (
	"maps"
	"slices"
	"testing"

	"github.com/banyan-train/banyan/dataset/internal/memstore"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// resolvedOf is a run whose stream is cfg's, as far as staged sources go.
func resolvedOf(cfg *Config, to string) *pb.ResolvedRun {
	return &pb.ResolvedRun{Corpus: cfg.Corpus, Spec: &pb.RunSpec{
		Data:       &pb.Data{SeqLen: uint32(cfg.SeqLen), Bos: cfg.BOS, Packing: cfg.Packing},
		Train:      &pb.Train{GlobalBatch: uint32(cfg.GlobalBatch)},
		Checkpoint: &pb.Checkpoint{To: to}}}
}

// TestUnstage: a run's staged sources are found by what it is resolved to, their removal leaves
// everything else, one that was interrupted is finished by another, and what a run misses it makes.
func TestUnstage(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := stagedConfig(t, 3, []string{text("a", 4, 90, 7), text("b", repeat(12, 0, 300)...),
		text("c", 5)}, 0, 1)
	cfg.TokenizerID = ""
	run := resolvedOf(&cfg, "mem://run/")
	mem := cfg.Stores.(*memstore.Store)
	others := []string{"mem://run/staged/notes.txt", "mem://run/staged2/x", "mem://run/r-1/step-1/x",
		"mem://run/staged/9879729ea10ac8b552ef72eb7c071793/mine"}
	for _, key := range others {
		mem.Set(key, []byte("x"))
	}
	if in := StagedIn(run); in != cfg.Stage {
		t.Fatalf("staged in %s, the ranks use %s", in, cfg.Stage)
	}
	mustStage(t, cfg, 2)
	before := objects(t, mem, "mem://run/")
	list, err := StagedFolders(t.Context(), mem, cfg.Stage)
	must(err)
	var names []string
	bytes := int64(0)
	for _, f := range list {
		names, bytes = append(names, f.Name), bytes+f.Bytes
	}
	want := StagedNames(run)
	slices.Sort(want)
	if len(want) != 2 || !slices.Equal(names, want) {
		t.Fatalf("found %q, the run has %q", names, want)
	}
	size := int64(0)
	for key, data := range before {
		if !slices.Contains(others, key) {
			size += int64(len(data))
		}
	}
	if bytes != size {
		t.Errorf("they have %d bytes, want %d", bytes, size)
	}
	must(mem.Delete(t.Context(), list[0].indexes[0])) // as far as an interrupted removal came
	again, err := StagedFolders(t.Context(), mem, cfg.Stage)
	must(err)
	for _, f := range again {
		must(Unstage(t.Context(), mem, cfg.Stage, f))
	}
	left := slices.Sorted(maps.Keys(objects(t, mem, "mem://run/")))
	slices.Sort(others)
	if !slices.Equal(left, others) {
		t.Errorf("left: %q, want %q", left, others)
	}
	mustStage(t, cfg, 2)
	if !maps.Equal(objects(t, mem, "mem://run/"), before) {
		t.Error("made again, it is not what it was")
	}
}
