// The table of the class: op code to kernel, and the probes.

#ifndef MATMUL // a class may have its own product, and its own ceiling
#define MATMUL gemm
#define PROBE fma_probe
#endif

static int run_one(struct engine *e, const struct op *o)
{
	switch (o->code) {
	case OP_FILL:
		return elementwise(e, o, half(o, 0) ? fill_half_task : fill_task);
	case OP_COPY:
		return elementwise(e, o, copy_task);
	case OP_ADD:
		return elementwise(e, o, add_task);
	case OP_SCALE:
		return elementwise(e, o, scale_task);
	case OP_MATMUL:
		return MATMUL(e, o);
	case OP_EMBED:
		return embed(e, o);
	case OP_EMBED_GRAD:
		return embed_grad(e, o);
	case OP_RMS_NORM:
		return rms_norm(e, o);
	case OP_RMS_NORM_GRAD:
		return rms_norm_grad(e, o);
	case OP_ROPE:
		return rope(e, o);
	case OP_ATTENTION:
		return attention(e, o);
	case OP_ATTENTION_GRAD:
		return attention_grad(e, o);
	case OP_SWIGLU:
		return elementwise(e, o, half(o, 0) ? swiglu_half_task : swiglu_task);
	case OP_SWIGLU_GRAD:
		return elementwise(e, o,
				   half(o, 0) ? swiglu_grad_half_task : swiglu_grad_task);
	case OP_CROSS_ENTROPY:
		return cross_entropy(e, o);
	case OP_SUM_SQUARES:
		return sum_squares(e, o);
	case OP_SUM_ROWS:
		return sum_rows(e, o);
	case OP_ADAMW:
		return elementwise(e, o, adamw_task);
	}
	return engine_fail(e, FAIL_CODE, 0, 0, 0);
}

static void exp_row(float *y, const float *x, long n)
{
	for (long i = 0; i < n; i += VW)
		v_put(y, i, n, v_exp(v_get(x, i, n, 0)));
}

// fma_probe keeps 12 independent sums busy: the ceiling that the matrix product is held against.
__attribute__((unused)) static double fma_probe(long rounds)
{
	vf s[12];
	float seed[VW];
	for (int j = 0; j < VW; j++)
		seed[j] = (float)j;
	const vf a = v_load(seed) * 1e-6f + 0.999f, b = v_load(seed) * 1e-6f;
#pragma GCC unroll 12
	for (int i = 0; i < 12; i++)
		s[i] = a + (float)i;
	for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
		for (int i = 0; i < 12; i++) {
			s[i] = v_fma(s[i], a, b);
			__asm__ volatile("" : "+m"(seed));
		}
	}
#pragma GCC unroll 12
	for (int i = 0; i < 12; i++)
		if (v_sum(s[i]) == -1) // never; the sums have to be needed
			return 0;
	return 2.0 * 12 * VW * (double)rounds;
}

const struct isa_class CLASS = { CLASS_NAME, VW, run_one, exp_row, PROBE };
