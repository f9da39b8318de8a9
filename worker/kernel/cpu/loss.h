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

static float cross_entropy_row(float *row, float *grad, long target, long v)
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
		v_put(grad, i, v, v_get(row, i, v, 0) * scale);
	grad[target] = (float)(chosen - 1);
	return (float)(scalar_log(sum) + ((double)top[0] - (double)at));
}

static void cross_entropy_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long v = o->n[1], per = rows_a_task(v), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++) {
		float *row = out(o, 1) + r * v, *grad = out(o, 3) + r * v;
		long target = ints(o, 2)[r];
		if (target < 0)
			memset(grad, 0, (size_t)v * sizeof(float));
		out(o, 0)[r] = target < 0 ? 0 : cross_entropy_row(row, grad, target, v);
	}
	(void)scratch;
}

static int cross_entropy(struct engine *e, const struct op *o)
{
	int why = check_ids(e, ints(o, 2), o->n[0], o->n[1], 1);
	if (why != 0)
		return why;
	return engine_tasks(e, cross_entropy_task, o, parts(o->n[0], rows_a_task(o->n[1])), 0);
}
