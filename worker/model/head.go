package model

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
)

// Loss computes the losses of the last unit without gradients, for evaluation, after all Forward
// calls. params is as Needs says.
func (m *Model) Loss(params []kernel.Tensor) error {
	if err := m.checkHead(params); err != nil {
		return fmt.Errorf("compute loss: %w", err)
	}
	if err := m.run(passLoss, len(m.units)-1, params, nil); err != nil {
		return fmt.Errorf("compute loss: %w", err)
	}
	return nil
}

// Logits computes the logits of all rows, after all Forward calls: [R,V] in host memory of the
// caller's. For evaluation of a few rows: training never holds this much.
func (m *Model) Logits(params []kernel.Tensor) ([]float32, error) {
	if err := m.checkHead(params); err != nil {
		return nil, fmt.Errorf("compute logits: %w", err)
	}
	out := make([]float32, 0, m.shape.rows()*m.d.v)
	norm, table := m.headParams(params)
	ops := []kernel.Op{m.headNorm(norm)}
	for lo := 0; lo < m.shape.rows(); lo += headRows {
		c := m.chunk(lo)
		if err := m.be.Run(append(ops, c.forward(m, table))); err != nil {
			return nil, fmt.Errorf("compute logits: %w", err)
		}
		out = append(out, m.be.Host(c.logits)...)
		ops = nil
	}
	return out, nil
}

func (m *Model) checkHead(params []kernel.Tensor) error {
	last := len(m.units) - 1
	if m.forward != last || m.backward != len(m.units) {
		return fmt.Errorf("out of order: %d of %d units forward, backward down to unit %d",
			m.forward, last, m.backward)
	}
	return m.checkTensors("parameter", m.opt.Precision, last, params)
}

// headParams are the final norm's weight and the [V,C] matrix, here or in the embedding.
func (m *Model) headParams(ts []kernel.Tensor) (norm, table kernel.Tensor) {
	own := m.view(len(m.units)-1, ts[0])
	if m.d.tied {
		return own[0], ts[1].Slice(0, m.d.v*m.d.c)
	}
	return own[0], own[1]
}

func (m *Model) headNorm(w kernel.Tensor) kernel.Op {
	return kernel.RMSNorm(m.buf.h, m.buf.rstd, m.buf.out, w, m.shape.rows(), m.d.c, m.d.eps)
}

// headChunk is up to headRows rows of the head's tensors.
type headChunk struct {
	n                  int // rows
	h, dh              kernel.Tensor
	logits, dlogits    kernel.Tensor
	losses, targetRows kernel.Tensor
}

func (m *Model) chunk(lo int) headChunk {
	hi, c, buf := min(lo+headRows, m.shape.rows()), m.d.c, &m.buf
	n := hi - lo
	return headChunk{n: n, h: buf.h.Slice(lo*c, hi*c), dh: buf.dh.Slice(lo*c, hi*c),
		logits: buf.logits.Slice(0, n*m.d.v), dlogits: buf.dlogits.Slice(0, n*m.d.v),
		losses: buf.losses.Slice(lo, hi), targetRows: buf.targets.Slice(lo, hi)}
}

func (c headChunk) forward(m *Model, table kernel.Tensor) kernel.Op {
	return linear(c.logits, c.h, table, c.n, m.d.v, m.d.c)
}

// headProgram computes the losses and, given grads, the gradients of the head's parameters and dx,
// the gradient of the last block's output. Logits exist for one chunk of rows at a time: the
// cross-entropy turns them into their gradient (in place in F32), and the matrix's gradient grows
// chunk by chunk, in ascending order.
func (m *Model) headProgram(params, grads []kernel.Tensor) []kernel.Op {
	d, last := m.d, len(m.units)-1
	norm, table := m.headParams(params)
	ops := []kernel.Op{m.headNorm(norm)}
	var dnorm, dtable kernel.Tensor
	frozen := false
	if grads != nil {
		dnorm, dtable = m.headParams(grads)
		if frozen = m.tableFrozen(); frozen {
			ops = append(ops, kernel.Fill(dtable, 0))
		}
	}
	for lo := 0; lo < m.shape.rows(); lo += headRows {
		c := m.chunk(lo)
		ops = append(ops, c.forward(m, table),
			kernel.CrossEntropy(c.losses, c.logits, c.dlogits, c.targetRows, c.n, d.v))
		if grads != nil {
			ops = append(ops,
				kernel.Matmul(c.dh, c.dlogits, table, c.n, d.c, d.v, kernel.MatmulOptions{}))
		}
		if grads != nil && !frozen {
			ops = append(ops, kernel.Matmul(dtable, c.dlogits, c.h, d.v, d.c, c.n,
				kernel.MatmulOptions{TransA: true, Accumulate: lo > 0}))
		}
	}
	if grads == nil {
		return ops
	}
	ops = append(ops, kernel.RMSNormGrad(m.buf.dx, dnorm, m.buf.dh, m.buf.out, norm, m.buf.rstd,
		m.shape.rows(), d.c, false))
	for i, u := range m.Needs(last) {
		ops = m.zeroPadding(ops, u, grads[i])
	}
	return ops
}

// Logits evaluates a whole model on one sequence: [len(ids),V]. params holds each unit's
// parameters, in the order of Units, in the backend's memory; their dtype is the precision.
func Logits(cfg *pb.ModelConfig, be kernel.Backend, params []kernel.Tensor, ids []int32) (
	[]float32, error) {
	var opt Options
	if len(params) > 0 {
		opt.Precision = params[0].DType
	}
	m, err := New(cfg, Shape{Batch: 1, SeqLen: len(ids)}, be, opt)
	if err != nil {
		return nil, fmt.Errorf("compute logits: %w", err)
	}
	defer m.Close()
	if len(params) != len(m.units) {
		return nil, fmt.Errorf("compute logits: parameters of %d units, want %d", len(params),
			len(m.units))
	}
	copy(m.in.Tokens, ids)
	for i := range ids {
		m.in.Pos[i], m.in.First[i], m.in.Targets[i] = int32(i), 0, -1
	}
	for u := range m.units[:len(m.units)-1] {
		if err := m.Forward(u, params[u:u+1]); err != nil {
			return nil, fmt.Errorf("compute logits: %w", err)
		}
	}
	var head []kernel.Tensor
	for _, u := range m.Needs(len(m.units) - 1) {
		head = append(head, params[u])
	}
	return m.Logits(head)
}
