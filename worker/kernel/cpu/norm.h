// RMS norm, sums of squares, and the embedding table.
//
//   x, y, dx, dy [R,C]   w, dw [C]   rstd [R]   table [V,C]   ids [R]
//
// Sums over a row run in VW lanes in blocks, whose sums are added in double precision. Sums over
// rows (dw, dtable) run row by row; there a task owns COLUMNS columns.

#define COLUMNS 64
#define BLOCK_VECTORS 32 // vectors summed in single precision before a sum in double
#define BLOCK_ROWS 64    // the same for rows

// row_dot is the sum of a[i] * b[i] * w[i]; w may be null (ones). ha, hb, hw: they hold halves.
INLINE double row_dot(const void *a, const int ha, const void *b, const int hb, const void *w,
		      const int hw, long n)
{
	double sum = 0;
	for (long start = 0; start < n; start += BLOCK_VECTORS * VW) {
		vf lanes = v_set(0);
		long end = least(n, start + BLOCK_VECTORS * VW);
		for (long i = start; i < end; i += VW) {
			vf x = x_get(a, ha, i, n, 0), y = x_get(b, hb, i, n, 0);
			lanes = v_fma(w == NULL ? x : x * x_get(w, hw, i, n, 0), y, lanes);
		}
		sum += v_sum(lanes);
	}
	return sum;
}

INLINE long rows_a_task(long c) { return most(1, PIECE / most(c, 1)); }

// A norm is instantiated for the dtypes that models use: all floats, a residual of floats beside
// halves, and all halves. Any other mix works too, with flags that are no constants.
INLINE void rms_norm_rows(const struct op *o, long task, const int hy, const int hx, const int hw)
{
	long c = o->n[1], per = rows_a_task(c), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++) {
		const void *x = x_at(any(o, 2), hx, r * c), *w = any(o, 3);
		void *y = x_at(any(o, 0), hy, r * c);
		double mean = row_dot(x, hx, x, hx, NULL, 0, c) / (double)c;
		float s = (float)(1 / __builtin_sqrt(mean + (double)o->x[0]));
		out(o, 1)[r] = s;
		for (long i = 0; i < c; i += VW)
			x_put(y, hy, i, c, x_get(x, hx, i, c, 0) * s * x_get(w, hw, i, c, 0));
	}
}

static void rms_norm_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	int hy = half(o, 0), hx = half(o, 2), hw = half(o, 3);
	if (!hy && !hx && !hw)
		rms_norm_rows(o, task, 0, 0, 0);
	else if (hy && !hx && hw)
		rms_norm_rows(o, task, 1, 0, 1);
	else if (hy && hx && hw)
		rms_norm_rows(o, task, 1, 1, 1);
	else
		rms_norm_rows(o, task, hy, hx, hw);
	(void)scratch;
}

INLINE void rms_norm_dx_rows(const struct op *o, long task, const int hd, const int hy,
			     const int hx, const int hw)
{
	long c = o->n[1], per = rows_a_task(c), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++) {
		const void *dy = x_at(any(o, 2), hy, r * c), *x = x_at(any(o, 3), hx, r * c);
		const void *w = any(o, 4);
		void *dx = x_at(any(o, 0), hd, r * c);
		double s = in(o, 5)[r];
		double dot = row_dot(dy, hy, x, hx, w, hw, c);
		vf pull = v_set((float)(-dot * s * s * s / (double)c));
		for (long i = 0; i < c; i += VW) {
			vf g = x_get(dy, hy, i, c, 0) * x_get(w, hw, i, c, 0) * (float)s;
			g = v_fma(x_get(x, hx, i, c, 0), pull, g);
			if (o->flag & 1)
				g += x_get(dx, hd, i, c, 0);
			x_put(dx, hd, i, c, g);
		}
	}
}

static void rms_norm_dx_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	int hd = half(o, 0), hy = half(o, 2), hx = half(o, 3), hw = half(o, 4);
	if (!hd && !hy && !hx && !hw)
		rms_norm_dx_rows(o, task, 0, 0, 0, 0);
	else if (!hd && hy && !hx && hw)
		rms_norm_dx_rows(o, task, 0, 1, 0, 1);
	else if (hd && hy && hx && hw)
		rms_norm_dx_rows(o, task, 1, 1, 1, 1);
	else
		rms_norm_dx_rows(o, task, hd, hy, hx, hw);
	(void)scratch;
}

// column_sums sets y[c], columns [from, end), to the sum over the rows of x * by * scale[row]; by
// and scale may be null (ones). All columns are summed at once, so that rows are read in order.
INLINE void column_sums(float *y, const void *x, const int hx, const void *by, const int hb,
			const float *scale, long rows, long c, long from, long end)
{
	vf total[COLUMNS / VW], sum[COLUMNS / VW];
	for (int i = 0; i < COLUMNS / VW; i++)
		total[i] = v_set(0);
	for (long start = 0; start < rows; start += BLOCK_ROWS) {
#pragma GCC unroll 16
		for (int i = 0; i < COLUMNS / VW; i++)
			sum[i] = v_set(0);
		for (long r = start; r < least(rows, start + BLOCK_ROWS); r++)
#pragma GCC unroll 16
			for (int i = 0; i < COLUMNS / VW; i++) {
				long at = from + i * VW;
				if (at >= end)
					break;
				vf v = x_get(x_at((void *)x, hx, r * c), hx, at, c, 0);
				if (scale == NULL)
					sum[i] += v;
				else
					sum[i] = v_fma(v * scale[r],
						       x_get(x_at((void *)by, hb, r * c), hb, at, c,
							     0),
						       sum[i]);
			}
		for (int i = 0; i < COLUMNS / VW; i++)
			total[i] += sum[i];
	}
	for (int i = 0; from + i * VW < end; i++)
		v_put(y, from + i * VW, c, total[i]);
}

static void rms_norm_dw_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	const void *dy = any(o, 2), *x = any(o, 3);
	long rows = o->n[0], c = o->n[1], from = task * COLUMNS, end = least(c, from + COLUMNS);
	switch (half(o, 2) + 2 * half(o, 3)) {
	case 0:
		column_sums(out(o, 1), dy, 0, x, 0, in(o, 5), rows, c, from, end);
		break;
	case 1:
		column_sums(out(o, 1), dy, 1, x, 0, in(o, 5), rows, c, from, end);
		break;
	case 2:
		column_sums(out(o, 1), dy, 0, x, 1, in(o, 5), rows, c, from, end);
		break;
	default:
		column_sums(out(o, 1), dy, 1, x, 1, in(o, 5), rows, c, from, end);
	}
	(void)scratch;
}

INLINE void sum_columns(const struct op *o, long task, const int h)
{
	long c = o->n[1], from = task * COLUMNS, end = least(c, from + COLUMNS);
	column_sums(out(o, 0), any(o, 1), h, NULL, 0, NULL, o->n[0], c, from, end);
}
FORMS(sum_columns, sum_rows_task, sum_rows_half_task)

static int sum_rows(struct engine *e, const struct op *o)
{
	return engine_tasks(e, half(o, 1) ? sum_rows_half_task : sum_rows_task, o,
			    parts(o->n[1], COLUMNS), 0);
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
	out(o, 0)[task] = (float)row_dot(in(o, 1) + start, 0, in(o, 1) + start, 0, NULL, 0, n);
	(void)scratch;
}

static int sum_squares(struct engine *e, const struct op *o)
{
	if (o->n[1] <= 0)
		return engine_fail(e, FAIL_SHAPE, 0, 0, 0);
	return engine_tasks(e, sum_squares_task, o, parts(o->n[0], o->n[1]), 0);
}

INLINE void copy_row(void *y, int hy, const void *x, int hx, long n)
{
	if (hy == hx) {
		memcpy(y, x, (size_t)n * (hy ? 2 : 4));
		return;
	}
	for (long i = 0; i < n; i += VW)
		x_put(y, hy, i, n, x_get(x, hx, i, n, 0));
}

static void embed_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long c = o->n[1], per = rows_a_task(c), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++)
		copy_row(x_at(any(o, 0), half(o, 0), r * c), half(o, 0),
			 x_at(any(o, 1), half(o, 1), ints(o, 2)[r] * c), half(o, 1), c);
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
