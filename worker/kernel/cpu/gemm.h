// Matrix product: c[M,N] (+)= op(a)[M,K] * op(b)[K,N].
//
// Each element of c is the sum over blocks of KC in ascending k, and within a block one chain of
// FMAs in ascending k. Nothing else about the cut (tiles, panels, edges, threads) shows in the
// bits.
//
//   task: a tile of c, mt x nt          per block of K: a and b are copied to scratch as panels
//   a panel: MR rows, [KC][VW]          b panel: NR columns, [KC][NR], padded with zeros
//   micro-kernel: up to MR x NR of c in registers, one row of each panel per k
//
// The panels of b of a tile stay in the second-level cache, one panel of a in the first.

#include <stdlib.h>

#define KC 256
#define PANELS 16 // of a in a tile
#define MT (PANELS * MR)
#define NT 512

// micro sets (or adds to) c[rows,NR] the product of a[k][>=rows] and b[k][>=NR], whose rows are
// ak and bk apart.
INLINE void micro(const int rows, long k, const float *a, long ak, const float *b, long bk,
		  float *c, long ldc, int add)
{
	vf sum[MR][NV];
#pragma GCC unroll 16
	for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
		for (int j = 0; j < NV; j++)
			sum[i][j] = v_set(0);
	for (long p = 0; p < k; p++, a += ak, b += bk) {
		vf col[NV];
#pragma GCC unroll 2
		for (int j = 0; j < NV; j++)
			col[j] = v_load(b + j * VW);
#pragma GCC unroll 16
		for (int i = 0; i < rows; i++) {
			vf x = v_set(a[i]);
#pragma GCC unroll 2
			for (int j = 0; j < NV; j++)
				sum[i][j] = v_fma(x, col[j], sum[i][j]);
		}
	}
#pragma GCC unroll 16
	for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
		for (int j = 0; j < NV; j++) {
			float *to = c + i * ldc + j * VW;
			v_store(to, add ? v_load(to) + sum[i][j] : sum[i][j]);
		}
}

typedef void (*micro_fn)(long k, const float *a, long ak, const float *b, long bk, float *c,
			 long ldc, int add);

#define MICRO(rows)                                                                               \
	static void micro_##rows(long k, const float *a, long ak, const float *b, long bk,        \
				 float *c, long ldc, int add)                                     \
	{                                                                                         \
		micro(rows, k, a, ak, b, bk, c, ldc, add);                                        \
	}

MICRO(1)
MICRO(2)
MICRO(3)
MICRO(4)
#if MR > 4
MICRO(5)
MICRO(6)
#endif
#if MR > 6
MICRO(7)
MICRO(8)
MICRO(9)
MICRO(10)
MICRO(11)
MICRO(12)
MICRO(13)
MICRO(14)
#endif

static const micro_fn micros[MR + 1] = { 0, micro_1, micro_2, micro_3, micro_4,
#if MR > 4
					 micro_5, micro_6,
#endif
#if MR > 6
					 micro_7, micro_8, micro_9, micro_10, micro_11, micro_12,
					 micro_13, micro_14,
#endif
};

// panel multiplies one panel pair into c[rows,cols]; a partial width goes by way of edge[MR][NR].
INLINE void panel(long rows, long cols, long k, const float *a, long ak, const float *b, long bk,
		  float *c, long ldc, int add, float *edge)
{
	if (cols >= NR) {
		micros[rows](k, a, ak, b, bk, c, ldc, add);
		return;
	}
	micros[rows](k, a, ak, b, bk, edge, NR, 0);
	for (long i = 0; i < rows; i++)
		for (long j = 0; j < cols; j++)
			c[i * ldc + j] = add ? c[i * ldc + j] + edge[i * NR + j] : edge[i * NR + j];
}

// transpose copies src[rows][k] (rows ld apart) to dst[k][width], zeros in columns >= rows. width
// is whole vectors.
static void transpose(float *dst, long width, const float *src, long ld, long rows, long k)
{
	for (long i = 0; i < width; i += VW)
		for (long p = 0; p < k; p += VW) {
			vf square[VW];
#pragma GCC unroll 16
			for (int j = 0; j < VW; j++)
				square[j] = i + j < rows ? v_get(src + (i + j) * ld, p, k, 0)
							 : v_set(0);
			v_transpose(square);
			if (__builtin_expect(p + VW <= k, 1)) {
#pragma GCC unroll 16
				for (int j = 0; j < VW; j++)
					v_store(dst + (p + j) * width + i, square[j]);
				continue;
			}
			for (int j = 0; p + j < k; j++)
				v_store(dst + (p + j) * width + i, square[j]);
		}
}

// gather copies src[k][cols] (rows ld apart) to dst[k][width], zeros in columns >= cols.
INLINE void gather(float *dst, const long width, const float *src, long ld, long cols, long k)
{
	for (long p = 0; p < k; p++, dst += width, src += ld) {
		if (cols == width) {
			memcpy(dst, src, (size_t)width * sizeof(float));
			continue;
		}
		for (long j = 0; j < width; j++)
			dst[j] = j < cols ? src[j] : 0;
	}
}

struct gemm {
	const float *a, *b;
	float *c;
	long m, n, k, mt, nt;
	int ta, tb, accumulate;
};

// pack_a and pack_b copy rows (columns) [from, from+count) of block [p, p+k) to panels.
static void pack_a(const struct gemm *g, float *to, long from, long count, long p, long k)
{
	for (long i = 0; i < count; i += MR, to += VW * k) {
		long rows = least(MR, count - i);
		if (g->ta) // what follows the panel's rows is copied too, and never used
			gather(to, VW, g->a + p * g->m + from + i, g->m,
			       least(VW, g->m - from - i), k);
		else
			transpose(to, VW, g->a + (from + i) * g->k + p, g->k, rows, k);
	}
}

static void pack_b(const struct gemm *g, float *to, long from, long count, long p, long k)
{
	for (long j = 0; j < count; j += NR, to += NR * k) {
		long cols = least(NR, count - j);
		if (g->tb)
			transpose(to, NR, g->b + (from + j) * g->k + p, g->k, cols, k);
		else
			gather(to, NR, g->b + p * g->n + from + j, g->n, cols, k);
	}
}

static void gemm_task(const void *ctx, long task, float *scratch)
{
	const struct gemm *g = ctx;
	long across = parts(g->n, g->nt);
	long i0 = task / across * g->mt, j0 = task % across * g->nt;
	long m = least(g->mt, g->m - i0), n = least(g->nt, g->n - j0);
	float *pa = scratch, *pb = pa + PANELS * VW * KC, *edge = pb + NT * KC, *tile = edge + MR * NR;
	float *c = g->c + i0 * g->n + j0;
	// An accumulated product is summed over all of K before it is added, so it needs a tile.
	int own = g->accumulate && g->k > KC;
	float *to = own ? tile : c;
	long ld = own ? g->nt : g->n;
	for (long p = 0; p < g->k; p += KC) {
		long k = least(KC, g->k - p);
		int add = p > 0 || (g->accumulate && !own);
		pack_a(g, pa, i0, m, p, k);
		pack_b(g, pb, j0, n, p, k);
		for (long i = 0; i < m; i += MR)
			for (long j = 0; j < n; j += NR)
				panel(least(MR, m - i), n - j, k, pa + i / MR * VW * k, VW,
				      pb + j * k, NR, to + i * ld + j, ld, add, edge);
	}
	for (long i = 0; i < m && own; i++)
		for (long j = 0; j < n; j += VW)
			v_put(c + i * g->n, j, n,
			      v_get(c + i * g->n, j, n, 0) + v_get(tile + i * ld, j, n, 0));
}

static int gemm_product(struct engine *e, struct gemm *g)
{
	// Enough tiles for a few threads, whatever their number here.
	while (parts(g->m, g->mt) * parts(g->n, g->nt) < 16 && g->mt > 4 * MR)
		g->mt /= 2;
	while (parts(g->m, g->mt) * parts(g->n, g->nt) < 16 && g->nt > 4 * NR)
		g->nt /= 2;
	size_t floats = (PANELS * VW + NT) * KC + MR * NR + (size_t)MT * NT;
	return engine_tasks(e, gemm_task, g, parts(g->m, g->mt) * parts(g->n, g->nt), floats);
}

// gemm_add_task adds bias and addend to PIECE-sized ranges of rows of the product.
static void gemm_add_task(const void *ctx, long task, float *scratch)
{
	const struct op *o = ctx;
	long n = o->n[1], per = most(1, PIECE / most(n, 1)), end = least(o->n[0], (task + 1) * per);
	for (long r = task * per; r < end; r++)
		for (long j = 0; j < n; j += VW) {
			float *c = out(o, 0) + r * n;
			vf x = v_get(c, j, n, 0);
			if (o->p[4] != 0)
				x += v_get(in(o, 4), j, n, 0);
			if (o->p[3] != 0)
				x += v_get(in(o, 3) + r * n, j, n, 0);
			v_put(c, j, n, x);
		}
	(void)scratch;
}

static int gemm_floats(struct engine *e, const struct op *o)
{
	struct gemm g = { .a = in(o, 1), .b = in(o, 2), .c = out(o, 0), .m = o->n[0],
			  .n = o->n[1], .k = o->n[2], .mt = MT, .nt = NT, .ta = o->flag & 1,
			  .tb = (o->flag & 2) != 0, .accumulate = (o->flag & 4) != 0 };
	if (g.k == 0 && !g.accumulate)
		memset(g.c, 0, (size_t)(g.m * g.n) * sizeof(float));
	if (g.m == 0 || g.n == 0)
		return 0;
	int why = g.k == 0 ? 0 : gemm_product(e, &g);
	if (why != 0 || (o->p[3] == 0 && o->p[4] == 0))
		return why;
	return engine_tasks(e, gemm_add_task, o, parts(g.m, most(1, PIECE / g.n)), 0);
}

// A product with halves, by way of copies in floats.
static int gemm(struct engine *e, const struct op *o)
{
	const long n[5] = { o->n[0] * o->n[1], o->n[0] * o->n[2], o->n[2] * o->n[1],
			    o->n[0] * o->n[1], o->n[1] };
	struct op f = *o;
	int why = 0;
	for (int i = 0; i < 5; i++) {
		if (!half(o, i) || o->p[i] == 0)
			continue;
		float *copy = malloc((size_t)n[i] * sizeof(float) + 64);
		if (copy == NULL)
			why = engine_fail(e, FAIL_MEMORY, 0, n[i] * 4, 0);
		else
			copy_row(copy, 0, any(o, i), 1, n[i]);
		f.p[i] = (uintptr_t)copy;
	}
	f.flag &= 255;
	why = why != 0 ? why : gemm_floats(e, &f);
	if (why == 0 && half(o, 0))
		copy_row(any(o, 0), 1, any(&f, 0), 0, n[0]);
	for (int i = 0; i < 5; i++)
		if (f.p[i] != o->p[i])
			free((void *)f.p[i]);
	return why;
}
