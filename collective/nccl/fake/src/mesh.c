// The sockets of a communicator: one for each pair of ranks. Addresses need no file and no root:
// they are abstract names made of the unique id and the rank.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake.h"

typedef struct {
	int rank, ranks;
} greeting;

static socklen_t address(ncclComm_t c, int rank, struct sockaddr_un *a)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	int n = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "fake-nccl-%s-%d", c->name, rank);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

// whole reads or writes a greeting on a socket that does not block.
static int whole(ncclComm_t c, int fd, greeting *g, int sends)
{
	size_t done = 0;
	while (done < sizeof *g) {
		if (is_aborted(c))
			return -1;
		struct pollfd p = {.fd = fd, .events = sends ? POLLOUT : POLLIN};
		poll(&p, 1, 5);
		char *at = (char *)g + done;
		ssize_t n = sends ? send(fd, at, sizeof *g - done, MSG_NOSIGNAL | MSG_DONTWAIT)
				  : recv(fd, at, sizeof *g - done, MSG_DONTWAIT);
		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return -1;
	}
	return 0;
}

static int dial(ncclComm_t c, int rank)
{
	struct sockaddr_un a;
	socklen_t length = address(c, rank, &a);
	while (!is_aborted(c)) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -1;
		if (!connect(fd, (struct sockaddr *)&a, length)) {
			greeting g = {c->rank, c->ranks};
			if (!whole(c, fd, &g, 1))
				return fd;
		}
		close(fd);
		pause_ms(1);
	}
	return -1;
}

// answer takes one of the higher ranks.
static ncclResult_t answer(ncclComm_t c)
{
	int fd = -1;
	while (fd < 0) {
		if (is_aborted(c))
			return ncclInternalError;
		struct pollfd p = {.fd = c->listener, .events = POLLIN};
		if (poll(&p, 1, 5) > 0)
			fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
	}
	greeting g;
	if (whole(c, fd, &g, 0)) {
		close(fd);
		return fail_async(c, ncclRemoteError, "a rank went away while it joined");
	}
	if (g.ranks != c->ranks || g.rank <= c->rank || g.rank >= c->ranks ||
	    c->peers[g.rank] >= 0) {
		close(fd);
		return fail_async(c, ncclInvalidUsage, "rank %d of %d joined rank %d of %d", g.rank,
				  g.ranks, c->rank, c->ranks);
	}
	c->peers[g.rank] = fd;
	return ncclSuccess;
}

ncclResult_t join_mesh(ncclComm_t c)
{
	struct sockaddr_un a;
	socklen_t length = address(c, c->rank, &a);
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener < 0 || bind(c->listener, (struct sockaddr *)&a, length) ||
	    listen(c->listener, MAX_RANKS))
		return fail_async(c, ncclSystemError, "listen: %s", strerror(errno));
	for (int r = 0; r < c->rank; r++) {
		if ((c->peers[r] = dial(c, r)) < 0)
			return fail_async(c, ncclSystemError, "rank %d did not answer", r);
	}
	for (int r = c->rank + 1; r < c->ranks; r++) {
		ncclResult_t result = answer(c);
		if (result != ncclSuccess)
			return result;
	}
	for (int r = 0; r < c->ranks; r++) {
		if (c->peers[r] >= 0)
			fcntl(c->peers[r], F_SETFL, O_NONBLOCK);
	}
	return ncclSuccess;
}

void leave_mesh(ncclComm_t c)
{
	for (int r = 0; r < c->ranks; r++) {
		if (c->peers[r] >= 0)
			close(c->peers[r]);
	}
	if (c->listener >= 0)
		close(c->listener);
}
