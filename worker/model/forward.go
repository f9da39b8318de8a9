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
		if err := m.takeInputs(); err != nil {
			return fmt.Errorf("forward %s: %w", name, err)
		}
	}
	if unit != m.forward || m.backward != len(m.units) {
		return fmt.Errorf("forward %s: out of order: %d units are done", name, m.forward)
	}
	if err := m.checkTensors("parameter", m.opt.Precision, unit, params); err != nil {
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
	return linearPlus(y, x, w, rows, out, in, kernel.MatmulOptions{})
}

// linearPlus is linear with what plus has to add.
func linearPlus(y, x, w kernel.Tensor, rows, out, in int, plus kernel.MatmulOptions) kernel.Op {
	plus.TransB = true
	return kernel.Matmul(y, x, w, rows, out, in, plus)
}

// blockForward is block i with parameters w:
//
//	mid = x + attention(rope(norm(x) Wq), rope(norm(x) Wk), norm(x) Wv) Wo
//	out = mid + (silu(norm(mid) Wgate) * norm(mid) Wup) Wdown
//
// with what the family adds: biases to q, k and v, and norms of each head of q and k before rope.
func (m *Model) blockForward(i int, w weights) []kernel.Op {
	d, b, r := m.d, &m.buf.blocks[i], m.shape.rows()
	ops := append(m.attentionInputs(b, w), m.attention(b, w)...)
	ops = append(ops, m.norm2(b, w), linear(b.gate, b.h2, w.gate, r, d.f, d.c),
		linear(b.up, b.h2, w.up, r, d.f, d.c), kernel.SwiGLU(b.ff, b.gate, b.up))
	return append(ops, linearPlus(m.buf.output(i), b.ff, w.down, r, d.c, d.f,
		kernel.MatmulOptions{Add: b.mid}))
}

// attentionInputs computes h1, q, k and v from x.
func (m *Model) attentionInputs(b *block, w weights) []kernel.Op {
	d, buf, r, t := m.d, &m.buf, m.shape.rows(), m.shape.SeqLen
	q, k := b.q, b.k
	if d.qkNorm {
		q, k = b.q0, b.k0
	}
	qc, kc, bias := d.h*d.d, d.k*d.d, func(b kernel.Tensor) kernel.MatmulOptions {
		return kernel.MatmulOptions{Bias: b}
	}
	ops := []kernel.Op{
		kernel.RMSNorm(b.h1, b.rstd1, b.x, w.norm1, r, d.c, d.eps),
		linearPlus(q, b.h1, w.q, r, qc, d.c, bias(w.qBias)),
		linearPlus(k, b.h1, w.k, r, kc, d.c, bias(w.kBias)),
		linearPlus(b.v, b.h1, w.v, r, kc, d.c, bias(w.vBias)),
	}
	if d.qkNorm {
		ops = append(ops, kernel.RMSNorm(b.q, b.rstdQ, b.q0, w.qNorm, r*d.h, d.d, d.eps),
			kernel.RMSNorm(b.k, b.rstdK, b.k0, w.kNorm, r*d.k, d.d, d.eps))
	}
	return append(ops, kernel.Rope(b.q, buf.pos, buf.cs, r, d.h, d.d, t, false),
		kernel.Rope(b.k, buf.pos, buf.cs, r, d.k, d.d, t, false))
}

// attention computes y, lse and mid.
func (m *Model) attention(b *block, w weights) []kernel.Op {
	d := m.d
	return []kernel.Op{
		kernel.Attention(b.y, b.lse, b.q, b.k, b.v, m.buf.visible, m.shape.Batch, m.shape.SeqLen,
			d.h, d.k, d.d, m.scale()),
		linearPlus(b.mid, b.y, w.o, m.shape.rows(), d.c, d.h*d.d, kernel.MatmulOptions{Add: b.x}),
	}
}

func (m *Model) norm2(b *block, w weights) kernel.Op {
	return kernel.RMSNorm(b.h2, b.rstd2, b.mid, w.norm2, m.shape.rows(), m.d.c, m.d.eps)
}
