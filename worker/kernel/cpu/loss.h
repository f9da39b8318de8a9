// Cross-entropy and its gradient, in place.
//
//   loss [R]   logits [R,V]   targets [R], negative = masked
//
// A task is a few rows. A row is read twice. First, block by block: the maximum so far, and the
// exponentials relative to it, which are stored, and their sum, in double precision. Then, with the
// maximum of the row: each block is multiplied by what its own maximum was off, over the sum.

#define LOSS_BLOCK (BLOCK_VECTORS * VW)

// block_top is the maximum of top and a block of a row.
INLINE float block_top(const float *row, long start, long v, float top)
{
	vf tops = v_set(top);
	for (long i = start; i < least(v, start + LOSS_BLOCK); i += VW)
		tops = v_max(tops, v_get(row, i, v, -__builtin_inff()));
	return v_top(tops);
}

// weight is e^(x - top); if there is no maximum yet, there is no weight either.
INLINE double weight(float x, float top) { return x == top ? 1 : v_weight(v_set(x - top))[0]; }

// cross_entropy_row is the loss of one row. grad may be row, unless it holds halves. tops holds the
// maximum that each block was taken relative to.
INLINE float cross_entropy_row(float *row, void *grad, const int h, long target, long v,
			       float *tops)
{
	const float at = row[target];
	float top = -__builtin_inff();
	double sum = 0;
	for (long start = 0; start < v; start += LOSS_BLOCK) {
		float before = top;
		top = tops[start / LOSS_BLOCK] = block_top(row, start, v, top);
		const vf base = v_set(top == -__builtin_inff() ? 0 : top);
		vf lanes = v_set(0);
		for (long i = start; i < least(v, start + LOSS_BLOCK); i += VW) {
			vf p = v_weight(v_get(row, i, v, -__builtin_inff()) - base);
			v_put(row, i, v, p);
			lanes += p;
		}
		sum = sum * weight(before, top) + v_sum(lanes);
	}
	const double chosen = row[target] * weight(tops[target / LOSS_BLOCK], top) / sum - 1;
	for (long start = 0; start < v; start += LOSS_BLOCK) {
		const vf scale = v_set((float)(weight(tops[start / LOSS_BLOCK], top) / sum));
		for (long i = start; i < least(v, start + LOSS_BLOCK); i += VW)
			x_put(grad, h, i, v, v_get(row, i, v, 0) * scale);
	}
	float last[VW] = { (float)chosen };
	x_put(x_at(grad, h, target), h, 0, 1, v_load(last));
	return (float)(scalar_log(sum) + ((double)top - (double)at));
}

INLINE void cross_entropy_rows(const struct op *o, long task, float *tops, const int h)
{
	long v = o->n[1], per = rows_a_task(v), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++) {
		void *grad = x_at(any(o, 3), h, r * v);
		long target = ints(o, 2)[r];
		if (target < 0)
			memset(grad, 0, (size_t)v * (h ? 2 : 4));
		float *row = out(o, 1) + r * v;
		out(o, 0)[r] = target < 0 ? 0 : cross_entropy_row(row, grad, h, target, v, tops);
	}
}

static void cross_entropy_task(const void *ctx, long task, float *scratch)
{
	cross_entropy_rows(ctx, task, scratch, 0);
}

static void cross_entropy_half_task(const void *ctx, long task, float *scratch)
{
	cross_entropy_rows(ctx, task, scratch, 1);
}

static int cross_entropy(struct engine *e, const struct op *o)
{
	int why = check_ids(e, ints(o, 2), o->n[0], o->n[1], 1);
	if (why != 0)
		return why;
	return engine_tasks(e, half(o, 3) ? cross_entropy_half_task : cross_entropy_task, o,
			    parts(o->n[0], rows_a_task(o->n[1])),
			    (size_t)parts(o->n[1], LOSS_BLOCK));
}
