/* SPDX-License-Identifier: ISC */
/*
 * The Convert codec against RFC 8803: vectors after its figures, a test of each defect's name, and
 * the edges. `test_convert --seeds DIR` writes the vectors to files for the fuzzer instead.
 */
#include "testing.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "convert_vectors.h"

/* Fill with what no decoder would leave behind, to show that it was not touched. */
static void poison(struct convert_msg *m)
{
	memset(m, 0xa5, sizeof(*m));
}

static void assert_untouched(const struct convert_msg *m)
{
	struct convert_msg before;
	poison(&before);
	assert_memory_equal(m, &before, sizeof(*m));
}

static struct ip_addr server_ip(void)
{
	return ip_from_v4(htonl(0xc0000201));
}

static void assert_span(struct span s, const char *hex)
{
	const struct bytes b = bytes_hex(hex);
	assert_int_equal(s.len, b.len);
	if (b.len > 0)
		assert_memory_equal(s.p, b.p, b.len);
	free(b.p);
}

/* Decodes what must be fine. The bytes are @b's, which the caller frees. */
static struct convert_msg decode(struct bytes b, enum convert_sender sender)
{
	struct convert_msg m;
	poison(&m);
	assert_int_equal(convert_decode(b.p, b.len, sender, &m), CONVERT_FINE);
	return m;
}

static void assert_defect(struct bytes b, enum convert_sender sender, enum convert_defect d)
{
	struct convert_msg m;
	poison(&m);
	assert_string_equal(convert_defect_label(convert_decode(b.p, b.len, sender, &m)),
		convert_defect_label(d));
	assert_untouched(&m);
}

/* Each defect: what the decoder says, the reaction, and the bytes of the answer */

static void assert_answer(const struct vector *v, struct bytes b)
{
	uint8_t out[CONVERT_MAX];
	const size_t len = convert_encode_defect(v->defect, b.p, b.len, out, sizeof(out));

	if (!v->answer) {
		assert_int_equal(convert_defect_reaction(v->defect), CONVERT_REACT_RESET);
		assert_int_equal(len, 0);
		return;
	}
	const struct bytes answer = bytes_hex(v->answer);
	assert_int_equal(len, answer.len);
	assert_memory_equal(out, answer.p, answer.len);
	assert_int_equal(convert_defect_reaction(v->defect), answer.p[CONVERT_HEADER + 2]);
	free(answer.p);
}

static void test_defect(void **state)
{
	const enum convert_defect d = *(const enum convert_defect *)*state;
	size_t tried = 0;

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *const v = &vectors[i];
		if (v->defect != d)
			continue;
		const struct bytes b = bytes_hex(v->message);
		print_message("  %s\n", v->name);
		assert_defect(b, v->sender, d);
		if (v->sender == CONVERT_FROM_CLIENT) {
			assert_answer(v, b);
			tried++;
		}
		free(b.p);
	}
	assert_true(tried > 0); /* a defect without a vector */
}

/* A vector's name begins with its defect's label, so that a seed or a log line says what it is. */
static void test_vectors_are_named_after_their_defect(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const char *const label = convert_defect_label(vectors[i].defect);
		if (vectors[i].defect == CONVERT_DEFECT_VERSION_UNSUPPORTED)
			assert_memory_equal(vectors[i].name, "version_", strlen("version_"));
		else if (vectors[i].defect != CONVERT_FINE)
			assert_memory_equal(vectors[i].name, label, strlen(label));
	}
}

static void test_defect_labels_are_the_names_in_lower_case(void **state)
{
	static const char *const names[] = {
#define X(name, reaction, text) [CONVERT_DEFECT_##name] = #name,
		CONVERT_DEFECTS(X)
#undef X
	};
	assert_string_equal(convert_defect_label(CONVERT_FINE), "fine");
	for (unsigned int d = 1; d < CONVERT_DEFECT_COUNT; d++) {
		const char *const label = convert_defect_label(d);
		assert_int_equal(strlen(label), strlen(names[d]));
		for (size_t i = 0; label[i] != '\0'; i++)
			assert_int_equal(label[i], tolower(names[d][i]));
	}
}

static void test_defect_texts(void **state)
{
	assert_string_equal(convert_defect_text(CONVERT_FINE), "fine");
	assert_string_equal(
		convert_defect_text(CONVERT_DEFECT_TLV_OVERRUN), "TLV beyond the Total Length");
	assert_string_equal(convert_defect_text(CONVERT_DEFECT_COUNT), "unknown defect");
	assert_string_equal(convert_defect_label(CONVERT_DEFECT_COUNT), "unknown_defect");
}

static void test_fine_has_no_reaction(void **state)
{
	uint8_t out[CONVERT_MAX];

	assert_int_equal(convert_defect_reaction(CONVERT_FINE), CONVERT_REACT_RESET);
	assert_int_equal(convert_defect_reaction(CONVERT_DEFECT_COUNT), CONVERT_REACT_RESET);
	assert_int_equal(convert_encode_defect(CONVERT_FINE, out, 0, out, sizeof(out)), 0);
}

/* RFC 8803 table 2 */
static void test_error_names(void **state)
{
	static const struct {
		uint8_t code;
		const char *name;
	} errors[] = {
		{ 0, "Unsupported Version" },
		{ 1, "Malformed Message" },
		{ 2, "Unsupported Message" },
		{ 3, "Missing Cookie" },
		{ 4, "unknown error" },
		{ 32, "Not Authorized" },
		{ 33, "Unsupported TCP Option" },
		{ 64, "Resource Exceeded" },
		{ 65, "Network Failure" },
		{ 96, "Connection Reset" },
		{ 97, "Destination Unreachable" },
		{ 255, "unknown error" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		assert_string_equal(convert_error_name(errors[i].code), errors[i].name);
}

/* Fine vectors */

static void test_fine_vectors_decode_and_encode_to_the_same(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		if (vectors[i].defect != CONVERT_FINE)
			continue;
		const struct bytes b = bytes_hex(vectors[i].message);
		print_message("  %s\n", vectors[i].name);
		const struct convert_msg m = decode(b, vectors[i].sender);

		enum convert_defect d = CONVERT_DEFECT_COUNT;
		const size_t len = convert_length(b.p, &d);
		assert_int_equal(d, CONVERT_FINE);

		uint8_t out[CONVERT_MAX];
		memset(out, 0xff, sizeof(out));
		assert_int_equal(convert_encode(&m, out, sizeof(out)), len);
		assert_memory_equal(out, b.p, len);
		free(b.p);
	}
}

static void test_truncated_at_every_length(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		if (vectors[i].defect != CONVERT_FINE)
			continue;
		const struct bytes whole = bytes_hex(vectors[i].message);
		enum convert_defect d;
		const size_t len = convert_length(whole.p, &d);

		for (size_t n = 0; n < len; n++) {
			const struct bytes b = bytes_copy(whole.p, n);
			assert_defect(b, vectors[i].sender, CONVERT_DEFECT_TLV_OVERRUN);
			free(b.p);
		}
		free(whole.p);
	}
}

/* The same, but the header agrees with what is there: cut within its only TLV. */
static void test_truncated_tlv_at_every_length(void **state)
{
	static const char *const one_tlv[] = { HEAD("06") CONNECT_V4, HEAD("04") EXTENDED_HEADER,
		HEAD("08") CONNECT_EXT("07", "0402 0802 1e02 0000") };
	static const enum convert_sender senders[] = {
		CONVERT_FROM_CLIENT,
		CONVERT_FROM_CONVERTER,
		CONVERT_FROM_CLIENT,
	};
	for (size_t i = 0; i < ARRAY_SIZE(one_tlv); i++) {
		const struct bytes whole = bytes_hex(one_tlv[i]);
		for (size_t len = 8; len < whole.len; len += 4) {
			const struct bytes b = bytes_copy(whole.p, len);
			b.p[1] = (uint8_t)(len / 4);
			assert_defect(b, senders[i], CONVERT_DEFECT_TLV_OVERRUN);
			free(b.p);
		}
		free(whole.p);
	}
}

/* convert_length(): figure 13 */

static void test_length(void **state)
{
	static const struct {
		uint8_t header[CONVERT_HEADER];
		enum convert_defect defect;
		size_t length;
	} cases[] = {
		{ { 1, 6, 0x22, 0x63 }, CONVERT_FINE, 24 },
		{ { 1, 255, 0x22, 0x63 }, CONVERT_FINE, CONVERT_MAX },
		{ { 1, 1, 0x22, 0x63 }, CONVERT_FINE, 4 }, /* NO_TLV to the decoder */
		{ { 1, 0, 0x22, 0x63 }, CONVERT_DEFECT_TOTAL_LENGTH_ZERO, 0 },
		{ { 0, 6, 0x22, 0x63 }, CONVERT_DEFECT_VERSION_UNSUPPORTED, 0 },
		{ { 2, 0, 0x22, 0x63 }, CONVERT_DEFECT_VERSION_UNSUPPORTED, 0 },
		{ { 1, 6, 0x63, 0x22 }, CONVERT_DEFECT_MAGIC_WRONG, 0 },
		{ { 2, 0, 0x22, 0x62 }, CONVERT_DEFECT_MAGIC_WRONG, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum convert_defect d = CONVERT_DEFECT_COUNT;
		const struct bytes b = bytes_copy(cases[i].header, CONVERT_HEADER);
		assert_int_equal(convert_length(b.p, &d), cases[i].length);
		assert_int_equal(d, cases[i].defect);
		free(b.p);
	}
}

/* The fields of each TLV */

static void test_info(void **state) /* figure 15 */
{
	const struct bytes b = bytes_hex(HEAD("02") INFO);
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	assert_true(m.has_info);
	assert_false(m.has_connect || m.has_extended_header || m.has_supported || m.has_cookie ||
		     m.has_error || m.has_echo || m.has_verdict);
	free(b.p);
}

static void test_base_connect_v4(void **state) /* figure 17 */
{
	const struct bytes b = bytes_hex(HEAD("06") CONNECT_V4);
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);
	struct endpoint server = { .port = 443 };

	assert_int_equal(ip_parse("192.0.2.1", &server.ip), 0);
	assert_true(m.has_connect);
	assert_true(endpoint_equal(&m.server, &server));
	assert_int_equal(m.connect_options.len, 0);
	assert_ptr_equal(m.connect_raw.p, b.p + CONVERT_HEADER);
	assert_int_equal(m.connect_raw.len, 20);
	assert_false(m.has_info || m.has_cookie || m.has_echo);
	free(b.p);
}

static void test_base_connect_v6(void **state) /* figure 17 */
{
	const struct bytes b = bytes_hex(HEAD("06") CONNECT_V6);
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);
	struct endpoint server = { .port = 80 };

	assert_int_equal(ip_parse("2001:db8::1", &server.ip), 0);
	assert_true(endpoint_equal(&m.server, &server));
	free(b.p);
}

static void test_extended_connect(void **state) /* figures 18 and 19 */
{
	const struct bytes b = bytes_hex(HEAD("08") CONNECT_EXT("07", "0402 0802 1e02 0000"));
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	assert_span(m.connect_options, "0402 0802 1e02 0000");
	assert_span(m.connect_raw, CONNECT_EXT("07", "0402 0802 1e02 0000"));
	free(b.p);
}

static void test_raw_connect_is_the_tlv_wherever_it_stands(void **state)
{
	const struct bytes b = bytes_hex(HEAD("0a") INFO COOKIE CONNECT_V6);
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	assert_span(m.connect_raw, CONNECT_V6);
	free(b.p);
}

static void test_cookie(void **state) /* figure 21 */
{
	const struct bytes b = bytes_hex(HEAD("09") CONNECT_V4 COOKIE);
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	assert_true(m.has_cookie);
	assert_span(m.cookie, "0011223344556677");
	free(b.p);
}

static void test_supported(void **state) /* figure 16 */
{
	const struct bytes b = bytes_hex(HEAD("03") SUPPORTED);
	const struct convert_msg m = decode(b, CONVERT_FROM_CONVERTER);

	assert_true(m.has_supported);
	assert_span(m.supported, "1e080400");
	free(b.p);
}

static void test_extended_header(void **state) /* figure 20 */
{
	const struct bytes b = bytes_hex(HEAD("04") EXTENDED_HEADER);
	const struct convert_msg m = decode(b, CONVERT_FROM_CONVERTER);

	assert_true(m.has_extended_header);
	assert_span(m.extended_header, "020405b404020000");
	free(b.p);
}

static void test_error(void **state) /* figure 22 */
{
	const struct bytes b = bytes_hex(HEAD("02") "1e01 61 03");
	const struct convert_msg m = decode(b, CONVERT_FROM_CONVERTER);

	assert_true(m.has_error);
	assert_int_equal(m.error, CONVERT_DESTINATION_UNREACHABLE);
	assert_span(m.error_value, "03");
	free(b.p);
}

static void test_error_echo(void **state) /* figure 23 */
{
	const struct bytes b = bytes_hex(HEAD("04") "1e03 01 00" HEAD("02") "0100 0000");
	const struct convert_msg m = decode(b, CONVERT_FROM_CONVERTER);

	assert_int_equal(m.error, CONVERT_MALFORMED_MESSAGE);
	assert_span(m.error_value, "00" HEAD("02") "0100 0000");
	free(b.p);
}

static void test_echo(void **state)
{
	const struct bytes b = bytes_hex(HEAD("09") CONNECT_V4 ECHO("01"));
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	assert_true(m.has_echo);
	assert_int_equal(m.echo.flags, CONVERT_ECHO_SYNACK_PAYLOAD);
	assert_int_equal(m.echo.patience, 50);
	assert_true(m.echo.nonce == 0x0123456789abcdef);
	free(b.p);
}

static void test_echo_takes_unknown_flags(void **state)
{
	const struct bytes b = bytes_hex(HEAD("09") CONNECT_V4 ECHO("fd"));
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	assert_int_equal(m.echo.flags, 0xfd);
	free(b.p);
}

static void test_verdict(void **state)
{
	const struct bytes b = bytes_hex(HEAD("02") "c101 07 00");
	const struct convert_msg m = decode(b, CONVERT_FROM_CONVERTER);

	assert_true(m.has_verdict);
	assert_int_equal(m.verdict, 7);
	free(b.p);
}

/* RFC 8803 6.2.4, 6.2.6: ignored by the receiver; 6.2.3, 6.2.7: no reaction is named */
static void test_unassigned_fields_are_ignored(void **state)
{
	const struct bytes client = bytes_hex(HEAD("03") "0101 ffff 1601 ffff");
	const struct bytes converter = bytes_hex(HEAD("04") "1501 ffff 1401 ffff c101 00ff");

	assert_int_equal(decode(client, CONVERT_FROM_CLIENT).cookie.len, 0);
	assert_int_equal(decode(converter, CONVERT_FROM_CONVERTER).supported.len, 0);
	free(client.p);
	free(converter.p);
}

static void test_user_data_behind_the_message_is_ignored(void **state)
{
	/* an Info TLV, were it part of the message */
	const struct bytes b = bytes_hex(HEAD("06") CONNECT_V4 INFO);
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	assert_false(m.has_info);
	assert_int_equal(m.connect_raw.len + CONVERT_HEADER + 4, b.len);
	free(b.p);
}

/* RFC 8803 6.2.5: multicast, broadcast and loopback, to the edges of each block */

static enum convert_defect connect_to(const char *ip, uint16_t port)
{
	struct convert_msg m = { .has_connect = true, .server.port = port }, out;
	uint8_t buf[CONVERT_MAX];

	assert_int_equal(ip_parse(ip, &m.server.ip), 0);
	const size_t len = convert_encode(&m, buf, sizeof(buf));
	assert_int_equal(len, 24);
	return convert_decode(buf, len, CONVERT_FROM_CLIENT, &out);
}

static void test_addresses_that_no_server_has(void **state)
{
	static const char *const bad[] = { "0.0.0.0", "0.255.255.255", "127.0.0.0", "127.0.0.1",
		"127.255.255.255", "224.0.0.0", "232.1.2.3", "239.255.255.255", "255.255.255.255",
		"::", "::1", "::192.0.2.1", "::ffff:ffff", "ff00::", "ff02::1", "ffff::" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(connect_to(bad[i], 80), CONVERT_DEFECT_CONNECT_ADDRESS);
	assert_int_equal(connect_to("192.0.2.1", 0), CONVERT_DEFECT_CONNECT_ADDRESS);
	assert_int_equal(connect_to("2001:db8::1", 0), CONVERT_DEFECT_CONNECT_ADDRESS);
}

static void test_addresses_that_a_server_may_have(void **state)
{
	static const char *const good[] = { "1.0.0.0", "10.0.0.1", "126.255.255.255", "128.0.0.0",
		"192.168.1.255", "223.255.255.255", "240.0.0.0", "255.255.255.254", "::1:0:0",
		"64:ff9b::7f00:1", "2001:db8::1", "fd00::1", "fe80::1",
		"fe00::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(connect_to(good[i], 1), CONVERT_FINE);
		assert_int_equal(connect_to(good[i], 65535), CONVERT_FINE);
	}
}

/* RFC 8803 7: each kind there is, without and with a value */
static void test_every_kind_of_tcp_option(void **state)
{
	for (unsigned int kind = 2; kind < 256; kind++) {
		uint8_t options[4] = { (uint8_t)kind, 2 };
		const struct convert_msg m = {
			.has_connect = true,
			.server = { server_ip(), 80 },
			.connect_options = { options, sizeof(options) },
		};
		const bool ignored = kind == 2 || kind == 3 || kind == 5;
		const bool taken = kind == 4 || kind == 8 || kind == 30;
		struct convert_msg out;
		uint8_t buf[CONVERT_MAX];

		assert_int_equal(convert_encode(&m, buf, sizeof(buf)), 28);
		assert_int_equal(convert_decode(buf, 28, CONVERT_FROM_CLIENT, &out),
			ignored || taken ? CONVERT_FINE : CONVERT_DEFECT_TCP_OPTION_UNSUPPORTED);

		options[1] = 4;
		assert_int_equal(convert_encode(&m, buf, sizeof(buf)), 28);
		assert_int_equal(convert_decode(buf, 28, CONVERT_FROM_CLIENT, &out),
			ignored ? CONVERT_FINE : CONVERT_DEFECT_TCP_OPTION_UNSUPPORTED);
	}
}

static void test_unsupported_options_are_all_listed(void **state)
{
	uint8_t options[2 * 256], expected[256];
	size_t n = 0, listed = 0;

	for (unsigned int kind = 1; kind < 256; kind++) {
		options[n++] = (uint8_t)kind;
		if (kind == 1)
			continue;
		options[n++] = 2;
		if (kind > 5 && kind != 8 && kind != 30)
			expected[listed++] = (uint8_t)kind;
	}
	const struct convert_msg m = {
		.has_connect = true,
		.server = { server_ip(), 80 },
		.connect_options = { options, n },
	};
	uint8_t bad[CONVERT_MAX], answer[CONVERT_MAX];
	const size_t len = convert_encode(&m, bad, sizeof(bad));
	const size_t size = convert_encode_defect(
		CONVERT_DEFECT_TCP_OPTION_UNSUPPORTED, bad, len, answer, sizeof(answer));
	struct convert_msg out;

	assert_int_equal(convert_decode(answer, size, CONVERT_FROM_CONVERTER, &out), CONVERT_FINE);
	assert_int_equal(out.error, CONVERT_UNSUPPORTED_TCP_OPTION);
	assert_in_range(out.error_value.len, listed, listed + 3);
	assert_memory_equal(out.error_value.p, expected, listed);
	for (size_t i = listed; i < out.error_value.len; i++)
		assert_int_equal(out.error_value.p[i], 0);
}

/* Encoding */

static const uint8_t pattern[CONVERT_MAX + 8] = { 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8 };

static void test_client_message_round_trip(void **state)
{
	const struct convert_msg m = {
		.has_connect = true,
		.server = { server_ip(), 65535 },
		.connect_options = { (const uint8_t *)"\x1e\x02\x04\x02", 4 },
		.has_info = true,
		.has_echo = true,
		.echo = { .flags = 0xff, .patience = 0xfe, .nonce = UINT64_MAX - 1 },
		.has_cookie = true,
		.cookie = { pattern, 8 },
	};
	uint8_t buf[CONVERT_MAX];
	const struct bytes b = bytes_copy(buf, convert_encode(&m, buf, sizeof(buf)));
	const struct convert_msg out = decode(b, CONVERT_FROM_CLIENT);

	assert_true(out.has_connect && out.has_info && out.has_echo && out.has_cookie);
	assert_true(endpoint_equal(&out.server, &m.server));
	assert_span(out.connect_options, "1e02 0402");
	assert_int_equal(out.echo.flags, 0xff);
	assert_int_equal(out.echo.patience, 0xfe);
	assert_true(out.echo.nonce == UINT64_MAX - 1);
	assert_span(out.cookie, "c1c2c3c4c5c6c7c8");
	free(b.p);
}

static void test_converter_message_is_in_the_order_of_the_header(void **state)
{
	const struct convert_msg m = {
		.has_error = true,
		.error = CONVERT_RESOURCE_EXCEEDED,
		.error_value = { pattern, 1 },
		.has_connect = true,
		.server = { server_ip(), 80 },
		.has_echo = true,
		.has_verdict = true,
		.verdict = 9,
		.has_supported = true,
		.supported = { pattern, 4 },
		.has_extended_header = true,
		.extended_header = { pattern, 8 },
	};
	uint8_t buf[CONVERT_MAX];
	const size_t len = convert_encode(&m, buf, sizeof(buf));
	const struct span s = { buf, len };

	assert_span(s, HEAD("10") "1e01 40 c1"
				  "0a05 0050 00000000 00000000 0000ffff c0000201"
				  "c003 00 00 0000000000000000"
				  "c101 09 00"
				  "1502 0000 c1c2c3c4"
				  "1403 0000 c1c2c3c4c5c6c7c8");
	const struct bytes b = bytes_copy(buf, len);
	const struct convert_msg out = decode(b, CONVERT_FROM_CONVERTER);
	assert_true(out.has_error && out.has_connect && out.has_echo && out.has_verdict &&
		    out.has_supported && out.has_extended_header);
	assert_int_equal(out.error, CONVERT_RESOURCE_EXCEEDED);
	assert_int_equal(out.verdict, 9);
	assert_span(out.supported, "c1c2c3c4");
	assert_span(out.extended_header, "c1c2c3c4c5c6c7c8");
	free(b.p);
}

static void test_info_stands_before_the_cookie(void **state)
{
	const struct convert_msg m = {
		.has_cookie = true, .cookie = { pattern, 4 }, .has_info = true, .has_verdict = true
	};
	uint8_t buf[CONVERT_MAX];
	const struct span s = { buf, convert_encode(&m, buf, sizeof(buf)) };

	assert_span(s, HEAD("05") "c101 0000" INFO "1602 0000 c1c2c3c4");
}

static void test_values_are_padded_with_zeros(void **state)
{
	static const char *const padded[] = {
		HEAD("02") "1601 0000",
		HEAD("03") "1602 0000 c1000000",
		HEAD("03") "1602 0000 c1c20000",
		HEAD("03") "1602 0000 c1c2c300",
		HEAD("03") "1602 0000 c1c2c3c4",
		HEAD("04") "1603 0000 c1c2c3c4 c5000000",
	};
	for (size_t len = 0; len < ARRAY_SIZE(padded); len++) {
		const struct convert_msg m = { .has_cookie = true, .cookie = { pattern, len } };
		uint8_t buf[CONVERT_MAX];
		memset(buf, 0xff, sizeof(buf));
		const struct span s = { buf, convert_encode(&m, buf, sizeof(buf)) };
		assert_span(s, padded[len]);
	}
}

static void test_error_without_value_is_one_word(void **state)
{
	const struct convert_msg m = { .has_error = true, .error = CONVERT_NOT_AUTHORIZED };
	uint8_t buf[CONVERT_MAX];
	memset(buf, 0xff, sizeof(buf));
	const struct span s = { buf, convert_encode(&m, buf, sizeof(buf)) };

	assert_span(s, HEAD("02") "1e01 20 00");
}

static void test_encode_fits_exactly_or_leaves_the_buffer(void **state)
{
	const struct bytes b = bytes_hex(HEAD("0c") CONNECT_V6 ECHO("01") COOKIE);
	const struct convert_msg m = decode(b, CONVERT_FROM_CLIENT);

	for (size_t size = 0; size <= b.len; size++) {
		uint8_t before[CONVERT_MAX];
		memset(before, 0xa5, sizeof(before));
		const struct bytes out = bytes_copy(before, size);
		assert_int_equal(convert_encode(&m, out.p, size), size == b.len ? b.len : 0);
		if (size > 0)
			assert_memory_equal(out.p, size == b.len ? b.p : before, size);
		free(out.p);
	}
	free(b.p);
}

static void test_longest_cookie(void **state)
{
	struct convert_msg m = { .has_cookie = true, .cookie = { pattern, CONVERT_COOKIE_MAX } };
	uint8_t buf[CONVERT_MAX + 8];

	assert_int_equal(convert_encode(&m, buf, sizeof(buf)), CONVERT_MAX);
	assert_int_equal(buf[1], 255);
	assert_int_equal(buf[CONVERT_HEADER + 1], 254);
	m.cookie.len++;
	assert_int_equal(convert_encode(&m, buf, sizeof(buf)), 0);
	m.cookie.len = CONVERT_COOKIE_MAX;
	m.has_info = true;
	assert_int_equal(convert_encode(&m, buf, sizeof(buf)), 0);
}

static void test_longest_message(void **state)
{
	const struct convert_msg m = {
		.has_connect = true,
		.server = { server_ip(), 80 },
		.has_cookie = true,
		.cookie = { pattern, CONVERT_COOKIE_MAX - 20 },
	};
	uint8_t buf[CONVERT_MAX];

	assert_int_equal(convert_encode(&m, buf, sizeof(buf)), CONVERT_MAX);
	const struct bytes b = bytes_copy(buf, sizeof(buf));
	const struct convert_msg out = decode(b, CONVERT_FROM_CLIENT);
	assert_int_equal(out.cookie.len, CONVERT_COOKIE_MAX - 20);
	assert_memory_equal(out.cookie.p, pattern, out.cookie.len);
	free(b.p);
}

/* A span's length is not trusted to be sane before it is checked. */
static void test_absurd_span_does_not_fit(void **state)
{
	const struct convert_msg m = { .has_cookie = true, .cookie = { pattern, SIZE_MAX } };
	uint8_t buf[CONVERT_MAX];

	assert_int_equal(convert_encode(&m, buf, sizeof(buf)), 0);
}

/* The echo in a Malformed or Unsupported Message Error TLV */

/* The answer to @bad_len pattern bytes echoes @echoed of them and fills @total bytes. */
static void assert_echo(enum convert_defect d, size_t bad_len, size_t echoed, size_t total)
{
	uint8_t before[CONVERT_MAX + 64];
	memset(before, 0xa5, sizeof(before));
	uint8_t bad[sizeof(before)];
	memset(bad, 0x77, sizeof(bad));
	const struct bytes in = bytes_copy(bad, bad_len);
	const struct bytes out = bytes_copy(before, sizeof(before));

	assert_int_equal(convert_encode_defect(d, in.p, in.len, out.p, out.len), total);
	assert_int_equal(out.p[1], total / 4);
	assert_int_equal(out.p[CONVERT_HEADER + 1], total / 4 - 1);
	assert_int_equal(out.p[CONVERT_HEADER + 2], convert_defect_reaction(d));
	assert_int_equal(out.p[CONVERT_HEADER + 3], 0);
	assert_memory_equal(out.p + 8, bad, echoed);
	for (size_t i = 8 + echoed; i < total; i++)
		assert_int_equal(out.p[i], 0);
	assert_memory_equal(out.p + total, before, sizeof(before) - total);
	free(in.p);
	free(out.p);
}

static void test_echo_of_a_long_message_is_cut_to_fit(void **state)
{
	static const enum convert_defect defects[] = {
		CONVERT_DEFECT_TLV_OVERRUN, /* malformed */
		CONVERT_DEFECT_TLV_UNKNOWN, /* unsupported */
	};
	for (size_t i = 0; i < ARRAY_SIZE(defects); i++) {
		assert_echo(defects[i], 0, 0, 8);
		assert_echo(defects[i], 5, 5, 16); /* not a word's end: padded */
		assert_echo(defects[i], 1011, 1011, CONVERT_MAX);
		assert_echo(defects[i], 1012, 1012, CONVERT_MAX);
		assert_echo(defects[i], 1013, 1012, CONVERT_MAX);
		assert_echo(defects[i], CONVERT_MAX, 1012, CONVERT_MAX);
		assert_echo(defects[i], CONVERT_MAX + 64, 1012, CONVERT_MAX);
	}
}

static void test_answer_is_cut_to_the_buffer(void **state)
{
	const struct bytes bad = bytes_hex(HEAD("07") CONNECT_V4 "c201 0000");

	for (size_t size = 0; size <= 8 + bad.len + 1; size++) {
		uint8_t before[64];
		memset(before, 0xa5, sizeof(before));
		const struct bytes out = bytes_copy(before, size);
		const size_t fits = size < 8 ? 0 : size > 8 + bad.len ? 8 + bad.len : size / 4 * 4;
		const size_t len = convert_encode_defect(
			CONVERT_DEFECT_TLV_UNKNOWN, bad.p, bad.len, out.p, size);
		assert_int_equal(len, fits);
		if (fits > 0)
			assert_memory_equal(out.p + 8, bad.p, fits - 8);
		if (size > fits)
			assert_memory_equal(out.p + fits, before, size - fits);
		free(out.p);
	}
	free(bad.p);
}

static void test_answer_without_room_is_none(void **state)
{
	const uint8_t bad[4 * CONVERT_MAX] = { 1, 255, 0x22, 0x63 };

	for (size_t size = 0; size < 8; size++) {
		const struct bytes out = bytes_copy("untouch", size);
		assert_int_equal(convert_encode_defect(CONVERT_DEFECT_TLV_RESERVED, bad,
					 sizeof(bad), out.p, size),
			0);
		assert_memory_equal(out.p, "untouch", size);
		free(out.p);
	}
}

/* The answer to a message that is not what its caller says still is one. */
static void test_answer_to_another_defect_than_the_message_has(void **state)
{
	const struct bytes b = bytes_hex(HEAD("06") CONNECT_V4);
	uint8_t out[CONVERT_MAX];
	const size_t len = convert_encode_defect(
		CONVERT_DEFECT_TCP_OPTION_UNSUPPORTED, b.p, b.len, out, sizeof(out));
	const struct span s = { out, len };

	assert_span(s, HEAD("02") "1e01 21 00");
	free(b.p);
}

/* Seeds for the fuzzer */

static int write_seeds(const char *dir)
{
	int failed = 0;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		failed |= seed_write(dir, vectors[i].name, vectors[i].message);
	return failed;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(argv[2]);

#define X(name, reaction, text) static enum convert_defect defect_##name = CONVERT_DEFECT_##name;
	CONVERT_DEFECTS(X)
#undef X
	const struct CMUnitTest tests[] = {
#define X(name, reaction, text) { #name, test_defect, NULL, NULL, &defect_##name },
		CONVERT_DEFECTS(X)
#undef X
		cmocka_unit_test(test_vectors_are_named_after_their_defect),
		cmocka_unit_test(test_defect_labels_are_the_names_in_lower_case),
		cmocka_unit_test(test_defect_texts),
		cmocka_unit_test(test_fine_has_no_reaction),
		cmocka_unit_test(test_error_names),
		cmocka_unit_test(test_fine_vectors_decode_and_encode_to_the_same),
		cmocka_unit_test(test_truncated_at_every_length),
		cmocka_unit_test(test_truncated_tlv_at_every_length),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_base_connect_v4),
		cmocka_unit_test(test_base_connect_v6),
		cmocka_unit_test(test_extended_connect),
		cmocka_unit_test(test_raw_connect_is_the_tlv_wherever_it_stands),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_supported),
		cmocka_unit_test(test_extended_header),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_error_echo),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_echo_takes_unknown_flags),
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_unassigned_fields_are_ignored),
		cmocka_unit_test(test_user_data_behind_the_message_is_ignored),
		cmocka_unit_test(test_addresses_that_no_server_has),
		cmocka_unit_test(test_addresses_that_a_server_may_have),
		cmocka_unit_test(test_every_kind_of_tcp_option),
		cmocka_unit_test(test_unsupported_options_are_all_listed),
		cmocka_unit_test(test_client_message_round_trip),
		cmocka_unit_test(test_converter_message_is_in_the_order_of_the_header),
		cmocka_unit_test(test_info_stands_before_the_cookie),
		cmocka_unit_test(test_values_are_padded_with_zeros),
		cmocka_unit_test(test_error_without_value_is_one_word),
		cmocka_unit_test(test_encode_fits_exactly_or_leaves_the_buffer),
		cmocka_unit_test(test_longest_cookie),
		cmocka_unit_test(test_longest_message),
		cmocka_unit_test(test_absurd_span_does_not_fit),
		cmocka_unit_test(test_echo_of_a_long_message_is_cut_to_fit),
		cmocka_unit_test(test_answer_is_cut_to_the_buffer),
		cmocka_unit_test(test_answer_without_room_is_none),
		cmocka_unit_test(test_answer_to_another_defect_than_the_message_has),
	};
	return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
