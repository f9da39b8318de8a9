// Vectors of 4 floats in 32 registers, with the fused multiply-add that every arm64 host has.

#include <arm_neon.h>

#define VW 4
#define MR 4 // rows of the matrix micro-kernel; a panel of a is one vector wide
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef float vfu __attribute__((vector_size(16), aligned(4), may_alias));

static inline vf v_set(float x) { return (vf)vdupq_n_f32(x); }
static inline vf v_fma(vf a, vf b, vf c)
{
	return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
static inline vf v_sqrt(vf a) { return (vf)vsqrtq_f32((float32x4_t)a); }

// The lower (upper) halves of a and b, lane by lane in turn.
#define V_LOWER(a, b) \
	__builtin_shufflevector(a, b, 0, 4, 1, 5)
#define V_UPPER(a, b) \
	__builtin_shufflevector(a, b, 2, 6, 3, 7)
