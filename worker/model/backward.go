package model

import (
	"fmt"

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
	if err := m.checkTensors("parameter", unit, params); err != nil {
		return fmt.Errorf("backward %s: %w", name, err)
	}
	if err := m.checkTensors("gradient", unit, grads); err != nil {
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
	table := grad.Slice(0, m.d.v*m.d.c)
	add := kernel.EmbedGrad(table, m.buf.dx, m.buf.tokens, m.shape.rows(), m.d.c, m.d.v)
	if m.d.tied {
		return []kernel.Op{add}
	}
	return []kernel.Op{kernel.Fill(grad, 0), add}
}

// grads of y[R,out] = x[R,in] * w[out,in]^T: dw[out,in] = dy^T x, and dx (+)= dy w.
func linearGrad(dw, dx, dy, x, w kernel.Tensor, rows, out, in int, add bool) []kernel.Op {
	return []kernel.Op{
		kernel.Matmul(dw, dy, x, out, in, rows, kernel.MatmulOptions{TransA: true}),
		kernel.Matmul(dx, dy, w, rows, in, out, kernel.MatmulOptions{Accumulate: add}),
	}
}

// blockBackward turns dx, the gradient of block i's output, into that of its input, and sets the
// gradients g of the parameters w; flat is the whole buffer that g is cut from.
func (m *Model) blockBackward(i int, w, g []kernel.Tensor, flat kernel.Tensor) []kernel.Op {
	ops := m.feedForwardBackward(i, w, g)
	ops = append(ops, m.attentionBackward(i, w, g)...)
	return m.zeroPadding(ops, i+1, flat)
}

func (m *Model) feedForwardBackward(i int, w, g []kernel.Tensor) []kernel.Op {
	d, b, buf, r := m.d, &m.buf.blocks[i], &m.buf, m.shape.rows()
	ops := linearGrad(g[pDown], buf.dff, buf.dx, b.ff, w[pDown], r, d.c, d.f, false)
	// In place: b.gate and b.up hold their gradients from here on.
	ops = append(ops, kernel.SwiGLUGrad(b.gate, b.up, buf.dff, b.gate, b.up))
	ops = append(ops, linearGrad(g[pGate], buf.dh, b.gate, b.h2, w[pGate], r, d.f, d.c, false)...)
	ops = append(ops, linearGrad(g[pUp], buf.dh, b.up, b.h2, w[pUp], r, d.f, d.c, true)...)
	// The residual: dx already holds the gradient that passes by the norm.
	return append(ops,
		kernel.RMSNormGrad(buf.dx, g[pNorm2], buf.dh, b.mid, w[pNorm2], b.rstd2, r, d.c,
			true))
}

func (m *Model) attentionBackward(i int, w, g []kernel.Tensor) []kernel.Op {
	d, b, buf, r := m.d, &m.buf.blocks[i], &m.buf, m.shape.rows()
	qc, kc, t := d.h*d.d, d.k*d.d, m.shape.SeqLen
	ops := linearGrad(g[pO], buf.dy, buf.dx, b.y, w[pO], r, d.c, qc, false)
	ops = append(ops,
		kernel.AttentionGrad(kernel.AttentionTensors{DQ: buf.dq, DK: buf.dk, DV: buf.dv, DY: buf.dy,
			Y: b.y, LSE: b.lse, Q: b.q, K: b.k, V: b.v, First: buf.first},
			m.shape.Batch, t, d.h, d.k, d.d, m.scale()),
		kernel.Rope(buf.dq, buf.pos, buf.cs, r, d.h, d.d, t, true),
		kernel.Rope(buf.dk, buf.pos, buf.cs, r, d.k, d.d, t, true))
	ops = append(ops, linearGrad(g[pQ], buf.dh, buf.dq, b.h1, w[pQ], r, qc, d.c, false)...)
	ops = append(ops, linearGrad(g[pK], buf.dh, buf.dk, b.h1, w[pK], r, kc, d.c, true)...)
	ops = append(ops, linearGrad(g[pV], buf.dh, buf.dv, b.h1, w[pV], r, kc, d.c, true)...)
	return append(ops,
		kernel.RMSNormGrad(buf.dx, g[pNorm1], buf.dh, b.x, w[pNorm1], b.rstd1, r, d.c,
			true))
}
