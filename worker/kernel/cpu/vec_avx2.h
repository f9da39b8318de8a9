// Vectors of 8 floats in 16 registers.

#define VW 8
#define MR 6 // rows of the matrix micro-kernel: 12 sums, 2 columns, 1 broadcast, 1 spare
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef float vfu __attribute__((vector_size(32), aligned(4), may_alias));

static inline vf v_set(float x) { return _mm256_set1_ps(x); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }

// What vec.h says in general, in one instruction each.
#define V_SELECT
static inline vf v_select(vi mask, vf yes, vf no)
{
	return _mm256_blendv_ps(no, yes, (__m256)mask);
}
#define V_GREATER
static inline vf v_greater(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf v_lesser(vf a, vf b) { return _mm256_min_ps(a, b); }
#define V_LOW(u)                                                  \
	_mm_packus_epi32(_mm256_castsi256_si128((__m256i)(u)), \
			 _mm256_extracti128_si256((__m256i)(u), 1))

// The lower (upper) halves of a and b, lane by lane in turn.
#define V_LOWER(a, b) \
	__builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define V_UPPER(a, b) \
	__builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)

// v_transpose transposes 8 x 8 in 24 shuffles; the general one of vec.h takes twice as many here.
#define V_TRANSPOSE
static inline void v_transpose(vf r[8])
{
	vf a[8], b[8];
#pragma GCC unroll 4
	for (int i = 0; i < 8; i += 2) {
		a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
		a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
	}
#pragma GCC unroll 2
	for (int i = 0; i < 8; i += 4) {
		b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
		b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
		b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
		b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		r[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
		r[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
	}
}
