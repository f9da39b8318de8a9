package train

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// evaluation is a rank's part of the held-out sets. Their sequences are cut into micro-batches of
// the shape of training, set after set; micro-batch e belongs to rank e mod W. Nothing that is
// summed crosses a sequence before the exchange, and there the order is that of the sets: who
// computed what cannot matter (I3).
type evaluation struct {
	sets    []heldOut
	rounds  int
	batches [][]dataset.Sequence // of this rank, by round; nil where it has none
}

// heldOut is one set.
type heldOut struct {
	spec        *pb.EvalSet
	id          string // of what is read, for baselines
	first, size int    // micro-batches
	sequences   int
}

// beatEvery is how many sequences are read between two signs of life.
const beatEvery = 256

// heldOutStats is what one sequence adds to its set's result.
type heldOutStats struct {
	Sequence       uint32 // counted over all sets, padding included
	Targets, Bytes uint64
	Loss           float64 // nats, summed over the targets in order
}

// openEvaluation reads the held-out sets, whose files must be those pinned, and keeps this rank's
// micro-batches. A run without evaluation has none (nil).
func (t *trainer) openEvaluation(ctx context.Context, tok tokenize.Tokenizer,
) (*evaluation, error) {
	cfg := t.spec.GetEval()
	if cfg == nil {
		return nil, nil
	}
	if len(cfg.GetSets()) != len(t.resolved.GetEvalSets()) {
		return nil, fmt.Errorf("open held-out sets: the spec has %d, %d are pinned",
			len(cfg.GetSets()), len(t.resolved.GetEvalSets()))
	}
	e := &evaluation{}
	next := 0 // micro-batch
	for i, set := range cfg.GetSets() {
		h, err := t.readSet(ctx, tok, e, set, t.resolved.GetEvalSets()[i], next)
		if err != nil {
			return nil, err
		}
		next += h.size
		e.sets = append(e.sets, h)
	}
	e.rounds = (next + t.layout.world - 1) / t.layout.world
	for len(e.batches) < e.rounds {
		e.batches = append(e.batches, nil)
	}
	return e, nil
}

// readSet reads one set, whose micro-batches begin with number first.
func (t *trainer) readSet(ctx context.Context, tok tokenize.Tokenizer, e *evaluation,
	set *pb.EvalSet, pinned *pb.SourceManifest, first int,
) (heldOut, error) {
	data := t.spec.GetData()
	c := dataset.SetConfig{Manifest: pinned, SeqLen: t.layout.seqLen, BOS: data.GetBos(),
		DocMask: data.GetDocMask(), MaxRecord: int64(data.GetMaxRecord()),
		MaxSequences: int(set.GetMaxSequences()), Tokenizer: tok, Stores: t.opener}
	h := heldOut{spec: set, id: c.ID(), first: first}
	s, err := dataset.OpenSet(c)
	if err != nil {
		return h, err
	}
	bytes := int64(0)
	for {
		q, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return h, fmt.Errorf("read held-out set %q: %w", set.GetName(), err)
		}
		micro := first + h.sequences/t.layout.microBatch
		if micro%t.layout.world == t.layout.rank {
			q.Spans = nil
			e.keep(micro/t.layout.world, q)
		}
		bytes += q.TargetBytes
		if h.sequences++; h.sequences%beatEvery == 0 {
			t.sink.Step(t.done) // a large set is no stall
		}
	}
	if bytes == 0 {
		return h, fmt.Errorf("read held-out set %q: it has no text to predict", set.GetName())
	}
	h.size = (h.sequences + t.layout.microBatch - 1) / t.layout.microBatch
	return h, nil
}

func (e *evaluation) keep(round int, q dataset.Sequence) {
	for len(e.batches) <= round {
		e.batches = append(e.batches, nil)
	}
	e.batches[round] = append(e.batches[round], q)
}

// evaluate computes the loss of every held-out set with the present weights, those after a step.
// All ranks join in every gather, also those that have nothing to compute.
func (t *trainer) evaluate(ctx context.Context, step uint64) ([]*pb.EvalResult, error) {
	var uses []int
	for range t.eval.rounds {
		for u := range t.units {
			uses = append(uses, t.model.Needs(u)...)
		}
	}
	t.gather.begin(uses)
	var mine []heldOutStats
	for round, batch := range t.eval.batches {
		if err := t.evaluateBatch(ctx, batch); err != nil {
			return nil, fmt.Errorf("evaluate after step %d: %w", step, err)
		}
		micro := round*t.layout.world + t.layout.rank
		mine = t.appendStats(mine, micro*t.layout.microBatch, batch)
		t.sink.Step(t.done) // a long evaluation is no stall
	}
	all, err := t.exchangeStats(ctx, mine)
	if err != nil {
		return nil, fmt.Errorf("evaluate after step %d: %w", step, err)
	}
	return t.results(all)
}

// evaluateBatch is one forward pass and its losses.
func (t *trainer) evaluateBatch(ctx context.Context, batch []dataset.Sequence) error {
	if batch != nil {
		t.loadHeldOut(batch)
	}
	last := len(t.units) - 1
	for u := range t.units {
		params, err := t.params(ctx, u)
		switch {
		case err != nil:
			return err
		case batch == nil:
			continue
		case u == last:
			err = t.model.Loss(params)
		default:
			err = t.model.Forward(u, params)
		}
		if err != nil {
			return fmt.Errorf("forward unit %s: %w", t.units[u].Name, err)
		}
	}
	return nil
}

// loadHeldOut copies sequences into the model's inputs, and fills the micro-batch up with masked
// ones.
func (t *trainer) loadHeldOut(batch []dataset.Sequence) {
	in, n := t.model.Inputs(), t.layout.seqLen
	for i := range t.layout.microBatch {
		at := i * n
		if i < len(batch) {
			copy(in.Tokens[at:], batch[i].Tokens[:n])
			copy(in.Pos[at:], batch[i].Pos)
			copy(in.First[at:], batch[i].First)
			copy(in.Targets[at:], batch[i].Targets)
			continue
		}
		for k := range n {
			in.Tokens[at+k], in.Pos[at+k], in.First[at+k], in.Targets[at+k] = 0, 0, int32(k), -1
		}
	}
}

// appendStats sums the losses of a micro-batch's sequences, in the order of positions.
func (t *trainer) appendStats(list []heldOutStats, first int, batch []dataset.Sequence,
) []heldOutStats {
	losses, n := t.model.Losses(), t.layout.seqLen
	for i, q := range batch {
		s := heldOutStats{Sequence: uint32(first + i), Bytes: uint64(q.TargetBytes)}
		for k, target := range q.Targets {
			if target >= 0 {
				s.Loss += float64(losses[i*n+k])
				s.Targets++
			}
		}
		list = append(list, s)
	}
	return list
}

// exchangeStats gathers the statistics of all ranks, by sequence.
func (t *trainer) exchangeStats(ctx context.Context, mine []heldOutStats,
) (map[uint32]heldOutStats, error) {
	encoded, err := binary.Append(nil, binary.LittleEndian, mine)
	if err != nil {
		return nil, fmt.Errorf("encode statistics: %w", err)
	}
	all, err := t.group.AllGatherBytes(ctx, encoded)
	if err != nil {
		return nil, fmt.Errorf("exchange statistics: %w", err)
	}
	out := map[uint32]heldOutStats{}
	for k, b := range all {
		list := make([]heldOutStats, len(b)/binary.Size(heldOutStats{}))
		used, err := binary.Decode(b, binary.LittleEndian, list)
		if err != nil || used != len(b) {
			return nil, fmt.Errorf("exchange statistics: rank %d sent %d bytes", k, len(b))
		}
		for _, s := range list {
			out[s.Sequence] = s
		}
	}
	return out, nil
}

// results sums each set's sequences in their order.
func (t *trainer) results(all map[uint32]heldOutStats) ([]*pb.EvalResult, error) {
	var out []*pb.EvalResult
	for _, h := range t.eval.sets {
		var sum group
		for i := range h.sequences {
			s, ok := all[uint32(h.first*t.layout.microBatch+i)]
			if !ok {
				return nil, fmt.Errorf("sum held-out set %s: nobody computed sequence %d",
					h.spec.GetName(), i)
			}
			sum.add(slotStats{Targets: s.Targets, Bytes: s.Bytes, Loss: s.Loss})
		}
		loss := sum.loss / float64(sum.targets)
		r := &pb.EvalResult{Set: h.spec.GetName(), Lang: h.spec.GetLang(), Loss: loss,
			Perplexity: model.Exp(loss), Targets: sum.targets,
			BitsPerByte: sum.loss / math.Ln2 / float64(sum.bytes)}
		if b := t.progress.baseline(h); b != nil {
			r.BaseLoss = float64(b.Loss)
		}
		out = append(out, r)
	}
	return out, nil
}
