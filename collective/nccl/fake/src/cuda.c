// The few functions of the CUDA driver that the fake needs, from the fake libcuda in its folder,
// which the process has loaded already.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

static int (*launch_host)(void *stream, void (*f)(void *), void *arg);
static int (*get_current)(void **context);
static int (*set_current)(void *context);

static void *find(void *library, const char *name)
{
	void *f = dlsym(library, name);
	if (!f) {
		fprintf(stderr, "fake nccl: libcuda has no %s\n", name);
		abort();
	}
	return f;
}

static void load(void)
{
	Dl_info here;
	char path[PATH_MAX];
	const char *slash = NULL;
	if (dladdr((void *)load, &here) && here.dli_fname)
		slash = strrchr(here.dli_fname, '/');
	if (!slash)
		abort();
	snprintf(path, sizeof path, "%.*s/libcuda.so.1", (int)(slash - here.dli_fname),
		 here.dli_fname);
	void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
	if (!library) {
		fprintf(stderr, "fake nccl: %s is not loaded\n", path);
		abort();
	}
	launch_host = find(library, "cuLaunchHostFunc");
	get_current = find(library, "cuCtxGetCurrent");
	set_current = find(library, "cuCtxSetCurrent");
}

static void need_cuda(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, load);
}

void *cuda_context(void)
{
	need_cuda();
	void *context = NULL;
	return get_current(&context) ? NULL : context;
}

ncclResult_t cuda_enter(void *context)
{
	need_cuda();
	return set_current(context) ? ncclUnhandledCudaError : ncclSuccess;
}

ncclResult_t cuda_enqueue(void *stream, void (*f)(void *), void *arg)
{
	return launch_host(stream, f, arg) ? ncclUnhandledCudaError : ncclSuccess;
}
