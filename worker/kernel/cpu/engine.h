// An engine is one backend: an ISA class, a pool of threads and scratch memory for each of them.
//
//   engine_run (in Go: Backend.Run) -> class->run, one op at a time -> engine_tasks, 1..n phases
//
// Invariant (I3): a phase is cut into tasks by the shape of the op alone, never by the number of
// threads; a task owns its outputs and sums them in its own order. So it does not matter which
// thread takes which task.

#ifndef BANYAN_ENGINE_H
#define BANYAN_ENGINE_H

#include "ops.h"

struct engine;

// A task function does task number `task` of the phase described by ctx, with scratch of its own.
typedef void (*task_fn)(const void *ctx, long task, float *scratch);

// Reasons why an op failed.
enum { FAIL_NONE, FAIL_CODE, FAIL_MEMORY, FAIL_INDEX, FAIL_SHAPE };

struct failure {
	long op;    // index in the program
	int why;    // FAIL_*
	long row;   // FAIL_INDEX: where
	long value; // FAIL_INDEX: what, FAIL_MEMORY: bytes
	long limit; // FAIL_INDEX: the first index that is too large
};

struct isa_class {
	const char *name;
	int vector_floats;
	int (*run)(struct engine *e, const struct op *op); // one op; 0 or FAIL_*
	void (*exp)(float *y, const float *x, long n);     // for the accuracy test
	double (*fma_probe)(long rounds); // rounds of independent FMAs; returns flops done
};

// engine_tasks runs fn for tasks 0..tasks-1, each with `floats` of scratch (uninitialised).
int engine_tasks(struct engine *e, task_fn fn, const void *ctx, long tasks, size_t floats);

// engine_shared returns scratch for all tasks of the phases that follow, on a 64-byte line and
// uninitialised; NULL if there is no memory, which is noted as the failure. The next call may move
// it.
float *engine_shared(struct engine *e, size_t floats);

// engine_fail notes the details of a failure and returns why.
int engine_fail(struct engine *e, int why, long row, long value, long limit);

// What Go calls.
struct engine *banyan_open(const char *isa, int threads);
void banyan_close(struct engine *e);
int banyan_run(struct engine *e, const struct op *ops, long n); // 0, or 1 and banyan_failure
struct failure banyan_failure(const struct engine *e);
void *banyan_alloc(size_t bytes); // zeroed, on a 64-byte line; NULL if there is no memory
void banyan_free(void *p);
const struct isa_class *banyan_class(const char *isa); // NULL: not in this build
int banyan_probe(const char *isa);                     // does the host execute this class?
double banyan_fma_flops(const char *isa, long rounds);
void banyan_exp(const char *isa, float *y, const float *x, long n);
float banyan_log(float x);

#endif
