// How communicators end: finalized and destroyed, or aborted.
#include <stdlib.h>

#include "fake.h"

static pthread_mutex_t all_mu = PTHREAD_MUTEX_INITIALIZER;
static ncclComm_t all;

void enlist(ncclComm_t c)
{
	pthread_mutex_lock(&all_mu);
	c->next = all;
	all = c;
	pthread_mutex_unlock(&all_mu);
}

void unlist(ncclComm_t c)
{
	pthread_mutex_lock(&all_mu);
	for (ncclComm_t *at = &all; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	pthread_mutex_unlock(&all_mu);
}

// is_running tells whether an operation of c is on the device, or will be: once aborted, those that
// have not begun do nothing.
static int is_running(ncclComm_t c)
{
	pthread_mutex_lock(&c->mu);
	int running = c->running > 0 || (c->issued != c->turn && !is_aborted(c));
	pthread_mutex_unlock(&c->mu);
	return running;
}

// device_busy tells whether an operation of any communicator of the context is on the device.
static int device_busy(void *context)
{
	int busy = 0;
	pthread_mutex_lock(&all_mu);
	for (ncclComm_t c = all; c; c = c->next)
		busy |= c->context == context && is_running(c);
	pthread_mutex_unlock(&all_mu);
	return busy;
}

// finish_aborts waits as the real one may: until the device is idle. One that was not aborted in
// the same group may keep it busy for ever.
void finish_aborts(ncclComm_t *comms, int n)
{
	for (int i = 0; i < n; i++) {
		ncclComm_t c = comms[i];
		pthread_mutex_lock(&c->mu);
		while (c->threads)
			pthread_cond_wait(&c->changed, &c->mu);
		pthread_mutex_unlock(&c->mu);
		while (device_busy(c->context))
			pause_ms(1);
	}
	for (int i = 0; i < n; i++)
		release(comms[i]);
}

API ncclResult_t ncclCommAbort(ncclComm_t c)
{
	if (!c)
		return ncclSuccess;
	if (faults.abort == FAULT_HANG)
		hang();
	pthread_mutex_lock(&c->mu);
	atomic_store(&c->abort, 1);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mu);
	if (!group_abort(c))
		finish_aborts(&c, 1);
	return ncclSuccess;
}

// finalize waits for the operations and then for every peer to come here.
static ncclResult_t finalize(void *arg)
{
	ncclComm_t c = arg;
	while (faults.finalize == FAULT_HANG && !is_aborted(c))
		pause_ms(1);
	pthread_mutex_lock(&c->mu);
	while (c->turn != c->issued && !is_aborted(c))
		pthread_cond_wait(&c->changed, &c->mu);
	pthread_mutex_unlock(&c->mu);
	step list[2 * MAX_RANKS];
	int n = 0;
	for (int r = 0; r < c->ranks; r++) {
		if (r == c->rank)
			continue;
		list[n++] = (step){.peer = r, .sends = 1};
		list[n++] = (step){.peer = r};
	}
	return exchange(c, list, n, 0);
}

API ncclResult_t ncclCommFinalize(ncclComm_t c)
{
	ncclResult_t r = ready(c);
	if (r != ncclSuccess)
		return r;
	pthread_mutex_lock(&c->mu);
	c->finalized = 1;
	pthread_mutex_unlock(&c->mu);
	return in_background(c, finalize, c);
}

API ncclResult_t ncclCommDestroy(ncclComm_t c)
{
	if (!c)
		return ncclSuccess;
	pthread_mutex_lock(&c->mu);
	int finalized = c->finalized, busy = c->state == ncclInProgress;
	pthread_mutex_unlock(&c->mu);
	if (busy)
		return fail(c, ncclInvalidArgument, "destroyed while in progress");
	if (!finalized) { // the real one finalizes too, and may wait for its peers
		int blocking = c->blocking;
		c->blocking = 1;
		ncclResult_t r = ncclCommFinalize(c);
		c->blocking = blocking;
		if (r != ncclSuccess)
			return r;
	}
	release(c);
	return ncclSuccess;
}
