// The calls that Go makes one at a time: what is not in a list of commands.

#include "shim.h"

#define OK ((struct failed){ 0, NULL })

// TRY leaves the function if a call fails, with its name.
#define TRY(function, ...)                                            \
	do {                                                          \
		int code_ = api->function(__VA_ARGS__);               \
		if (code_ != CUDA_SUCCESS)                            \
			return (struct failed){ code_, #function };   \
	} while (0)

struct failed cuda_start(const struct cuda *api, int *version, int *devices)
{
	TRY(cuDriverGetVersion, version);
	TRY(cuInit, 0);
	TRY(cuDeviceGetCount, devices);
	return OK;
}

struct failed cuda_describe(const struct cuda *api, int ordinal, struct cuda_info *info)
{
	CUdevice d;
	TRY(cuDeviceGet, &d, ordinal);
	info->device = d;
	TRY(cuDeviceGetName, info->name, sizeof info->name, d);
	TRY(cuDeviceGetPCIBusId, info->pci, sizeof info->pci, d);
	TRY(cuDeviceGetUuid_v2, &info->uuid, d);
	TRY(cuDeviceTotalMem_v2, &info->memory, d);
	TRY(cuDeviceGetAttribute, &info->major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d);
	TRY(cuDeviceGetAttribute, &info->minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d);
	TRY(cuDeviceGetAttribute, &info->multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
	    d);
	return OK;
}

struct failed cuda_open(const struct cuda *api, CUdevice device, const char *urgent,
			CUcontext *context, CUstream *streams)
{
	// A thread that does wait for the device sleeps: the cores are for tokenizing.
	TRY(cuDevicePrimaryCtxSetFlags_v2, device, CU_CTX_SCHED_BLOCKING_SYNC);
	TRY(cuDevicePrimaryCtxRetain, context, device);
	int code = api->cuCtxSetCurrent(*context);
	const char *in = "cuCtxSetCurrent";
	int least = 0, greatest = 0;
	if (code == CUDA_SUCCESS) {
		in = "cuCtxGetStreamPriorityRange";
		code = api->cuCtxGetStreamPriorityRange(&least, &greatest);
	}
	for (int i = 0; i < CUDA_STREAMS && code == CUDA_SUCCESS; i++) {
		in = "cuStreamCreateWithPriority";
		code = api->cuStreamCreateWithPriority(&streams[i], CU_STREAM_NON_BLOCKING,
						       urgent[i] ? greatest : least);
	}
	if (code == CUDA_SUCCESS)
		return OK;
	cuda_shut(api, device, streams);
	return (struct failed){ code, in };
}

struct failed cuda_shut(const struct cuda *api, CUdevice device, const CUstream *streams)
{
	struct failed first = OK;
	for (int i = 0; i < CUDA_STREAMS; i++) {
		int code = streams[i] == NULL ? 0 : api->cuStreamDestroy_v2(streams[i]);
		if (code != 0 && first.code == 0)
			first = (struct failed){ code, "cuStreamDestroy_v2" };
	}
	int code = api->cuDevicePrimaryCtxRelease_v2(device);
	if (code != 0 && first.code == 0)
		first = (struct failed){ code, "cuDevicePrimaryCtxRelease_v2" };
	return first;
}

struct failed cuda_current(const struct cuda *api, CUcontext context)
{
	TRY(cuCtxSetCurrent, context);
	return OK;
}

struct failed cuda_memory(const struct cuda *api, size_t *free, size_t *total)
{
	TRY(cuMemGetInfo_v2, free, total);
	return OK;
}

struct failed cuda_alloc(const struct cuda *api, CUdeviceptr *at, size_t bytes)
{
	TRY(cuMemAlloc_v2, at, bytes);
	return OK;
}

struct failed cuda_free(const struct cuda *api, CUdeviceptr at)
{
	TRY(cuMemFree_v2, at);
	return OK;
}

struct failed cuda_alloc_host(const struct cuda *api, void **at, size_t bytes)
{
	TRY(cuMemHostAlloc, at, bytes, CU_MEMHOSTALLOC_PORTABLE);
	return OK;
}

struct failed cuda_free_host(const struct cuda *api, void *at)
{
	TRY(cuMemFreeHost, at);
	return OK;
}

struct failed cuda_event(const struct cuda *api, CUevent *event, int timing)
{
	TRY(cuEventCreate, event, timing ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING);
	return OK;
}

struct failed cuda_free_event(const struct cuda *api, CUevent event)
{
	TRY(cuEventDestroy_v2, event);
	return OK;
}

struct failed cuda_elapsed(const struct cuda *api, float *ms, CUevent start, CUevent end)
{
	TRY(cuEventElapsedTime, ms, start, end);
	return OK;
}

struct failed cuda_load(const struct cuda *api, CUmodule *module, const void *image)
{
	TRY(cuModuleLoadData, module, image);
	return OK;
}

struct failed cuda_unload(const struct cuda *api, CUmodule module)
{
	TRY(cuModuleUnload, module);
	return OK;
}

struct failed cuda_function(const struct cuda *api, CUmodule module, const char *name,
			    struct cuda_function *f)
{
	TRY(cuModuleGetFunction, &f->handle, module, name);
	TRY(cuFuncGetAttribute, &f->threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, f->handle);
	TRY(cuFuncGetAttribute, &f->local, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, f->handle);
	TRY(cuFuncGetAttribute, &f->registers, CU_FUNC_ATTRIBUTE_NUM_REGS, f->handle);
	f->argument = -1;
	if (api->cuFuncGetParamInfo == NULL)
		return OK;
	size_t offset, size, more;
	TRY(cuFuncGetParamInfo, f->handle, 0, &offset, &size);
	f->argument = (int64_t)size;
	if (api->cuFuncGetParamInfo(f->handle, 1, &offset, &more) == CUDA_SUCCESS)
		f->argument = 0; // a second argument: not one of ours, and no size fits
	return OK;
}

void cuda_text(const struct cuda *api, int code, const char **name, const char **text)
{
	*name = *text = NULL;
	if (api->cuGetErrorName(code, name) != CUDA_SUCCESS)
		*name = NULL;
	if (api->cuGetErrorString(code, text) != CUDA_SUCCESS)
		*text = NULL;
}
