// The kernels as class neon.

#if defined(__aarch64__)
#include <stdint.h>
#include <string.h>

#include "engine.h"
#include "scalar.h"

#include "vec_neon.h"
#define CLASS banyan_neon
#define CLASS_NAME "neon"
#include "kernels.h"
#endif
