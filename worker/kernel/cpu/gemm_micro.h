// The micro-kernel: up to MR x NR sums in registers, one row of a panel of a and of b per k.
//
// Each sum is one chain of FMAs in ascending k from zero. What becomes of the sums is the
// caller's matter: attention stores or adds them (panel), the matrix product has an epilogue.

// chain computes sum[rows][NR] of a[k][>=rows] and b[k][NR], whose rows are ak and bk apart.
INLINE void chain(const int rows, long k, const float *a, long ak, const float *b, long bk,
		  vf sum[MR][NV])
{
#pragma GCC unroll 16
	for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
		for (int j = 0; j < NV; j++)
			sum[i][j] = v_set(0);
#pragma GCC unroll 4
	for (long p = 0; p < k; p++, a += ak, b += bk) {
		vf col[NV];
		__builtin_prefetch(a + 16 * ak); // it streams from the second-level cache
#pragma GCC unroll 4
		for (int j = 0; j < NV; j++)
			col[j] = v_load(b + j * VW);
#pragma GCC unroll 16
		for (int i = 0; i < rows; i++) {
			vf x = v_set(a[i]);
#pragma GCC unroll 4
			for (int j = 0; j < NV; j++)
				sum[i][j] = v_fma(x, col[j], sum[i][j]);
		}
	}
}

// BY_ROWS declares make(rows) for every number of rows and table[rows], their functions name_rows.
#if MR == 4
#define BY_ROWS(make, type, table, f)                                                             \
	make(1) make(2) make(3) make(4)                                                           \
	static const type table[MR + 1] = { 0, f##1, f##2, f##3, f##4 };
#elif MR == 6
#define BY_ROWS(make, type, table, f)                                                             \
	make(1) make(2) make(3) make(4) make(5) make(6)                                           \
	static const type table[MR + 1] = { 0, f##1, f##2, f##3, f##4, f##5, f##6 };
#elif MR == 8
#define BY_ROWS(make, type, table, f)                                                             \
	make(1) make(2) make(3) make(4) make(5) make(6) make(7) make(8)                           \
	static const type table[MR + 1] = { 0,	  f##1, f##2, f##3, f##4,                         \
					    f##5, f##6, f##7, f##8 };
#elif MR == 14
#define BY_ROWS(make, type, table, f)                                                             \
	make(1) make(2) make(3) make(4) make(5) make(6) make(7) make(8) make(9) make(10)          \
	make(11) make(12) make(13) make(14)                                                       \
	static const type table[MR + 1] = { 0,	  f##1, f##2,  f##3,  f##4,  f##5,  f##6, f##7,   \
					    f##8, f##9, f##10, f##11, f##12, f##13, f##14 };
#endif

typedef void (*micro_fn)(long k, const float *a, long ak, const float *b, long bk, float *c,
			 long ldc, int add);

// micro_<rows> sets (or adds to) c[rows,NR].
#define MICRO(rows)                                                                               \
	static void micro_##rows(long k, const float *a, long ak, const float *b, long bk,        \
				 float *c, long ldc, int add)                                     \
	{                                                                                         \
		vf sum[MR][NV];                                                                   \
		chain(rows, k, a, ak, b, bk, sum);                                                \
		_Pragma("GCC unroll 16") for (int i = 0; i < rows; i++)                           \
			_Pragma("GCC unroll 4") for (int j = 0; j < NV; j++)                      \
		{                                                                                 \
			float *to = c + i * ldc + j * VW;                                         \
			v_store(to, add ? v_load(to) + sum[i][j] : sum[i][j]);                    \
		}                                                                                 \
	}

BY_ROWS(MICRO, micro_fn, micros, micro_)

// transpose_strip copies src[n][k] (rows ld apart) to dst[k][>=VW], rows of width, zeros in columns
// [n,VW).
INLINE void transpose_strip(const long n, float *dst, long width, const void *src, const int half,
			    long ld, long k)
{
	vf square[VW];
	for (long p = 0; p < k; p += VW, dst += VW * width) {
#pragma GCC unroll 16
		for (int j = 0; j < VW; j++)
			square[j] = j < n ? x_get(x_at(src, half, j * ld), half, p, k, 0) : v_set(0);
		v_transpose(square);
		if (__builtin_expect(p + VW <= k, 1)) {
#pragma GCC unroll 16
			for (int j = 0; j < VW; j++)
				v_store(dst + j * width, square[j]);
			continue;
		}
		for (int j = 0; p + j < k; j++)
			v_store(dst + j * width, square[j]);
	}
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
