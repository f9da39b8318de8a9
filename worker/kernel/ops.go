package kernel

import "fmt"

// Code names an op.
type Code int32

const (
	OpFill Code = iota + 1
	OpCopy
	OpAdd
	OpScale
	OpMatmul
	OpEmbed
	OpEmbedGrad
	OpRMSNorm
	OpRMSNormGrad
	OpRope
	OpAttention
	OpAttentionGrad
	OpSwiGLU
	OpSwiGLUGrad
	OpCrossEntropy
	OpSumSquares
	OpAdamW
)

// Op is one command of a Program. Its layout is shared with C (kernel/cpu/ops.h): keep both alike.
// Fields mean what the constructor of the op's Code says.
type Op struct {
	Code Code
	Flag int32
	P    [12]Addr
	N    [8]int64
	X    [8]float32
}

func need(ok bool, format string, args ...any) {
	if !ok {
		panic("kernel: " + fmt.Sprintf(format, args...))
	}
}

func f32(name string, t Tensor, n int) Addr {
	need(t.DType == F32 && t.Len == n, "%s: want %d float32, have %d of dtype %d", name, n, t.Len,
		t.DType)
	return t.Addr
}

func i32(name string, t Tensor, n int) Addr {
	need(t.DType == I32 && t.Len == n, "%s: want %d int32, have %d of dtype %d", name, n, t.Len,
		t.DType)
	return t.Addr
}

// Fill sets every element of y to v.
func Fill(y Tensor, v float32) Op {
	return Op{Code: OpFill, P: [12]Addr{f32("y", y, y.Len)},
		N: [8]int64{int64(y.Len)}, X: [8]float32{v}}
}

// Copy sets y = x.
func Copy(y, x Tensor) Op {
	return Op{Code: OpCopy, P: [12]Addr{f32("y", y, y.Len), f32("x", x, y.Len)},
		N: [8]int64{int64(y.Len)}}
}

// Add sets y = a + b. y may be a or b. One rounding an element: this is the op of the ordered
// reduction.
func Add(y, a, b Tensor) Op {
	n := y.Len
	return Op{Code: OpAdd, P: [12]Addr{f32("y", y, n), f32("a", a, n), f32("b", b, n)},
		N: [8]int64{int64(n)}}
}

// Scale sets y = s * x. y may be x.
func Scale(y, x Tensor, s float32) Op {
	return Op{Code: OpScale, P: [12]Addr{f32("y", y, y.Len), f32("x", x, y.Len)},
		N: [8]int64{int64(y.Len)}, X: [8]float32{s}}
}

// Matmul sets c[M,N] = op(a)[M,K] * op(b)[K,N], or adds it to c when accumulate is set (the product
// is fully summed over K first, then added once). A transposed operand is stored the other way
// round: a as [K,M], b as [N,K]. c must not overlap a or b.
func Matmul(c, a, b Tensor, m, n, k int, transA, transB, accumulate bool) Op {
	var flag int32
	if transA {
		flag |= 1
	}
	if transB {
		flag |= 2
	}
	if accumulate {
		flag |= 4
	}
	return Op{Code: OpMatmul, Flag: flag,
		P: [12]Addr{f32("c", c, m*n), f32("a", a, m*k), f32("b", b, k*n)},
		N: [8]int64{int64(m), int64(n), int64(k)}}
}

// Embed sets y[R,C] to the rows ids[R] of table[V,C]. Ids must be in [0,V): the caller's duty.
func Embed(y, table, ids Tensor, rows, c, v int) Op {
	return Op{Code: OpEmbed,
		P: [12]Addr{f32("y", y, rows*c), f32("table", table, v*c), i32("ids", ids, rows)},
		N: [8]int64{int64(rows), int64(c), int64(v)}}
}

// EmbedGrad adds dy[R,C] to the rows ids[R] of dtable[V,C], in ascending order of r.
func EmbedGrad(dtable, dy, ids Tensor, rows, c, v int) Op {
	return Op{Code: OpEmbedGrad,
		P: [12]Addr{f32("dtable", dtable, v*c), f32("dy", dy, rows*c), i32("ids", ids, rows)},
		N: [8]int64{int64(rows), int64(c), int64(v)}}
}

// RMSNorm sets y[R,C] = x * rstd * w, rstd[R] = 1/sqrt(mean(x^2) + eps).
// (Zhang and Sennrich 2019, arXiv 1910.07467.)
func RMSNorm(y, rstd, x, w Tensor, rows, c int, eps float32) Op {
	return Op{Code: OpRMSNorm,
		P: [12]Addr{f32("y", y, rows*c), f32("rstd", rstd, rows), f32("x", x, rows*c), f32("w", w, c)},
		N: [8]int64{int64(rows), int64(c)}, X: [8]float32{eps}}
}

// RMSNormGrad adds the gradient with respect to x to dx[R,C] (so that a residual's gradient can
// already be there) and sets dw[C]. Sums over R run in ascending order.
func RMSNormGrad(dx, dw, dy, x, w, rstd Tensor, rows, c int) Op {
	return Op{Code: OpRMSNormGrad,
		P: [12]Addr{f32("dx", dx, rows*c), f32("dw", dw, c), f32("dy", dy, rows*c),
			f32("x", x, rows*c), f32("w", w, c), f32("rstd", rstd, rows)},
		N: [8]int64{int64(rows), int64(c)}}
}

// Rope rotates x in place: x[R,heads,D], row r at position pos[r]. cs[P,D] holds cos in columns
// [0,D/2) and sin in [D/2,D) for each position; element i pairs with i + D/2 (the Hugging Face
// convention). inverse rotates back: that is the gradient. (Su et al. 2021, arXiv 2104.09864.)
func Rope(x, pos, cs Tensor, rows, heads, d, positions int, inverse bool) Op {
	var flag int32
	if inverse {
		flag = 1
	}
	need(d%2 == 0, "rope: odd head size %d", d)
	return Op{Code: OpRope, Flag: flag,
		P: [12]Addr{f32("x", x, rows*heads*d), i32("pos", pos, rows), f32("cs", cs, positions*d)},
		N: [8]int64{int64(rows), int64(heads), int64(d), int64(positions)}}
}

// Attention is causal grouped-query attention inside documents. q[B,T,H,D], k and v [B,T,K,D],
// y[B,T,H,D]; first[B,T] is the first position of the same sequence that position t may see (the
// start of its document; 0 without a document mask). lse[B,H,T] receives log(sum(exp(scores))) for
// the gradient. scores = scale * q.k. Head h reads kv head h / (H/K).
func Attention(y, lse, q, k, v, first Tensor, b, t, h, kv, d int, scale float32) Op {
	need(kv > 0 && h%kv == 0, "attention: %d heads over %d kv heads", h, kv)
	return Op{Code: OpAttention,
		P: [12]Addr{f32("y", y, b*t*h*d), f32("lse", lse, b*h*t), f32("q", q, b*t*h*d),
			f32("k", k, b*t*kv*d), f32("v", v, b*t*kv*d), i32("first", first, b*t)},
		N: [8]int64{int64(b), int64(t), int64(h), int64(kv), int64(d)}, X: [8]float32{scale}}
}

// AttentionTensors groups the operands of AttentionGrad; shapes as in Attention.
type AttentionTensors struct{ DQ, DK, DV, DY, Y, LSE, Q, K, V, First Tensor }

// AttentionGrad sets DQ, DK, DV from DY and what Attention saved. Nothing of size T x T is kept.
func AttentionGrad(a AttentionTensors, b, t, h, kv, d int, scale float32) Op {
	need(kv > 0 && h%kv == 0, "attention grad: %d heads over %d kv heads", h, kv)
	qn, kn := b*t*h*d, b*t*kv*d
	return Op{Code: OpAttentionGrad,
		P: [12]Addr{f32("dq", a.DQ, qn), f32("dk", a.DK, kn), f32("dv", a.DV, kn), f32("dy", a.DY, qn),
			f32("y", a.Y, qn),
			f32("lse", a.LSE, b*h*t), f32("q", a.Q, qn), f32("k", a.K, kn), f32("v", a.V, kn),
			i32("first", a.First, b*t)},
		N: [8]int64{int64(b), int64(t), int64(h), int64(kv), int64(d)}, X: [8]float32{scale}}
}

// SwiGLU sets y[n] = silu(g) * u. (Shazeer 2020, arXiv 2002.05202.)
func SwiGLU(y, g, u Tensor) Op {
	n := y.Len
	return Op{Code: OpSwiGLU, P: [12]Addr{f32("y", y, n), f32("g", g, n), f32("u", u, n)},
		N: [8]int64{int64(n)}}
}

// SwiGLUGrad sets dg and du. dg may be g and du may be u.
func SwiGLUGrad(dg, du, dy, g, u Tensor) Op {
	n := dy.Len
	return Op{Code: OpSwiGLUGrad,
		P: [12]Addr{f32("dg", dg, n), f32("du", du, n), f32("dy", dy, n), f32("g", g, n),
			f32("u", u, n)},
		N: [8]int64{int64(n)}}
}

// CrossEntropy sets loss[r] = -log softmax(logits[r])[targets[r]] in nats and overwrites
// logits[R,V] with the gradient of the *sum* of losses. Rows whose target is negative have loss 0
// and gradient 0.
func CrossEntropy(loss, logits, targets Tensor, rows, v int) Op {
	return Op{Code: OpCrossEntropy,
		P: [12]Addr{f32("loss", loss, rows), f32("logits", logits, rows*v),
			i32("targets", targets, rows)},
		N: [8]int64{int64(rows), int64(v)}}
}

// SumSquares sets sums[i] to the sum of squares of chunk i of x; the last chunk may be short.
// The order inside a chunk is fixed.
func SumSquares(sums, x Tensor, chunk int) Op {
	need(chunk > 0, "sum of squares: chunk %d", chunk)
	n := (x.Len + chunk - 1) / chunk
	return Op{Code: OpSumSquares, P: [12]Addr{f32("sums", sums, n), f32("x", x, x.Len)},
		N: [8]int64{int64(x.Len), int64(chunk)}}
}

// AdamWStep holds the constants of one AdamW update, computed on the host in float64.
type AdamWStep struct {
	LR, Beta1, Beta2, Eps float32
	WeightDecay           float32 // 0 for norms
	Correction1           float32 // 1 / (1 - beta1^t)
	Correction2           float32 // 1 / (1 - beta2^t)
	GradScale             float32 // clip factor / global number of targets
}

// AdamW updates p, m, v in place from g (not scaled yet): decoupled weight decay.
// (Loshchilov and Hutter 2019, arXiv 1711.05101.) Elementwise: sharding cannot matter.
func AdamW(p, m, v, g Tensor, s AdamWStep) Op {
	n := p.Len
	return Op{Code: OpAdamW,
		P: [12]Addr{f32("p", p, n), f32("m", m, n), f32("v", v, n), f32("g", g, n)},
		N: [8]int64{int64(n)},
		X: [8]float32{s.LR, s.Beta1, s.Beta2, s.Eps, s.WeightDecay, s.Correction1,
			s.Correction2, s.GradScale}}
}
