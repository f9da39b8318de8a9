// A libcuda for tests: the real ABI, with memory of the host for memory of the device.
//
// It is strict where the real one is lenient, so that tests find what would go wrong elsewhere:
// every call needs its context on the calling thread; addresses must lie in memory that is
// allocated, on the right side; asynchronous copies need pinned memory; there is no default stream.
// A launch runs the kernel, compiled for the host (emu.h). Streams are threads.

#ifndef BANYAN_FAKE_H
#define BANYAN_FAKE_H

#include <pthread.h>
#include <stdint.h>

#include "types.h"
#include "entries.h"

#define EXPORT __attribute__((visibility("default")))

#define X(name, since, optional, parameters) EXPORT CUresult name parameters;
CUDA_ENTRIES(X)
#undef X

enum {
#define X(name, since, optional, parameters) FN_##name,
	CUDA_ENTRIES(X)
#undef X
	FN_COUNT
};

#define FAKE_DEVICES 8
#define FAKE_FAULTS 16

struct CUctx_st {
	int device, references;
	size_t used;
};

struct fault {
	int function;
	long nth;
	int code;
};

// What the file `faults` beside the library says (faults.c), and what has happened.
struct fake {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int started, sticky;

	int devices, version, arch;
	size_t memory; // of each device
	struct fault faults[FAKE_FAULTS];
	int fault_count;
	long launch_nth, hang_nth;
	int launch_code;

	long calls[FN_COUNT], launches, commands;
	struct CUctx_st contexts[FAKE_DEVICES];
};

extern struct fake fake;
extern __thread CUcontext fake_current;
extern __thread int fake_in_host_function; // which may call nothing

void fake_read_faults(void);

// fake_enter is what every function does first: 0, or what the function answers. It takes the lock
// if it answers 0.
int fake_enter(int function, int needs_context);
int fake_leave(int code); // gives the lock back

#define ENTER(name)                                          \
	do {                                                 \
		int enter_ = fake_enter(FN_##name, 1);       \
		if (enter_ != 0)                             \
			return enter_;                       \
	} while (0)

// Memory. With the lock held.
enum { ON_DEVICE, ON_HOST };
int fake_inside(const void *p, size_t n, int side);

// Kernels (module.c): run on the stream's thread, without the lock. 0 or an error.
struct launch {
	CUfunction function;
	unsigned grid[3], block[3];
	void *argument; // ours
};
int fake_run(const struct launch *l, unsigned order);

#endif
