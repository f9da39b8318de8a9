// Streams, each a thread that does its items in order, and events.

#include "fake.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ITEM_COPY, ITEM_FILL, ITEM_LAUNCH, ITEM_HOST, ITEM_RECORD, ITEM_WAIT };

struct item {
	int kind;
	long number, launch_number; // in the order of issue
	void *to;
	const void *from;
	size_t n;
	unsigned value, width;
	CUhostFn host;
	CUevent event;
	long ticket;
	struct launch launch;
	struct item *next;
};

struct CUstream_st {
	struct item *first, **last;
	int ending;
};

// A record gives its event a ticket; the event is done when the last ticket is.
struct CUevent_st {
	long given, done;
	int timing, users, dead;
	struct timespec at;
};

static void forget(CUevent e)
{
	if (--e->users == 0 && e->dead)
		free(e);
}

static void fill(const struct item *i)
{
	char *to = i->to;
	for (size_t k = 0; k < i->n; k++)
		memcpy(to + k * i->width, &i->value, i->width); // little endian
}

// perform does an item that touches memory, without the lock.
static void perform(struct item *i)
{
	int code = 0;
	switch (i->kind) {
	case ITEM_COPY:
		memcpy(i->to, i->from, i->n);
		break;
	case ITEM_FILL:
		fill(i);
		break;
	case ITEM_HOST:
		fake_in_host_function = 1;
		i->host(i->to);
		fake_in_host_function = 0;
		break;
	case ITEM_LAUNCH:
		code = i->launch_number == fake.launch_nth ?
			       fake.launch_code :
			       fake_run(&i->launch, (unsigned)i->launch_number);
		free(i->launch.argument);
	}
	if (code != 0) {
		pthread_mutex_lock(&fake.lock);
		fake.sticky = code;
		pthread_mutex_unlock(&fake.lock);
	}
}

// order does an item that orders streams, with the lock held.
static void order(struct item *i)
{
	CUevent e = i->event;
	if (i->kind == ITEM_RECORD) {
		if (e->done < i->ticket)
			e->done = i->ticket;
		clock_gettime(CLOCK_MONOTONIC, &e->at);
		pthread_cond_broadcast(&fake.changed);
	} else {
		while (e->done < i->ticket && fake.sticky == 0)
			pthread_cond_wait(&fake.changed, &fake.lock);
	}
	forget(e);
}

static void *serve(void *arg)
{
	CUstream s = arg;
	pthread_mutex_lock(&fake.lock);
	for (;;) {
		while (s->first == NULL && !s->ending)
			pthread_cond_wait(&fake.changed, &fake.lock);
		struct item *i = s->first;
		if (i == NULL)
			break;
		if ((s->first = i->next) == NULL)
			s->last = &s->first;
		while (i->number == fake.hang_nth)
			pthread_cond_wait(&fake.changed, &fake.lock);
		if (i->kind >= ITEM_RECORD) {
			order(i);
		} else if (fake.sticky == 0) {
			pthread_mutex_unlock(&fake.lock);
			perform(i);
			pthread_mutex_lock(&fake.lock);
			pthread_cond_broadcast(&fake.changed);
		}
		free(i);
	}
	pthread_mutex_unlock(&fake.lock);
	free(s);
	return NULL;
}

CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority)
{
	ENTER(cuStreamCreateWithPriority);
	if (flags != CU_STREAM_NON_BLOCKING || priority > 0 || priority < -5)
		return fake_leave(CUDA_ERROR_INVALID_VALUE);
	CUstream s = calloc(1, sizeof *s);
	if (s == NULL)
		return fake_leave(CUDA_ERROR_OUT_OF_MEMORY);
	s->last = &s->first;
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, serve, s) != 0) {
		free(s);
		return fake_leave(CUDA_ERROR_OUT_OF_MEMORY);
	}
	*stream = s;
	return fake_leave(0);
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
	ENTER(cuStreamDestroy_v2);
	stream->ending = 1; // its thread does what is queued, and frees it
	pthread_cond_broadcast(&fake.changed);
	return fake_leave(0);
}

// queue appends an item and gives the lock back.
static int queue(CUstream s, struct item item)
{
	struct item *i = malloc(sizeof *i);
	if (s == NULL || i == NULL) {
		free(i);
		return fake_leave(s == NULL ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_OUT_OF_MEMORY);
	}
	*i = item;
	i->number = ++fake.commands;
	if (i->kind == ITEM_LAUNCH)
		i->launch_number = ++fake.launches;
	i->next = NULL;
	*s->last = i;
	s->last = &i->next;
	pthread_cond_broadcast(&fake.changed);
	return fake_leave(0);
}

static int copy(CUstream s, void *to, int to_side, const void *from, int from_side, size_t n)
{
	if (!fake_inside(to, n, to_side) || !fake_inside(from, n, from_side))
		return fake_leave(CUDA_ERROR_INVALID_VALUE);
	return queue(s, (struct item){ .kind = ITEM_COPY, .to = to, .from = from, .n = n });
}

#define AT(address) ((void *)(uintptr_t)(address))

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
	ENTER(cuMemcpyHtoDAsync_v2);
	return copy(stream, AT(to), ON_DEVICE, from, ON_HOST, bytes);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	ENTER(cuMemcpyDtoHAsync_v2);
	return copy(stream, to, ON_HOST, AT(from), ON_DEVICE, bytes);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	ENTER(cuMemcpyDtoDAsync_v2);
	return copy(stream, AT(to), ON_DEVICE, AT(from), ON_DEVICE, bytes);
}

static int set(CUstream s, CUdeviceptr to, unsigned value, unsigned width, size_t n)
{
	if (n > SIZE_MAX / width || to % width != 0 || !fake_inside(AT(to), n * width, ON_DEVICE))
		return fake_leave(CUDA_ERROR_INVALID_VALUE);
	return queue(s, (struct item){
				.kind = ITEM_FILL, .to = AT(to), .n = n, .value = value, .width = width });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream)
{
	ENTER(cuMemsetD8Async);
	return set(stream, to, value, 1, n);
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream stream)
{
	ENTER(cuMemsetD16Async);
	return set(stream, to, value, 2, n);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream)
{
	ENTER(cuMemsetD32Async);
	return set(stream, to, value, 4, n);
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn fn, void *arg)
{
	ENTER(cuLaunchHostFunc);
	return queue(stream, (struct item){ .kind = ITEM_HOST, .host = fn, .to = arg });
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
			unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
			CUstream stream, void **parameters, void **extra)
{
	ENTER(cuLaunchKernel);
	extern size_t fake_argument(CUfunction function);
	extern unsigned fake_threads(CUfunction function);
	unsigned long threads = (unsigned long)block_x * block_y * block_z;
	if (grid_x == 0 || grid_y == 0 || grid_z == 0 || grid_y > 65535 || grid_z > 65535 ||
	    threads == 0 || threads > fake_threads(function) || shared > 48 << 10 || extra != NULL)
		return fake_leave(CUDA_ERROR_INVALID_VALUE);
	size_t size = fake_argument(function);
	void *argument = malloc(size);
	if (argument == NULL)
		return fake_leave(CUDA_ERROR_OUT_OF_MEMORY);
	memcpy(argument, parameters[0], size);
	return queue(stream, (struct item){ .kind = ITEM_LAUNCH,
					    .launch = { function,
							{ grid_x, grid_y, grid_z },
							{ block_x, block_y, block_z },
							argument } });
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
	ENTER(cuEventCreate);
	CUevent e = calloc(1, sizeof *e);
	if (e == NULL)
		return fake_leave(CUDA_ERROR_OUT_OF_MEMORY);
	e->timing = flags == CU_EVENT_DEFAULT;
	*event = e;
	return fake_leave(0);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	ENTER(cuEventRecord);
	event->users++;
	return queue(stream, (struct item){
				     .kind = ITEM_RECORD, .event = event, .ticket = ++event->given });
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
	ENTER(cuStreamWaitEvent);
	(void)flags;
	event->users++;
	return queue(stream, (struct item){
				     .kind = ITEM_WAIT, .event = event, .ticket = event->given });
}

CUresult cuEventQuery(CUevent event)
{
	ENTER(cuEventQuery);
	return fake_leave(event->done < event->given ? CUDA_ERROR_NOT_READY : 0);
}

CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end)
{
	ENTER(cuEventElapsedTime);
	if (!start->timing || !end->timing || start->given == 0 || end->given == 0)
		return fake_leave(CUDA_ERROR_INVALID_HANDLE);
	if (start->done < start->given || end->done < end->given)
		return fake_leave(CUDA_ERROR_NOT_READY);
	*ms = (float)((double)(end->at.tv_sec - start->at.tv_sec) * 1e3 +
		      (double)(end->at.tv_nsec - start->at.tv_nsec) / 1e6);
	return fake_leave(0);
}

CUresult cuEventDestroy_v2(CUevent event)
{
	ENTER(cuEventDestroy_v2);
	event->dead = 1;
	event->users++;
	forget(event);
	return fake_leave(0);
}
