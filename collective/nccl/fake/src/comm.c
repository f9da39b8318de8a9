// Communicators: birth in the background, state, abort and the good end.
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "fake.h"

static _Thread_local char thread_error[256];

void pause_ms(int ms)
{
	struct timespec t = {0, ms * 1000000L};
	nanosleep(&t, NULL);
}

static void say(ncclComm_t c, const char *format, va_list args)
{
	char text[sizeof thread_error];
	vsnprintf(text, sizeof text, format, args);
	memcpy(thread_error, text, sizeof text);
	if (c)
		memcpy(c->error, text, sizeof text);
}

ncclResult_t fail(ncclComm_t c, ncclResult_t r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(c, format, args);
	va_end(args);
	return r;
}

ncclResult_t fail_async(ncclComm_t c, ncclResult_t r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	pthread_mutex_lock(&c->mu);
	if (c->state == ncclSuccess || c->state == ncclInProgress) {
		say(c, format, args);
		c->state = r;
	}
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mu);
	va_end(args);
	return r;
}

int is_aborted(ncclComm_t c) { return atomic_load(&c->abort); }

void hold(ncclComm_t c)
{
	pthread_mutex_lock(&c->mu);
	c->references++;
	pthread_mutex_unlock(&c->mu);
}

void release(ncclComm_t c)
{
	pthread_mutex_lock(&c->mu);
	int left = --c->references;
	pthread_mutex_unlock(&c->mu);
	if (left)
		return;
	unlist(c);
	leave_mesh(c);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->mu);
	free(c);
}

// ready refuses a communicator that is in progress or broken, as the real one does.
ncclResult_t ready(ncclComm_t c)
{
	if (!c)
		return fail(NULL, ncclInvalidArgument, "communicator is NULL");
	pthread_mutex_lock(&c->mu);
	ncclResult_t r = c->state;
	int finalized = c->finalized;
	pthread_mutex_unlock(&c->mu);
	if (r == ncclInProgress)
		return fail(c, ncclInvalidArgument,
			    "used before the previous operation returned ncclSuccess");
	if (r == ncclSuccess && finalized)
		return fail(c, ncclInvalidUsage, "used after ncclCommFinalize");
	return r;
}

typedef struct {
	ncclComm_t comm;
	ncclResult_t (*f)(void *);
	void *arg;
} job;

static void *work(void *arg)
{
	job j = *(job *)arg;
	free(arg);
	ncclResult_t r = cuda_enter(j.comm->context);
	if (r == ncclSuccess)
		r = j.f(j.arg);
	pthread_mutex_lock(&j.comm->mu);
	if (j.comm->state == ncclInProgress)
		j.comm->state = r;
	j.comm->threads--;
	pthread_cond_broadcast(&j.comm->changed);
	pthread_mutex_unlock(&j.comm->mu);
	release(j.comm);
	return NULL;
}

// in_background runs f on a thread of its own. A communicator that blocks waits for it.
ncclResult_t in_background(ncclComm_t c, ncclResult_t (*f)(void *), void *arg)
{
	job *j = malloc(sizeof *j);
	if (!j)
		return fail(c, ncclSystemError, "out of memory");
	*j = (job){c, f, arg};
	hold(c);
	pthread_mutex_lock(&c->mu);
	c->state = ncclInProgress;
	c->threads++;
	pthread_mutex_unlock(&c->mu);
	pthread_t thread;
	if (pthread_create(&thread, NULL, work, j)) {
		fprintf(stderr, "fake nccl: no thread\n");
		abort();
	}
	pthread_detach(thread);
	if (!c->blocking)
		return ncclInProgress;
	pthread_mutex_lock(&c->mu);
	while (c->state == ncclInProgress)
		pthread_cond_wait(&c->changed, &c->mu);
	ncclResult_t r = c->state;
	pthread_mutex_unlock(&c->mu);
	return r;
}

static ncclResult_t join(void *arg)
{
	ncclComm_t c = arg;
	if (faults.init == FAULT_FAIL)
		return fail_async(c, ncclSystemError, "fake: init fails");
	while (faults.init == FAULT_HANG && !is_aborted(c))
		pause_ms(1);
	return join_mesh(c);
}

API ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank,
					ncclConfig_t *config)
{
	if (!out || !config || config->magic != NCCL_API_MAGIC || config->size < sizeof *config)
		return fail(NULL, ncclInvalidArgument, "no communicator or no valid config");
	if (ranks < 1 || ranks > MAX_RANKS || rank < 0 || rank >= ranks)
		return fail(NULL, ncclInvalidArgument, "rank %d of %d", rank, ranks);
	if (config->blocking != 0 && config->blocking != 1 &&
	    config->blocking != NCCL_CONFIG_UNDEF_INT)
		return fail(NULL, ncclInvalidArgument, "blocking is %d", config->blocking);
	if (memcmp(id.internal, "fake", 4))
		return fail(NULL, ncclInvalidArgument, "the unique id is not of this library");
	void *context = cuda_context();
	if (!context)
		return fail(NULL, ncclUnhandledCudaError, "no CUDA context is current");
	if (faults.oom_init)
		return fail(NULL, ncclUnhandledCudaError, "Cuda failure 2 'out of memory'");
	ncclComm_t c = calloc(1, sizeof *c);
	if (!c)
		return fail(NULL, ncclSystemError, "out of memory");
	c->rank = rank;
	c->ranks = ranks;
	c->blocking = config->blocking != 0;
	c->context = context;
	c->listener = -1;
	c->references = 1;
	memcpy(c->name, id.internal + 4, sizeof c->name - 1);
	for (int r = 0; r < MAX_RANKS; r++)
		c->peers[r] = -1;
	pthread_mutex_init(&c->mu, NULL);
	pthread_cond_init(&c->changed, NULL);
	enlist(c);
	*out = c;
	return in_background(c, join, c);
}

API ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
	if (!id)
		return fail(NULL, ncclInvalidArgument, "id is NULL");
	unsigned char bytes[16];
	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return fail(NULL, ncclSystemError, "no random bytes");
	memset(id, 0, sizeof *id);
	memcpy(id->internal, "fake", 4);
	for (int i = 0; i < 16; i++)
		snprintf(id->internal + 4 + 2 * i, 3, "%02x", bytes[i]);
	return ncclSuccess;
}

API ncclResult_t ncclGetVersion(int *version)
{
	if (!version)
		return fail(NULL, ncclInvalidArgument, "version is NULL");
	*version = faults.version;
	return ncclSuccess;
}

API const char *ncclGetErrorString(ncclResult_t r)
{
	switch (r) {
	case ncclSuccess: return "no error";
	case ncclUnhandledCudaError: return "unhandled cuda error";
	case ncclSystemError: return "unhandled system error";
	case ncclInternalError: return "internal error";
	case ncclInvalidArgument: return "invalid argument";
	case ncclInvalidUsage: return "invalid usage";
	case ncclRemoteError: return "remote process exited or there was a network error";
	case ncclInProgress: return "NCCL operation in progress";
	}
	return "unknown result code";
}

API const char *ncclGetLastError(ncclComm_t c)
{
	return c ? c->error : thread_error;
}

API ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *async)
{
	if (!c || !async)
		return fail(NULL, ncclInvalidArgument, "communicator or result is NULL");
	pthread_mutex_lock(&c->mu);
	*async = c->state;
	pthread_mutex_unlock(&c->mu);
	return ncclSuccess;
}
