// The kernels as class generic.

#include <stdint.h>
#include <string.h>

#include "engine.h"
#include "scalar.h"

#include "vec_generic.h"
#define CLASS banyan_generic
#define CLASS_NAME "generic"
#include "kernels.h"
