// A kernel of ours as C for this host: what gpu/kernels/prelude.h says in CUDA, said again.
//
// A thread of a block runs until it comes to a barrier; then another does. Each that waits keeps a
// stack of its own (a fibre); threads that never wait share one, and cost a call. Blocks run one
// after another. The order of threads within a block changes from launch to launch, so that what
// depends on it does not stay hidden.
//
// The compiler must neither contract nor reorder floating point (-ffp-contract=off).

#ifndef BANYAN_EMU_H
#define BANYAN_EMU_H

#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define EMU_STACK (64 << 10)
#define EMU_THREADS 1024
#define EMU_WARP 32

struct emu_dim {
	unsigned x, y, z;
};

enum { EMU_RUNS, EMU_AT_BLOCK, EMU_AT_WARP };

struct emu_fibre {
	jmp_buf at;
	ucontext_t start;
	int started, waits;
	unsigned thread;
};

struct emu_block {
	void (*kernel)(void **);
	void **parameters;
	struct emu_dim grid, size, index;
	unsigned threads, order;
	unsigned next;  // threads that have begun
	unsigned ended; // and have ended
	unsigned char over[EMU_THREADS];
	double slots[EMU_THREADS]; // of shuffles
	jmp_buf scheduler;
	struct emu_fibre *fibres, *running;
	unsigned fibre_count;
	char *stacks;
};

static __thread struct emu_block *emu;

// emu_thread_of deals out the threads of a block: upwards, downwards, or with a stride.
static unsigned emu_thread_of(unsigned nth)
{
	switch (emu->order % 3) {
	case 0:
		return nth;
	case 1:
		return emu->threads - 1 - nth;
	}
	unsigned stride = emu->threads / 2 + 1; // coprime to threads below
	for (unsigned a = stride, b = emu->threads;;) {
		while (b != 0) {
			unsigned r = a % b;
			a = b;
			b = r;
		}
		if (a == 1)
			break;
		a = ++stride;
		b = emu->threads;
	}
	return (unsigned)((unsigned long)nth * stride % emu->threads);
}

static void emu_body(void)
{
	while (emu->next < emu->threads) {
		emu->running->thread = emu_thread_of(emu->next++);
		emu->kernel(emu->parameters);
		emu->over[emu->running->thread] = 1;
		emu->ended++;
	}
	emu->running->waits = -1; // no more to do
	_longjmp(emu->scheduler, 1);
}

static void emu_wait(int barrier)
{
	emu->running->waits = barrier;
	if (_setjmp(emu->running->at) == 0)
		_longjmp(emu->scheduler, 1);
}

static void emu_go(struct emu_fibre *f)
{
	emu->running = f;
	if (_setjmp(emu->scheduler) != 0)
		return;
	if (f->started)
		_longjmp(f->at, 1);
	f->started = 1;
	getcontext(&f->start);
	f->start.uc_stack.ss_sp = emu->stacks + (size_t)(f - emu->fibres) * EMU_STACK;
	f->start.uc_stack.ss_size = EMU_STACK;
	f->start.uc_link = NULL;
	makecontext(&f->start, emu_body, 0);
	setcontext(&f->start);
}

static unsigned emu_alive(unsigned from, unsigned to)
{
	unsigned n = 0;
	for (unsigned t = from; t < to && t < emu->threads; t++)
		n += !emu->over[t];
	return n;
}

// emu_release lets go those whose barrier is complete; 0 if there is none.
static int emu_release(void)
{
	unsigned block = 0, warps[EMU_THREADS / EMU_WARP] = { 0 };
	for (unsigned i = 0; i < emu->fibre_count; i++) {
		struct emu_fibre *f = &emu->fibres[i];
		block += f->waits == EMU_AT_BLOCK;
		if (f->waits == EMU_AT_WARP)
			warps[f->thread / EMU_WARP]++;
	}
	int released = 0, all = block == emu->threads - emu->ended;
	for (unsigned i = 0; i < emu->fibre_count; i++) {
		struct emu_fibre *f = &emu->fibres[i];
		unsigned w = f->thread / EMU_WARP;
		if ((f->waits == EMU_AT_BLOCK && all) ||
		    (f->waits == EMU_AT_WARP &&
		     warps[w] == emu_alive(w * EMU_WARP, (w + 1) * EMU_WARP))) {
			f->waits = EMU_RUNS;
			released = 1;
		}
	}
	return released;
}

// emu_run_block is 0, or 1 if threads wait for each other for ever.
static int emu_run_block(void)
{
	emu->next = emu->ended = emu->fibre_count = 0;
	memset(emu->over, 0, sizeof emu->over);
	memset(emu->fibres, 0, emu->threads * sizeof *emu->fibres);
	while (emu->ended < emu->threads) {
		while (emu->next < emu->threads)
			emu_go(&emu->fibres[emu->fibre_count++]);
		for (unsigned i = 0; i < emu->fibre_count; i++)
			if (emu->fibres[i].waits == EMU_RUNS)
				emu_go(&emu->fibres[i]);
		if (emu->ended < emu->threads && !emu_release())
			return 1;
	}
	return 0;
}

// emu_launch runs a grid of blocks; 1 if one of them hung.
__attribute__((visibility("default"))) int emu_launch(void (*kernel)(void **), const unsigned *grid,
						      const unsigned *size, void **parameters,
						      unsigned order)
{
	unsigned threads = size[0] * size[1] * size[2];
	struct emu_block *b = calloc(1, sizeof *b);
	b->kernel = kernel;
	b->parameters = parameters;
	b->grid = (struct emu_dim){ grid[0], grid[1], grid[2] };
	b->size = (struct emu_dim){ size[0], size[1], size[2] };
	b->threads = threads;
	b->order = order;
	b->fibres = calloc(threads, sizeof *b->fibres);
	b->stacks = mmap(NULL, (size_t)threads * EMU_STACK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	emu = b;
	int hung = threads > EMU_THREADS || b->stacks == MAP_FAILED;
	for (unsigned z = 0; z < grid[2] && !hung; z++)
		for (unsigned y = 0; y < grid[1] && !hung; y++)
			for (unsigned x = 0; x < grid[0] && !hung; x++) {
				b->index = (struct emu_dim){ x, y, z };
				hung = emu_run_block();
			}
	munmap(b->stacks, (size_t)threads * EMU_STACK);
	free(b->fibres);
	free(b);
	emu = NULL;
	return hung;
}

static inline struct emu_dim emu_thread(void)
{
	unsigned t = emu->running->thread;
	return (struct emu_dim){ t % emu->size.x, t / emu->size.x % emu->size.y,
				 t / emu->size.x / emu->size.y };
}

// What CUDA calls these.
#define threadIdx (emu_thread())
#define blockIdx (emu->index)
#define blockDim (emu->size)
#define gridDim (emu->grid)
#define __shared__ static __thread
#define __device__
#define __forceinline__ inline
#define __restrict__ restrict
#define __syncthreads() emu_wait(EMU_AT_BLOCK)
#define __fmaf_rn fmaf

typedef struct {
	float x, y, z, w;
} __attribute__((aligned(16))) float4;
typedef struct {
	unsigned x, y;
} __attribute__((aligned(8))) uint2;

static inline unsigned __float_as_uint(float x)
{
	unsigned u;
	memcpy(&u, &x, sizeof u);
	return u;
}

static inline float __uint_as_float(unsigned u)
{
	float x;
	memcpy(&x, &u, sizeof x);
	return x;
}

// All threads of the warp that have not ended take part, as mask 0xffffffff says.
static inline double __shfl_down_sync(unsigned mask, double v, unsigned delta, unsigned width)
{
	unsigned t = emu->running->thread, lane = t % width;
	(void)mask;
	emu->slots[t] = v;
	emu_wait(EMU_AT_WARP);
	double got = lane + delta < width && t + delta < emu->threads ? emu->slots[t + delta] : v;
	emu_wait(EMU_AT_WARP);
	return got;
}

// KERNEL begins a kernel whose blocks have at most `most` threads and whose one argument, `a`, is
// of type `args`.
#define KERNEL(name, most, args)                                                          \
	static void name##_thread(const args a);                                          \
	__attribute__((visibility("default"))) void name(void **p)                        \
	{                                                                                 \
		name##_thread(*(const args *)p[0]);                                       \
	}                                                                                 \
	__attribute__((visibility("default"))) const size_t name##_argument = sizeof(args); \
	__attribute__((visibility("default"))) const unsigned name##_threads = most;      \
	static void name##_thread(const args a)

#endif
