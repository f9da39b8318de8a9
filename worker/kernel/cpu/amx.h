// Matrix product on tiles of bfloat16: c[M,N] = op(a)[M,K] * op(b)[K,N], a and b both halves, and
// what the op adds to it. Other products go to gemm.h.
//
// Whoever includes this has defined the operations on tiles: TILE_CONFIG(), TILE_DONE(),
// TILE_ZERO(t), TILE_LOAD(t, p, bytes apart), TILE_DOT(t, a, b) and TILE_STORE(t, p, bytes apart).
// They are instructions in class_amx.c, and C with the same meaning in class_amx_emulated.c.
//
//   phase 1   op(a) and op(b) go to panels of 32 rows of c (columns for b): for each 32 of K
//             two blocks.   block of a: [16 rows][32 of K]   of b: [16 pairs of K][16 columns][2]
//   phase 2   a task makes SPAN x SPAN panels: 32 x 32 of c in tiles 0..3, a in 4..5, b in 6..7
//
// Bits. An element of c is one chain over blocks of 32 of K in ascending order, whatever the cut;
// what happens inside a block is the instruction's matter. Subnormal operands, and subnormal sums,
// count as zero. Beyond the edges the blocks hold zeros.

#define SIDE_T 16               // rows or columns of a block
#define DEEP 32                 // of K in a block
#define BLOCK (SIDE_T * DEEP)   // halves
#define PANEL_T (2 * SIDE_T)    // rows or columns of a panel
#define SPAN 4                  // panels of a task, each way

struct amx {
	struct gemm g;       // operands and epilogue; not the cut
	uint16_t *a, *b;     // panels
	long blocks;         // of K
	long rows, cols;     // panels
};

// amx_half is element (i, p) of op(a), (p, i) of op(b): zero beyond the edges.
INLINE uint16_t amx_half(const struct side *s, long i, long p, long k)
{
	const uint16_t *from = s->from;
	if (i >= s->rows || p >= k)
		return 0;
	return s->along ? from[i * s->ld + p] : from[p * s->ld + i];
}

// amx_block copies the block at row (column) i and p of K; inside has no edge in it.
INLINE void amx_block(const struct side *s, const int paired, const int inside, uint16_t *to,
		      long i, long p, long k)
{
	const uint16_t *from = s->from;
	for (int r = 0; r < SIDE_T; r++)
		for (int q = 0; q < DEEP; q++) {
			int at = paired ? q / 2 * DEEP + 2 * r + q % 2 : r * DEEP + q;
			if (!inside)
				to[at] = amx_half(s, i + r, p + q, k);
			else if (s->along)
				to[at] = from[(i + r) * s->ld + p + q];
			else
				to[at] = from[(p + q) * s->ld + i + r];
		}
}

INLINE void amx_pack(const struct side *s, const int paired, uint16_t *to, long panel, long k)
{
	for (long p = 0; p < k; p += DEEP)
		for (long i = panel * PANEL_T; i < (panel + 1) * PANEL_T; i += SIDE_T, to += BLOCK) {
			if (i + SIDE_T <= s->rows && p + DEEP <= k)
				amx_block(s, paired, 1, to, i, p, k);
			else
				amx_block(s, paired, 0, to, i, p, k);
		}
}

static void amx_pack_task(const void *ctx, long task, float *scratch)
{
	const struct amx *x = ctx;
	long size = x->blocks * 2 * BLOCK, j = task - x->rows;
	if (task < x->rows)
		amx_pack(&x->g.a, 0, x->a + task * size, task, x->g.k);
	else
		amx_pack(&x->g.b, 1, x->b + j * size, j, x->g.k);
	(void)scratch;
}

// amx_sums computes sums[32][32] from a panel of a and one of b.
INLINE void amx_sums(float *sums, const uint16_t *a, const uint16_t *b, long blocks)
{
	TILE_ZERO(0);
	TILE_ZERO(1);
	TILE_ZERO(2);
	TILE_ZERO(3);
	for (long p = 0; p < blocks; p++, a += 2 * BLOCK, b += 2 * BLOCK) {
		TILE_LOAD(4, a, 64);
		TILE_LOAD(6, b, 64);
		TILE_LOAD(5, a + BLOCK, 64);
		TILE_LOAD(7, b + BLOCK, 64);
		TILE_DOT(0, 4, 6);
		TILE_DOT(1, 4, 7);
		TILE_DOT(2, 5, 6);
		TILE_DOT(3, 5, 7);
	}
	TILE_STORE(0, sums, 128);
	TILE_STORE(1, sums + SIDE_T, 128);
	TILE_STORE(2, sums + SIDE_T * PANEL_T, 128);
	TILE_STORE(3, sums + SIDE_T * PANEL_T + SIDE_T, 128);
}

static void amx_task(const void *ctx, long task, float *sums)
{
	const struct amx *x = ctx;
	const struct epilogue u = { .first = 1, .last = 1, .g = &x->g };
	long across = parts(x->cols, SPAN), size = x->blocks * 2 * BLOCK;
	long i0 = task / across * SPAN, j0 = task % across * SPAN;
	TILE_CONFIG();
	for (long j = j0; j < least(x->cols, j0 + SPAN); j++)
		for (long i = i0; i < least(x->rows, i0 + SPAN); i++) {
			long row = i * PANEL_T, col = j * PANEL_T, n = least(PANEL_T, x->g.n - col);
			amx_sums(sums, x->a + i * size, x->b + j * size, x->blocks);
			for (long r = 0; r < least(PANEL_T, x->g.a.rows - row); r++)
				for (long c = 0; c < n; c += VW)
					finish(&u, row + r, col, NULL, c, n,
					       v_load(sums + r * PANEL_T + c));
		}
	TILE_DONE(); // an idle thread carries no tiles
}

static int amx_gemm(struct engine *e, const struct op *o)
{
	struct amx x = { .g = gemm_of(o) };
	if (!x.g.a.half || !x.g.b.half || x.g.a.rows == 0 || x.g.n == 0 || x.g.k == 0)
		return gemm(e, o);
	x.blocks = parts(x.g.k, DEEP);
	x.rows = parts(x.g.a.rows, PANEL_T);
	x.cols = parts(x.g.n, PANEL_T);
	long size = x.blocks * 2 * BLOCK; // halves: two of them are a float of scratch
	x.a = (uint16_t *)engine_shared(e, (size_t)((x.rows + x.cols) * size / 2));
	if (x.a == NULL)
		return FAIL_MEMORY;
	x.b = x.a + x.rows * size;
	int why = engine_tasks(e, amx_pack_task, &x, x.rows + x.cols, 0);
	if (why != 0)
		return why;
	return engine_tasks(e, amx_task, &x, parts(x.rows, SPAN) * parts(x.cols, SPAN),
			    PANEL_T * PANEL_T);
}

// tile_probe does rounds of four products of tiles of ones, and returns the operations done, or 0
// if the sums are wrong: both the ceiling for amx_gemm and the proof that the host executes tiles.
static double tile_probe(long rounds)
{
	uint16_t ones[BLOCK];
	float sums[SIDE_T * SIDE_T];
	for (int i = 0; i < BLOCK; i++)
		ones[i] = 0x3f80;
	TILE_CONFIG();
	TILE_ZERO(0);
	TILE_ZERO(1);
	TILE_ZERO(2);
	TILE_ZERO(3);
	TILE_LOAD(4, ones, 64);
	TILE_LOAD(6, ones, 64);
	for (long r = 0; r < rounds; r++) {
		TILE_DOT(0, 4, 6);
		TILE_DOT(1, 4, 6);
		TILE_DOT(2, 4, 6);
		TILE_DOT(3, 4, 6);
	}
	TILE_STORE(3, sums, 64);
	TILE_DONE();
	const long exact = 1L << 24; // beyond it a sum of ones stands still
	for (int i = 0; i < SIDE_T * SIDE_T; i++)
		if (sums[i] != (float)least(rounds * DEEP, exact))
			return 0;
	return 4.0 * 2 * SIDE_T * SIDE_T * DEEP * (double)rounds;
}

#define MATMUL amx_gemm
#define PROBE tile_probe
