// Kernels that touch every element once: no sums over elements, so any cut would do.
//
//   p[0] is the output, p[1].. the inputs, n[0] the number of elements; rope: x[R,heads,D]
//
// A task is PIECE elements.

#define PIECE 16384

INLINE float *out(const struct op *o, int i) { return (float *)o->p[i]; }
INLINE const float *in(const struct op *o, int i) { return (const float *)o->p[i]; }
INLINE const int32_t *ints(const struct op *o, int i) { return (const int32_t *)o->p[i]; }
INLINE long least(long a, long b) { return a < b ? a : b; }
INLINE long most(long a, long b) { return a > b ? a : b; }
INLINE long parts(long n, long size) { return (n + size - 1) / size; }

#define EACH_IN_PIECE(i) \
	for (long n = least(o->n[0], (task + 1) * PIECE), i = task * PIECE; i < n; i += VW)

static void fill_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	EACH_IN_PIECE(i)
		v_put(out(o, 0), i, n, v_set(o->x[0]));
	(void)scratch;
}

static void copy_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	EACH_IN_PIECE(i)
		v_put(out(o, 0), i, n, v_get(in(o, 1), i, n, 0));
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

static void swiglu_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	EACH_IN_PIECE(i) {
		vf g = v_get(in(o, 1), i, n, 0), u = v_get(in(o, 2), i, n, 0);
		v_put(out(o, 0), i, n, g * v_sigmoid(g) * u);
	}
	(void)scratch;
}

// dg = dy u s (1 + g (1 - s)), du = dy g s, with s = sigmoid(g).
static void swiglu_grad_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	EACH_IN_PIECE(i) {
		vf dy = v_get(in(o, 2), i, n, 0);
		vf g = v_get(in(o, 3), i, n, 0), u = v_get(in(o, 4), i, n, 0);
		vf s = v_sigmoid(g), d = dy * s;
		v_put(out(o, 0), i, n, d * u * v_fma(g, 1.0f - s, v_set(1)));
		v_put(out(o, 1), i, n, d * g);
	}
	(void)scratch;
}

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
		v_put(p, i, n, old - x[0] * (step + x[4] * old));
		v_put(m, i, n, first);
		v_put(v, i, n, second);
	}
	(void)scratch;
}

// One task is one row: heads of D, rotated in pairs (i, i + D/2).
static void rope_task(const void *ctx, long row, float *scratch)
{
	const struct op *o = ctx;
	long heads = o->n[1], d = o->n[2], half = d / 2;
	const float *c = in(o, 2) + ints(o, 1)[row] * d, *s = c + half;
	for (long h = 0; h < heads; h++) {
		float *lo = out(o, 0) + (row * heads + h) * d, *hi = lo + half;
		for (long i = 0; i < half; i += VW) {
			vf co = v_get(c, i, half, 0), si = v_get(s, i, half, 0);
			vf a = v_get(lo, i, half, 0), b = v_get(hi, i, half, 0);
			if (o->flag & 1)
				si = -si;
			v_put(lo, i, half, v_fma(a, co, -(b * si)));
			v_put(hi, i, half, v_fma(b, co, a * si));
		}
	}
	(void)scratch;
}

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
	return why != 0 ? why : engine_tasks(e, rope_task, o, o->n[0], 0);
}
