/* SPDX-License-Identifier: ISC */
/* The relay between sockets of this process: each test is the host at both ends. */
#include "testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "relay/relay.h"

#define BUFFER  (256u << 10)
#define PATIENT 20000 /* ms until a test gives up; each goes on as soon as it can */
#define MIB     ((uint64_t)1 << 20)

static struct relay_pool *pool;
static int ended_fd;
static unsigned int fds_before;

static unsigned int count_fds(void)
{
	unsigned int n = 0;
	DIR *const d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int set_up(void **state)
{
	fds_before = count_fds();
	return relay_pool_new(&pool, 2, BUFFER, &ended_fd);
}

/* Nothing is left open, whatever the test did. */
static int tear_down(void **state)
{
	relay_pool_free(pool);
	pool = NULL;
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

/* ---- connections ---- */

static void set_blocking(int fd, bool blocking)
{
	const int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* A TCP connection over loopback; @small: with buffers of a few KiB. fd[1] is non-blocking. */
static void tcp_pair(int fd[2], bool small)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	const int size = 16 << 10;
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (small) {
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&at, len), 0);
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd[1] >= 0);
	close(listener);
}

struct ends {
	int client, server; /* what the two hosts hold; blocking, with a time limit */
};

static void limit_time(int fd)
{
	const struct timeval t = { .tv_sec = PATIENT / 1000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static struct ends start_between(struct relay *r, uint32_t owner, const int client[2], const int server[2])
{
	limit_time(client[0]);
	limit_time(server[0]);
	relay_start(pool, r, (struct slot_ref){ .slot = owner, .gen = 7 }, client[1], server[1]);
	return (struct ends){ .client = client[0], .server = server[0] };
}

static struct ends start(struct relay *r, uint32_t owner, bool small)
{
	int client[2], server[2];

	tcp_pair(client, small);
	tcp_pair(server, small);
	return start_between(r, owner, client, server);
}

static void close_both(const struct ends *e)
{
	close(e->client);
	close(e->server);
}

static void reset(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static struct relay_ended wait_ended(void)
{
	struct pollfd p = { .fd = ended_fd, .events = POLLIN };
	struct relay_ended e = { 0 };

	assert_int_equal(poll(&p, 1, PATIENT), 1);
	assert_int_equal(read(ended_fd, &e, sizeof(e)), sizeof(e));
	return e;
}

static void assert_ended(uint32_t owner, enum relay_end how)
{
	const struct relay_ended e = wait_ended();
	assert_int_equal(e.owner.slot, owner);
	assert_int_equal(e.owner.gen, 7);
	assert_string_equal(relay_end_text(e.end), relay_end_text(how));
}

/* ---- data ---- */

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 2654435761u >> 13);
}

static void assert_said(int from, const char *text)
{
	char buf[64];
	assert_int_equal(recv(from, buf, strlen(text), MSG_WAITALL), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void say(int to, const char *text)
{
	assert_int_equal(send(to, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* EOF, not an error. */
static void assert_eof(int from)
{
	char c;
	assert_int_equal(recv(from, &c, 1, 0), 0);
}

static void assert_reset(int from)
{
	char c;
	assert_int_equal(recv(from, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* One way of a transfer: @sent of @total bytes are under way, @got of them arrived intact. */
struct way {
	int from, to;
	uint64_t total, sent, got;
};

static void way_send(struct way *w)
{
	uint8_t buf[32 << 10];
	const uint64_t left = w->total - w->sent;
	const size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);

	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(w->sent + i);
	const ssize_t done = send(w->from, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	assert_true(done > 0 || errno == EAGAIN);
	w->sent += done > 0 ? (uint64_t)done : 0;
}

static void way_receive(struct way *w)
{
	uint8_t buf[32 << 10];
	const ssize_t n = recv(w->to, buf, sizeof(buf), MSG_DONTWAIT);

	assert_true(n > 0 || (n < 0 && errno == EAGAIN));
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] != pattern(w->got + (uint64_t)i))
			fail_msg("byte %llu is wrong", (unsigned long long)w->got + (unsigned long long)i);
	}
	w->got += n > 0 ? (uint64_t)n : 0;
}

/* Until all of both ways arrived. */
static void transfer(struct way *up, struct way *down)
{
	struct way *const ways[2] = { up, down };

	while (up->got < up->total || down->got < down->total) {
		struct pollfd p[4];
		for (size_t i = 0; i < 2; i++) {
			const struct way *const w = ways[i];
			p[2 * i] = (struct pollfd){ .fd = w->sent < w->total ? w->from : -1, .events = POLLOUT };
			p[2 * i + 1] = (struct pollfd){ .fd = w->got < w->total ? w->to : -1, .events = POLLIN };
		}
		assert_true(poll(p, 4, PATIENT) > 0);
		for (size_t i = 0; i < 2; i++) {
			if (p[2 * i].revents)
				way_send(ways[i]);
			if (p[2 * i + 1].revents)
				way_receive(ways[i]);
		}
	}
}

/* Send without anybody who reads, until nothing more is taken for a while. */
static void fill(struct way *w)
{
	for (;;) {
		struct pollfd p = { .fd = w->from, .events = POLLOUT };
		if (poll(&p, 1, 200) == 0)
			return;
		way_send(w);
	}
}

/* ---- tests ---- */

static void test_both_ways_until_both_have_ended(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 1, false);

	say(e.client, "question");
	assert_said(e.server, "question");
	say(e.server, "answer"); /* and the server may speak first as well */
	assert_said(e.client, "answer");
	say(e.server, "more");
	assert_said(e.client, "more");
	shutdown(e.client, SHUT_WR);
	assert_eof(e.server);
	shutdown(e.server, SHUT_WR);
	assert_eof(e.client);
	assert_ended(1, RELAY_END_FINISHED);
	assert_int_equal(r.way[RELAY_CLIENT].bytes, 8);
	assert_int_equal(r.way[RELAY_SERVER].bytes, 10);
	close_both(&e);
}

static void test_nothing_said(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 2, false);

	close_both(&e);
	assert_ended(2, RELAY_END_FINISHED);
	assert_int_equal(r.way[RELAY_CLIENT].bytes + r.way[RELAY_SERVER].bytes, 0);
}

/* What was in the sockets before the relay began, FIN included. */
static void test_what_was_there_before(void **state)
{
	struct relay r;
	int client[2], server[2];

	tcp_pair(client, false);
	tcp_pair(server, false);
	say(client[0], "early");
	shutdown(client[0], SHUT_WR);
	const struct ends e = start_between(&r, 3, client, server);
	assert_said(e.server, "early");
	assert_eof(e.server);
	say(e.server, "late");
	close(e.server);
	assert_said(e.client, "late");
	assert_eof(e.client);
	assert_ended(3, RELAY_END_FINISHED);
	close(e.client);
}

static void test_much_both_ways_at_once(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 4, false);
	struct way up = { .from = e.client, .to = e.server, .total = 24 * MIB + 1 };
	struct way down = { .from = e.server, .to = e.client, .total = 40 * MIB + 3 };

	transfer(&up, &down);
	close_both(&e);
	assert_ended(4, RELAY_END_FINISHED);
	assert_int_equal(r.way[RELAY_CLIENT].bytes, up.total);
	assert_int_equal(r.way[RELAY_SERVER].bytes, down.total);
}

static void test_half_close_still_receives(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 5, false);
	struct way none = { 0 }, down = { .from = e.server, .to = e.client, .total = 4 * MIB };

	say(e.client, "all of it, please");
	shutdown(e.client, SHUT_WR);
	assert_said(e.server, "all of it, please");
	assert_eof(e.server);
	transfer(&none, &down);
	close(e.server);
	assert_eof(e.client);
	assert_ended(5, RELAY_END_FINISHED);
	close(e.client);
}

/* A FIN does not overtake what the reader has not taken yet. */
static void test_fin_behind_a_backlog(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 6, true);
	struct way none = { 0 }, up = { .from = e.client, .to = e.server, .total = 64 * MIB };

	fill(&up);
	shutdown(e.client, SHUT_WR);
	up.total = up.sent;
	transfer(&up, &none);
	assert_eof(e.server);
	say(e.server, "thanks");
	assert_said(e.client, "thanks");
	close_both(&e);
	assert_ended(6, RELAY_END_FINISHED);
	assert_int_equal(r.way[RELAY_CLIENT].bytes, up.total);
}

/* Who does not read stops the sender: what is under way is bounded, and all of it arrives. */
static void test_a_slow_reader_stops_the_sender(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 7, true);
	struct way none = { 0 }, down = { .from = e.server, .to = e.client, .total = 64 * MIB };

	fill(&down);
	/* Four socket buffers of 32 KiB (the kernel doubles them) and one buffer of the relay; sockets
	 * take a little more than they should. */
	assert_true(down.sent < 4 * (64u << 10) + BUFFER + (64u << 10));
	assert_true(r.way[RELAY_SERVER].bytes < down.sent);
	say(e.client, "wait"); /* the other way goes on meanwhile */
	assert_said(e.server, "wait");
	transfer(&none, &down);
	close_both(&e);
	assert_ended(7, RELAY_END_FINISHED);
	assert_int_equal(r.way[RELAY_SERVER].bytes, down.total);
}

static void test_reset_by_either_side(void **state)
{
	for (uint32_t side = 0; side < 2; side++) {
		struct relay r;
		const struct ends e = start(&r, side, false);
		say(e.client, "x");
		assert_said(e.server, "x");
		reset(side == RELAY_CLIENT ? e.client : e.server);
		assert_reset(side == RELAY_CLIENT ? e.server : e.client);
		assert_ended(side, side == RELAY_CLIENT ? RELAY_END_CLIENT_RESET : RELAY_END_SERVER_RESET);
		close(side == RELAY_CLIENT ? e.server : e.client);
	}
}

/* The side that is not read any more can still reset. */
static void test_reset_after_a_fin(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 8, false);

	shutdown(e.client, SHUT_WR);
	assert_eof(e.server);
	reset(e.client);
	assert_ended(8, RELAY_END_CLIENT_RESET);
	char c;
	struct pollfd p = { .fd = e.server, .events = POLLHUP };
	assert_int_equal(poll(&p, 1, PATIENT), 1);
	assert_true(send(e.server, "x", 1, MSG_NOSIGNAL) < 0 || recv(e.server, &c, 1, 0) <= 0);
	close(e.server);
}

/* Neither does a side have to be read for its RST to be seen: its way has a backlog. */
static void test_reset_of_a_sender_that_waits(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 9, true);
	struct way down = { .from = e.server, .to = e.client, .total = 64 * MIB };

	fill(&down);
	reset(e.server);
	assert_ended(9, RELAY_END_SERVER_RESET);
	close(e.client);
}

static void test_reset_of_a_slow_reader(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 10, true);
	struct way down = { .from = e.server, .to = e.client, .total = 64 * MIB };

	fill(&down);
	reset(e.client);
	assert_ended(10, RELAY_END_CLIENT_RESET);
	char c;
	assert_true(recv(e.server, &c, 1, 0) < 0);
	assert_int_equal(errno, ECONNRESET);
	close(e.server);
}

/* CPU time of this process, us. */
static int64_t cpu_time(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* A level-triggered loop spins when it watches for what it does not take. */
static void assert_idle(void)
{
	const int64_t before = cpu_time();
	poll(NULL, 0, 200); /* what is measured, not waited for */
	assert_true(cpu_time() - before < 50000);
}

static void test_a_half_closed_relay_sleeps(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 11, false);

	shutdown(e.client, SHUT_WR);
	assert_eof(e.server);
	assert_idle();
	close_both(&e);
	assert_ended(11, RELAY_END_FINISHED);
}

static void test_a_relay_with_a_backlog_sleeps(void **state)
{
	struct relay r;
	const struct ends e = start(&r, 12, true);
	struct way down = { .from = e.server, .to = e.client, .total = 64 * MIB };

	fill(&down);
	shutdown(e.server, SHUT_WR);
	shutdown(e.client, SHUT_WR);
	assert_idle();
	reset(e.client);
	assert_ended(12, RELAY_END_CLIENT_RESET);
	close(e.server);
}

#define MANY 400u

static void start_many(struct relay *r, struct ends *e)
{
	for (uint32_t i = 0; i < MANY; i++) {
		int client[2], server[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, server), 0);
		set_blocking(client[1], false);
		set_blocking(server[1], false);
		e[i] = start_between(&r[i], i, client, server);
	}
}

/* Three times over, so that places are used again: each owner comes back once. */
static void test_many(void **state)
{
	struct relay *const r = calloc(MANY, sizeof(*r));
	struct ends *const e = calloc(MANY, sizeof(*e));
	assert_non_null(r);
	assert_non_null(e);

	for (int round = 0; round < 3; round++) {
		uint8_t back[MANY] = { 0 };
		start_many(r, e);
		for (uint32_t i = 0; i < MANY; i++) {
			uint32_t number = i;
			assert_int_equal(send(e[i].client, &number, sizeof(number), 0), sizeof(number));
			number = ~i;
			assert_int_equal(send(e[i].server, &number, sizeof(number), 0), sizeof(number));
		}
		for (uint32_t i = 0; i < MANY; i++) {
			uint32_t number = 0;
			assert_int_equal(recv(e[i].server, &number, sizeof(number), MSG_WAITALL), sizeof(number));
			assert_int_equal(number, i);
			assert_int_equal(recv(e[i].client, &number, sizeof(number), MSG_WAITALL), sizeof(number));
			assert_int_equal(number, ~i);
			close_both(&e[i]);
		}
		for (uint32_t i = 0; i < MANY; i++) {
			const struct relay_ended end = wait_ended();
			assert_true(end.owner.slot < MANY);
			assert_int_equal(back[end.owner.slot]++, 0);
			assert_int_equal(end.end, RELAY_END_FINISHED);
		}
	}
	free(r);
	free(e);
}

/* The pool is freed in tear_down() with live relays, some with a backlog, and some just begun. */
static void test_the_end_of_the_pool_resets_all(void **state)
{
	static struct relay r[3];
	const struct ends idle = start(&r[0], 0, false), busy = start(&r[1], 1, true);
	struct way down = { .from = busy.server, .to = busy.client, .total = 64 * MIB };

	say(idle.client, "x");
	assert_said(idle.server, "x");
	fill(&down);
	const struct ends begun = start(&r[2], 2, false);

	relay_pool_free(pool);
	assert_reset(idle.client);
	assert_reset(idle.server);
	assert_reset(begun.client);
	assert_reset(begun.server);
	close_both(&idle);
	close_both(&busy);
	close_both(&begun);
	assert_int_equal(relay_pool_new(&pool, 1, 0, &ended_fd), 0); /* for tear_down() */
}

/* A daemon that ends does not read any more who ended. */
static void test_the_end_of_the_pool_does_not_wait_for_its_reader(void **state)
{
	struct relay *const r = calloc(MANY, sizeof(*r));
	struct ends *const e = calloc(MANY, sizeof(*e));
	assert_non_null(r);
	assert_non_null(e);

	start_many(r, e);
	for (uint32_t i = 0; i < MANY; i++)
		close_both(&e[i]);
	relay_pool_free(pool);
	assert_int_equal(relay_pool_new(&pool, 1, 0, &ended_fd), 0);
	free(r);
	free(e);
}

static void test_texts_differ(void **state)
{
	for (enum relay_end a = RELAY_END_FINISHED; a <= RELAY_END_STOPPED; a++) {
		assert_string_not_equal(relay_end_text(a), "?");
		for (enum relay_end b = RELAY_END_FINISHED; b < a; b++)
			assert_string_not_equal(relay_end_text(a), relay_end_text(b));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(both_ways_until_both_have_ended),
		TEST(nothing_said),
		TEST(what_was_there_before),
		TEST(much_both_ways_at_once),
		TEST(half_close_still_receives),
		TEST(fin_behind_a_backlog),
		TEST(a_slow_reader_stops_the_sender),
		TEST(reset_by_either_side),
		TEST(reset_after_a_fin),
		TEST(reset_of_a_sender_that_waits),
		TEST(reset_of_a_slow_reader),
		TEST(a_half_closed_relay_sleeps),
		TEST(a_relay_with_a_backlog_sleeps),
		TEST(many),
		TEST(the_end_of_the_pool_resets_all),
		TEST(the_end_of_the_pool_does_not_wait_for_its_reader),
		TEST(texts_differ),
	};
	signal(SIGPIPE, SIG_IGN); /* as the daemons do */
	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
