// What Go and C share: the table of libcuda's functions, and lists of commands.

#ifndef BANYAN_CUDA_SHIM_H
#define BANYAN_CUDA_SHIM_H

#include <stdint.h>

#include "types.h"
#include "entries.h"

// struct cuda is the table: one pointer an entry, in their order.
struct cuda {
#define X(name, since, optional, parameters) CUresult(*name) parameters;
	CUDA_ENTRIES(X)
#undef X
};

enum { CUDA_ENTRY_COUNT = sizeof(struct cuda) / sizeof(void *) };

// What an entry is called, and since when there is one. 0 <= i < CUDA_ENTRY_COUNT.
const char *cuda_entry_name(int i);
int cuda_entry_since(int i);
int cuda_entry_optional(int i);

enum { CUDA_STREAMS = 4 };

// A call runs on the device's thread, in its turn among the commands: how another library, such as
// NCCL, puts its work on our streams. 0 is success.
typedef int (*cuda_call)(void *arg);

enum {
	CMD_UPLOAD,   // a: device address, p: pinned memory, n: bytes
	CMD_DOWNLOAD, // p: pinned memory, a: device address, n: bytes
	CMD_COPY,     // a: to, b: from, n: bytes
	CMD_FILL8,    // a: to, n: elements, value
	CMD_FILL16,
	CMD_FILL32,
	CMD_LAUNCH, // p: CUfunction, arg: its one argument, grid, block, shared
	CMD_RECORD, // p: CUevent
	CMD_WAIT,   // p: CUevent
	CMD_HOST,   // p: CUhostFn, arg: when the stream gets there
	CMD_CALL,   // p: cuda_call, arg: now
};

// A command is of one size, so that a list is an array.
struct command {
	int32_t code, stream;
	void *p, *arg;
	uint64_t a, b, n;
	uint32_t grid[3], block[3], shared, value;
};

// A result says which command of a list failed, and with what: a CUresult, or what a call returned.
struct result {
	int64_t at; // -1: none
	int code;
	int call; // it is a call's
};

// cuda_run issues the commands in order, and stops at the first that fails.
struct result cuda_run(const struct cuda *api, const CUstream *streams, const struct command *list,
		       int64_t n);

// cuda_query sets ready[i] to whether event i is done: 0, or the first error.
int cuda_query(const struct cuda *api, const CUevent *events, char *ready, int64_t n);

// The calls that Go makes one at a time. Each answers 0, or the error and the name of the function.
struct failed {
	int code;
	const char *in;
};

struct cuda_info {
	char name[256], pci[32];
	CUuuid uuid;
	size_t memory;
	int major, minor, multiprocessors, device;
};

struct failed cuda_start(const struct cuda *api, int *version, int *devices);
struct failed cuda_describe(const struct cuda *api, int ordinal, struct cuda_info *info);

// cuda_open makes the primary context current on this thread, and the streams. urgent[i] asks for
// the highest priority.
struct failed cuda_open(const struct cuda *api, CUdevice device, const char *urgent,
			CUcontext *context, CUstream *streams);
struct failed cuda_shut(const struct cuda *api, CUdevice device, const CUstream *streams);
struct failed cuda_current(const struct cuda *api, CUcontext context);
struct failed cuda_memory(const struct cuda *api, size_t *free, size_t *total);
struct failed cuda_alloc(const struct cuda *api, CUdeviceptr *at, size_t bytes);
struct failed cuda_free(const struct cuda *api, CUdeviceptr at);
struct failed cuda_alloc_host(const struct cuda *api, void **at, size_t bytes);
struct failed cuda_free_host(const struct cuda *api, void *at);
struct failed cuda_event(const struct cuda *api, CUevent *event, int timing);
struct failed cuda_free_event(const struct cuda *api, CUevent event);
struct failed cuda_elapsed(const struct cuda *api, float *ms, CUevent start, CUevent end);
struct failed cuda_load(const struct cuda *api, CUmodule *module, const void *image);
struct failed cuda_unload(const struct cuda *api, CUmodule module);

struct cuda_function {
	CUfunction handle;
	int threads, local, registers; // at most in a block; spilt bytes and registers a thread
	int64_t argument;              // size of its one argument; -1: the driver does not say
};

struct failed cuda_function(const struct cuda *api, CUmodule module, const char *name,
			    struct cuda_function *f);

// cuda_text is the driver's name and sentence for an error; either may be NULL.
void cuda_text(const struct cuda *api, int code, const char **name, const char **text);

#endif
