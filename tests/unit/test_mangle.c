// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mangle.h"

#define MS INT64_C(1000000)

struct frame {
	size_t len;
	uint8_t bytes[1600];
};

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t sum(const uint8_t *p, size_t len)
{
	uint32_t total = 0;

	for (size_t i = 0; i < len; i++)
		total += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	return total;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)~total;
}

/* The TCP checksum over everything; 0 when the one inside is right. */
static uint16_t tcp_checksum(const struct frame *f, bool v6, size_t tcp)
{
	const size_t len = f->len - tcp;
	const uint32_t pseudo = v6 ? sum(f->bytes + 22, 32) : sum(f->bytes + 26, 8);

	return fold(pseudo + 6 + (uint32_t)len + sum(f->bytes + tcp, len));
}

/* A segment with right checksums; the addresses end in .1 and .2, the ports are 1000 and 5124. */
static struct frame make(bool v6, uint8_t flags, const void *options, size_t options_len,
			 const void *payload, size_t payload_len)
{
	struct frame f = { .len = 0 };
	uint8_t *const ip = f.bytes + 14;
	uint8_t *const tcp = ip + (v6 ? 40 : 20);
	const size_t segment = 20 + options_len + payload_len;

	put16(f.bytes + 12, v6 ? 0x86dd : 0x0800);
	if (v6) {
		ip[0] = 0x60;
		put16(ip + 4, (uint32_t)segment);
		ip[6] = 6;
		ip[7] = 64;
		ip[8] = ip[24] = 0xfd;
		ip[23] = 1;
		ip[39] = 2;
	} else {
		ip[0] = 0x45;
		put16(ip + 2, (uint32_t)(20 + segment));
		ip[8] = 64;
		ip[9] = 6;
		ip[12] = ip[16] = 10;
		ip[15] = 1;
		ip[19] = 2;
		put16(ip + 10, fold(sum(ip, 20)));
	}
	put16(tcp, 1000);
	put16(tcp + 2, 5124);
	tcp[12] = (uint8_t)((20 + options_len) / 4 << 4);
	tcp[13] = flags;
	if (options_len)
		memcpy(tcp + 20, options, options_len);
	if (payload_len)
		memcpy(tcp + 20 + options_len, payload, payload_len);
	f.len = (size_t)(tcp - f.bytes) + segment;
	put16(tcp + 16, tcp_checksum(&f, v6, (size_t)(tcp - f.bytes)));
	return f;
}

static void assert_checksums(const struct frame *f, bool v6)
{
	if (!v6)
		assert_int_equal(fold(sum(f->bytes + 14, 20)), 0);
	assert_int_equal(tcp_checksum(f, v6, v6 ? 54 : 34), 0);
}

static const uint8_t mss[4] = { 2, 4, 5, 0xb4 };

static void parse_finds_the_parts(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct frame f = make(v6, TCP_SYN, mss, sizeof(mss), "hello", 5);
		struct mangle_tcp t;

		/* Padding of a short frame is not payload. */
		assert_true(mangle_parse(f.bytes, f.len + 7, &t));
		assert_int_equal(t.v6, v6);
		assert_int_equal(t.flags, TCP_SYN);
		assert_int_equal(t.tcp, v6 ? 54 : 34);
		assert_int_equal(mangle_payload_len(&t), 5);
		assert_int_equal(t.end, f.len);
		assert_int_equal(t.flow.sport, 1000);
		assert_int_equal(t.flow.dport, 5124);
		assert_int_equal(t.flow.src[v6 ? 15 : 3], 1);
		assert_int_equal(t.flow.dst[v6 ? 15 : 3], 2);
	}
}

static void parse_skips_extension_headers(void **state)
{
	struct frame f = make(true, TCP_SYN, NULL, 0, "abc", 3);
	struct mangle_tcp t;

	memmove(f.bytes + 54 + 8, f.bytes + 54, f.len - 54);
	memset(f.bytes + 54, 0, 8);
	f.bytes[54] = 6;
	f.bytes[20] = 60;
	f.len += 8;
	put16(f.bytes + 18, (uint32_t)f.len - 54);
	assert_true(mangle_parse(f.bytes, f.len, &t));
	assert_int_equal(t.tcp, 62);
	assert_int_equal(mangle_payload_len(&t), 3);
}

static void parse_refuses_the_rest(void **state)
{
	struct mangle_tcp t;

	for (int v6 = 0; v6 < 2; v6++) {
		const struct frame good = make(v6, TCP_SYN, mss, sizeof(mss), "hello", 5);
		struct frame f;

		for (size_t len = 0; len < good.len; len++)
			assert_false(mangle_parse(good.bytes, len, &t));
		f = good;
		f.bytes[v6 ? 20 : 23] = 17;
		assert_false(mangle_parse(f.bytes, f.len, &t));
		f = good;
		f.bytes[12] = 0x12;
		assert_false(mangle_parse(f.bytes, f.len, &t));
		f = good;
		f.bytes[14] = 0x55;
		assert_false(mangle_parse(f.bytes, f.len, &t));
		f = good;
		f.bytes[(v6 ? 54 : 34) + 12] = 0x40;
		assert_false(mangle_parse(f.bytes, f.len, &t));
		f.bytes[(v6 ? 54 : 34) + 12] = 0xf0;
		assert_false(mangle_parse(f.bytes, f.len, &t));
	}
	struct frame fragment = make(false, TCP_SYN, mss, sizeof(mss), "hello", 5);
	fragment.bytes[20] = 0x20;
	assert_false(mangle_parse(fragment.bytes, fragment.len, &t));

	/* An extension header that runs past the end. */
	struct frame extended = make(true, TCP_SYN, mss, sizeof(mss), "hello", 5);
	extended.bytes[20] = 0;
	extended.bytes[54] = 0;
	extended.bytes[55] = 255;
	assert_false(mangle_parse(extended.bytes, extended.len, &t));
}

static void payload_is_cut(void **state)
{
	uint8_t payload[1400];

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t len = 0; len <= sizeof(payload); len += 1 + len / 3) {
			struct frame f = make(v6, TCP_SYN, mss, sizeof(mss), payload, len);
			struct mangle_tcp t;

			assert_true(mangle_parse(f.bytes, f.len, &t));
			mangle_strip_payload(f.bytes, &t);
			f.len = t.end;
			assert_checksums(&f, v6);
			assert_true(mangle_parse(f.bytes, f.len, &t));
			assert_int_equal(mangle_payload_len(&t), 0);
		}
	}
}

static void a_wrong_checksum_stays_wrong(void **state)
{
	struct frame f = make(false, TCP_SYN, mss, sizeof(mss), "hello", 5);
	struct mangle_tcp t;

	f.bytes[34 + 16] ^= 0x40;
	assert_true(mangle_parse(f.bytes, f.len, &t));
	mangle_strip_payload(f.bytes, &t);
	f.len = t.end;
	assert_int_not_equal(tcp_checksum(&f, false, 34), 0);
}

static void mptcp_options_become_nops(void **state)
{
	/* At an odd place, so that the checksum's words are split. */
	static const uint8_t options[] = { 1, 30, 4, 0xab, 0xcd, 2, 4, 5, 0xb4, 30, 3, 0x10 };
	static const uint8_t expected[] = { 1, 1, 1, 1, 1, 2, 4, 5, 0xb4, 1, 1, 1 };

	for (int v6 = 0; v6 < 2; v6++) {
		struct frame f = make(v6, TCP_ACK, options, sizeof(options), "odd", 3);
		struct mangle_tcp t;

		assert_true(mangle_parse(f.bytes, f.len, &t));
		assert_true(mangle_strip_mptcp(f.bytes, &t));
		assert_memory_equal(f.bytes + t.tcp + 20, expected, sizeof(expected));
		assert_checksums(&f, v6);
		assert_false(mangle_strip_mptcp(f.bytes, &t));
	}
}

static void broken_options_are_left_alone(void **state)
{
	static const uint8_t broken[][4] = {
		{ 30, 0, 0, 0 }, { 30, 1, 0, 0 }, { 30, 5, 0, 0 }, { 1, 1, 1, 30 }, { 0, 30, 3, 0 },
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct frame f = make(false, TCP_SYN, broken[i], 4, NULL, 0);
		const struct frame before = f;
		struct mangle_tcp t;

		assert_true(mangle_parse(f.bytes, f.len, &t));
		assert_false(mangle_strip_mptcp(f.bytes, &t));
		assert_memory_equal(f.bytes, before.bytes, f.len);
	}
}

static struct mangle_tcp of_flow(uint8_t flags, uint16_t sport)
{
	return (struct mangle_tcp){ .flags = flags, .flow = { .sport = sport, .dport = 5124 } };
}

static void the_third_ack_is_held(void **state)
{
	static struct hold_table h;
	const struct mangle_tcp syn = of_flow(TCP_SYN, 1), ack = of_flow(TCP_ACK, 1);
	const struct mangle_tcp other = of_flow(TCP_ACK, 2), synack = of_flow(TCP_SYN | TCP_ACK, 3);

	assert_int_equal(hold_step(&h, &syn, 10 * MS, 200 * MS), 0);
	assert_int_equal(hold_step(&h, &other, 20 * MS, 200 * MS), 0);
	assert_int_equal(hold_step(&h, &ack, 20 * MS, 200 * MS), 220 * MS);
	/* What follows stays behind it; later it is over. */
	assert_int_equal(hold_step(&h, &ack, 30 * MS, 200 * MS), 220 * MS);
	assert_int_equal(hold_step(&h, &ack, 220 * MS, 200 * MS), 0);
	/* The side that answers is not concerned. */
	assert_int_equal(hold_step(&h, &synack, 1 * MS, 200 * MS), 0);
	const struct mangle_tcp answer = of_flow(TCP_ACK, 3);
	assert_int_equal(hold_step(&h, &answer, 2 * MS, 200 * MS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_finds_the_parts),
		cmocka_unit_test(parse_skips_extension_headers),
		cmocka_unit_test(parse_refuses_the_rest),
		cmocka_unit_test(payload_is_cut),
		cmocka_unit_test(a_wrong_checksum_stays_wrong),
		cmocka_unit_test(mptcp_options_become_nops),
		cmocka_unit_test(broken_options_are_left_alone),
		cmocka_unit_test(the_third_ack_is_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
