// libfakenccl: NCCL's interface over unix sockets and a fake CUDA whose device memory is the
// host's. Ranks are processes, or threads of one. Operations run as host functions, in stream
// order, and really move and add.
//
// It is as strict as the real one where that finds bugs: a communicator is used by one call at a
// time, not while one is in progress; an operation whose peer is dead or disagrees never ends
// until the abort; an abort outside of a group waits for the other communicators of the process.
#ifndef BANYAN_FAKE_NCCL_H
#define BANYAN_FAKE_NCCL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "../../abi.h"

#define MAX_RANKS 64
#define API __attribute__((visibility("default")))

struct ncclComm {
	int rank, ranks, blocking;
	char name[33]; // of the sockets, from the unique id
	void *context;
	int peers[MAX_RANKS]; // sockets by rank, -1 for this one
	int listener;
	pthread_t joiner;

	pthread_mutex_t mu;
	pthread_cond_t changed;
	int references;        // the owner, the threads and the operations that hold it
	int threads;           // at work for it: joining, enqueueing, finalizing
	ncclResult_t state;    // what ncclCommGetAsyncError answers
	uint64_t issued, turn; // operations given to streams, and done
	int running;           // operations inside of their host function
	int finalized;
	atomic_int abort;
	char error[256];
	struct ncclComm *next; // of this process
};

// step is one message of an operation: to or from a peer.
typedef struct {
	int peer, sends;
	char *at;
	uint64_t bytes;
} step;

// part is one call of the user's: messages that run together, then a sum.
typedef struct part {
	int steps;
	step *list;
	// The sum, if there is scratch: the vectors of all ranks lie in it side by side, and are added
	// into out. The order of addition begins behind the owner of each block, as in a ring.
	char *scratch, *out;
	uint64_t count; // elements of out
	int blocks, owner;
	ncclDataType_t type;
	ncclRedOp_t reduction;
	struct part *next;
	int pairwise; // of ncclSend and ncclRecv: the next one joins it
} part;

typedef struct operation {
	ncclComm_t comm;
	void *stream;
	uint64_t number; // in the communicator, from 0
	part *first, *last;
	struct operation *next;
} operation;

// faults.c
enum fault { FAULT_NONE, FAULT_FAIL, FAULT_HANG };
extern struct faults {
	int version;
	enum fault init, abort, finalize;
	long issue_at, oom_at, stall_at, async_at, die_at; // numbers of operations, -1 for none
	int oom_init;
} faults;
void hang(void); // for ever

// cuda.c
void *cuda_context(void);
ncclResult_t cuda_enter(void *context);
ncclResult_t cuda_enqueue(void *stream, void (*f)(void *), void *arg);

// comm.c
void pause_ms(int ms);
ncclResult_t fail(ncclComm_t c, ncclResult_t r, const char *format, ...);
ncclResult_t fail_async(ncclComm_t c, ncclResult_t r, const char *format, ...);
int is_aborted(ncclComm_t c);
void hold(ncclComm_t c);
void release(ncclComm_t c);
ncclResult_t ready(ncclComm_t c);
ncclResult_t in_background(ncclComm_t c, ncclResult_t (*f)(void *), void *arg);

// end.c
void enlist(ncclComm_t c);
void unlist(ncclComm_t c);
void finish_aborts(ncclComm_t *comms, int n);

// mesh.c
ncclResult_t join_mesh(ncclComm_t c);
void leave_mesh(ncclComm_t c);

// wire.c
ncclResult_t exchange(ncclComm_t c, step *list, int n, int die_half_way);

// sum.c
int can_reduce(ncclDataType_t type, ncclRedOp_t reduction);
void reduce(const part *p, int ranks);

// ops.c
size_t size_of(ncclDataType_t type);

// group.c
void group_start(void);
ncclResult_t group_end(void);
ncclResult_t group_part(ncclComm_t c, void *stream, part *p);
int group_abort(ncclComm_t c); // 0 outside of a group

#endif
