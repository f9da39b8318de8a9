// Vectors of 4 floats for any architecture, left to the compiler. Product and sum are rounded
// each: not every host has a fused multiply-add, and all hosts of a class must agree on the bits.

#define VW 4
#define MR 4
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef float vfu __attribute__((vector_size(16), aligned(4), may_alias));

static inline vf v_set(float x) { return (vf){ x, x, x, x }; }
static inline vf v_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf v_sqrt(vf a)
{
	for (int i = 0; i < VW; i++)
		a[i] = __builtin_sqrtf(a[i]);
	return a;
}

// The lower (upper) halves of a and b, lane by lane in turn.
#define V_LOWER(a, b) \
	__builtin_shufflevector(a, b, 0, 4, 1, 5)
#define V_UPPER(a, b) \
	__builtin_shufflevector(a, b, 2, 6, 3, 7)
