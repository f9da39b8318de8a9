// Messages between ranks: 8 bytes of length, then the bytes. All of a list move at once; those
// between the same two ranks in the order of the list.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"

enum { HEAD = sizeof(uint64_t) };

// lane is one direction of one peer: the message that is under way.
typedef struct {
	int peer, sends;
	step *now; // NULL when all are done
	uint64_t done;
	uint64_t head;
} lane;

typedef struct {
	ncclComm_t comm;
	step *list;
	int n;
	uint64_t sent, to_send;
	int dies;
} transfer;

static void next(const transfer *t, lane *l)
{
	step *at = l->now ? l->now + 1 : t->list;
	l->done = 0;
	for (l->now = NULL; at < t->list + t->n; at++) {
		if (at->peer == l->peer && at->sends == l->sends) {
			l->now = at;
			l->head = at->bytes;
			return;
		}
	}
}

// to_self moves the messages of this rank to itself, each of which needs its other half.
static ncclResult_t to_self(transfer *t)
{
	lane from = {.peer = t->comm->rank, .sends = 1}, to = {.peer = t->comm->rank};
	for (next(t, &from), next(t, &to); from.now && to.now; next(t, &from), next(t, &to)) {
		if (from.now->bytes != to.now->bytes)
			return ncclInvalidUsage;
		memmove(to.now->at, from.now->at, to.now->bytes);
	}
	return from.now || to.now ? ncclInvalidUsage : ncclSuccess;
}

// advance moves what the socket takes of a lane. It answers 1 if something moved, 0 if not, -1
// when the peer is gone, -2 when it sends another length.
static int advance(transfer *t, lane *l)
{
	int fd = t->comm->peers[l->peer], moved = 0;
	while (l->now) {
		char *at = l->done < HEAD ? (char *)&l->head + l->done : l->now->at + (l->done - HEAD);
		uint64_t left = l->done < HEAD ? HEAD - l->done : l->now->bytes + HEAD - l->done;
		ssize_t n = 0;
		if (left)
			n = l->sends ? send(fd, at, left, MSG_NOSIGNAL) : recv(fd, at, left, 0);
		if (left && n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR) ? moved : -1;
		l->done += (uint64_t)n;
		moved = 1;
		if (l->sends)
			t->sent += (uint64_t)n;
		if (t->dies && l->sends && 2 * t->sent >= t->to_send)
			kill(getpid(), SIGKILL);
		if (l->done == HEAD && l->head != l->now->bytes)
			return -2;
		if (l->done >= HEAD && l->done == l->now->bytes + HEAD)
			next(t, l);
	}
	return moved;
}

// stuck is what an operation does that cannot go on: nothing, until the abort.
static ncclResult_t stuck(ncclComm_t c)
{
	while (!is_aborted(c))
		pause_ms(1);
	return ncclInternalError;
}

// idle waits until a socket is ready for one of the lanes, or a moment: the abort has no socket.
static void idle(ncclComm_t c, const lane *lanes, int n)
{
	struct pollfd p[2 * MAX_RANKS];
	int waits = 0;
	for (int i = 0; i < n; i++) {
		if (lanes[i].now)
			p[waits++] = (struct pollfd){.fd = c->peers[lanes[i].peer],
						     .events = lanes[i].sends ? POLLOUT : POLLIN};
	}
	poll(p, (nfds_t)waits, 5);
}

ncclResult_t exchange(ncclComm_t c, step *list, int n, int die_half_way)
{
	transfer t = {.comm = c, .list = list, .n = n, .dies = die_half_way};
	if (to_self(&t) != ncclSuccess) {
		fail_async(c, ncclInvalidUsage, "a message to itself has no other half");
		return stuck(c);
	}
	lane lanes[2 * MAX_RANKS];
	int count = 0;
	for (int i = 0; i < 2 * c->ranks; i++) {
		lane l = {.peer = i / 2, .sends = i % 2};
		next(&t, &l);
		if (l.peer != c->rank && l.now)
			lanes[count++] = l;
	}
	for (int i = 0; i < n; i++)
		t.to_send += list[i].sends && list[i].peer != c->rank ? list[i].bytes + HEAD : 0;
	for (;;) {
		int open = 0, moved = 0;
		if (is_aborted(c))
			return ncclInternalError;
		for (int i = 0; i < count; i++) {
			int r = advance(&t, &lanes[i]);
			if (r == -1)
				fail_async(c, ncclRemoteError, "rank %d is gone", lanes[i].peer);
			if (r < 0)
				return stuck(c);
			open |= lanes[i].now != NULL;
			moved |= r;
		}
		if (!open)
			return ncclSuccess;
		if (!moved)
			idle(c, lanes, count);
	}
}
