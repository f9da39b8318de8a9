// The part of NVRTC that we use, declared by hand as gpu/cuda/types.h is, and held against NVIDIA's
// nvrtc.h in the same way.

#ifndef BANYAN_NVRTC_TYPES_H
#define BANYAN_NVRTC_TYPES_H

#include <stddef.h>

#ifndef BANYAN_REAL_HEADERS
typedef int nvrtcResult;
typedef struct _nvrtcProgram *nvrtcProgram;
#endif

#define NVRTC_CONSTANTS(X)                          \
	X(NVRTC_SUCCESS, 0)                         \
	X(NVRTC_ERROR_PROGRAM_CREATION_FAILURE, 2)  \
	X(NVRTC_ERROR_INVALID_INPUT, 3)             \
	X(NVRTC_ERROR_INVALID_OPTION, 5)            \
	X(NVRTC_ERROR_COMPILATION, 6)               \
	X(NVRTC_ERROR_BUILTIN_OPERATION_FAILURE, 7) \
	X(NVRTC_ERROR_INTERNAL_ERROR, 11)

#ifndef BANYAN_REAL_HEADERS
enum {
#define X(name, value) name = value,
	NVRTC_CONSTANTS(X)
#undef X
};
#endif

#define NVRTC_TYPES(X) \
	X(nvrtcResult) \
	X(nvrtcProgram)

#endif
