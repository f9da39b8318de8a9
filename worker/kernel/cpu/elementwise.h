// Kernels that touch every element once: no sums over elements, so any cut would do.
//
//   p[0] is the output, p[1].. the inputs, n[0] the number of elements; rope: x[R,heads,D]
//
// A task is PIECE elements.

#define PIECE 16384

INLINE float *out(const struct op *o, int i) { return (float *)o->p[i]; }
INLINE const float *in(const struct op *o, int i) { return (const float *)o->p[i]; }
INLINE void *any(const struct op *o, int i) { return (void *)o->p[i]; }
INLINE int half(const struct op *o, int i) { return o->flag >> (8 + i) & 1; }
INLINE const int32_t *ints(const struct op *o, int i) { return (const int32_t *)o->p[i]; }
INLINE long least(long a, long b) { return a < b ? a : b; }
INLINE long most(long a, long b) { return a > b ? a : b; }
INLINE long parts(long n, long size) { return (n + size - 1) / size; }

#define EACH_IN_PIECE(i) \
	for (long n = least(o->n[0], (task + 1) * PIECE), i = task * PIECE; i < n; i += VW)

// FORMS makes body(op, task, half) a task for floats and one for halves.
#define FORMS(body, f32, bf16)                                         \
	static void f32(const void *ctx, long task, float *scratch)    \
	{                                                              \
		body(ctx, task, 0);                                    \
		(void)scratch;                                         \
	}                                                              \
	static void bf16(const void *ctx, long task, float *scratch)   \
	{                                                              \
		body(ctx, task, 1);                                    \
		(void)scratch;                                         \
	}

INLINE void fill(const struct op *o, long task, const int h)
{
	EACH_IN_PIECE(i)
		x_put(any(o, 0), h, i, n, v_set(o->x[0]));
}
FORMS(fill, fill_task, fill_half_task)

INLINE void copy(const struct op *o, long task, const int hy, const int hx)
{
	EACH_IN_PIECE(i)
		x_put(any(o, 0), hy, i, n, x_get(any(o, 1), hx, i, n, 0));
}

static void copy_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	if (half(o, 0) == half(o, 1)) { // as bytes: a NaN keeps all its bits
		long size = half(o, 0) ? 2 : 4, start = task * PIECE;
		memcpy((char *)any(o, 0) + start * size, (const char *)any(o, 1) + start * size,
		       (size_t)(least(PIECE, o->n[0] - start) * size));
	} else if (half(o, 0)) {
		copy(o, task, 1, 0);
	} else {
		copy(o, task, 0, 1);
	}
	(void)scratch;
}

static void add_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	EACH_IN_PIECE(i)
		v_put(out(o, 0), i, n, v_get(in(o, 1), i, n, 0) + v_get(in(o, 2), i, n, 0));
	(void)scratch;
}

static void scale_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	EACH_IN_PIECE(i)
		v_put(out(o, 0), i, n, v_get(in(o, 1), i, n, 0) * o->x[0]);
	(void)scratch;
}

INLINE vf v_sigmoid(vf x) { return 1.0f / (1.0f + v_exp(-x)); }

INLINE void swiglu(const struct op *o, long task, const int h)
{
	EACH_IN_PIECE(i) {
		vf g = x_get(any(o, 1), h, i, n, 0), u = x_get(any(o, 2), h, i, n, 0);
		x_put(any(o, 0), h, i, n, g * v_sigmoid(g) * u);
	}
}
FORMS(swiglu, swiglu_task, swiglu_half_task)

// dg = dy u s (1 + g (1 - s)), du = dy g s, with s = sigmoid(g).
INLINE void swiglu_grad(const struct op *o, long task, const int h)
{
	EACH_IN_PIECE(i) {
		vf dy = x_get(any(o, 2), h, i, n, 0);
		vf g = x_get(any(o, 3), h, i, n, 0), u = x_get(any(o, 4), h, i, n, 0);
		vf s = v_sigmoid(g), d = dy * s;
		x_put(any(o, 0), h, i, n, d * u * v_fma(g, 1.0f - s, v_set(1)));
		x_put(any(o, 1), h, i, n, d * g);
	}
}
FORMS(swiglu_grad, swiglu_grad_task, swiglu_grad_half_task)

// Plain products and sums: memory is the limit here, and all classes then agree on the bits.
static void adamw_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	const float *x = o->x;
	float *p = out(o, 0), *m = out(o, 1), *v = out(o, 2);
	EACH_IN_PIECE(i) {
		vf d = v_get(in(o, 3), i, n, 0) * x[7], old = v_get(p, i, n, 0);
		vf first = v_get(m, i, n, 0) * x[1] + d * (1.0f - x[1]);
		vf second = v_get(v, i, n, 0) * x[2] + d * d * (1.0f - x[2]);
		vf step = first * x[5] / (v_sqrt(second * x[6]) + x[3]);
		vf now = old - x[0] * (step + x[4] * old);
		v_put(p, i, n, now);
		if (o->p[4] != 0)
			x_put(any(o, 4), 1, i, n, now);
		v_put(m, i, n, first);
		v_put(v, i, n, second);
	}
	(void)scratch;
}

// One task is ROPE_ROWS rows: heads of D, rotated in pairs (i, i + D/2).
#define ROPE_ROWS 16

INLINE void rope_row(const struct op *o, long row, const int h16)
{
	long heads = o->n[1], d = o->n[2], half = d / 2;
	const float *c = in(o, 2) + ints(o, 1)[row] * d, *s = c + half;
	for (long h = 0; h < heads; h++) {
		void *lo = x_at(any(o, 0), h16, (row * heads + h) * d), *hi = x_at(lo, h16, half);
		for (long i = 0; i < half; i += VW) {
			vf co = v_get(c, i, half, 0), si = v_get(s, i, half, 0);
			vf a = x_get(lo, h16, i, half, 0), b = x_get(hi, h16, i, half, 0);
			if (o->flag & 1)
				si = -si;
			x_put(lo, h16, i, half, v_fma(a, co, -(b * si)));
			x_put(hi, h16, i, half, v_fma(b, co, a * si));
		}
	}
}

INLINE void rope_rows(const struct op *o, long task, const int h)
{
	for (long r = task * ROPE_ROWS; r < least(o->n[0], (task + 1) * ROPE_ROWS); r++)
		rope_row(o, r, h);
}
FORMS(rope_rows, rope_task, rope_half_task)

static int elementwise(struct engine *e, const struct op *o, task_fn fn)
{
	return engine_tasks(e, fn, o, parts(o->n[0], PIECE), 0);
}

// check_ids makes an index that lies outside a table an error of the program, not a fault.
static int check_ids(struct engine *e, const int32_t *ids, long n, long limit, int masked)
{
	for (long i = 0; i < n; i++)
		if (ids[i] >= limit || (ids[i] < 0 && !masked))
			return engine_fail(e, FAIL_INDEX, i, ids[i], limit);
	return 0;
}

static int rope(struct engine *e, const struct op *o)
{
	int why = check_ids(e, ints(o, 1), o->n[0], o->n[3], 0);
	return why != 0 ? why : engine_tasks(e, half(o, 0) ? rope_half_task : rope_task, o,
					     parts(o->n[0], ROPE_ROWS), 0);
}
