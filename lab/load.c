/* SPDX-License-Identifier: ISC */
/*
 * plait-load: the plain TCP endpoints of the benchmark, one thread, as cheap as can be.
 *
 *   plait-load serve PORT...                 what a connection is for is its first byte, see below
 *   plait-load connect ADDR PORT WHAT COUNT  COUNT connections at once; WHAT is
 *       down   the server sends without end
 *       up     the client sends without end
 *       short  connect, one byte, one byte back, close, and again without end
 *       idle   connect, one byte, one byte back, then nothing
 *
 * A line on stdin is answered with "MONOTONIC_NS BYTES DONE FAILED": bytes of down or up received
 * here, connections that got (serve: gave) their byte, and connections that broke. The end of
 * stdin ends the program; so a window of time is the difference of two answers.
 *
 * What is received is dropped in the kernel (MSG_TRUNC), without a copy.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK     (256u << 10)
#define BATCH     64
#define FD_MAX    (1u << 16)
#define BACKLOG   4096
#define HANDSHAKES 32 /* of idle connections at once: no listener's queue overflows */

enum state { FREE, LISTENER, CONNECTING, ASKED, FRESH, SOURCE, SINK, HELD };

static uint8_t state_of[FD_MAX]; /* by fd: enum state */
static uint8_t chunk[CHUNK];
static uint64_t bytes, done, failed;
static int epfd;

/* The client's part. */
static struct sockaddr_in target;
static char what; /* 'd', 'u', 's' or 'i'; 0: this is the server */
static unsigned int opened, wanted;

static void die(const char *text)
{
	perror(text);
	exit(1);
}

static void watch(int fd, enum state s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	const int op = state_of[fd] == FREE ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (epoll_ctl(epfd, op, fd, &ev) < 0)
		die("epoll_ctl");
	state_of[fd] = (uint8_t)s;
}

static void forget(int fd)
{
	state_of[fd] = FREE;
	close(fd);
}

static void dial(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || fd >= (int)FD_MAX)
		die("socket");
	opened++;
	if (connect(fd, (struct sockaddr *)&target, sizeof(target)) < 0 && errno != EINPROGRESS)
		die("connect");
	watch(fd, CONNECTING, EPOLLOUT);
}

static void broke(int fd)
{
	if (state_of[fd] == CONNECTING || state_of[fd] == ASKED || what == 'd' || what == 'u') {
		if (failed++ == 0)
			perror("plait-load: a connection broke");
		if (what == 's')
			dial();
	}
	forget(fd);
}

static void connected(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	errno = err;
	if (err || send(fd, &what, 1, MSG_NOSIGNAL) != 1)
		broke(fd);
	else if (what == 'u')
		watch(fd, SOURCE, EPOLLOUT);
	else
		watch(fd, what == 'd' ? SINK : ASKED, EPOLLIN);
}

static void answered(int fd)
{
	if (recv(fd, chunk, 1, 0) != 1) {
		broke(fd);
		return;
	}
	done++;
	if (what == 's')
		forget(fd);
	else
		watch(fd, HELD, EPOLLIN);
	if (what == 's' || opened < wanted)
		dial();
}

static void fill(int fd)
{
	if (send(fd, chunk, CHUNK, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		broke(fd);
}

static void drain(int fd)
{
	const ssize_t n = recv(fd, NULL, CHUNK << 2, MSG_TRUNC);

	if (n > 0)
		bytes += (uint64_t)n;
	else if (n == 0 || errno != EAGAIN)
		broke(fd);
}

static void take(int listener)
{
	const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (fd >= (int)FD_MAX)
		die("accept");
	watch(fd, FRESH, EPOLLIN);
}

static void first_byte(int fd)
{
	char c = 0;
	const bool got = recv(fd, &c, 1, 0) == 1;

	if (got && c == 'd') {
		watch(fd, SOURCE, EPOLLOUT);
	} else if (got && c == 'u') {
		watch(fd, SINK, EPOLLIN);
	} else if (got && send(fd, &c, 1, MSG_NOSIGNAL) == 1) {
		done++;
		watch(fd, HELD, EPOLLIN);
	} else {
		forget(fd);
	}
}

static void handle(int fd)
{
	switch ((enum state)state_of[fd]) {
	case FREE:
		break;
	case LISTENER:
		take(fd);
		break;
	case CONNECTING:
		connected(fd);
		break;
	case ASKED:
		answered(fd);
		break;
	case FRESH:
		first_byte(fd);
		break;
	case SOURCE:
		fill(fd);
		break;
	case SINK:
		drain(fd);
		break;
	case HELD:
		forget(fd);
		break;
	}
}

/* Returns false at the end of stdin. */
static bool report(void)
{
	char line[64];
	struct timespec now;

	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		(uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, bytes, done, failed);
	fflush(stdout);
	return true;
}

static void run(void)
{
	struct epoll_event ev[BATCH];

	for (;;) {
		const int n = epoll_wait(epfd, ev, BATCH, -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd != STDIN_FILENO)
				handle(ev[i].data.fd);
			else if (!report())
				return;
		}
	}
}

static uint16_t port_of(const char *text)
{
	const long port = strtol(text, NULL, 10);

	if (port < 1 || port > 65535) {
		fprintf(stderr, "plait-load: port %s: expected 1 to 65535\n", text);
		exit(2);
	}
	return htons((uint16_t)port);
}

static void serve(const char *port)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = port_of(port) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	watch(fd, LISTENER, EPOLLIN);
}

static bool client(char **arg)
{
	target = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port_of(arg[1]) };
	what = arg[2][0];
	wanted = (unsigned int)strtoul(arg[3], NULL, 10);
	if (inet_pton(AF_INET, arg[0], &target.sin_addr) != 1 || !what || !strchr("dusi", what))
		return false;
	for (unsigned int i = 0; i < wanted && (what != 'i' || i < HANDSHAKES); i++)
		dial();
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	epfd = epoll_create1(EPOLL_CLOEXEC);
	watch(STDIN_FILENO, HELD, EPOLLIN);
	if (argc >= 3 && !strcmp(argv[1], "serve")) {
		for (int i = 2; i < argc; i++)
			serve(argv[i]);
	} else if (argc != 6 || strcmp(argv[1], "connect") != 0 || !client(argv + 2)) {
		fputs("usage: plait-load serve PORT...\n"
		      "       plait-load connect ADDR PORT down|up|short|idle COUNT\n", stderr);
		return 2;
	}
	run();
	return 0;
}
