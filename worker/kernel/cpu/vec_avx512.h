// Vectors of 16 floats in 32 registers.

#define VW 16
#define MR 14 // rows of the matrix micro-kernel: 28 sums, 2 columns, 2 spare
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef float vfu __attribute__((vector_size(64), aligned(4), may_alias));

static inline vf v_set(float x) { return _mm512_set1_ps(x); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }

// What vec.h says in general, in one instruction each.
#define V_GREATER
static inline vf v_greater(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf v_lesser(vf a, vf b) { return _mm512_min_ps(a, b); }

// The lower (upper) halves of a and b, lane by lane in turn.
#define V_LOWER(a, b) \
	__builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define V_UPPER(a, b) \
	__builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
