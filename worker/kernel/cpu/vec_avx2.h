// Vectors of 8 floats in 16 registers.

#define VW 8
#define MR 6 // rows of the matrix micro-kernel: 12 sums, 2 columns, 1 broadcast, 1 spare
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef float vfu __attribute__((vector_size(32), aligned(4), may_alias));

static inline vf v_set(float x) { return _mm256_set1_ps(x); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }

// The lower (upper) halves of a and b, lane by lane in turn.
#define V_LOWER(a, b) \
	__builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define V_UPPER(a, b) \
	__builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
