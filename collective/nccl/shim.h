// What Go calls: a table of NCCL's functions, a communicator with its lock, and calls, which are
// operations as data that the device's thread issues in one go.
#ifndef BANYAN_NCCL_SHIM_H
#define BANYAN_NCCL_SHIM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "abi.h"
#include "table.h"

typedef struct {
#define NCCL_FIELD(since, result, name, arguments) result(*name) arguments;
	NCCL_FUNCTIONS(NCCL_FIELD)
#undef NCCL_FIELD
} nccl_table;

// What an entry is called, and since which version there is one. 0 <= i < NCCL_ENTRIES.
enum { NCCL_ENTRIES = sizeof(nccl_table) / sizeof(void *) };
const char *nccl_entry_name(int i);
int nccl_entry_since(int i);

int nccl_version(const nccl_table *t, int *version);
int nccl_unique_id(const nccl_table *t, ncclUniqueId *id);
// nccl_text is NCCL's sentence for a result.
const char *nccl_text(const nccl_table *t, int result);

// What nccl_* return beside ncclResult_t.
enum {
	NCCL_STOPPED = -1, // the communicator was stopped; it is to be aborted
	NCCL_BUSY = -2,    // somebody else is inside of NCCL with it
};

// A communicator, non-blocking. NCCL allows one thread at a time in it, and an abort only while
// nobody is: so every call holds the lock, and all that wait in one look at stop.
typedef struct {
	const nccl_table *nccl;
	ncclComm_t handle;
	pthread_mutex_t lock;
	atomic_int stop;
} nccl_comm;

// It is never freed: a call that comes late must find that it was stopped.
nccl_comm *nccl_comm_new(const nccl_table *t);
void nccl_comm_stop(nccl_comm *c);

// nccl_poll answers the state of a communicator: ncclInProgress, an asynchronous error or success.
int nccl_poll(nccl_comm *c);
// nccl_last_error is the last error that NCCL recorded; c may be NULL.
const char *nccl_last_error(const nccl_table *t, nccl_comm *c);

// nccl_init begins to connect; nccl_poll tells when it has.
int nccl_init(nccl_comm *c, int ranks, const ncclUniqueId *id, int rank);

int nccl_finalize(nccl_comm *c); // begins to; nccl_poll tells when it is done
int nccl_destroy(nccl_comm *c);
// nccl_abort ends n communicators in one group, those that are not ended yet. All must be stopped,
// and locked by nccl_lock on the same thread.
int nccl_abort(nccl_comm **comms, int n);
int nccl_lock(nccl_comm *c); // ncclSuccess or NCCL_BUSY

enum {
	NCCL_ALL_GATHER,
	NCCL_ALL_REDUCE,
	NCCL_REDUCE_SCATTER,
	NCCL_BROADCAST,
	NCCL_SEND,
	NCCL_RECV,
	NCCL_ALL_TO_ALL,
};

typedef struct {
	int32_t kind;
	int32_t peer; // or root
	int32_t type;
	int32_t reduction;
	uint64_t count; // elements, as NCCL counts them in this operation
	uint64_t send, recv;
} nccl_op;

// A call is a list of operations that are one for the device: NCCL runs them together.
typedef struct {
	nccl_comm *comm;
	cudaStream_t stream;
	int32_t n;
	nccl_op ops[];
} nccl_call;

nccl_call *nccl_call_new(nccl_comm *c, void *stream, int n);
nccl_op *nccl_call_ops(nccl_call *call);

// nccl_issue puts a call on its stream, and returns when NCCL has done so: NCCL may take long over
// the first of its kind, while it connects, and gives up when the communicator is stopped.
int nccl_issue(void *nccl_call);
void *nccl_issue_function(void);

#endif
