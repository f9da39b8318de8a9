// The part of the CUDA driver API that we use, declared by hand: no header of CUDA is needed to
// build. Names, sizes and values are those of NVIDIA's cuda.h; `make peers` holds them against it
// (scripts/gpu_headers.py).

#ifndef BANYAN_CUDA_TYPES_H
#define BANYAN_CUDA_TYPES_H

#include <stddef.h>

// Those who hold the lists below against NVIDIA's header have included that before.
#ifndef BANYAN_REAL_HEADERS
typedef int CUresult;
typedef int CUdevice;
typedef int CUdevice_attribute;
typedef int CUfunction_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUevent_st *CUevent;
typedef struct CUstream_st *CUstream;
typedef struct CUuuid_st {
	char bytes[16];
} CUuuid;
typedef void (*CUhostFn)(void *userData);
#endif

// CUDA_CONSTANTS calls X(name, value) for each value that we give or understand.
#define CUDA_CONSTANTS(X)                                     \
	X(CUDA_SUCCESS, 0)                                    \
	X(CUDA_ERROR_INVALID_VALUE, 1)                        \
	X(CUDA_ERROR_OUT_OF_MEMORY, 2)                        \
	X(CUDA_ERROR_NOT_INITIALIZED, 3)                      \
	X(CUDA_ERROR_NO_DEVICE, 100)                          \
	X(CUDA_ERROR_INVALID_DEVICE, 101)                     \
	X(CUDA_ERROR_INVALID_IMAGE, 200)                      \
	X(CUDA_ERROR_INVALID_CONTEXT, 201)                    \
	X(CUDA_ERROR_NO_BINARY_FOR_GPU, 209)                  \
	X(CUDA_ERROR_INVALID_HANDLE, 400)                     \
	X(CUDA_ERROR_NOT_FOUND, 500)                          \
	X(CUDA_ERROR_NOT_READY, 600)                          \
	X(CUDA_ERROR_ILLEGAL_ADDRESS, 700)                    \
	X(CUDA_ERROR_LAUNCH_FAILED, 719)                      \
	X(CUDA_ERROR_NOT_PERMITTED, 800)                      \
	X(CUDA_ERROR_UNKNOWN, 999)                            \
	X(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1)       \
	X(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)       \
	X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75)   \
	X(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76)   \
	X(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0)         \
	X(CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, 3)              \
	X(CU_FUNC_ATTRIBUTE_NUM_REGS, 4)                      \
	X(CU_CTX_SCHED_BLOCKING_SYNC, 4)                      \
	X(CU_STREAM_NON_BLOCKING, 1)                          \
	X(CU_EVENT_DEFAULT, 0)                                \
	X(CU_EVENT_DISABLE_TIMING, 2)                         \
	X(CU_MEMHOSTALLOC_PORTABLE, 1)

#ifndef BANYAN_REAL_HEADERS
enum {
#define X(name, value) name = value,
	CUDA_CONSTANTS(X)
#undef X
};
#endif

// CUDA_TYPES calls X(type) for each type whose size matters.
#define CUDA_TYPES(X)           \
	X(CUresult)             \
	X(CUdevice)             \
	X(CUdevice_attribute)   \
	X(CUfunction_attribute) \
	X(CUdeviceptr)          \
	X(CUcontext)            \
	X(CUmodule)             \
	X(CUfunction)           \
	X(CUevent)              \
	X(CUstream)             \
	X(CUuuid)               \
	X(CUhostFn)

#endif
