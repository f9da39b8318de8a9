// Cross-entropy and its gradient, in place.
//
//   loss [R]   logits [R,V]   targets [R], negative = masked
//
// A task is a few rows. In a row: the maximum, then the exponentials (stored) and their sum, in
// blocks that are added in double precision, then the division.

static float row_top(const float *row, long v)
{
	vf top = v_set(-__builtin_inff());
	for (long i = 0; i < v; i += VW)
		top = v_max(top, v_get(row, i, v, -__builtin_inff()));
	return v_top(top);
}

// cross_entropy_row is the loss of one row. grad may be row, unless it holds halves.
INLINE float cross_entropy_row(float *row, void *grad, const int h, long target, long v)
{
	const vf top = v_set(row_top(row, v));
	float at = row[target];
	double sum = 0;
	for (long start = 0; start < v; start += BLOCK_VECTORS * VW) {
		vf lanes = v_set(0);
		for (long i = start; i < least(v, start + BLOCK_VECTORS * VW); i += VW) {
			vf p = v_exp(v_get(row, i, v, -__builtin_inff()) - top);
			v_put(row, i, v, p);
			lanes += p;
		}
		sum += v_sum(lanes);
	}
	const vf scale = v_set((float)(1 / sum));
	double chosen = row[target] / sum;
	for (long i = 0; i < v; i += VW)
		x_put(grad, h, i, v, v_get(row, i, v, 0) * scale);
	float last[VW] = { (float)(chosen - 1) };
	x_put(x_at(grad, h, target), h, 0, 1, v_load(last));
	return (float)(scalar_log(sum) + ((double)top[0] - (double)at));
}

INLINE void cross_entropy_rows(const struct op *o, long task, const int h)
{
	long v = o->n[1], per = rows_a_task(v), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++) {
		void *grad = x_at(any(o, 3), h, r * v);
		long target = ints(o, 2)[r];
		if (target < 0)
			memset(grad, 0, (size_t)v * (h ? 2 : 4));
		out(o, 0)[r] = target < 0 ? 0
					  : cross_entropy_row(out(o, 1) + r * v, grad, h, target, v);
	}
}
FORMS(cross_entropy_rows, cross_entropy_task, cross_entropy_half_task)

static int cross_entropy(struct engine *e, const struct op *o)
{
	int why = check_ids(e, ints(o, 2), o->n[0], o->n[1], 1);
	if (why != 0)
		return why;
	return engine_tasks(e, half(o, 3) ? cross_entropy_half_task : cross_entropy_task, o,
			    parts(o->n[0], rows_a_task(o->n[1])), 0);
}
