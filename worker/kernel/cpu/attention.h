// Causal grouped-query attention inside documents, and its gradient.
//
//   q, y, dq, dy [B,T,H,D]   k, v, dk, dv [B,T,K,D]   lse [B,H,T]   first [B,T]
//
// A task is one sequence and one kv head with all query heads that read it: it owns its part of
// every output. Within it the queries and keys are cut into tiles of TILE x TILE, products of
// tiles run on the micro-kernel of gemm.h. A tile that no query of its block may see is skipped;
// that changes no bit, for its probabilities are exact zeros.

#define TILE 64

struct attention {
	const float *q, *k, *v, *dy, *y_in;
	float *y, *lse, *dq, *dk, *dv;
	const int32_t *first;
	// padded is T in whole tiles and one vector more: rows of a power of two would all fall on the
	// same few lines of the first-level cache.
	long t, h, kv, d, padded;
	float scale;
};

// head is one query head of one sequence: where its rows start and how far they are apart.
struct head {
	long q, k, lse, qs, ks;
	const int32_t *first;
};

INLINE struct head head_of(const struct attention *a, long b, long kv, long i)
{
	long group = a->h / a->kv, h = kv * group + i;
	return (struct head){ .q = (b * a->t * a->h + h) * a->d,
			      .k = (b * a->t * a->kv + kv) * a->d,
			      .lse = (b * a->h + h) * a->t,
			      .qs = a->h * a->d,
			      .ks = a->kv * a->d,
			      .first = a->first + b * a->t };
}

// product sets (or adds to) c[m,n] the product of a[k][>=m] and b[k][>=n]. pad holds [k][NR] and
// an edge of [MR][NR]. Only n columns of b are read.
static void product(float *c, long ldc, long m, long n, long k, const float *a, long ak,
		    const float *b, long bk, int add, float *pad)
{
	for (long j = 0; j < n; j += NR) {
		const float *bj = b + j;
		long step = bk, cols = least(NR, n - j);
		float *edge = pad;
		if (cols < NR) {
			gather(pad, NR, bj, bk, cols, k);
			bj = pad;
			step = NR;
			edge = pad + k * NR;
		}
		for (long i = 0; i < m; i += MR)
			panel(least(MR, m - i), cols, k, a + i, ak, bj, step, c + i * ldc + j, ldc,
			      add, edge);
	}
}

// least_first is the first key that any query of [t0, t0+n) sees.
INLINE long least_first(const int32_t *first, long t0, long n)
{
	long lo = first[t0];
	for (long t = t0 + 1; t < t0 + n; t++)
		lo = least(lo, first[t]);
	return lo;
}

#include "attention_forward.h"
#include "attention_backward.h"

static struct attention attention_of(const struct op *o)
{
	long t = o->n[1];
	return (struct attention){ .t = t, .h = o->n[2], .kv = o->n[3], .d = o->n[4],
				   .padded = parts(t, TILE) * TILE + VW, .scale = o->x[0] };
}

static int attention(struct engine *e, const struct op *o)
{
	struct attention a = attention_of(o);
	if (a.kv <= 0 || a.h % a.kv != 0)
		return engine_fail(e, FAIL_SHAPE, 0, 0, 0);
	a.y = out(o, 0), a.lse = out(o, 1);
	a.q = in(o, 2), a.k = in(o, 3), a.v = in(o, 4), a.first = ints(o, 5);
	int why = check_ids(e, a.first, o->n[0] * a.t, a.t, 0);
	if (why != 0)
		return why;
	return engine_tasks(e, forward_task, &a, o->n[0] * a.kv, forward_floats(&a));
}

static int attention_grad(struct engine *e, const struct op *o)
{
	struct attention a = attention_of(o);
	if (a.kv <= 0 || a.h % a.kv != 0)
		return engine_fail(e, FAIL_SHAPE, 0, 0, 0);
	a.dq = out(o, 0), a.dk = out(o, 1), a.dv = out(o, 2);
	a.dy = in(o, 3), a.y_in = in(o, 4), a.lse = out(o, 5);
	a.q = in(o, 6), a.k = in(o, 7), a.v = in(o, 8), a.first = ints(o, 9);
	int why = check_ids(e, a.first, o->n[0] * a.t, a.t, 0);
	if (why != 0)
		return why;
	return engine_tasks(e, backward_task, &a, o->n[0] * a.kv, backward_floats(&a));
}
