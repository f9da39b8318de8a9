package train

import (
	"testing"

	"pgregory.net/rapid"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// TestI3_LayoutCoversEverything: in any world, every micro-batch is served once, in slot order,
// and every chunk of a unit has one owner.
func TestI3_LayoutCoversEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micro := rapid.IntRange(1, 40).Draw(t, "M")
		size := rapid.IntRange(1, 4).Draw(t, "micro_batch")
		leaves := rapid.IntRange(1, micro).Draw(t, "V")
		world := rapid.IntRange(1, leaves).Draw(t, "W")
		spec := &pb.RunSpec{Data: &pb.Data{SeqLen: 8}, Train: &pb.Train{
			GlobalBatch: uint32(micro * size), MicroBatch: uint32(size), LogicalShards: uint32(leaves)}}
		unit := model.Unit{Size: model.Chunk * rapid.IntRange(1, 50).Draw(t, "chunks")}
		served, slot, element := 0, 0, 0
		for rank := range world {
			l, err := newLayout(spec, rank, world)
			if err != nil {
				t.Fatal(err)
			}
			if l.slots.Lo != slot {
				t.Fatalf("rank %d begins at slot %d, not %d", rank, l.slots.Lo, slot)
			}
			slot = l.slots.Hi
			for _, round := range l.rounds {
				if w := round[rank]; w != nil {
					if w.micro != served {
						t.Fatalf("rank %d serves micro-batch %d, not %d", rank, w.micro, served)
					}
					served++
				}
			}
			r := l.shardOf(unit, rank)
			if r.Lo != element || r.Lo%model.Chunk != 0 {
				t.Fatalf("shard of rank %d begins at %d, not %d", rank, r.Lo, element)
			}
			element = r.Hi
		}
		if served != micro || slot != micro*size || element != unit.Size {
			t.Fatalf("served %d of %d, slots %d, elements %d of %d", served, micro, slot, element, unit.Size)
		}
	})
}

func TestLayoutRefuses(t *testing.T) {
	spec := func(batch, micro, leaves uint32) *pb.RunSpec {
		return &pb.RunSpec{Data: &pb.Data{SeqLen: 8},
			Train: &pb.Train{GlobalBatch: batch, MicroBatch: micro, LogicalShards: leaves}}
	}
	for name, c := range map[string]struct {
		spec  *pb.RunSpec
		world int
	}{
		"micro-batch does not divide": {spec(7, 2, 1), 1},
		"no micro-batch":              {spec(8, 0, 1), 1},
		"more ranks than leaves":      {spec(8, 2, 2), 3},
		"more leaves than work":       {spec(8, 2, 5), 1},
		"no ranks":                    {spec(8, 2, 2), 0},
	} {
		if _, err := newLayout(c.spec, 0, c.world); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
