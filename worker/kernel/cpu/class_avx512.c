// The kernels as class avx512.

#if defined(__x86_64__)
#include <stdint.h>
#include <string.h>

#include "engine.h"
#include "scalar.h"

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw," \
						   "avx2,fma"))), \
			     apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")
#endif

#include "vec_avx512.h"
#define CLASS banyan_avx512
#define CLASS_NAME "avx512"
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
