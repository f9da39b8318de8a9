// What libraries other than libcuda and libnvrtc tell of themselves.

#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

#ifndef NCCL
#define NCCL 23007
#endif

EXPORT int ncclGetVersion(int *version)
{
	*version = NCCL;
	return 0;
}

EXPORT size_t cublasLtGetVersion(void) { return 130401; }
EXPORT size_t cudnnGetVersion(void) { return 92600; }
