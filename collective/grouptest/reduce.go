package grouptest

import (
	"context"
	"fmt"
	"testing"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tree"
)

// The reduction of OrderedSum: micro-batches, leaves, chunks of a vector, elements of a chunk.
const (
	sumMicro, sumLeaves, sumChunks, sumChunk = 13, 5, 7, 64
)

// OrderedSum runs the reproducible reduction (AllToAll of partials, tree.Sum on the owner of each
// shard, AllGather of the shards) in every world, and checks that all ranks of all worlds get the
// same bits. The partials are of very different sizes, so that another order gives other bits.
func OrderedSum(t *testing.T, open Factory) {
	var want []float32
	for _, world := range Worlds {
		Each(t, open(t, world), func(ctx context.Context, g collective.Group) error {
			got, err := reduce(ctx, g)
			if err != nil {
				return err
			}
			if world == 1 {
				want = got
			}
			if err := sameBits(got, want); err != nil {
				return fmt.Errorf("world %d: %w", world, err)
			}
			return nil
		})
	}
	plain := partial(0)
	for m := 1; m < sumMicro; m++ {
		add(plain, plain, partial(m))
	}
	if sameBits(plain, want) == nil {
		t.Fatal("a running sum gives the same bits: the partials do not tell orders apart")
	}
}

func add(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// partial is the gradient of one micro-batch.
func partial(micro int) []float32 {
	v := make([]float32, sumChunks*sumChunk)
	x := uint32(micro*2654435761 + 1)
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = float32(int32(x)) / float32(uint32(1)<<(x>>3%31))
	}
	return v
}

// task is one micro-batch of a rank: the index-th of count of its leaf.
type task struct{ micro, leaf, index, count int }

func tasks(rank, world int) (out []task) {
	own := tree.Leaves(rank, world, sumLeaves)
	for leaf := own.Lo; leaf < own.Hi; leaf++ {
		r := tree.MicroBatches(leaf, sumLeaves, sumMicro)
		for i := range r.Len() {
			out = append(out, task{r.Lo + i, leaf, i, r.Len()})
		}
	}
	return out
}

func shard(rank, world int) tree.Range {
	r := tree.Shard(rank, world, sumChunks)
	return tree.Range{Lo: r.Lo * sumChunk, Hi: r.Hi * sumChunk}
}

func reduce(ctx context.Context, g collective.Group) ([]float32, error) {
	world := g.Size()
	rounds, all, counts := 0, make([][]task, world), make([]int, world)
	for r := range world {
		all[r], counts[r] = tasks(r, world), shard(r, world).Len()
		rounds = max(rounds, len(all[r]))
	}
	mine := shard(int(g.Rank()), world)
	sum := tree.NewSum(sumLeaves, tree.NewFloats(mine.Len(), tree.PlainAdd))
	for round := range rounds {
		recv, send := make([][]float32, world), make([][]float32, world)
		for r := range world {
			if round < len(all[r]) {
				recv[r] = make([]float32, mine.Len())
			}
			if own := all[g.Rank()]; round < len(own) {
				s := shard(r, world)
				send[r] = partial(own[round].micro)[s.Lo:s.Hi]
			}
		}
		if err := g.AllToAll(recv, send).Wait(ctx); err != nil {
			return nil, err
		}
		for r := range world {
			if round >= len(all[r]) {
				continue
			}
			p := all[r][round]
			if err := sum.Put(p.leaf, p.index, p.count, recv[r], tree.Given); err != nil {
				return nil, err
			}
		}
	}
	result, ok := sum.Result()
	if !ok {
		return nil, fmt.Errorf("the sum is not complete after %d rounds", rounds)
	}
	out := make([]float32, sumChunks*sumChunk)
	return out, g.AllGather(out, counts, result).Wait(ctx)
}
