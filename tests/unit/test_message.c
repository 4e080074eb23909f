/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "upstream/message.h"
#include "upstream/request.h"

struct fixture {
	int peer, fd; /* what is written to peer is read from fd */
	struct request request;
	struct message m;
	struct convert_msg out;
	enum convert_defect defect;
};

static void open_pair(struct fixture *f)
{
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	f->peer = fd[0];
	f->fd = fd[1];
	f->m.have = 0;
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *const f = &fixture;
	struct endpoint server = { .port = 443 };

	if (ip_parse("192.0.2.7", &server.ip) < 0)
		return -1;
	*state = f;
	open_pair(f);
	return request_make(&f->request, &server, &(struct request_terms){ .nonce = 7 });
}

static int tear_down(void **state)
{
	struct fixture *const f = *state;
	close(f->peer);
	close(f->fd);
	return 0;
}

static void write_all(const struct fixture *f, const void *p, size_t len)
{
	assert_int_equal(send(f->peer, p, len, MSG_NOSIGNAL), len);
}

static enum message_result take(struct fixture *f)
{
	return message_read(&f->m, f->fd, CONVERT_FROM_CLIENT, &f->out, &f->defect);
}

static void assert_left(const struct fixture *f, const char *want)
{
	char rest[64];
	const ssize_t n = recv(f->fd, rest, sizeof(rest), 0);

	if (!*want) {
		assert_int_equal(n, -1);
		return;
	}
	assert_int_equal(n, strlen(want));
	assert_memory_equal(rest, want, strlen(want));
}

static void test_nothing_yet(void **state)
{
	struct fixture *const f = *state;
	assert_int_equal(take(f), MESSAGE_MORE);
	assert_int_equal(f->m.have, 0);
}

/* Cut in two, at every place: what follows the message stays for the relay. */
static void test_two_pieces_of_every_length(void **state)
{
	struct fixture *const f = *state;

	for (size_t cut = 0; cut <= f->request.len; cut++) {
		f->m.have = 0;
		write_all(f, f->request.bytes, cut);
		if (cut < f->request.len)
			assert_int_equal(take(f), MESSAGE_MORE);
		write_all(f, f->request.bytes + cut, f->request.len - cut);
		write_all(f, "GET /", 5);
		assert_int_equal(take(f), MESSAGE_WHOLE);
		assert_int_equal(f->out.server.port, 443);
		assert_int_equal(f->m.have, f->request.len);
		assert_left(f, "GET /");
	}
}

static void test_byte_by_byte(void **state)
{
	struct fixture *const f = *state;

	for (size_t i = 0; i < f->request.len; i++) {
		assert_int_equal(take(f), MESSAGE_MORE);
		write_all(f, f->request.bytes + i, 1);
	}
	assert_int_equal(take(f), MESSAGE_WHOLE);
	assert_left(f, "");
}

static void test_two_messages_are_read_one_by_one(void **state)
{
	struct fixture *const f = *state;

	write_all(f, f->request.bytes, f->request.len);
	write_all(f, f->request.bytes, f->request.len);
	assert_int_equal(take(f), MESSAGE_WHOLE);
	f->m.have = 0;
	assert_int_equal(take(f), MESSAGE_WHOLE);
	assert_left(f, "");
}

static void test_the_longest_message(void **state)
{
	struct fixture *const f = *state;
	static const uint8_t cookie[CONVERT_MAX - CONVERT_HEADER - 20 - 2 - 2];
	const struct convert_msg m = { .has_connect = true, .server = { .ip = { { 0x20, 1 } }, .port = 1 },
		.has_cookie = true, .cookie = { cookie, sizeof(cookie) } };
	uint8_t buf[CONVERT_MAX];

	const size_t len = convert_encode(&m, buf, sizeof(buf));
	assert_true(len > CONVERT_MAX - 8);
	write_all(f, buf, len);
	write_all(f, "x", 1);
	assert_int_equal(take(f), MESSAGE_WHOLE);
	assert_left(f, "x");
}

static void test_eof_at_every_length(void **state)
{
	struct fixture *const f = *state;

	for (size_t cut = 0; cut < f->request.len; cut++) {
		write_all(f, f->request.bytes, cut);
		shutdown(f->peer, SHUT_WR);
		assert_int_equal(take(f), MESSAGE_EOF);
		assert_int_equal(f->m.have, cut);
		close(f->peer);
		close(f->fd);
		open_pair(f);
	}
}

/* A client may half-close right behind its request. */
static void test_eof_behind_the_message(void **state)
{
	struct fixture *const f = *state;

	write_all(f, f->request.bytes, f->request.len);
	shutdown(f->peer, SHUT_WR);
	assert_int_equal(take(f), MESSAGE_WHOLE);
}

static void test_broken(void **state)
{
	struct fixture *const f = *state;

	write_all(f, f->request.bytes, 3);
	assert_int_equal(send(f->fd, "x", 1, 0), 1);
	close(f->peer); /* with something unread: a reset */
	f->peer = -1;
	enum message_result r = take(f);
	if (r == MESSAGE_MORE)
		r = take(f);
	assert_int_equal(r, MESSAGE_BROKEN);
}

/* What is no Convert message is told by its header, whatever follows. */
static void test_defects_of_the_header(void **state)
{
	static const struct {
		const char *bytes;
		enum convert_defect defect;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n", CONVERT_DEFECT_MAGIC_WRONG },
		{ "\x02\x08\x22\x63xxxx", CONVERT_DEFECT_VERSION_UNSUPPORTED },
	};
	struct fixture *const f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_all(f, cases[i].bytes, strlen(cases[i].bytes));
		assert_int_equal(take(f), MESSAGE_DEFECT);
		assert_int_equal(f->defect, cases[i].defect);
		assert_int_equal(f->m.have, CONVERT_HEADER);
		assert_left(f, cases[i].bytes + CONVERT_HEADER);
		f->m.have = 0;
	}
}

static void test_defects_of_the_body(void **state)
{
	struct fixture *const f = *state;
	struct bytes b = bytes_copy(f->request.bytes, f->request.len);

	b.p[CONVERT_HEADER] = 0; /* the reserved type */
	write_all(f, b.p, b.len - 1);
	assert_int_equal(take(f), MESSAGE_MORE); /* judged when it is whole */
	write_all(f, b.p + b.len - 1, 1);
	write_all(f, "rest", 4);
	assert_int_equal(take(f), MESSAGE_DEFECT);
	assert_int_equal(f->defect, CONVERT_DEFECT_TLV_RESERVED);
	assert_int_equal(f->m.have, b.len);
	assert_memory_equal(f->m.buf, b.p, b.len); /* for the echo in the Error TLV */
	assert_left(f, "rest");
	free(b.p);
}

/* The converter does not ask: a request where an answer is due is a defect. */
static void test_the_sender_matters(void **state)
{
	struct fixture *const f = *state;
	static const uint8_t value[] = { 0 };
	const struct convert_msg m = { .has_error = true, .error = 96, .error_value = { value, 1 } };
	uint8_t buf[CONVERT_MAX];

	const size_t len = convert_encode(&m, buf, sizeof(buf));
	write_all(f, buf, len);
	assert_int_equal(take(f), MESSAGE_DEFECT);
	f->m.have = 0;
	write_all(f, buf, len);
	assert_int_equal(
		message_read(&f->m, f->fd, CONVERT_FROM_CONVERTER, &f->out, &f->defect), MESSAGE_WHOLE);
	assert_int_equal(f->out.error, 96);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nothing_yet),
		TEST(two_pieces_of_every_length),
		TEST(byte_by_byte),
		TEST(two_messages_are_read_one_by_one),
		TEST(the_longest_message),
		TEST(eof_at_every_length),
		TEST(eof_behind_the_message),
		TEST(broken),
		TEST(defects_of_the_header),
		TEST(defects_of_the_body),
		TEST(the_sender_matters),
	};
	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
