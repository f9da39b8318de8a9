package model

import (
	"fmt"
	"math"

	"github.com/banyan-train/banyan/worker/kernel"
)

// Forward computes one unit, 0 to last-1 in order; params as Needs says, each of its unit's Size.
// Forward(0) reads the inputs, checks them, and may be called at any time: it starts over.
func (m *Model) Forward(unit int, params []kernel.Tensor) error {
	if unit < 0 || unit >= len(m.units)-1 {
		return fmt.Errorf("forward unit %d: want 0 to %d", unit, len(m.units)-2)
	}
	name := m.units[unit].Name
	if unit == 0 {
		m.forward, m.backward = 0, len(m.units)
		if err := m.checkInputs(); err != nil {
			return fmt.Errorf("forward %s: %w", name, err)
		}
	}
	if unit != m.forward || m.backward != len(m.units) {
		return fmt.Errorf("forward %s: out of order: %d units are done", name, m.forward)
	}
	if err := m.checkTensors("parameter", unit, params); err != nil {
		return fmt.Errorf("forward %s: %w", name, err)
	}
	if err := m.run(passForward, unit, params, nil); err != nil {
		return fmt.Errorf("forward %s: %w", name, err)
	}
	m.forward = unit + 1
	return nil
}

func (m *Model) embedForward(table kernel.Tensor) []kernel.Op {
	table = table.Slice(0, m.d.v*m.d.c)
	x := m.buf.blocks[0].x
	return []kernel.Op{kernel.Embed(x, table, m.buf.tokens, m.shape.rows(), m.d.c, m.d.v)}
}

// scale of the attention scores: 1/sqrt(D).
func (m *Model) scale() float32 { return float32(1 / math.Sqrt(float64(m.d.d))) }

// linear is y[R,out] = x[R,in] * w[out,in]^T.
func linear(y, x, w kernel.Tensor, rows, out, in int) kernel.Op {
	return kernel.Matmul(y, x, w, rows, out, in, kernel.MatmulOptions{TransB: true})
}

// blockForward is block i with parameters w:
//
//	mid = x + attention(rope(norm(x) Wq), rope(norm(x) Wk), norm(x) Wv) Wo
//	out = mid + (silu(norm(mid) Wgate) * norm(mid) Wup) Wdown
func (m *Model) blockForward(i int, w []kernel.Tensor) []kernel.Op {
	d, b, buf := m.d, &m.buf.blocks[i], &m.buf
	r, qc, kc := m.shape.rows(), d.h*d.d, d.k*d.d
	out := buf.output(i)
	return []kernel.Op{
		kernel.RMSNorm(b.h1, b.rstd1, b.x, w[pNorm1], r, d.c, d.eps),
		linear(b.q, b.h1, w[pQ], r, qc, d.c),
		linear(b.k, b.h1, w[pK], r, kc, d.c),
		linear(b.v, b.h1, w[pV], r, kc, d.c),
		kernel.Rope(b.q, buf.pos, buf.cs, r, d.h, d.d, m.shape.SeqLen, false),
		kernel.Rope(b.k, buf.pos, buf.cs, r, d.k, d.d, m.shape.SeqLen, false),
		kernel.Attention(b.y, b.lse, b.q, b.k, b.v, buf.first,
			m.shape.Batch, m.shape.SeqLen, d.h, d.k, d.d, m.scale()),
		linear(b.mid, b.y, w[pO], r, d.c, qc),
		kernel.Add(b.mid, b.mid, b.x),
		kernel.RMSNorm(b.h2, b.rstd2, b.mid, w[pNorm2], r, d.c, d.eps),
		linear(b.gate, b.h2, w[pGate], r, d.f, d.c),
		linear(b.up, b.h2, w[pUp], r, d.f, d.c),
		kernel.SwiGLU(b.ff, b.gate, b.up),
		linear(out, b.ff, w[pDown], r, d.c, d.f),
		kernel.Add(out, out, b.mid),
	}
}
