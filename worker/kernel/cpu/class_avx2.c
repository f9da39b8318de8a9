// The kernels as class avx2.

#if defined(__x86_64__)
#include <stdint.h>
#include <string.h>

#include "engine.h"
#include "scalar.h"

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), \
			     apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#include "vec_avx2.h"
#define CLASS banyan_avx2
#define CLASS_NAME "avx2"
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
