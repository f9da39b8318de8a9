// Causal grouped-query attention inside documents, and its gradient.
//
//   q, y, dq, dy [B,T,H,D]   k, v, dk, dv [B,T,K,D]   lse [B,H,T]   first [B,T]
//
// Queries and keys are cut into tiles of TILE. Products of tiles run on the micro-kernel; what they
// read is copied to scratch as floats in the two forms that it wants:
//
//   rows (a)      [T/TILE][D][SIDE]    a tile transposed: SIDE >= TILE apart, so that the rows of a
//                                      power of two do not all fall on the same cache lines
//   columns (b)   [X/NR][K][NR]        panels, zeros beyond the edge: K = D, X = T for products
//                                      over D, and K = T, X = D for products over T
//
// Queries are multiplied by the scale when they are copied, so products of them with keys are the
// scores, the same bits in both passes.
//
// A tile that no query of its block may see is skipped, and so is the part of a tile on the
// diagonal that lies in the future: their probabilities are exact zeros, which change no sum.

#define TILE 64
#define SIDE (TILE + 16)

struct attention {
	const void *q, *k, *v, *dy, *y_in;
	void *y, *dq, *dk, *dv;
	float *lse;
	const int32_t *first;
	long t, h, kv, d;
	long padded, wide; // T and D in whole tiles and panels
	float scale;
	int half; // all but lse hold halves
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

// read_rows copies rows of D elements, ld apart, to [rows][D] floats; write_rows copies them back
// from [rows][wide].
static void read_rows(const struct attention *a, float *to, const void *from, long ld, long rows)
{
	for (long r = 0; r < rows; r++)
		copy_row(to + r * a->d, 0, x_at(from, a->half, r * ld), a->half, a->d);
}

static void write_rows(const struct attention *a, void *to, long ld, const float *from, long rows)
{
	for (long r = 0; r < rows; r++)
		copy_row(x_at(to, a->half, r * ld), a->half, from + r * a->wide, 0, a->d);
}

// scale_rows multiplies n floats.
static void scale_rows(float *x, long n, float by)
{
	for (long i = 0; i < n; i += VW)
		v_put(x, i, n, v_get(x, i, n, 0) * by);
}

// row_form makes tile [t0, t0+n) of the form "rows" from plain[n][D].
static void row_form(const struct attention *a, float *to, const float *plain, long n)
{
	transpose(to, SIDE, plain, a->d, n, a->d);
}

// column_form_d makes the panels of tile [t0, t0+TILE) for products over D.
static void column_form_d(const struct attention *a, float *to, const float *plain, long n)
{
	for (long j = 0; j < TILE; j += NR, to += NR * a->d)
		transpose(to, NR, plain + j * a->d, a->d, most(0, least(NR, n - j)), a->d);
}

// column_form_t makes rows [t0, t0+n) of the panels for products over T.
static void column_form_t(const struct attention *a, float *panels, long t0, const float *plain,
			  long n)
{
	for (long j = 0; j < a->d; j += NR, panels += a->padded * NR)
		for (long r = 0; r < n; r++)
			for (long c = 0; c < NR; c += VW)
				v_store(panels + (t0 + r) * NR + c,
					v_get(plain + r * a->d, j + c, a->d, 0));
}

// What of a product on the diagonal can be left out.
enum cut {
	WHOLE,
	COLUMNS_FROM, // row i needs the columns from i on
	COLUMNS_TO,   // row i needs the columns up to i
	K_FROM,       // a[k][i] is zero for k < i
	K_TO,         // a[k][i] is zero for k > i
};

// product sets (or adds to) c[m][panels * NR] the product of a[k][>=m] and of panels of b, which
// lie apart from each other.
static void product(float *c, long ldc, long m, long panels, long k, const float *a, const float *b,
		    long apart, int add, enum cut cut)
{
	for (long j = 0; j < panels; j++)
		for (long i = 0; i < m; i += MR) {
			long rows = least(MR, m - i), from = 0, to = k;
			if ((cut == COLUMNS_FROM && (j + 1) * NR <= i) ||
			    (cut == COLUMNS_TO && j * NR >= i + rows))
				continue;
			if (cut == K_FROM)
				from = least(i, k);
			if (cut == K_TO)
				to = least(k, i + rows);
			micros[rows](to - from, a + from * SIDE + i, SIDE,
				     b + j * apart + from * NR, NR, c + i * ldc + j * NR, ldc, add);
		}
}

// least_first is the first key that any query of [t0, t0+n) sees, most_first the one that all see.
INLINE long least_first(const int32_t *first, long t0, long n)
{
	long lo = first[t0];
	for (long t = t0 + 1; t < t0 + n; t++)
		lo = least(lo, first[t]);
	return lo;
}

INLINE long most_first(const int32_t *first, long t0, long n)
{
	long hi = first[t0];
	for (long t = t0 + 1; t < t0 + n; t++)
		hi = most(hi, first[t]);
	return hi;
}

#include "attention_forward.h"
#include "attention_backward.h"

static struct attention attention_of(const struct op *o)
{
	long t = o->n[1], d = o->n[4];
	return (struct attention){ .t = t, .h = o->n[2], .kv = o->n[3], .d = d,
				   .padded = parts(t, TILE) * TILE, .wide = parts(d, NR) * NR,
				   .scale = o->x[0], .half = half(o, 0) };
}

static int attention(struct engine *e, const struct op *o)
{
	struct attention a = attention_of(o);
	if (a.kv <= 0 || a.h % a.kv != 0)
		return engine_fail(e, FAIL_SHAPE, 0, 0, 0);
	a.y = any(o, 0), a.lse = out(o, 1);
	a.q = any(o, 2), a.k = any(o, 3), a.v = any(o, 4), a.first = ints(o, 5);
	int why = check_ids(e, a.first, o->n[0] * a.t, a.t, 0);
	if (why != 0)
		return why;
	return engine_tasks(e, forward_task, &a, o->n[0] * a.h, forward_floats(&a));
}

static int attention_grad(struct engine *e, const struct op *o)
{
	struct attention a = attention_of(o);
	if (a.kv <= 0 || a.h % a.kv != 0)
		return engine_fail(e, FAIL_SHAPE, 0, 0, 0);
	a.dq = any(o, 0), a.dk = any(o, 1), a.dv = any(o, 2);
	a.dy = any(o, 3), a.y_in = any(o, 4), a.lse = out(o, 5);
	a.q = any(o, 6), a.k = any(o, 7), a.v = any(o, 8), a.first = ints(o, 9);
	int why = check_ids(e, a.first, o->n[0] * a.t, a.t, 0);
	if (why != 0)
		return why;
	return engine_tasks(e, backward_task, &a, o->n[0] * a.kv, backward_floats(&a));
}
