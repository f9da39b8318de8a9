// RMS norm, sums of squares, and the embedding table.
//
//   x, y, dx, dy [R,C]   w, dw [C]   rstd [R]   table [V,C]   ids [R]
//
// Sums over a row run in VW lanes in blocks, whose sums are added in double precision. Sums over
// rows (dw, dtable) run row by row; there a task owns COLUMNS columns.

#define COLUMNS 64
#define BLOCK_VECTORS 32 // vectors summed in single precision before a sum in double
#define BLOCK_ROWS 64    // the same for rows

// row_dot is the sum of a[i] * b[i] * w[i]; w may be null (ones).
INLINE double row_dot(const float *a, const float *b, const float *w, long n)
{
	double sum = 0;
	for (long start = 0; start < n; start += BLOCK_VECTORS * VW) {
		vf lanes = v_set(0);
		long end = least(n, start + BLOCK_VECTORS * VW);
		for (long i = start; i < end; i += VW) {
			vf x = v_get(a, i, n, 0), y = v_get(b, i, n, 0);
			lanes = v_fma(w == NULL ? x : x * v_get(w, i, n, 0), y, lanes);
		}
		sum += v_sum(lanes);
	}
	return sum;
}

INLINE long rows_a_task(long c) { return most(1, PIECE / most(c, 1)); }

static void rms_norm_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long c = o->n[1], per = rows_a_task(c), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++) {
		const float *x = in(o, 2) + r * c, *w = in(o, 3);
		float *y = out(o, 0) + r * c;
		double mean = row_dot(x, x, NULL, c) / (double)c;
		float s = (float)(1 / __builtin_sqrt(mean + (double)o->x[0]));
		out(o, 1)[r] = s;
		for (long i = 0; i < c; i += VW)
			v_put(y, i, c, v_get(x, i, c, 0) * s * v_get(w, i, c, 0));
	}
	(void)scratch;
}

static void rms_norm_dx_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long c = o->n[1], per = rows_a_task(c), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++) {
		const float *dy = in(o, 2) + r * c, *x = in(o, 3) + r * c, *w = in(o, 4);
		float *dx = out(o, 0) + r * c;
		double s = in(o, 5)[r];
		vf pull = v_set((float)(-row_dot(dy, x, w, c) * s * s * s / (double)c));
		for (long i = 0; i < c; i += VW) {
			vf g = v_get(dy, i, c, 0) * v_get(w, i, c, 0) * (float)s;
			g = v_fma(v_get(x, i, c, 0), pull, g);
			v_put(dx, i, c, o->flag & 1 ? v_get(dx, i, c, 0) + g : g);
		}
	}
	(void)scratch;
}

static void rms_norm_dw_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long rows = o->n[0], c = o->n[1], end = least(c, (task + 1) * COLUMNS);
	const float *dy = in(o, 2), *x = in(o, 3), *rstd = in(o, 5);
	for (long i = task * COLUMNS; i < end; i += VW) {
		vf total = v_set(0);
		for (long start = 0; start < rows; start += BLOCK_ROWS) {
			vf sum = v_set(0);
			for (long r = start; r < least(rows, start + BLOCK_ROWS); r++)
				sum = v_fma(v_get(dy + r * c, i, c, 0) * rstd[r],
					    v_get(x + r * c, i, c, 0), sum);
			total += sum;
		}
		v_put(out(o, 1), i, c, total);
	}
	(void)scratch;
}

static void sum_rows_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long rows = o->n[0], c = o->n[1], end = least(c, (task + 1) * COLUMNS);
	const float *x = in(o, 1);
	for (long i = task * COLUMNS; i < end; i += VW) {
		vf total = v_set(0);
		for (long start = 0; start < rows; start += BLOCK_ROWS) {
			vf sum = v_set(0);
			for (long r = start; r < least(rows, start + BLOCK_ROWS); r++)
				sum += v_get(x + r * c, i, c, 0);
			total += sum;
		}
		v_put(out(o, 0), i, c, total);
	}
	(void)scratch;
}

static int sum_rows(struct engine *e, const struct op *o)
{
	return engine_tasks(e, sum_rows_task, o, parts(o->n[1], COLUMNS), 0);
}

static int rms_norm(struct engine *e, const struct op *o)
{
	return engine_tasks(e, rms_norm_task, o, parts(o->n[0], rows_a_task(o->n[1])), 0);
}

static int rms_norm_grad(struct engine *e, const struct op *o)
{
	int why = engine_tasks(e, rms_norm_dw_task, o, parts(o->n[1], COLUMNS), 0);
	if (why != 0)
		return why;
	return engine_tasks(e, rms_norm_dx_task, o, parts(o->n[0], rows_a_task(o->n[1])), 0);
}

static void sum_squares_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long start = task * o->n[1], n = least(o->n[1], o->n[0] - start);
	out(o, 0)[task] = (float)row_dot(in(o, 1) + start, in(o, 1) + start, NULL, n);
	(void)scratch;
}

static int sum_squares(struct engine *e, const struct op *o)
{
	if (o->n[1] <= 0)
		return engine_fail(e, FAIL_SHAPE, 0, 0, 0);
	return engine_tasks(e, sum_squares_task, o, parts(o->n[0], o->n[1]), 0);
}

static void embed_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long c = o->n[1], per = rows_a_task(c), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++)
		memcpy(out(o, 0) + r * c, in(o, 1) + ints(o, 2)[r] * c, (size_t)c * sizeof(float));
	(void)scratch;
}

static void embed_grad_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long c = o->n[1], start = task * COLUMNS, n = least(COLUMNS, c - start);
	for (long r = 0; r < o->n[0]; r++) {
		float *sum = out(o, 0) + ints(o, 2)[r] * c + start;
		const float *dy = in(o, 1) + r * c + start;
		for (long i = 0; i < n; i += VW)
			v_put(sum, i, n, v_get(sum, i, n, 0) + v_get(dy, i, n, 0));
	}
	(void)scratch;
}

static int embed(struct engine *e, const struct op *o)
{
	int why = check_ids(e, ints(o, 2), o->n[0], o->n[2], 0);
	if (why != 0)
		return why;
	return engine_tasks(e, embed_task, o, parts(o->n[0], rows_a_task(o->n[1])), 0);
}

static int embed_grad(struct engine *e, const struct op *o)
{
	int why = check_ids(e, ints(o, 2), o->n[0], o->n[2], 0);
	return why != 0 ? why : engine_tasks(e, embed_grad_task, o, parts(o->n[1], COLUMNS), 0);
}
