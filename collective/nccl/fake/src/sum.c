// The sums. The order of addition begins behind the owner of a block, as a ring does it: so it
// depends on the number of ranks, which is why the reproducible reduction does not use it.
#include "fake.h"

int can_reduce(ncclDataType_t type, ncclRedOp_t r)
{
	return (type == ncclFloat32 || type == ncclFloat64) &&
	       (r == ncclSum || r == ncclMax || r == ncclMin);
}

#define COMBINE(T)                                                                         \
	static T combine_##T(T a, T b, ncclRedOp_t r)                                      \
	{                                                                                  \
		return r == ncclSum ? a + b : (r == ncclMax) == (a > b) ? a : b;           \
	}                                                                                  \
	static void reduce_##T(const part *p, int ranks)                                   \
	{                                                                                  \
		const T *in = (const T *)p->scratch;                                       \
		T *out = (T *)p->out;                                                      \
		for (uint64_t i = 0; i < p->count; i++) {                                  \
			int block = (int)(i * (uint64_t)p->blocks / p->count);             \
			int at = (p->owner + block + 1) % ranks;                           \
			T sum = in[(uint64_t)at * p->count + i];                           \
			for (int k = 1; k < ranks; k++) {                                  \
				at = (at + 1) % ranks;                                     \
				sum = combine_##T(sum, in[(uint64_t)at * p->count + i],    \
						  p->reduction);                           \
			}                                                                  \
			out[i] = sum;                                                      \
		}                                                                          \
	}

COMBINE(float)
COMBINE(double)

void reduce(const part *p, int ranks)
{
	if (p->type == ncclFloat32)
		reduce_float(p, ranks);
	else
		reduce_double(p, ranks);
}
