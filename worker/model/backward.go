package model

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/kernel"
)

// Backward computes a unit's gradients of the sum of losses: the last unit after all Forward calls
// (it also computes the losses), then the others in reverse. params and grads are as Needs says.
// It sets the gradients, padding to 0; only a tied embedding's is added to, since the head has
// already written its part: the buffer given with the last unit must be given again, untouched,
// with unit 0.
func (m *Model) Backward(unit int, params, grads []kernel.Tensor) error {
	last := len(m.units) - 1
	if unit < 0 || unit > last {
		return fmt.Errorf("backward unit %d: want 0 to %d", unit, last)
	}
	name := m.units[unit].Name
	if m.forward != last || unit != m.backward-1 {
		return fmt.Errorf("backward %s: out of order: %d units forward, backward down to unit %d",
			name, m.forward, m.backward)
	}
	if err := m.checkTensors("parameter", m.opt.Precision, unit, params); err != nil {
		return fmt.Errorf("backward %s: %w", name, err)
	}
	if err := m.checkTensors("gradient", kernel.F32, unit, grads); err != nil {
		return fmt.Errorf("backward %s: %w", name, err)
	}
	if m.d.tied && unit == 0 && grads[0].Addr != m.embGrad {
		return fmt.Errorf("backward %s: the embedding is tied: give the gradient buffer that the head "+
			"has written", name)
	}
	if err := m.run(passBackward, unit, params, grads); err != nil {
		return fmt.Errorf("backward %s: %w", name, err)
	}
	if m.d.tied && unit == last {
		m.embGrad = grads[1].Addr
	}
	m.backward = unit
	return nil
}

func (m *Model) embedBackward(grad kernel.Tensor) []kernel.Op {
	if m.isFrozen(0, 0) {
		if m.d.tied { // the head has set it to 0
			return nil
		}
		return []kernel.Op{kernel.Fill(grad, 0)}
	}
	table := grad.Slice(0, m.d.v*m.d.c)
	add := kernel.EmbedGrad(table, m.buf.dx, m.buf.tokens, m.shape.rows(), m.d.c, m.d.v)
	if m.d.tied {
		return []kernel.Op{add}
	}
	return []kernel.Op{kernel.Fill(grad, 0), add}
}

// grads of y[R,out] = x[R,in] * w[out,in]^T: dw[out,in] = dy^T x, unless w is frozen, and
// dx (+)= dy w. dx may be x.
func linearGrad(dw, dx, dy, x, w kernel.Tensor, rows, out, in int, add bool) (ops []kernel.Op) {
	if dw.Len > 0 {
		ops = append(ops, kernel.Matmul(dw, dy, x, out, in, rows, kernel.MatmulOptions{TransA: true}))
	}
	return append(ops, kernel.Matmul(dx, dy, w, rows, in, out, kernel.MatmulOptions{Accumulate: add}))
}

// blockBackward turns dx, the gradient of block i's output, into that of its input, and sets the
// gradients g of the parameters w; flat is the whole buffer that g is cut from.
func (m *Model) blockBackward(i int, w, g weights, flat kernel.Tensor) []kernel.Op {
	b := &m.buf.blocks[i]
	g, ops := m.trained(i+1, g)
	forFeedForward, forAttention := m.recompute(i, w)
	ops = append(append(ops, forFeedForward...), m.feedForwardBackward(b, w, g)...)
	ops = append(ops, forAttention...)
	ops = append(ops, m.attentionBackward(b, w, g)...)
	return m.zeroPadding(ops, i+1, flat)
}

// recompute brings back what block i shares with others: first what the backward pass of the
// feed-forward part reads, then the rest. The last block's is still there.
func (m *Model) recompute(i int, w weights) (forFeedForward, forAttention []kernel.Op) {
	d, b, r := m.d, &m.buf.blocks[i], m.shape.rows()
	if i == d.layers-1 {
		return nil, nil
	}
	inputs := m.attentionInputs(b, w)
	again := []kernel.Op{m.norm2(b, w)}
	switch m.opt.Recompute {
	case pb.Recompute_ATTENTION:
		return append(again, kernel.SwiGLU(b.ff, b.gate, b.up)), inputs
	case pb.Recompute_FULL:
		again = append(again, linear(b.gate, b.h2, w.gate, r, d.f, d.c),
			linear(b.up, b.h2, w.up, r, d.f, d.c), kernel.SwiGLU(b.ff, b.gate, b.up))
		return append(append(inputs, m.attention(b, w)...), again...), nil
	}
	return nil, nil
}

// operand is dx as the products read it: in the precision. It uses dh, which is free when a half of
// the block begins.
func (m *Model) operand(ops []kernel.Op) ([]kernel.Op, kernel.Tensor) {
	if m.opt.Precision == kernel.F32 {
		return ops, m.buf.dx
	}
	return append(ops, kernel.Copy(m.buf.dh, m.buf.dx)), m.buf.dh
}

func (m *Model) feedForwardBackward(b *block, w, g weights) []kernel.Op {
	d, buf, r := m.d, &m.buf, m.shape.rows()
	ops, dout := m.operand(nil)
	// In place: b.ff, then b.gate and b.up hold their gradients from here on.
	ops = append(ops, linearGrad(g.down, b.ff, dout, b.ff, w.down, r, d.c, d.f, false)...)
	ops = append(ops, kernel.SwiGLUGrad(b.gate, b.up, b.ff, b.gate, b.up))
	ops = append(ops, linearGrad(g.gate, buf.dh, b.gate, b.h2, w.gate, r, d.f, d.c, false)...)
	ops = append(ops, linearGrad(g.up, buf.dh, b.up, b.h2, w.up, r, d.f, d.c, true)...)
	// The residual: dx already holds the gradient that passes by the norm.
	return append(ops,
		kernel.RMSNormGrad(buf.dx, g.norm2, buf.dh, b.mid, w.norm2, b.rstd2, r, d.c, true))
}

func (m *Model) attentionBackward(b *block, w, g weights) []kernel.Op {
	d, buf, r := m.d, &m.buf, m.shape.rows()
	qc, kc, t := d.h*d.d, d.k*d.d, m.shape.SeqLen
	ops, dmid := m.operand(nil)
	ops = append(ops, linearGrad(g.o, buf.dy, dmid, b.y, w.o, r, d.c, qc, false)...)
	ops = append(ops,
		kernel.AttentionGrad(kernel.AttentionTensors{DQ: buf.dq, DK: buf.dk, DV: buf.dv, DY: buf.dy,
			Y: b.y, LSE: b.lse, Q: b.q, K: b.k, V: b.v, First: buf.visible},
			m.shape.Batch, t, d.h, d.k, d.d, m.scale()),
		kernel.Rope(buf.dq, buf.pos, buf.cs, r, d.h, d.d, t, true),
		kernel.Rope(buf.dk, buf.pos, buf.cs, r, d.k, d.d, t, true))
	if d.qkNorm {
		ops = append(ops,
			kernel.RMSNormGrad(buf.dq, g.qNorm, buf.dq, b.q0, w.qNorm, b.rstdQ, r*d.h, d.d, false),
			kernel.RMSNormGrad(buf.dk, g.kNorm, buf.dk, b.k0, w.kNorm, b.rstdK, r*d.k, d.d, false))
	}
	if d.qkvBias {
		ops = append(ops, kernel.SumRows(g.qBias, buf.dq, r, qc),
			kernel.SumRows(g.kBias, buf.dk, r, kc), kernel.SumRows(g.vBias, buf.dv, r, kc))
	}
	ops = append(ops, linearGrad(g.q, buf.dh, buf.dq, b.h1, w.q, r, qc, d.c, false)...)
	ops = append(ops, linearGrad(g.k, buf.dh, buf.dk, b.h1, w.k, r, kc, d.c, true)...)
	ops = append(ops, linearGrad(g.v, buf.dh, buf.dv, b.h1, w.v, r, kc, d.c, true)...)
	return append(ops,
		kernel.RMSNormGrad(buf.dx, g.norm1, buf.dh, b.x, w.norm1, b.rstd1, r, d.c, true))
}
