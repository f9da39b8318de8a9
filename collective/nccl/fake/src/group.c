// Groups, and how an operation gets onto its stream and runs there.
#include <stdlib.h>
#include <string.h>

#include "fake.h"

enum { MAX_ABORTS = 16 };

static _Thread_local struct {
	int depth;
	operation *first, *last;
	ncclComm_t aborts[MAX_ABORTS];
	int abort_count;
} group;

static void free_operation(operation *o)
{
	for (part *p = o->first, *next; p; p = next) {
		next = p->next;
		free(p->scratch);
		free(p->list);
		free(p);
	}
	release(o->comm);
	free(o);
}

// my_turn waits for the operations before; 0 if the abort came first.
static int my_turn(operation *o)
{
	ncclComm_t c = o->comm;
	pthread_mutex_lock(&c->mu);
	while (c->turn != o->number && !is_aborted(c))
		pthread_cond_wait(&c->changed, &c->mu);
	int mine = !is_aborted(c);
	c->running += mine;
	pthread_mutex_unlock(&c->mu);
	return mine;
}

// run is the host function of an operation. The stream goes on when it returns.
static void run(void *arg)
{
	operation *o = arg;
	ncclComm_t c = o->comm;
	if (my_turn(o)) {
		ncclResult_t r = ncclSuccess;
		long n = (long)o->number;
		if (n == faults.async_at)
			fail_async(c, ncclRemoteError, "fake: the network went away");
		if (n == faults.async_at || n == faults.stall_at) {
			while (!is_aborted(c))
				pause_ms(1);
			r = ncclInternalError;
		}
		for (part *p = o->first; p && r == ncclSuccess; p = p->next) {
			r = exchange(c, p->list, p->steps, n == faults.die_at);
			if (r == ncclSuccess && p->scratch)
				reduce(p, c->ranks);
		}
		pthread_mutex_lock(&c->mu);
		c->running--;
		c->turn++;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->mu);
	}
	free_operation(o);
}

static ncclResult_t enqueue(void *arg)
{
	operation *o = arg;
	ncclComm_t c = o->comm;
	while ((long)o->number == faults.issue_at && !is_aborted(c))
		pause_ms(1);
	ncclResult_t r = is_aborted(c) ? ncclInternalError : ncclSuccess;
	if (r == ncclSuccess && (long)o->number == faults.oom_at)
		r = fail_async(c, ncclUnhandledCudaError, "Cuda failure 2 'out of memory'");
	if (r == ncclSuccess)
		r = cuda_enqueue(o->stream, run, o);
	if (r != ncclSuccess)
		free_operation(o);
	return r;
}

void group_start(void) { group.depth++; }

ncclResult_t group_part(ncclComm_t c, void *stream, part *p)
{
	group_start();
	operation *o = group.last;
	if (!o || o->comm != c || o->stream != stream) {
		o = calloc(1, sizeof *o);
		o->comm = c;
		o->stream = stream;
		hold(c);
		if (group.last)
			group.last->next = o;
		else
			group.first = o;
		group.last = o;
	}
	if (p->pairwise && o->last && o->last->pairwise) {
		part *into = o->last;
		into->list = realloc(into->list, (size_t)(into->steps + 1) * sizeof(step));
		into->list[into->steps++] = p->list[0];
		free(p->list);
		free(p);
	} else if (o->last) {
		o->last = o->last->next = p;
	} else {
		o->first = o->last = p;
	}
	return group_end();
}

// group_abort defers the waiting of an abort to the end of the group.
int group_abort(ncclComm_t c)
{
	if (!group.depth)
		return 0;
	if (group.abort_count == MAX_ABORTS)
		abort();
	group.aborts[group.abort_count++] = c;
	return 1;
}

ncclResult_t group_end(void)
{
	if (!group.depth)
		return fail(NULL, ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
	if (--group.depth)
		return ncclSuccess;
	finish_aborts(group.aborts, group.abort_count);
	group.abort_count = 0;
	operation *o = group.first;
	group.first = group.last = NULL;
	ncclResult_t first = ncclSuccess;
	for (operation *next; o; o = next) {
		next = o->next;
		ncclComm_t c = o->comm;
		ncclResult_t r = ready(c);
		if (r != ncclSuccess) {
			free_operation(o);
		} else {
			pthread_mutex_lock(&c->mu);
			o->number = c->issued++;
			pthread_mutex_unlock(&c->mu);
			r = in_background(c, enqueue, o);
		}
		if (first == ncclSuccess || first == ncclInProgress)
			first = r != ncclSuccess ? r : first;
	}
	return first;
}

API ncclResult_t ncclGroupStart(void)
{
	group_start();
	return ncclSuccess;
}

API ncclResult_t ncclGroupEnd(void) { return group_end(); }
