// The kernels as class amx: those of avx512, and products of halves on tiles.
//
// The tiles are written as assembly: intrinsics differ between compilers. A compiler that is too
// old for them builds without this class.

#include "amx_build.h"

#if BANYAN_AMX
#include <stdint.h>
#include <string.h>

#include "engine.h"
#include "scalar.h"

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw," \
						   "avx2,fma,amx-tile,amx-bf16"))), \
			     apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,amx-tile,amx-bf16")
#endif

// Palette 1: all eight tiles are 16 rows of 64 bytes. (Intel SDM, volume 1, chapter 18.)
static const struct {
	uint8_t palette, start, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
} tile_config = { .palette = 1, .row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
		  .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };

#define TILE_CONFIG() __asm__ volatile("ldtilecfg %0" ::"m"(tile_config))
#define TILE_DONE() __asm__ volatile("tilerelease" ::: "memory")
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::: "memory")
#define TILE_LOAD(t, p, apart)                                                               \
	__asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"((long)(apart)) : "memory")
#define TILE_STORE(t, p, apart)                                                              \
	__asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), "r"((long)(apart)) : "memory")
#define TILE_DOT(t, a, b) \
	__asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #t ::: "memory")

#include "vec_avx512.h"
#define CLASS banyan_amx
#define CLASS_NAME "amx"
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
