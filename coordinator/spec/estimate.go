package spec

import (
	"github.com/banyan-train/banyan/collective/tree"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// Memory is what one rank of a world needs, in bytes: the largest rank, rounded up to whole
// chunks. It counts buffers of tensors; code, text and the network's buffers come on top.
type Memory struct {
	State       int64 // own shard: parameters and both AdamW moments
	Sums        int64 // partial sums of the fixed tree, at worst; the last one is the gradient
	Gather      int64 // whole units gathered from all ranks
	Gradients   int64 // whole-unit gradients on their way out and in
	Activations int64 // of one micro-batch
	Snapshot    int64 // host copy of the shard while a checkpoint is uploaded
	HeldOut     int64 // sequences of the evaluation, at most
}

// Total is the sum of all parts.
func (m Memory) Total() int64 {
	return m.State + m.Sums + m.Gather + m.Gradients + m.Activations + m.Snapshot + m.HeldOut
}

// EstimateMemory is the memory of one rank in a world of W ranks.
func EstimateMemory(r *pb.ResolvedRun, world int) Memory {
	const float = 4
	t := r.GetSpec().GetTrain()
	units := model.Units(r.GetModel())
	var shard, all, most int64
	for _, u := range units {
		chunks := u.Size / model.Chunk
		shard += int64((chunks+world-1)/world) * model.Chunk
		all += int64(u.Size)
		most = max(most, int64(u.Size))
	}
	m := Memory{
		State: 3 * float * shard,
		Activations: model.MemoryBytes(r.GetModel(),
			model.Shape{Batch: int(t.GetMicroBatch()), SeqLen: int(r.GetSpec().GetData().GetSeqLen())},
			model.OptionsOf(t)),
		Snapshot: 3 * float * shard,
		HeldOut:  heldOutBytes(r.GetSpec(), world),
	}
	leaves := int(t.GetLogicalShards())
	if t.GetNumerics() == pb.Numerics_FAST {
		leaves = world
	}
	if world == 1 || t.GetNumerics() == pb.Numerics_FAST || t.GetSharding() == pb.Sharding_ZERO1 {
		m.Sums = wholeSums(leaves, world, float*all, float*shard)
		m.Gradients = float * (most + int64(units[0].Size))
	} else {
		m.Sums = int64(tree.Buffers(leaves, world)) * float * shard
		// Two units under way, and the embedding's own. What comes is added as it comes.
		m.Gradients = float * (2*most + int64(units[0].Size))
	}
	param := int64(float) // bytes of a gathered parameter
	if t.GetPrecision() == pb.Precision_BF16 {
		param = 2
		m.State += param * shard // what is gathered, beside the master weights
	}
	m.Gather = param * (all - shard) // around the own shard
	if t.GetSharding() == pb.Sharding_ZERO3 && world > 1 {
		needs := int64(1)
		if r.GetModel().GetTiedEmbeddings() {
			needs = 2 // the head reads the embedding too
		}
		m.Gather = param * min(all, (needs+1)*most)
	}
	return m
}

// wholeSums is the memory of sums of whole units, all bytes each, and of what the other ranks send
// of theirs for the own shard.
func wholeSums(leaves, world int, all, shard int64) int64 {
	own, pieces := 0, 0
	for k := range world {
		r := tree.Leaves(k, world, leaves)
		own = max(own, tree.OwnBuffers(leaves, r))
		pieces += len(tree.Subtrees(leaves, r))
	}
	return int64(own)*all + int64(pieces-1)*shard
}

// heldOutBytes is what a rank keeps of the held-out sets: four numbers of 4 bytes a token.
func heldOutBytes(s *pb.RunSpec, world int) int64 {
	micro, batches := int64(max(1, s.GetTrain().GetMicroBatch())), int64(0)
	for _, set := range s.GetEval().GetSets() {
		batches += (int64(set.GetMaxSequences()) + micro - 1) / micro
	}
	share := (batches + int64(world) - 1) / int64(world)
	return 4 * 4 * share * micro * int64(s.GetData().GetSeqLen())
}

// Work is how a step is cut up among the ranks of one world.
type Work struct {
	Leaves []tree.Range // of each rank
	Rounds int          // micro-batches of the busiest rank: a step takes as long
	Busy   float64      // share of ranks' time spent on micro-batches, 1 is best
}

// WorkOf answers who does what in a world of W ranks.
func WorkOf(t *pb.Train, world int) Work {
	v, micro := int(t.GetLogicalShards()), int(t.GetGlobalBatch()/max(1, t.GetMicroBatch()))
	w := Work{}
	for k := range world {
		leaves := tree.Leaves(k, world, v)
		n := 0
		for leaf := leaves.Lo; leaf < leaves.Hi; leaf++ {
			n += tree.MicroBatches(leaf, v, micro).Len()
		}
		w.Leaves = append(w.Leaves, leaves)
		w.Rounds = max(w.Rounds, n)
	}
	if w.Rounds > 0 {
		w.Busy = float64(micro) / float64(w.Rounds*world)
	}
	return w
}
