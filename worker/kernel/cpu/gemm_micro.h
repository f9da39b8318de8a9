// The micro-kernel: up to MR x NR sums in registers, one row of a panel of a and of b per k.
//
// Each sum is one chain of FMAs in ascending k from zero. What becomes of the sums is the
// caller's matter: attention adds them where they belong, the matrix product has an epilogue.

// chain computes sum[rows][NR] of a and b[k][NR], bk apart; element (i, p) of a is at i*ai + p*ak.
INLINE void chain(const int rows, long k, const float *a, const long ai, const long ak,
		  const float *b, long bk, vf sum[MR][NV])
{
#pragma GCC unroll 16
	for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
		for (int j = 0; j < NV; j++)
			sum[i][j] = v_set(0);
#pragma GCC unroll 4
	for (long p = 0; p < k; p++, a += ak, b += bk) {
		vf col[NV];
		if (ai == 1)
			__builtin_prefetch(a + 16 * ak); // from the second-level cache
#pragma GCC unroll 4
		for (int j = 0; j < NV; j++)
			col[j] = v_load(b + j * VW);
#pragma GCC unroll 16
		for (int i = 0; i < rows; i++) {
			vf x = v_set(a[i * ai]);
#pragma GCC unroll 4
			for (int j = 0; j < NV; j++)
				sum[i][j] = v_fma(x, col[j], sum[i][j]);
		}
	}
}

// sums_out sets (or adds to) c[rows,NR].
INLINE void sums_out(const int rows, vf sum[MR][NV], float *c, long ldc, int add)
{
#pragma GCC unroll 16
	for (int i = 0; i < rows; i++, c += ldc)
#pragma GCC unroll 4
		for (int j = 0; j < NV; j++)
			v_store(c + j * VW, add ? v_load(c + j * VW) + sum[i][j] : sum[i][j]);
}

typedef void (*micro_fn)(long k, const float *a, long ak, const float *b, long bk, float *c,
			 long ldc, int add);

// micro_<rows> sets (or adds to) c[rows,NR].
#define MICRO(rows)                                                                               \
	static void micro_##rows(long k, const float *a, long ak, const float *b, long bk,        \
				 float *c, long ldc, int add)                                     \
	{                                                                                         \
		vf sum[MR][NV];                                                                   \
		chain(rows, k, a, 1, ak, b, bk, sum);                                             \
		sums_out(rows, sum, c, ldc, add);                                                 \
	}
#define MICRO_NAME(rows) micro_##rows,

#if MR == 4
#define EACH_ROWS(x) x(1) x(2) x(3) x(4)
#elif MR == 6
#define EACH_ROWS(x) x(1) x(2) x(3) x(4) x(5) x(6)
#elif MR == 14
#define EACH_ROWS(x) \
	x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14)
#endif

EACH_ROWS(MICRO)

// micro_rows is micro_<MR> for rows of a that lie along K in storage, lda apart.
static void micro_rows(long k, const float *a, long lda, const float *b, float *c, long ldc,
		       int add)
{
	vf sum[MR][NV];
	chain(MR, k, a, lda, 1, b, NR, sum);
	sums_out(MR, sum, c, ldc, add);
}

static const micro_fn micros[MR + 1] = { 0, EACH_ROWS(MICRO_NAME) };

// transpose_strip copies src[n][k] (rows ld apart) to dst[k][>=VW], rows of width, zeros in columns
// [n,VW).
INLINE void transpose_strip(const long n, float *dst, long width, const void *src, const int half,
			    long ld, long k)
{
	vf square[VW];
	long p = 0;
	for (; p + VW <= k; p += VW, dst += VW * width) {
#pragma GCC unroll 16
		for (int j = 0; j < VW; j++)
			square[j] = j < n ? x_load(x_at(src, half, j * ld), half, p) : v_set(0);
		v_transpose(square);
#pragma GCC unroll 16
		for (int j = 0; j < VW; j++)
			v_store(dst + j * width, square[j]);
	}
	for (; p < k; p++, dst += width)
		for (int j = 0; j < VW; j++)
			dst[j] = j < n ? x_one(src, half, j * ld + p) : 0;
}

INLINE void transpose_of(float *dst, long width, const void *src, const int half, long ld,
			 long rows, long k)
{
	for (long i = 0; i < width; i += VW, src = x_at(src, half, VW * ld)) {
		long n = rows - i;
		if (n >= VW)
			transpose_strip(VW, dst + i, width, src, half, ld, k);
		else if (n == MR % VW)
			transpose_strip(MR % VW, dst + i, width, src, half, ld, k);
		else
			transpose_strip(n, dst + i, width, src, half, ld, k);
	}
}

// transpose copies src[rows][k] (rows ld apart) to dst[k][width], zeros in columns >= rows. width
// is whole vectors.
static void transpose(float *dst, long width, const void *src, long ld, long rows, long k)
{
	transpose_of(dst, width, src, 0, ld, rows, k);
}

// transpose_halves widens what it copies.
static void transpose_halves(float *dst, long width, const void *src, long ld, long rows, long k)
{
	transpose_of(dst, width, src, 1, ld, rows, k);
}
