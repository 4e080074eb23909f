/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "upstream/request.h"

#define NONCE 0x0123456789abcdefu

static struct endpoint server(void)
{
	struct endpoint e = { .port = 443 };
	assert_int_equal(ip_parse("192.0.2.7", &e.ip), 0);
	return e;
}

/* What was asked. It points into itself, so it is not to be copied. */
static struct request asked;

static int set_up(void **state)
{
	const struct endpoint s = server();
	return request_make(&asked, &s, &(struct request_terms){ .nonce = NONCE, .patience = 42 });
}

/* The answer of a converter that echoes it. */
static struct convert_msg echo(void)
{
	return (struct convert_msg){ .has_connect = true, .connect_raw = asked.connect,
		.has_echo = true, .echo = { .nonce = asked.nonce } };
}

static void test_the_request_says_what_was_asked(void **state)
{
	const struct endpoint s = server();
	struct convert_msg m;

	assert_int_equal(convert_decode(asked.bytes, asked.len, CONVERT_FROM_CLIENT, &m), CONVERT_FINE);
	assert_true(m.has_connect && endpoint_equal(&m.server, &s));
	assert_int_equal(m.connect_options.len, 0);
	assert_true(m.has_echo && m.echo.nonce == NONCE);
	assert_int_equal(m.echo.patience, 42);
	assert_int_equal(m.echo.flags, 0);
	assert_false(m.has_cookie);
	assert_int_equal(m.connect_raw.len, asked.connect.len);
	assert_ptr_equal(m.connect_raw.p, asked.connect.p);
}

static void test_a_cookie_up_to_what_fits_the_syn(void **state)
{
	static const uint8_t bytes[CONVERT_COOKIE_SYN + 4];
	const struct endpoint s = server();
	struct request r;
	struct convert_msg m;

	for (size_t len = 4; len <= CONVERT_COOKIE_SYN; len += 4) {
		assert_int_equal(request_make(&r, &s, &(struct request_terms){ .cookie = { bytes, len } }), 0);
		assert_int_equal(convert_decode(r.bytes, r.len, CONVERT_FROM_CLIENT, &m), CONVERT_FINE);
		assert_true(m.has_cookie);
	}
	memset(&r, 0xaa, sizeof(r));
	assert_true(request_make(&r, &s, &(struct request_terms){ .cookie = { bytes, sizeof(bytes) } }) < 0);
}

static void test_an_exact_echo_is_an_answer(void **state)
{
	struct convert_msg m = echo();

	assert_int_equal(request_judge(&asked, &m), ANSWER_ACCEPTED);
	m.echo.flags = CONVERT_ECHO_PENDING;
	assert_int_equal(request_judge(&asked, &m), ANSWER_PENDING);
	m.echo.flags = CONVERT_ECHO_SYNACK_PAYLOAD; /* ours, echoed */
	assert_int_equal(request_judge(&asked, &m), ANSWER_ACCEPTED);
}

/* As it comes over the wire. */
static void test_an_encoded_answer(void **state)
{
	struct convert_msg m = { .has_connect = true, .server = server(),
		.has_echo = true, .echo = { .nonce = NONCE } };
	uint8_t buf[CONVERT_MAX];

	const size_t len = convert_encode(&m, buf, sizeof(buf));
	assert_int_equal(convert_decode(buf, len, CONVERT_FROM_CONVERTER, &m), CONVERT_FINE);
	assert_int_equal(request_judge(&asked, &m), ANSWER_ACCEPTED);
}

static void test_no_answer_to_this_request(void **state)
{
	struct convert_msg m = { 0 };

	assert_int_equal(request_judge(&asked, &m), ANSWER_WRONG);

	m = echo();
	m.has_echo = false;
	assert_int_equal(request_judge(&asked, &m), ANSWER_WRONG);

	m = echo();
	m.has_connect = false;
	assert_int_equal(request_judge(&asked, &m), ANSWER_WRONG);

	m = echo();
	m.echo.nonce ^= 1;
	assert_int_equal(request_judge(&asked, &m), ANSWER_WRONG);

	m = echo();
	m.connect_raw.len -= 4;
	assert_int_equal(request_judge(&asked, &m), ANSWER_WRONG);
}

/* Any bit of the Connect TLV: another server, another port, another type. */
static void test_every_bit_of_the_echo_counts(void **state)
{
	struct convert_msg m = echo();
	const struct bytes b = bytes_copy(asked.connect.p, asked.connect.len);

	m.connect_raw.p = b.p;
	for (size_t i = 0; i < 8 * b.len; i++) {
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(request_judge(&asked, &m), ANSWER_WRONG);
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(request_judge(&asked, &m), ANSWER_ACCEPTED);
	free(b.p);
}

static const struct {
	uint8_t code;
	enum answer answer;
} errors[] = {
	{ CONVERT_UNSUPPORTED_VERSION, ANSWER_WRONG },
	{ CONVERT_MALFORMED_MESSAGE, ANSWER_WRONG },
	{ CONVERT_UNSUPPORTED_MESSAGE, ANSWER_UNSUPPORTED },
	{ CONVERT_NOT_AUTHORIZED, ANSWER_UNAUTHORIZED },
	{ CONVERT_UNSUPPORTED_TCP_OPTION, ANSWER_UNAUTHORIZED },
	{ CONVERT_RESOURCE_EXCEEDED, ANSWER_UNAVAILABLE },
	{ CONVERT_NETWORK_FAILURE, ANSWER_UNAVAILABLE },
	{ CONVERT_CONNECTION_RESET, ANSWER_REFUSED },
	{ CONVERT_DESTINATION_UNREACHABLE, ANSWER_REFUSED },
	{ 4, ANSWER_WRONG },
	{ 200, ANSWER_WRONG },
};

static void test_errors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct convert_msg m = { .has_error = true, .error = errors[i].code };
		assert_int_equal(request_judge(&asked, &m), errors[i].answer); /* without an echo */
		/* A verdict comes from one that knew our message. */
		assert_int_equal(request_judge_verdict(&m),
			errors[i].answer == ANSWER_UNSUPPORTED ? ANSWER_WRONG : errors[i].answer);

		m.has_echo = true;
		m.echo.nonce = NONCE;
		assert_int_equal(request_judge(&asked, &m), errors[i].answer);
		m.echo.nonce ^= 1; /* somebody else's */
		assert_int_equal(request_judge(&asked, &m), ANSWER_WRONG);
	}
}

/* A converter of another make is asked without Echo TLV. */
static void test_bare(void **state)
{
	const struct endpoint s = server();
	struct request r;
	struct convert_msg m;

	assert_int_equal(request_make(&r, &s, &(struct request_terms){ .nonce = NONCE, .bare = true }), 0);
	assert_int_equal(convert_decode(r.bytes, r.len, CONVERT_FROM_CLIENT, &m), CONVERT_FINE);
	assert_true(m.has_connect && !m.has_echo);

	m = (struct convert_msg){ .has_extended_header = true };
	assert_int_equal(request_judge(&r, &m), ANSWER_ACCEPTED);
	m = (struct convert_msg){ .has_error = true, .error = CONVERT_CONNECTION_RESET };
	assert_int_equal(request_judge(&r, &m), ANSWER_REFUSED);
	m.error = CONVERT_UNSUPPORTED_MESSAGE; /* of what, then? */
	assert_int_equal(request_judge(&r, &m), ANSWER_WRONG);
	m = echo();
	assert_int_equal(request_judge(&r, &m), ANSWER_WRONG);
}

static void test_the_gate_is_told(void **state)
{
	const struct endpoint s = server();
	struct request r;
	struct convert_msg m;

	assert_int_equal(request_make(&r, &s, &(struct request_terms){ .in_syn_ack = true }), 0);
	assert_int_equal(convert_decode(r.bytes, r.len, CONVERT_FROM_CLIENT, &m), CONVERT_FINE);
	assert_int_equal(m.echo.flags, CONVERT_ECHO_SYNACK_PAYLOAD);
}

/* The cookie follows the first byte of the Value. */
static void test_missing_cookie(void **state)
{
	static const uint8_t value[CONVERT_COOKIE_SYN + 2];
	struct convert_msg m = { .has_error = true, .error = CONVERT_MISSING_COOKIE };

	for (size_t len = 0; len <= sizeof(value); len++) {
		m.error_value = (struct span){ value, len };
		assert_int_equal(request_judge(&asked, &m),
			len > 1 && len <= 1 + CONVERT_COOKIE_SYN ? ANSWER_COOKIE : ANSWER_WRONG);
	}
}

static void test_verdicts(void **state)
{
	struct convert_msg m = { .has_verdict = true };

	assert_int_equal(request_judge_verdict(&m), ANSWER_ACCEPTED);
	m.verdict = 1;
	assert_int_equal(request_judge_verdict(&m), ANSWER_WRONG);
	m = (struct convert_msg){ .has_echo = true };
	assert_int_equal(request_judge_verdict(&m), ANSWER_WRONG);
}

static void test_delay(void **state)
{
	static const uint8_t five[] = { 5, 0, 0 }, zero[] = { 0 };
	struct convert_msg m = { .has_error = true, .error_value = { five, sizeof(five) } };

	assert_int_equal(request_delay(&m), 5);
	m.error_value = (struct span){ zero, sizeof(zero) };
	assert_int_equal(request_delay(&m), 30);
	m.error_value = (struct span){ NULL, 0 };
	assert_int_equal(request_delay(&m), 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_request_says_what_was_asked),
		cmocka_unit_test(test_a_cookie_up_to_what_fits_the_syn),
		cmocka_unit_test(test_an_exact_echo_is_an_answer),
		cmocka_unit_test(test_an_encoded_answer),
		cmocka_unit_test(test_no_answer_to_this_request),
		cmocka_unit_test(test_every_bit_of_the_echo_counts),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_the_gate_is_told),
		cmocka_unit_test(test_missing_cookie),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_delay),
	};
	return cmocka_run_group_tests_name("request", tests, set_up, NULL);
}
