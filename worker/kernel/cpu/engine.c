// Threads, scratch memory and the loop over a program. No arithmetic here.
//
// The pool: the caller is seat 0, seats 1..threads-1 are threads of ours. A phase is announced by
// a new round number; threads wait for it with a short spin, then on a condition variable. Tasks
// are handed out by an atomic counter. A phase ends when every thread has left it.

#define _GNU_SOURCE
#include "engine.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// A wait in the middle of a program is a few microseconds; a wait between programs is not worth
// a core. The spin is long enough for the first and ends soon in the second.
#define SPINS 3000

#define HUGE (2UL << 20)

struct scratch {
	float *p;
	size_t floats;
};

struct seat {
	struct engine *e;
	struct scratch scratch;
	pthread_t id;
};

struct engine {
	const struct isa_class *class;
	struct failure failure;
	int threads;
	struct seat *seats;
	struct scratch shared;

	pthread_mutex_t lock;
	pthread_cond_t go, done;
	atomic_uint round; // changes when a phase starts, under lock
	atomic_int busy;   // threads still in the phase
	atomic_int stop;

	task_fn fn; // the phase: written before round changes
	const void *ctx;
	long tasks;
	atomic_long next;
};

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void work(struct engine *e, float *scratch)
{
	long task;
	while ((task = atomic_fetch_add_explicit(&e->next, 1, memory_order_relaxed)) < e->tasks)
		e->fn(e->ctx, task, scratch);
}

static void wait_round(struct engine *e, unsigned seen)
{
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(&e->round, memory_order_acquire) != seen)
			return;
		relax();
	}
	pthread_mutex_lock(&e->lock);
	while (atomic_load(&e->round) == seen)
		pthread_cond_wait(&e->go, &e->lock);
	pthread_mutex_unlock(&e->lock);
}

static void *serve(void *arg)
{
	struct seat *s = arg;
	struct engine *e = s->e;
	for (unsigned seen = 0;;) {
		wait_round(e, seen);
		seen = atomic_load(&e->round);
		if (atomic_load(&e->stop))
			return NULL;
		work(e, s->scratch.p);
		if (atomic_fetch_sub(&e->busy, 1) == 1) {
			pthread_mutex_lock(&e->lock);
			pthread_cond_signal(&e->done);
			pthread_mutex_unlock(&e->lock);
		}
	}
}

static void announce(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	atomic_fetch_add(&e->round, 1);
	pthread_cond_broadcast(&e->go);
	pthread_mutex_unlock(&e->lock);
}

static void wait_done(struct engine *e)
{
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(&e->busy, memory_order_acquire) == 0)
			return;
		relax();
	}
	pthread_mutex_lock(&e->lock);
	while (atomic_load(&e->busy) != 0)
		pthread_cond_wait(&e->done, &e->lock);
	pthread_mutex_unlock(&e->lock);
}

// reserve is memory on a 64-byte line. From HUGE on it asks for huge pages: a matrix that is read
// across its rows touches a new page at every step.
static void *reserve(size_t bytes)
{
	void *p;
	if (posix_memalign(&p, bytes < HUGE ? 64 : HUGE, bytes) != 0)
		return NULL;
#if defined(MADV_HUGEPAGE)
	if (bytes >= HUGE)
		madvise(p, bytes / HUGE * HUGE, MADV_HUGEPAGE); // a refusal costs time only
#endif
	return p;
}

// grow makes sure that there is enough scratch. It is kept until close.
static int grow(struct engine *e, struct scratch *s, size_t floats)
{
	if (s->floats >= floats)
		return 0;
	free(s->p);
	*s = (struct scratch){ 0 };
	void *p = reserve(floats * sizeof(float));
	if (p == NULL)
		return engine_fail(e, FAIL_MEMORY, 0, (long)(floats * sizeof(float)), 0);
	*s = (struct scratch){ .p = p, .floats = floats };
	return 0;
}

float *engine_shared(struct engine *e, size_t floats)
{
	return grow(e, &e->shared, floats) == 0 ? e->shared.p : NULL;
}

int engine_tasks(struct engine *e, task_fn fn, const void *ctx, long tasks, size_t floats)
{
	for (int i = 0; i < e->threads; i++) {
		int why = grow(e, &e->seats[i].scratch, floats);
		if (why != 0)
			return why;
	}
	if (tasks <= 0)
		return 0;
	e->fn = fn;
	e->ctx = ctx;
	e->tasks = tasks;
	atomic_store(&e->next, 0);
	if (e->threads == 1 || tasks == 1) {
		work(e, e->seats[0].scratch.p);
		return 0;
	}
	atomic_store(&e->busy, e->threads - 1);
	announce(e);
	work(e, e->seats[0].scratch.p);
	wait_done(e);
	return 0;
}

int engine_fail(struct engine *e, int why, long row, long value, long limit)
{
	e->failure = (struct failure){ .why = why, .row = row, .value = value, .limit = limit };
	return why;
}

int banyan_run(struct engine *e, const struct op *ops, long n)
{
	for (long i = 0; i < n; i++) {
		e->failure = (struct failure){ 0 };
		int why = e->class->run(e, &ops[i]);
		if (why != 0) {
			e->failure.why = why;
			e->failure.op = i;
			return 1;
		}
	}
	return 0;
}

struct failure banyan_failure(const struct engine *e)
{
	return e->failure;
}

// start makes the threads. They take no signals: those belong to the Go runtime's own threads.
static int start(struct engine *e)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int made = 1;
	for (; made < e->threads; made++) {
		if (pthread_create(&e->seats[made].id, NULL, serve, &e->seats[made]) != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	int ok = made == e->threads;
	e->threads = made;
	return ok;
}

struct engine *banyan_open(const char *isa, int threads)
{
	const struct isa_class *class = banyan_class(isa);
	struct engine *e = calloc(1, sizeof *e);
	if (class == NULL || e == NULL || threads < 1) {
		free(e);
		return NULL;
	}
	e->class = class;
	e->threads = threads;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->go, NULL);
	pthread_cond_init(&e->done, NULL);
	e->seats = calloc((size_t)threads, sizeof *e->seats);
	if (e->seats == NULL) {
		e->threads = 0;
		banyan_close(e);
		return NULL;
	}
	for (int i = 0; i < threads; i++)
		e->seats[i].e = e;
	if (!start(e)) {
		banyan_close(e);
		return NULL;
	}
	return e;
}

void banyan_close(struct engine *e)
{
	atomic_store(&e->stop, 1);
	announce(e);
	for (int i = 1; i < e->threads; i++)
		pthread_join(e->seats[i].id, NULL);
	for (int i = 0; i < e->threads; i++)
		free(e->seats[i].scratch.p);
	free(e->shared.p);
	free(e->seats);
	pthread_cond_destroy(&e->done);
	pthread_cond_destroy(&e->go);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void *banyan_alloc(size_t bytes)
{
	void *p = reserve(bytes);
	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

void banyan_free(void *p)
{
	free(p);
}
