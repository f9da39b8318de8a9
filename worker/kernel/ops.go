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
	OpSumRows
)

// halfBit is the bit of Op.Flag that says that operand 0 is BF16; operand i has the bit i above it.
// The bits below belong to the op.
const halfBit = 8

// Op is one command of a Program. Its layout is shared with C (kernel/cpu/ops.h): keep both alike.
// Fields mean what the constructor of the op's Code says. An absent operand has address 0.
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

// num sets operand i to a tensor that may be F32 or BF16. Ops compute in float32 whatever they read
// and round once, to nearest even, where they store BF16.
func (o *Op) num(i int, name string, t Tensor, n int) {
	need((t.DType == F32 || t.DType == BF16) && t.Len == n,
		"%s: want %d float32 or bfloat16, have %d of dtype %d", name, n, t.Len, t.DType)
	o.P[i] = t.Addr
	if t.DType == BF16 {
		o.Flag |= 1 << (halfBit + i)
	}
}

// Half reports whether operand i is BF16.
func (o *Op) Half(i int) bool { return o.Flag>>(halfBit+i)&1 != 0 }

func i32(name string, t Tensor, n int) Addr {
	need(t.DType == I32 && t.Len == n, "%s: want %d int32, have %d of dtype %d", name, n, t.Len,
		t.DType)
	return t.Addr
}

// Fill sets every element of y to v.
func Fill(y Tensor, v float32) Op {
	o := Op{Code: OpFill, N: [8]int64{int64(y.Len)}, X: [8]float32{v}}
	o.num(0, "y", y, y.Len)
	return o
}

// Copy sets y = x, and casts where one is BF16 and the other F32.
func Copy(y, x Tensor) Op {
	o := Op{Code: OpCopy, N: [8]int64{int64(y.Len)}}
	o.num(0, "y", y, y.Len)
	o.num(1, "x", x, y.Len)
	return o
}

// Add sets y = a + b, all F32. y may be a or b. One rounding an element: this is the op of the
// ordered reduction.
func Add(y, a, b Tensor) Op {
	n := y.Len
	return Op{Code: OpAdd, P: [12]Addr{f32("y", y, n), f32("a", a, n), f32("b", b, n)},
		N: [8]int64{int64(n)}}
}

// Scale sets y = s * x, both F32. y may be x.
func Scale(y, x Tensor, s float32) Op {
	return Op{Code: OpScale, P: [12]Addr{f32("y", y, y.Len), f32("x", x, y.Len)},
		N: [8]int64{int64(y.Len)}, X: [8]float32{s}}
}

// MatmulOptions are the variants of Matmul.
type MatmulOptions struct {
	TransA, TransB bool   // stored the other way round: a as [K,M], b as [N,K]
	Accumulate     bool   // add the product to c; excludes Add and Bias
	Add            Tensor // [M,N] added to the product; F32 or BF16; may be c
	Bias           Tensor // [N] added to every row; F32 or BF16
}

// Matmul sets c[M,N] = op(a)[M,K] * op(b)[K,N], with what the options add to it. The product is
// fully summed over K first, in float32; then the old c, or Bias and Add in this order, are added,
// and the sum is rounded once more if c is BF16. Each of a, b and c may be F32 or BF16. c must not
// overlap a or b.
func Matmul(c, a, b Tensor, m, n, k int, opt MatmulOptions) Op {
	o := Op{Code: OpMatmul, N: [8]int64{int64(m), int64(n), int64(k)}}
	o.num(0, "c", c, m*n)
	o.num(1, "a", a, m*k)
	o.num(2, "b", b, k*n)
	need(!opt.Accumulate || opt.Add.IsZero() && opt.Bias.IsZero(), "matmul: accumulate and add")
	if !opt.Add.IsZero() {
		o.num(3, "add", opt.Add, m*n)
	}
	if !opt.Bias.IsZero() {
		o.num(4, "bias", opt.Bias, n)
	}
	for bit, set := range []bool{opt.TransA, opt.TransB, opt.Accumulate} {
		if set {
			o.Flag |= 1 << bit
		}
	}
	return o
}

// SumRows sets y[C] to the sum over the rows of x[R,C], in ascending order: the gradient of a bias.
// y is F32, x F32 or BF16.
func SumRows(y, x Tensor, rows, c int) Op {
	o := Op{Code: OpSumRows, P: [12]Addr{f32("y", y, c)}, N: [8]int64{int64(rows), int64(c)}}
	o.num(1, "x", x, rows*c)
	return o
}

// Embed sets y[R,C] to the rows ids[R] of table[V,C]. Ids must be in [0,V): the caller's duty.
// y and table may be BF16.
func Embed(y, table, ids Tensor, rows, c, v int) Op {
	o := Op{Code: OpEmbed, P: [12]Addr{2: i32("ids", ids, rows)},
		N: [8]int64{int64(rows), int64(c), int64(v)}}
	o.num(0, "y", y, rows*c)
	o.num(1, "table", table, v*c)
	return o
}

// EmbedGrad adds dy[R,C] to the rows ids[R] of dtable[V,C], in ascending order of r. Both are F32.
func EmbedGrad(dtable, dy, ids Tensor, rows, c, v int) Op {
	return Op{Code: OpEmbedGrad,
		P: [12]Addr{f32("dtable", dtable, v*c), f32("dy", dy, rows*c), i32("ids", ids, rows)},
		N: [8]int64{int64(rows), int64(c), int64(v)}}
}

// RMSNorm sets y[R,C] = x * rstd * w, rstd[R] = 1/sqrt(mean(x^2) + eps). y, x and w may be BF16;
// rstd is F32. (Zhang and Sennrich 2019, arXiv 1910.07467.)
func RMSNorm(y, rstd, x, w Tensor, rows, c int, eps float32) Op {
	o := Op{Code: OpRMSNorm, P: [12]Addr{1: f32("rstd", rstd, rows)},
		N: [8]int64{int64(rows), int64(c)}, X: [8]float32{eps}}
	o.num(0, "y", y, rows*c)
	o.num(2, "x", x, rows*c)
	o.num(3, "w", w, c)
	return o
}

// RMSNormGrad computes the gradient with respect to x, and adds it to dx[R,C] if accumulate is set
// (so that a residual's gradient can already be there), else stores it there; and sets dw[C], F32.
// Sums over R run in ascending order. dx, dy, x, w may be BF16. Without accumulate dx may be dy.
func RMSNormGrad(dx, dw, dy, x, w, rstd Tensor, rows, c int, accumulate bool) Op {
	o := Op{Code: OpRMSNormGrad, P: [12]Addr{1: f32("dw", dw, c), 5: f32("rstd", rstd, rows)},
		N: [8]int64{int64(rows), int64(c)}}
	if accumulate {
		o.Flag = 1
	}
	o.num(0, "dx", dx, rows*c)
	o.num(2, "dy", dy, rows*c)
	o.num(3, "x", x, rows*c)
	o.num(4, "w", w, c)
	return o
}

// Rope rotates x in place: x[R,heads,D], row r at position pos[r]. cs[P,D] holds cos in columns
// [0,D/2) and sin in [D/2,D) for each position; element i pairs with i + D/2 (the Hugging Face
// convention). inverse rotates back: that is the gradient. x may be BF16. (Su et al. 2021, arXiv
// 2104.09864.)
func Rope(x, pos, cs Tensor, rows, heads, d, positions int, inverse bool) Op {
	need(d%2 == 0, "rope: odd head size %d", d)
	o := Op{Code: OpRope, P: [12]Addr{1: i32("pos", pos, rows), 2: f32("cs", cs, positions*d)},
		N: [8]int64{int64(rows), int64(heads), int64(d), int64(positions)}}
	if inverse {
		o.Flag = 1
	}
	o.num(0, "x", x, rows*heads*d)
	return o
}

// Attention is causal grouped-query attention inside documents. q[B,T,H,D], k and v [B,T,K,D],
// y[B,T,H,D]; first[B,T] is the first position of the same sequence that position t may see (the
// start of its document; 0 without a document mask). lse[B,H,T] receives log(sum(exp(scores))) for
// the gradient. scores = scale * q.k. Head h reads kv head h / (H/K).
// All but lse and first may be BF16, q, k, v and y alike.
func Attention(y, lse, q, k, v, first Tensor, b, t, h, kv, d int, scale float32) Op {
	need(kv > 0 && h%kv == 0, "attention: %d heads over %d kv heads", h, kv)
	o := Op{Code: OpAttention,
		P: [12]Addr{1: f32("lse", lse, b*h*t), 5: i32("first", first, b*t)},
		N: [8]int64{int64(b), int64(t), int64(h), int64(kv), int64(d)}, X: [8]float32{scale}}
	o.num(0, "y", y, b*t*h*d)
	o.num(2, "q", q, b*t*h*d)
	o.num(3, "k", k, b*t*kv*d)
	o.num(4, "v", v, b*t*kv*d)
	same("attention", y, q, k, v)
	return o
}

func same(what string, ts ...Tensor) {
	for _, t := range ts {
		need(t.DType == ts[0].DType, "%s: operands of dtypes %d and %d", what, ts[0].DType, t.DType)
	}
}

// AttentionTensors groups the operands of AttentionGrad; shapes and dtypes as in Attention.
type AttentionTensors struct{ DQ, DK, DV, DY, Y, LSE, Q, K, V, First Tensor }

// AttentionGrad sets DQ, DK, DV from DY and what Attention saved. Nothing of size T x T is kept.
func AttentionGrad(a AttentionTensors, b, t, h, kv, d int, scale float32) Op {
	need(kv > 0 && h%kv == 0, "attention grad: %d heads over %d kv heads", h, kv)
	qn, kn := b*t*h*d, b*t*kv*d
	o := Op{Code: OpAttentionGrad,
		P: [12]Addr{5: f32("lse", a.LSE, b*h*t), 9: i32("first", a.First, b*t)},
		N: [8]int64{int64(b), int64(t), int64(h), int64(kv), int64(d)}, X: [8]float32{scale}}
	o.num(0, "dq", a.DQ, qn)
	o.num(1, "dk", a.DK, kn)
	o.num(2, "dv", a.DV, kn)
	o.num(3, "dy", a.DY, qn)
	o.num(4, "y", a.Y, qn)
	o.num(6, "q", a.Q, qn)
	o.num(7, "k", a.K, kn)
	o.num(8, "v", a.V, kn)
	same("attention grad", a.DQ, a.DK, a.DV, a.DY, a.Y, a.Q, a.K, a.V)
	return o
}

// SwiGLU sets y[n] = silu(g) * u, all F32 or all BF16. (Shazeer 2020, arXiv 2002.05202.)
func SwiGLU(y, g, u Tensor) Op {
	n := y.Len
	o := Op{Code: OpSwiGLU, N: [8]int64{int64(n)}}
	o.num(0, "y", y, n)
	o.num(1, "g", g, n)
	o.num(2, "u", u, n)
	same("swiglu", y, g, u)
	return o
}

// SwiGLUGrad sets dg and du, all operands F32 or all BF16. dg may be g and du may be u.
func SwiGLUGrad(dg, du, dy, g, u Tensor) Op {
	n := dy.Len
	o := Op{Code: OpSwiGLUGrad, N: [8]int64{int64(n)}}
	o.num(0, "dg", dg, n)
	o.num(1, "du", du, n)
	o.num(2, "dy", dy, n)
	o.num(3, "g", g, n)
	o.num(4, "u", u, n)
	same("swiglu grad", dg, du, dy, g, u)
	return o
}

// CrossEntropy sets loss[r] = -log softmax(logits[r])[targets[r]] in nats, and grad[R,V] to the
// gradient of the *sum* of losses; grad may be logits. Rows whose target is negative have loss 0
// and gradient 0. logits[R,V] and loss are F32; logits are overwritten. grad may be BF16.
func CrossEntropy(loss, logits, grad, targets Tensor, rows, v int) Op {
	o := Op{Code: OpCrossEntropy,
		P: [12]Addr{0: f32("loss", loss, rows), 1: f32("logits", logits, rows*v),
			2: i32("targets", targets, rows)},
		N: [8]int64{int64(rows), int64(v)}}
	o.num(3, "grad", grad, rows*v)
	return o
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

// AdamW updates p, m, v in place from g (not scaled yet): decoupled weight decay. half, if not
// zero, receives the new p as BF16. (Loshchilov and Hutter 2019, arXiv 1711.05101.) Elementwise:
// sharding cannot matter.
func AdamW(p, m, v, g, half Tensor, s AdamWStep) Op {
	n := p.Len
	o := Op{Code: OpAdamW,
		P: [12]Addr{f32("p", p, n), f32("m", m, n), f32("v", v, n), f32("g", g, n)},
		N: [8]int64{int64(n)},
		X: [8]float32{s.LR, s.Beta1, s.Beta2, s.Eps, s.WeightDecay, s.Correction1,
			s.Correction2, s.GradScale}}
	if !half.IsZero() {
		need(half.DType == BF16, "adamw: half has dtype %d, want bfloat16", half.DType)
		o.num(4, "half", half, n)
	}
	return o
}
