package train

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/model"
)

// slotStats is what one slot adds to the step record. The order of every sum is by slot, so the
// record does not depend on which rank served it.
type slotStats struct {
	Slot, Source   uint32
	Targets, Bytes uint64
	Padding        uint64
	Loss           float64 // nats, summed over the targets in order
	Digest         [32]byte
}

// stats is one rank's part of the small exchange that ends a step.
type stats struct {
	slots []slotStats
	first int
}

// outcome is what all ranks agree on after the exchange.
type outcome struct {
	slots    []slotStats // all B, by slot
	targets  uint64
	padding  uint64
	owed     []float64 // sequences, by source, after the step
	gradNorm float64   // of the mean gradient, before clipping
	stop     bool
	skipped  string // why the update was not applied; empty: it was
	eval     []*pb.EvalResult
	evalBase []*pb.EvalResult // from before the step
	guard    string           // why the guard acts
	lr       float64
	took     time.Duration
	waited   time.Duration
	dataWait time.Duration
}

func newStats(batch *dataset.Batch) *stats {
	s := &stats{slots: make([]slotStats, len(batch.Sequences))}
	for i, q := range batch.Sequences {
		s.slots[i] = slotStats{Slot: uint32(q.Slot), Source: uint32(q.Source),
			Bytes: uint64(q.TargetBytes), Padding: uint64(q.Padding), Digest: q.Digest}
	}
	s.first = int(batch.Sequences[0].Slot)
	return s
}

// addLosses sums a micro-batch's losses, sequence by sequence, in the order of positions.
func (s *stats) addLosses(w *work, losses []float32, targets []int32, seqLen int) {
	for i := range w.microBatch {
		slot := &s.slots[w.firstSlot-s.first+i]
		for j := i * seqLen; j < (i+1)*seqLen; j++ {
			if targets[j] >= 0 {
				slot.Loss += float64(losses[j])
				slot.Targets++
			}
		}
	}
}

// exchange all-gathers slot losses, ledger digests, norm chunks and the stop flag: the one small
// collective of a step.
func (t *trainer) exchange(ctx context.Context, s *stats) (*outcome, error) {
	chunks, err := t.chunkSums()
	if err != nil {
		return nil, err
	}
	var mine []byte
	stop := byte(0)
	if t.control.StopRequested() {
		stop = 1
	}
	mine = append(mine, stop)
	mine = binary.LittleEndian.AppendUint32(mine, uint32(len(s.slots)))
	for i := range s.slots {
		if mine, err = binary.Append(mine, binary.LittleEndian, &s.slots[i]); err != nil {
			return nil, fmt.Errorf("encode slot statistics: %w", err)
		}
	}
	for _, unit := range chunks {
		for _, x := range unit {
			mine = binary.LittleEndian.AppendUint32(mine, math.Float32bits(x))
		}
	}
	all, err := t.group.AllGatherBytes(ctx, mine)
	if err != nil {
		return nil, fmt.Errorf("exchange step statistics: %w", err)
	}
	return t.combine(all)
}

// chunkSums is the sum of squares of every norm chunk of the own gradient shards, by unit.
func (t *trainer) chunkSums() ([][]float32, error) {
	out := make([][]float32, len(t.units))
	ops := t.freeze(t.done + 1)
	at := 0
	for i, g := range t.shards.grad {
		n := g.Len / model.Chunk
		if n == 0 {
			continue
		}
		sums := t.norms.Slice(at, at+n)
		ops = append(ops, kernel.SumSquares(sums, g, model.Chunk))
		out[i] = t.backend.Host(sums)
		at += n
	}
	if err := t.backend.Run(ops); err != nil {
		return nil, fmt.Errorf("sum gradient squares: %w", err)
	}
	return out, nil
}

// combine reads every rank's bytes in rank order, which is slot order and, within each unit,
// chunk order.
func (t *trainer) combine(all [][]byte) (*outcome, error) {
	out := &outcome{}
	chunks := make([][]float32, len(t.units))
	for k, b := range all {
		if len(b) < 5 {
			return nil, fmt.Errorf("exchange step statistics: rank %d sent %d bytes", k, len(b))
		}
		out.stop = out.stop || b[0] == 1
		n := int(binary.LittleEndian.Uint32(b[1:]))
		b = b[5:]
		if n > len(b)/binary.Size(slotStats{}) {
			return nil, fmt.Errorf("exchange step statistics: rank %d names %d slots in %d bytes",
				k, n, len(b))
		}
		slots := make([]slotStats, n)
		used, err := binary.Decode(b, binary.LittleEndian, slots)
		if err != nil {
			return nil, fmt.Errorf("exchange step statistics: rank %d: %w", k, err)
		}
		out.slots = append(out.slots, slots...)
		b = b[used:]
		for i, u := range t.units {
			r := t.layout.shardOf(u, k)
			for range (r.Hi - r.Lo) / model.Chunk {
				if len(b) < 4 {
					return nil, fmt.Errorf("exchange step statistics: rank %d sent too little", k)
				}
				chunks[i] = append(chunks[i], math.Float32frombits(binary.LittleEndian.Uint32(b)))
				b = b[4:]
			}
		}
	}
	for i, s := range out.slots {
		if int(s.Slot) != i {
			return nil, fmt.Errorf("exchange step statistics: slot %d where %d belongs", s.Slot, i)
		}
		out.targets += s.Targets
		out.padding += s.Padding
	}
	if out.targets == 0 {
		return nil, fmt.Errorf("step has no targets: every sequence is masked")
	}
	sum := 0.0
	for _, unit := range chunks {
		for _, x := range unit {
			sum += float64(x)
		}
	}
	out.gradNorm = math.Sqrt(sum) / float64(out.targets)
	return out, nil
}
