// The body of one ISA class. A class file sets its compiler target, includes vec_<class>.h, names
// the class in CLASS and CLASS_NAME, and includes this. Everything is static but the class itself.

#include "vec.h"

#include "elementwise.h"
#include "norm.h"
#include "loss.h"
#include "gemm.h"
#if defined(TILE_DOT)
#include "amx.h"
#endif
#include "attention.h"
#include "dispatch.h"
