// Matrix product: c[M,N] = op(a)[M,K] * op(b)[K,N], and what the op adds to it.
//
//   phase 1   all tasks together copy op(b), and op(a) where many tasks share it, to panels; rows
//             of a that lie along K are read where they are
//   phase 2   a task makes a tile of c, mt x nt
//
// A large b takes several passes, each over a part of N, or of K if K is longer: what is
// read again in each is then the smaller of a and c.
//
//   per block of kc of K:   a panels: MR rows, [kc][MR]      b panels: NR columns, [kc][NR]
//   for each panel of b     (kc x NR stays in the first-level cache)
//     for each panel of a   (all of the tile's stay in the second-level cache)
//       micro-kernel        MR x NR of c in registers
//
// Bits. An element of c is the sum over the blocks of K in ascending order, each of them one chain
// of FMAs in ascending k; the blocks depend on K alone. What is added to the product is added to
// the first block. Nothing else about the cut shows: not tiles, edges, threads, passes.
// Halves are widened where they are packed, and rounded where c is stored.

#include "gemm_micro.h"
#include "gemm_pack.h"

#define KC 288                   // most of K in a block
#define MT (96 / MR * MR)        // rows of a tile
#define NT (512 / NR * NR)       // columns of a tile
#define SHARED (4L << 20)        // floats of b (and of a) in panels at a time
#define ENOUGH 16                // tasks, for any number of threads that we expect
#define SOME 4                   // threads that tasks are to come out even for
#define FEW 2                    // tasks with the same rows of a: each makes its own panels
#define PAGE 4096                // bytes: rows so far apart share few lines of a cache
#define LINE (NR < 16 ? 16 : NR) // floats between prefetches

struct gemm {
	struct side a, b;
	void *c;
	const void *add, *bias;
	int half_c, half_add, half_bias;
	long n, k, kc, mt, nt;
	long from, to; // this pass over K
	float *sums;   // [M,N] partial sums between passes over K that cannot wait in c; else NULL
	int accumulate;
	int share_a;  // the panels of a are made in phase 1
	int direct_a; // a is read where it is
	int own;      // partial sums cannot wait in c
};

static void pack_group(const struct gemm *g, const struct side *s, long task)
{
	long groups = parts(panels_of(s), GROUP), first = task % groups * GROUP;
	long block = task / groups, p = g->from + block * g->kc, from = first * s->width;
	pack(s, packed(s, first, block), s->first + from,
	     least(GROUP * s->width, s->count - from), p, least(g->kc, g->to - p));
}

static long pack_tasks(const struct gemm *g, const struct side *s)
{
	return parts(panels_of(s), GROUP) * parts(g->to - g->from, g->kc);
}

static void pack_task(const void *ctx, long task, float *scratch)
{
	const struct gemm *g = ctx;
	long of_b = pack_tasks(g, &g->b);
	pack_group(g, task < of_b ? &g->b : &g->a, task < of_b ? task : task - of_b);
	(void)scratch;
}

// epilogue says where the sums of a block go.
struct epilogue {
	float *part; // partial sums
	long ldp;
	int first, last; // block of K
	const struct gemm *g;
};

// finish takes columns [j, j+VW) of n from (row, col) on: more partial sums, or the whole.
INLINE void finish(const struct epilogue *u, long row, long col, float *part, long j, long n, vf x)
{
	const struct gemm *g = u->g;
	long at = row * g->n + col;
	void *c = x_at(g->c, g->half_c, at);
	if (!u->first)
		x = v_get(part, j, n, 0) + x;
	else if (g->accumulate)
		x = x_get(c, g->half_c, j, n, 0) + x;
	if (u->first && g->bias != NULL)
		x += x_get(x_at(g->bias, g->half_bias, col), g->half_bias, j, n, 0);
	if (u->first && g->add != NULL)
		x += x_get(x_at(g->add, g->half_add, at), g->half_add, j, n, 0);
	if (u->last)
		x_put(c, g->half_c, j, n, x);
	else
		v_put(part, j, n, x);
}

// finish_panel takes the sums [rows][NR] of c[rows,cols] at (row, col).
static __attribute__((noinline)) void finish_panel(const struct epilogue *u, const float *sums,
						   long rows, long cols, long row, long col,
						   float *part)
{
	for (long i = 0; i < rows; i++, sums += NR, part += u->ldp)
		for (long j = 0; j < NR && j < cols; j += VW)
			finish(u, row + i, col, part, j, least(NR, cols), v_load(sums + j));
}

// straight says that the sums of a block are only set or added, as floats: no need of finish.
INLINE int straight(const struct epilogue *u)
{
	const struct gemm *g = u->g;
	int plain = !g->bias && !g->add && !(g->half_c && g->accumulate);
	return (!u->first || plain) && !(u->last && g->half_c);
}

// patch is one task's part of c, at (row, col), and the block of K it is at.
struct patch {
	struct epilogue out;
	const float *a; // panels; if a is read directly, only that of the last rows
	long row, col, m, n;
	long p, k;
	int straight, add;
};

// patch_panel makes c[i..i+MR, j..j+NR) of a patch from a panel of b.
INLINE void patch_panel(const struct patch *t, long i, long j, const float *b)
{
	const struct gemm *g = t->out.g;
	long rows = least(MR, t->m - i);
	float *part = t->out.part + i * t->out.ldp + j, sums[MR * NR];
	int straight = t->straight && t->n - j >= NR, add = straight && t->add;
	float *to = straight ? part : sums;
	long apart = straight ? t->out.ldp : NR;
	for (long r = 0; r < rows; r++)
		__builtin_prefetch(part + r * t->out.ldp, 1);
	if (!g->direct_a)
		micros[rows](t->k, t->a + i / MR * MR * g->a.high, MR, b, NR, to, apart, add);
	else if (rows < MR)
		micros[rows](t->k, t->a, MR, b, NR, to, apart, add);
	else
		micro_rows(t->k, (const float *)g->a.from + (t->row + i) * g->a.ld + t->p,
			   g->a.ld, b, to, apart, add);
	if (!straight)
		finish_panel(&t->out, sums, rows, t->n - j, t->row + i, t->col + j, part);
}

// patch_block adds a block of K to a patch.
static void patch_block(struct patch *t, long first_b, float *scratch)
{
	const struct gemm *g = t->out.g;
	long block = (t->p - g->from) / g->kc, tail = t->m / MR * MR;
	t->out.first = t->p == 0;
	t->out.last = t->p + t->k == g->k;
	t->straight = straight(&t->out);
	t->add = !t->out.first || g->accumulate;
	t->a = g->share_a ? packed(&g->a, t->row / MR, block) : scratch;
	if (!g->direct_a && !g->share_a)
		pack(&g->a, scratch, t->row, t->m, t->p, t->k);
	else if (g->direct_a && tail < t->m)
		pack(&g->a, scratch, t->row + tail, t->m - tail, t->p, t->k);
	for (long j = 0; j < t->n; j += NR) {
		const float *b = packed(&g->b, (first_b + j) / NR, block);
		for (long i = 0; i < t->m; i += MR) {
			// This panel's share of the next panel of b, on its way to the cache.
			for (long l = i * t->k / t->m; l < (i + MR) * t->k / t->m; l += LINE / NR)
				__builtin_prefetch(b + (g->b.high + l) * NR, 0, 2);
			patch_panel(t, i, j, b);
		}
	}
}

static void gemm_task(const void *ctx, long task, float *scratch)
{
	const struct gemm *g = ctx;
	long across = parts(g->b.count, g->nt);
	long i0 = task / across * g->mt, j0 = task % across * g->nt;
	struct patch t = { .row = i0,
			  .col = g->b.first + j0,
			  .m = least(g->mt, g->a.rows - i0),
			  .n = least(g->nt, g->b.count - j0) };
	t.out = (struct epilogue){ .part = (g->sums != NULL ? g->sums : (float *)g->c) +
					   i0 * g->n + t.col,
				   .ldp = g->n,
				   .g = g };
	if (g->own && g->sums == NULL) {
		t.out.part = scratch + parts(g->mt, MR) * MR * g->a.high;
		t.out.ldp = g->nt;
	}
	for (t.p = g->from; t.p < g->to; t.p += g->kc) {
		t.k = least(g->kc, g->to - t.p);
		patch_block(&t, j0, scratch);
	}
}

// cut_as sets the tiles for that many rows and columns of them; equal ones but for the last.
static void cut_as(struct gemm *g, long down, long across)
{
	g->mt = parts(parts(g->a.rows, down), MR) * MR;
	g->nt = parts(parts(g->b.count, across), NR) * NR;
}

// cut_cost is about how long the tiles take that fall to one of SOME threads: each of them as its
// part of c, with so much more for what it reads.
static long cut_cost(const struct gemm *g)
{
	long tiles = parts(g->a.rows, g->mt) * parts(g->b.count, g->nt);
	return parts(tiles, SOME) * (g->mt + MR) * (g->nt + 2 * NR);
}

// cut chooses tiles: enough of them, and in such numbers that no thread waits long for another's
// last.
static void cut(struct gemm *g)
{
	long down = parts(g->a.rows, MT), across = parts(g->b.count, NT);
	for (cut_as(g, down, across); down * across < ENOUGH; cut_as(g, down, across)) {
		if (g->nt > 4 * NR && (g->nt >= 2 * g->mt || g->mt <= 4 * MR))
			across = parts(g->b.count, parts(g->nt / 2, NR) * NR);
		else if (g->mt > 4 * MR)
			down = parts(g->a.rows, g->mt / 2);
		else
			break;
	}
	struct gemm best = *g;
	for (long i = 0; i < 9; i++) {
		cut_as(g, down + i / 3, across + i % 3);
		if (cut_cost(g) < cut_cost(&best))
			best = *g;
	}
	*g = best;
}

// gemm_pass does columns [b.first, b.first+b.count) over K [from, to). The shared panels of a are
// made in the first pass over N.
static int gemm_pass(struct engine *e, struct gemm *g)
{
	int make_a = g->share_a && g->b.first == 0;
	int why = engine_tasks(e, pack_task, g,
			       pack_tasks(g, &g->b) + (make_a ? pack_tasks(g, &g->a) : 0), 0);
	if (why != 0)
		return why;
	cut(g);
	int own = g->own && g->sums == NULL;
	size_t floats = (size_t)(parts(g->mt, MR) * MR * g->a.high + (own ? g->mt * g->nt : 0));
	return engine_tasks(e, gemm_task, g,
			    parts(g->a.rows, g->mt) * parts(g->b.count, g->nt), floats);
}

static int gemm_product(struct engine *e, struct gemm *g)
{
	g->kc = parts(parts(g->k, parts(g->k, KC)), 8) * 8;
	long wide = g->n, deep = parts(g->k, g->kc) * g->kc; // of a pass
	if (g->n > g->k)
		wide = parts(parts(g->n, parts(g->n, most(SHARED / g->k, NR))), NR) * NR;
	else
		deep = least(deep, most(SHARED / g->n / g->kc, 1) * g->kc);
	g->a.high = g->b.high = g->kc + 1;
	g->b.count = least(wide, g->n);
	cut(g);
	g->direct_a = g->a.along && !g->a.half && g->a.ld * sizeof(float) % PAGE != 0;
	g->share_a = !g->direct_a && parts(g->b.count, g->nt) > FEW &&
		     g->a.rows * least(deep, g->k) <= SHARED;
	long blocks = parts(least(deep, g->k), g->kc), floats_b = packed_floats(&g->b, blocks);
	long floats_a = g->share_a ? packed_floats(&g->a, blocks) : 0;
	long sums = g->own && deep < g->k ? g->a.rows * g->n : 0;
	g->a.packed = engine_shared(e, (size_t)(floats_a + floats_b + sums));
	if (g->a.packed == NULL)
		return FAIL_MEMORY;
	g->b.packed = g->a.packed + floats_a;
	g->sums = sums > 0 ? g->b.packed + floats_b : NULL;
	for (g->from = 0; g->from < g->k; g->from += deep) {
		g->to = least(g->k, g->from + deep);
		for (g->b.first = 0; g->b.first < g->n; g->b.first += wide) {
			g->b.count = least(wide, g->n - g->b.first);
			int why = gemm_pass(e, g);
			if (why != 0)
				return why;
		}
	}
	return 0;
}

// gemm_empty is the product over nothing: what is added to it remains.
static void gemm_empty(const struct gemm *g)
{
	struct epilogue u = { .first = 1, .last = 1, .g = g };
	for (long i = 0; i < g->a.rows; i++)
		for (long j = 0; j < g->n; j += VW)
			finish(&u, i, 0, NULL, j, g->n, v_set(0));
}

static struct gemm gemm_of(const struct op *o)
{
	long m = o->n[0], n = o->n[1], k = o->n[2];
	int ta = o->flag & 1, tb = (o->flag & 2) != 0;
	struct gemm g = { .a = { .from = any(o, 1), .half = half(o, 1), .ld = ta ? m : k,
				 .along = !ta, .rows = m, .width = MR, .count = m },
			  .b = { .from = any(o, 2), .half = half(o, 2), .ld = tb ? k : n,
				 .along = tb, .rows = n, .width = NR },
			  .c = any(o, 0), .add = any(o, 3), .bias = any(o, 4),
			  .half_c = half(o, 0), .half_add = half(o, 3), .half_bias = half(o, 4),
			  .n = n, .k = k, .accumulate = (o->flag & 4) != 0 };
	if (g.add == g.c && g.half_add == g.half_c && g.bias == NULL) {
		g.accumulate = 1;
		g.add = NULL;
	}
	g.own = k > KC && g.half_c;
	return g;
}

static int gemm(struct engine *e, const struct op *o)
{
	struct gemm g = gemm_of(o);
	if (g.a.rows == 0 || g.n == 0)
		return 0;
	if (g.k == 0) {
		gemm_empty(&g);
		return 0;
	}
	return gemm_product(e, &g);
}
