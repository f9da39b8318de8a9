#include "shim.h"

#include <stdlib.h>
#include <time.h>

static const struct {
	const char *name;
	int since;
} entries[] = {
#define NCCL_ENTRY(since, result, name, arguments) {#name, since},
	NCCL_FUNCTIONS(NCCL_ENTRY)
#undef NCCL_ENTRY
};

const char *nccl_entry_name(int i) { return entries[i].name; }

int nccl_entry_since(int i) { return entries[i].since; }

int nccl_version(const nccl_table *t, int *version) { return t->ncclGetVersion(version); }

int nccl_unique_id(const nccl_table *t, ncclUniqueId *id) { return t->ncclGetUniqueId(id); }

const char *nccl_text(const nccl_table *t, int result) { return t->ncclGetErrorString(result); }

nccl_comm *nccl_comm_new(const nccl_table *t)
{
	nccl_comm *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->nccl = t;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void nccl_comm_stop(nccl_comm *c) { atomic_store(&c->stop, 1); }

int nccl_lock(nccl_comm *c) { return pthread_mutex_trylock(&c->lock) ? NCCL_BUSY : ncclSuccess; }

static int state(nccl_comm *c)
{
	ncclResult_t async = ncclSuccess;
	ncclResult_t r = c->nccl->ncclCommGetAsyncError(c->handle, &async);
	return r != ncclSuccess ? r : async;
}

int nccl_poll(nccl_comm *c)
{
	if (nccl_lock(c) != ncclSuccess)
		return NCCL_BUSY;
	int r = atomic_load(&c->stop) || !c->handle ? NCCL_STOPPED : state(c);
	pthread_mutex_unlock(&c->lock);
	return r;
}

const char *nccl_last_error(const nccl_table *t, nccl_comm *c)
{
	return t->ncclGetLastError(c ? c->handle : NULL);
}

// settle waits until NCCL has taken what was called. The lock is held.
static int settle(nccl_comm *c, int r)
{
	long pause_ns = 2000;
	while (r == ncclInProgress) {
		if (atomic_load(&c->stop))
			return NCCL_STOPPED;
		struct timespec pause = {0, pause_ns};
		nanosleep(&pause, NULL);
		if (pause_ns < 1000000)
			pause_ns += pause_ns / 2;
		r = state(c);
	}
	return r;
}

int nccl_init(nccl_comm *c, int ranks, const ncclUniqueId *id, int rank)
{
	ncclConfig_t config = {
		.size = sizeof config,
		.magic = NCCL_API_MAGIC,
		.version = NCCL_OLDEST,
		.blocking = 0,
		.cgaClusterSize = NCCL_CONFIG_UNDEF_INT,
		.minCTAs = NCCL_CONFIG_UNDEF_INT,
		.maxCTAs = NCCL_CONFIG_UNDEF_INT,
		.netName = NULL,
		.splitShare = NCCL_CONFIG_UNDEF_INT,
	};
	pthread_mutex_lock(&c->lock);
	int r = NCCL_STOPPED;
	if (!atomic_load(&c->stop))
		r = c->nccl->ncclCommInitRankConfig(&c->handle, ranks, *id, rank, &config);
	pthread_mutex_unlock(&c->lock);
	return r == ncclInProgress ? ncclSuccess : r;
}

int nccl_finalize(nccl_comm *c)
{
	pthread_mutex_lock(&c->lock);
	int r = atomic_load(&c->stop) ? NCCL_STOPPED : c->nccl->ncclCommFinalize(c->handle);
	pthread_mutex_unlock(&c->lock);
	return r == ncclInProgress ? ncclSuccess : r;
}

int nccl_destroy(nccl_comm *c)
{
	pthread_mutex_lock(&c->lock);
	int r = NCCL_STOPPED;
	if (!atomic_exchange(&c->stop, 1)) {
		r = c->nccl->ncclCommDestroy(c->handle);
		c->handle = NULL; // also after an error: nothing better can be done with it
	}
	pthread_mutex_unlock(&c->lock);
	return r == ncclInProgress ? ncclSuccess : r;
}

int nccl_abort(nccl_comm **comms, int n)
{
	const nccl_table *t = comms[0]->nccl;
	int first = t->ncclGroupStart();
	for (int i = 0; i < n; i++) {
		int r = comms[i]->handle ? t->ncclCommAbort(comms[i]->handle) : ncclSuccess;
		comms[i]->handle = NULL;
		if (first == ncclSuccess && r != ncclInProgress)
			first = r;
	}
	int r = t->ncclGroupEnd();
	if (first == ncclSuccess && r != ncclInProgress)
		first = r;
	for (int i = 0; i < n; i++)
		pthread_mutex_unlock(&comms[i]->lock);
	return first;
}

nccl_call *nccl_call_new(nccl_comm *c, void *stream, int n)
{
	nccl_call *call = calloc(1, sizeof *call + (size_t)n * sizeof call->ops[0]);
	if (!call)
		return NULL;
	call->comm = c;
	call->stream = stream;
	call->n = n;
	return call;
}

nccl_op *nccl_call_ops(nccl_call *call) { return call->ops; }

static ncclResult_t issue(const nccl_call *c, const nccl_op *o)
{
	const nccl_table *t = c->comm->nccl;
	ncclComm_t h = c->comm->handle;
	cudaStream_t s = c->stream;
	const void *send = (const void *)(uintptr_t)o->send;
	void *recv = (void *)(uintptr_t)o->recv;
	switch (o->kind) {
	case NCCL_ALL_GATHER: return t->ncclAllGather(send, recv, o->count, o->type, h, s);
	case NCCL_ALL_REDUCE:
		return t->ncclAllReduce(send, recv, o->count, o->type, o->reduction, h, s);
	case NCCL_REDUCE_SCATTER:
		return t->ncclReduceScatter(send, recv, o->count, o->type, o->reduction, h, s);
	case NCCL_BROADCAST:
		return t->ncclBroadcast(send, recv, o->count, o->type, o->peer, h, s);
	case NCCL_SEND: return t->ncclSend(send, o->count, o->type, o->peer, h, s);
	case NCCL_RECV: return t->ncclRecv(recv, o->count, o->type, o->peer, h, s);
	case NCCL_ALL_TO_ALL: return t->ncclAlltoAll(send, recv, o->count, o->type, h, s);
	}
	return ncclInvalidArgument;
}

int nccl_issue(void *call)
{
	nccl_call *a = call;
	nccl_comm *c = a->comm;
	pthread_mutex_lock(&c->lock);
	if (atomic_load(&c->stop)) {
		pthread_mutex_unlock(&c->lock);
		return NCCL_STOPPED;
	}
	int first = c->nccl->ncclGroupStart();
	for (int i = 0; i < a->n && first == ncclSuccess; i++) {
		int r = issue(a, &a->ops[i]);
		if (r != ncclInProgress)
			first = r;
	}
	int r = c->nccl->ncclGroupEnd(); // also after an error: the group is the thread's
	if (first == ncclSuccess)
		first = settle(c, r);
	pthread_mutex_unlock(&c->lock);
	return first;
}

void *nccl_issue_function(void) { return nccl_issue; }
