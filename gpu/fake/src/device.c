// Starting, devices, contexts, and what every function does first.

#include "fake.h"

#include <stdio.h>
#include <string.h>

__thread CUcontext fake_current;
__thread int fake_in_host_function;

int fake_enter(int function, int needs_context)
{
	if (fake_in_host_function)
		return CUDA_ERROR_NOT_PERMITTED;
	pthread_mutex_lock(&fake.lock);
	long nth = ++fake.calls[function];
	for (int i = 0; i < fake.fault_count; i++)
		if (fake.faults[i].function == function && fake.faults[i].nth == nth)
			return fake_leave(fake.faults[i].code);
	if (!fake.started && function != FN_cuInit && function != FN_cuDriverGetVersion)
		return fake_leave(CUDA_ERROR_NOT_INITIALIZED);
	if (needs_context && (fake_current == NULL || fake_current->references == 0))
		return fake_leave(CUDA_ERROR_INVALID_CONTEXT);
	if (needs_context && fake.sticky != 0)
		return fake_leave(fake.sticky);
	return 0;
}

int fake_leave(int code)
{
	pthread_mutex_unlock(&fake.lock);
	return code;
}

#define ENTER_WITHOUT_CONTEXT(name)                          \
	do {                                                 \
		int enter_ = fake_enter(FN_##name, 0);       \
		if (enter_ != 0)                             \
			return enter_;                       \
	} while (0)

CUresult cuInit(unsigned flags)
{
	ENTER_WITHOUT_CONTEXT(cuInit);
	if (flags != 0)
		return fake_leave(CUDA_ERROR_INVALID_VALUE);
	if (fake.devices == 0)
		return fake_leave(CUDA_ERROR_NO_DEVICE);
	fake.started = 1;
	return fake_leave(0);
}

CUresult cuDriverGetVersion(int *version)
{
	ENTER_WITHOUT_CONTEXT(cuDriverGetVersion);
	*version = fake.version;
	return fake_leave(0);
}

static const struct {
	int code;
	const char *name;
} constants[] = {
#define X(name, value) { value, #name },
	CUDA_CONSTANTS(X)
#undef X
};

CUresult cuGetErrorName(CUresult error, const char **text)
{
	for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
		if (constants[i].code == error && strncmp(constants[i].name, "CUDA_", 5) == 0) {
			*text = constants[i].name;
			return 0;
		}
	*text = NULL;
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
	int known = cuGetErrorName(error, text);
	*text = known == 0 ? "as the fake was asked to" : NULL;
	return known;
}

CUresult cuDeviceGetCount(int *count)
{
	ENTER_WITHOUT_CONTEXT(cuDeviceGetCount);
	*count = fake.devices;
	return fake_leave(0);
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	ENTER_WITHOUT_CONTEXT(cuDeviceGet);
	if (ordinal < 0 || ordinal >= fake.devices)
		return fake_leave(CUDA_ERROR_INVALID_DEVICE);
	*device = ordinal;
	return fake_leave(0);
}

CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
	ENTER_WITHOUT_CONTEXT(cuDeviceGetName);
	snprintf(name, (size_t)len, "Fake GPU %d", device);
	return fake_leave(0);
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
	ENTER_WITHOUT_CONTEXT(cuDeviceGetUuid_v2);
	memset(uuid, 0xfa, sizeof *uuid);
	uuid->bytes[15] = (char)device;
	return fake_leave(0);
}

CUresult cuDeviceGetPCIBusId(char *id, int len, CUdevice device)
{
	ENTER_WITHOUT_CONTEXT(cuDeviceGetPCIBusId);
	snprintf(id, (size_t)len, "0000:%02x:00.0", device);
	return fake_leave(0);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
	ENTER_WITHOUT_CONTEXT(cuDeviceTotalMem_v2);
	*bytes = fake.memory;
	(void)device;
	return fake_leave(0);
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
	ENTER_WITHOUT_CONTEXT(cuDeviceGetAttribute);
	(void)device;
	switch (attribute) {
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
		*value = fake.arch / 10;
		return fake_leave(0);
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
		*value = fake.arch % 10;
		return fake_leave(0);
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
		*value = 4;
		return fake_leave(0);
	}
	return fake_leave(CUDA_ERROR_INVALID_VALUE);
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
	ENTER_WITHOUT_CONTEXT(cuDevicePrimaryCtxSetFlags_v2);
	(void)flags;
	return fake_leave(device < fake.devices ? 0 : CUDA_ERROR_INVALID_DEVICE);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	ENTER_WITHOUT_CONTEXT(cuDevicePrimaryCtxRetain);
	if (device < 0 || device >= fake.devices)
		return fake_leave(CUDA_ERROR_INVALID_DEVICE);
	*context = &fake.contexts[device];
	(*context)->device = device;
	(*context)->references++;
	return fake_leave(0);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	ENTER_WITHOUT_CONTEXT(cuDevicePrimaryCtxRelease_v2);
	if (device < 0 || device >= fake.devices || fake.contexts[device].references == 0)
		return fake_leave(CUDA_ERROR_INVALID_CONTEXT);
	fake.contexts[device].references--;
	return fake_leave(0);
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	ENTER_WITHOUT_CONTEXT(cuCtxSetCurrent);
	if (context != NULL && context->references == 0)
		return fake_leave(CUDA_ERROR_INVALID_CONTEXT);
	fake_current = context;
	return fake_leave(0);
}

CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	ENTER(cuCtxGetStreamPriorityRange);
	*least = 0;
	*greatest = -5;
	return fake_leave(0);
}

// What other fake libraries ask: the real ones know it by the runtime.
EXPORT CUresult cuCtxGetCurrent(CUcontext *context)
{
	*context = fake_current;
	return 0;
}

EXPORT CUresult cuCtxGetDevice(CUdevice *device)
{
	if (fake_current == NULL)
		return CUDA_ERROR_INVALID_CONTEXT;
	*device = fake_current->device;
	return 0;
}
