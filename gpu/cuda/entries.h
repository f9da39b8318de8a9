// Every function of libcuda that we call.
//
// CUDA_ENTRIES calls X(name, since, optional, parameters) for each; all return CUresult. since is
// the version of CUDA whose driver first had it under this name: names with _v2 are the functions
// that CUDA's header means when it says the name without it. The tables of docs/GPU.md are held
// against this list by a test.

#ifndef BANYAN_CUDA_ENTRIES_H
#define BANYAN_CUDA_ENTRIES_H

#define CUDA_ENTRIES(X)                                                                      \
	X(cuInit, 2000, 0, (unsigned flags))                                                 \
	X(cuDriverGetVersion, 2020, 0, (int *version))                                       \
	X(cuGetErrorName, 6000, 0, (CUresult error, const char **text))                      \
	X(cuGetErrorString, 6000, 0, (CUresult error, const char **text))                    \
	X(cuDeviceGetCount, 2000, 0, (int *count))                                           \
	X(cuDeviceGet, 2000, 0, (CUdevice * device, int ordinal))                            \
	X(cuDeviceGetName, 2000, 0, (char *name, int len, CUdevice device))                  \
	X(cuDeviceGetUuid_v2, 11040, 0, (CUuuid * uuid, CUdevice device))                    \
	X(cuDeviceGetPCIBusId, 4010, 0, (char *id, int len, CUdevice device))                \
	X(cuDeviceTotalMem_v2, 3020, 0, (size_t *bytes, CUdevice device))                    \
	X(cuDeviceGetAttribute, 2000, 0,                                                     \
	  (int *value, CUdevice_attribute attribute, CUdevice device))                       \
	X(cuDevicePrimaryCtxRetain, 7000, 0, (CUcontext * context, CUdevice device))         \
	X(cuDevicePrimaryCtxRelease_v2, 11000, 0, (CUdevice device))                         \
	X(cuDevicePrimaryCtxSetFlags_v2, 11000, 0, (CUdevice device, unsigned flags))        \
	X(cuCtxSetCurrent, 4000, 0, (CUcontext context))                                     \
	X(cuCtxGetStreamPriorityRange, 5050, 0, (int *least, int *greatest))                 \
	X(cuMemGetInfo_v2, 3020, 0, (size_t *free, size_t *total))                           \
	X(cuMemAlloc_v2, 3020, 0, (CUdeviceptr * at, size_t bytes))                          \
	X(cuMemFree_v2, 3020, 0, (CUdeviceptr at))                                           \
	X(cuMemHostAlloc, 2020, 0, (void **at, size_t bytes, unsigned flags))                \
	X(cuMemFreeHost, 2000, 0, (void *at))                                                \
	X(cuMemcpyHtoDAsync_v2, 3020, 0,                                                     \
	  (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))                 \
	X(cuMemcpyDtoHAsync_v2, 3020, 0,                                                     \
	  (void *to, CUdeviceptr from, size_t bytes, CUstream stream))                       \
	X(cuMemcpyDtoDAsync_v2, 3020, 0,                                                     \
	  (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))                 \
	X(cuMemsetD8Async, 3020, 0,                                                          \
	  (CUdeviceptr to, unsigned char value, size_t n, CUstream stream))                  \
	X(cuMemsetD16Async, 3020, 0,                                                         \
	  (CUdeviceptr to, unsigned short value, size_t n, CUstream stream))                 \
	X(cuMemsetD32Async, 3020, 0,                                                         \
	  (CUdeviceptr to, unsigned value, size_t n, CUstream stream))                       \
	X(cuStreamCreateWithPriority, 5050, 0,                                               \
	  (CUstream * stream, unsigned flags, int priority))                                 \
	X(cuStreamDestroy_v2, 4000, 0, (CUstream stream))                                    \
	X(cuStreamWaitEvent, 3020, 0, (CUstream stream, CUevent event, unsigned flags))      \
	X(cuLaunchHostFunc, 10000, 0, (CUstream stream, CUhostFn fn, void *arg))             \
	X(cuEventCreate, 2000, 0, (CUevent * event, unsigned flags))                         \
	X(cuEventRecord, 2000, 0, (CUevent event, CUstream stream))                          \
	X(cuEventQuery, 2000, 0, (CUevent event))                                            \
	X(cuEventElapsedTime, 2000, 0, (float *ms, CUevent start, CUevent end))              \
	X(cuEventDestroy_v2, 4000, 0, (CUevent event))                                       \
	X(cuModuleLoadData, 2000, 0, (CUmodule * module, const void *image))                 \
	X(cuModuleUnload, 2000, 0, (CUmodule module))                                        \
	X(cuModuleGetFunction, 2000, 0,                                                      \
	  (CUfunction * function, CUmodule module, const char *name))                        \
	X(cuFuncGetAttribute, 2020, 0,                                                       \
	  (int *value, CUfunction_attribute attribute, CUfunction function))                 \
	X(cuFuncGetParamInfo, 12040, 1,                                                      \
	  (CUfunction function, size_t index, size_t *offset, size_t *size))                 \
	X(cuLaunchKernel, 4000, 0,                                                           \
	  (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,           \
	   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,            \
	   CUstream stream, void **parameters, void **extra))

#endif
