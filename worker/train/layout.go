package train

import (
	"fmt"

	"github.com/banyan-train/banyan/collective/tree"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// work is one micro-batch: which slots it covers and where its gradient goes in the tree.
type work struct {
	micro      int // micro-batch number in the step, 0..M-1
	leaf       int
	index      int // of the leaf's micro-batches
	count      int // micro-batches of the leaf
	firstSlot  int
	microBatch int
}

// layout says which rank does what. It is pure: a function of the spec, the rank and the world.
type layout struct {
	rank, world int
	leaves      int       // of the tree of the reduction: V, or W if fast
	fast        bool      // sums may depend on W: a rank's micro-batches are one leaf
	whole       bool      // gradients are added up on the rank before they are sent
	logical     int       // logical shards, V
	micro       int       // M
	seqLen      int       // T
	microBatch  int       // sequences a micro-batch
	rounds      [][]*work // [round][rank]; nil where a rank has nothing left
	slots       tree.Range
}

func newLayout(spec *pb.RunSpec, rank, world int) (*layout, error) {
	t := spec.GetTrain()
	l := &layout{
		rank: rank, world: world,
		logical: int(t.GetLogicalShards()), fast: t.GetNumerics() == pb.Numerics_FAST,
		seqLen: int(spec.GetData().GetSeqLen()), microBatch: int(t.GetMicroBatch()),
	}
	if l.microBatch == 0 || int(t.GetGlobalBatch())%l.microBatch != 0 {
		return nil, fmt.Errorf("lay out run: micro_batch %d does not divide global_batch %d",
			t.GetMicroBatch(), t.GetGlobalBatch())
	}
	l.micro = int(t.GetGlobalBatch()) / l.microBatch
	if world < 1 || world > l.logical || l.logical > l.micro {
		return nil, fmt.Errorf("lay out run: want world %d <= logical_shards %d <= %d micro-batches",
			world, l.logical, l.micro)
	}
	l.whole = world == 1 || l.fast || t.GetSharding() == pb.Sharding_ZERO1
	l.leaves = l.logical
	if l.fast {
		l.leaves = world
	}
	perRank := make([][]*work, world)
	most := 0
	for k := range world {
		perRank[k] = l.workOf(k)
		most = max(most, len(perRank[k]))
	}
	l.rounds = make([][]*work, most)
	for r := range l.rounds {
		l.rounds[r] = make([]*work, world)
		for k := range world {
			if r < len(perRank[k]) {
				l.rounds[r][k] = perRank[k][r]
			}
		}
	}
	mine := perRank[rank]
	last := mine[len(mine)-1]
	l.slots = tree.Range{Lo: mine[0].firstSlot, Hi: last.firstSlot + l.microBatch}
	return l, nil
}

// own is the range of the tree's leaves that a rank serves.
func (l *layout) own(rank int) tree.Range { return tree.Leaves(rank, l.world, l.leaves) }

// workOf lists a rank's micro-batches in order.
func (l *layout) workOf(rank int) []*work {
	var out []*work
	shards := tree.Leaves(rank, l.world, l.logical)
	for v := shards.Lo; v < shards.Hi; v++ {
		micro := tree.MicroBatches(v, l.logical, l.micro)
		for m := micro.Lo; m < micro.Hi; m++ {
			out = append(out, &work{
				micro: m, leaf: v, index: m - micro.Lo, count: micro.Hi - micro.Lo,
				firstSlot: m * l.microBatch, microBatch: l.microBatch,
			})
		}
	}
	if l.fast {
		for i, w := range out {
			w.leaf, w.index, w.count = rank, i, len(out)
		}
	}
	return out
}

// shardOf is the element range of a unit that a rank owns: whole norm chunks.
func (l *layout) shardOf(u model.Unit, rank int) tree.Range {
	r := tree.Shard(rank, l.world, u.Size/model.Chunk)
	return tree.Range{Lo: r.Lo * model.Chunk, Hi: r.Hi * model.Chunk}
}

// counts is the shard length of every rank, for an all-gather of the unit.
func (l *layout) counts(u model.Unit) []int {
	out := make([]int, l.world)
	for k := range out {
		r := l.shardOf(u, k)
		out[k] = r.Hi - r.Lo
	}
	return out
}
