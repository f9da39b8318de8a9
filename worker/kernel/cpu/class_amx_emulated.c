// Class amx for tests: the same source over tiles in plain C and the generic vectors, so that
// packing, edges, epilogues and invariance are proved on hosts without tiles. No run may choose it.
//
// The dot product is that of the Intel SDM, volume 2, TDPBF16PS: for each row m and column n two
// sums start from zero, of the even and of the odd elements, each an FMA chain over the pairs of K;
// they are added, then added to the tile. Round to nearest even; subnormals are zero, in and out.

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "engine.h"
#include "scalar.h"

union tile {
	float sums[16][16];
	uint16_t halves[16][32];
	char bytes[16][64];
};

static _Thread_local union tile emulated[8];
static _Thread_local int configured;

static float flushed(float x)
{
	return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static float half_value(uint16_t h)
{
	uint32_t u = (uint32_t)h << 16;
	float x;
	memcpy(&x, &u, sizeof x);
	return flushed(x);
}

static void tile_load(int t, const void *p, long apart)
{
	for (int i = 0; i < 16 && configured; i++)
		memcpy(emulated[t].bytes[i], (const char *)p + i * apart, 64);
}

static void tile_store(int t, void *p, long apart)
{
	for (int i = 0; i < 16 && configured; i++)
		memcpy((char *)p + i * apart, emulated[t].bytes[i], 64);
}

static void tile_dot(int t, int a, int b)
{
	for (int m = 0; m < 16 && configured; m++)
		for (int n = 0; n < 16; n++) {
			float even = 0, odd = 0, *sum = &emulated[t].sums[m][n];
			for (int k = 0; k < 16; k++) {
				const uint16_t *x = &emulated[a].halves[m][2 * k];
				const uint16_t *y = &emulated[b].halves[k][2 * n];
				even = flushed(fmaf(half_value(x[0]), half_value(y[0]), even));
				odd = flushed(fmaf(half_value(x[1]), half_value(y[1]), odd));
			}
			*sum = flushed(flushed(*sum) + flushed(even + odd));
		}
}

#define TILE_CONFIG() (configured = 1)
#define TILE_DONE() (configured = 0)
#define TILE_ZERO(t) memset(&emulated[t], 0, sizeof emulated[t])
#define TILE_LOAD(t, p, apart) tile_load(t, p, apart)
#define TILE_STORE(t, p, apart) tile_store(t, p, apart)
#define TILE_DOT(t, a, b) tile_dot(t, a, b)

#include "vec_generic.h"
#define CLASS banyan_amx_emulated
#define CLASS_NAME "amx-emulated"
#include "kernels.h"
