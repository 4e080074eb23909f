/* SPDX-License-Identifier: ISC */
/*
 * TCP segments in IP packets: vectors of both families, what is not taken, and each change against
 * bytes made elsewhere. `test_packet --seeds DIR` writes the vectors to files for the fuzzer instead.
 */
#include "testing.h"

#include "base/cursor.h"
#include "packet_vectors.h"
#include "wire/packet.h"

static const struct family *const families_end = families + ARRAY_SIZE(families);

/* A packet in a heap block of exactly @room bytes, parsed. */
static struct packet load(const char *hex, size_t room)
{
	struct bytes b = bytes_hex(hex);
	struct packet p;

	assert_true(b.len <= room);
	b.p = realloc(b.p, room);
	assert_non_null(b.p);
	assert_true(packet_parse(b.p, b.len, &p));
	return p;
}

static struct packet load_synack(const struct family *f)
{
	return load(f->synack, f->len);
}

static void assert_same(const struct packet *a, const struct packet *b)
{
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->tcp, b->tcp);
	assert_int_equal(a->payload, b->payload);
	assert_true(endpoint_equal(&a->src, &b->src));
	assert_true(endpoint_equal(&a->dst, &b->dst));
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->ack, b->ack);
	assert_int_equal(a->flags, b->flags);
}

/* The bytes are these, and the struct says the same as they do. */
static void assert_packet(const struct packet *p, const char *hex)
{
	const struct bytes b = bytes_hex(hex);
	struct packet again;

	assert_int_equal(p->len, b.len);
	assert_memory_equal(p->buf, b.p, b.len);
	assert_true(packet_parse(p->buf, p->len, &again));
	assert_same(p, &again);
	assert_true(packet_sound(p));
	free(b.p);
}

static void assert_not_taken(uint8_t *buf, size_t len)
{
	struct packet p, before;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&p, &before, sizeof(p)); /* with its padding */
	assert_false(packet_parse(buf, len, &p));
	assert_memory_equal(&p, &before, sizeof(p));
}

static bool taken(const uint8_t *bytes, size_t len)
{
	struct packet p;
	const struct bytes b = bytes_copy(bytes, len);
	const bool is = packet_parse(b.p, b.len, &p);

	if (is)
		assert_true(p.tcp + 20 <= p.payload && p.payload <= p.len && p.len <= len);
	else
		assert_not_taken(b.p, b.len);
	free(b.p);
	return is;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Parse */

static void test_fields(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load_synack(f), expected = {
			.len = f->len,
			.tcp = f->tcp,
			.payload = f->len,
			.src.port = 443,
			.dst.port = 40000,
			.seq = 0x01020304,
			.ack = 0x0a0b0c0d,
			.flags = PACKET_SYN | PACKET_ACK,
		};
		ip_parse(f->src, &expected.src.ip);
		ip_parse(f->dst, &expected.dst.ip);
		assert_same(&p, &expected);
		assert_int_equal(packet_payload_len(&p), 0);
		assert_true(packet_sound(&p));
		assert_int_equal(packet_mptcp(&p), f->mptcp);
		free(p.buf);
	}
}

static void test_payload(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load(f->extended, f->len + 5);

		assert_int_equal(packet_payload_len(&p), 5);
		assert_int_equal(p.payload, f->len);
		assert_memory_equal(p.buf + p.payload, "plait", 5);
		assert_true(packet_sound(&p));
		free(p.buf);
	}
}

static void test_all_flags(void **state)
{
	struct packet p = load_synack(&families[0]);

	p.buf[p.tcp + 13] = 0xff;
	assert_true(packet_parse(p.buf, p.len, &p));
	assert_int_equal(p.flags, 0xff);
	free(p.buf);
}

static void test_others_are_not_taken(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		const struct bytes b = bytes_hex(others[i].packet);
		assert_not_taken(b.p, b.len);
		free(b.p);
	}
}

static void test_truncated_at_every_length(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		const struct bytes b = bytes_hex(f->extended);
		for (size_t len = 0; len < b.len; len++)
			assert_false(taken(b.p, len));
		assert_true(taken(b.p, b.len));
		free(b.p);
	}
}

/* Not even the headers are read beyond the IP length. */
static void test_every_ip_length(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load(f->extended, f->len + 5);
		const bool v4 = ip_is_v4(&p.src.ip);

		for (size_t len = 0; len <= UINT16_MAX; len++) {
			struct packet other;
			const size_t whole = len + (v4 ? 0 : 40);

			put16(p.buf + (v4 ? 2 : 4), len);
			const bool is = packet_parse(p.buf, p.len, &other);
			assert_int_equal(is, whole >= f->len && whole <= p.len);
			if (is)
				assert_int_equal(other.len, whole);
		}
		free(p.buf);
	}
}

static void test_bytes_behind_are_ignored(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load(f->extended, f->len + 8), padded;

		memset(p.buf + p.len, 0xa5, 3);
		assert_true(packet_parse(p.buf, p.len + 3, &padded));
		assert_same(&p, &padded);
		packet_strip(&padded);
		assert_packet(&padded, f->synack);
		assert_memory_equal(p.buf + f->len, "plait", 5);
		assert_memory_equal(p.buf + f->len + 5, "\xa5\xa5\xa5", 3);
		free(p.buf);
	}
}

static void test_every_version(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load_synack(f);
		const uint8_t first = p.buf[0];

		for (uint8_t v = 0; v < 16; v++) {
			p.buf[0] = (uint8_t)(v << 4 | (first & 0x0f));
			assert_int_equal(taken(p.buf, p.len), v == first >> 4);
		}
		free(p.buf);
	}
}

static void test_every_ip4_header_length(void **state)
{
	struct packet p = load(families[0].reset, 40);

	for (uint8_t words = 0; words < 16; words++) {
		p.buf[0] = 0x40 | words;
		if (words < 5)
			p.buf[words * 4 + 12] = 0x50; /* TCP could begin there */
		assert_int_equal(taken(p.buf, p.len), words == 5);
	}
	free(p.buf);
}

static void test_every_tcp_header_length(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load_synack(f);
		const size_t longest = (f->len - f->tcp) / 4;

		for (uint8_t words = 0; words < 16; words++) {
			p.buf[p.tcp + 12] = (uint8_t)(words << 4 | 0x0f);
			assert_int_equal(taken(p.buf, p.len), words >= 5 && words <= longest);
		}
		free(p.buf);
	}
}

static void test_every_fragment_bit(void **state)
{
	struct packet p = load_synack(&families[0]);

	for (unsigned int bit = 0; bit < 16; bit++) {
		put16(p.buf + 6, 1u << bit);
		assert_int_equal(taken(p.buf, p.len), bit >= 14); /* don't fragment, reserved */
	}
	free(p.buf);
}

/* 0, 43 and 60 fail too, since no such header follows. */
static void test_every_protocol(void **state)
{
	struct packet p4 = load_synack(&families[0]), p6 = load_synack(&families[2]);

	for (unsigned int protocol = 0; protocol < 256; protocol++) {
		p4.buf[9] = (uint8_t)protocol;
		assert_int_equal(taken(p4.buf, p4.len), protocol == 6);
		p6.buf[6] = (uint8_t)protocol;
		assert_int_equal(taken(p6.buf, p6.len), protocol == 6);
	}
	free(p4.buf);
	free(p6.buf);
}

/* Each of the three in a packet of its own, of each length. */
static void test_every_extension_header(void **state)
{
	const struct bytes b = bytes_hex(IP6("0414"));
	uint8_t buf[40 + 1024 + 1024 + 20] = { 0 };

	memcpy(buf, b.p, b.len);
	for (unsigned int type = 0; type < 256; type++) {
		for (size_t words = 0; words < 256; words++) {
			const size_t len = (words + 1) * 8, end = 40 + len + 20;

			buf[6] = (uint8_t)type;
			put16(buf + 4, len + 20);
			buf[40] = 6;
			buf[41] = (uint8_t)words;
			buf[40 + len + 12] = 0x50;
			const bool known = type == 0 || type == 43 || type == 60;
			struct packet p;
			assert_int_equal(packet_parse(buf, end, &p), known);
			if (known)
				assert_int_equal(p.tcp, 40 + len);
			assert_false(packet_parse(buf, end - 1, &p));
			put16(buf + 4, len + 19);
			assert_false(packet_parse(buf, end, &p));
			buf[40 + len + 12] = 0;
		}
	}
	free(b.p);
}

static void test_extension_headers_in_a_row(void **state)
{
	static const struct {
		uint8_t types[3];
		bool whole;
	} rows[] = {
		{ { 0, 60, 43 }, true },
		{ { 60, 43, 60 }, true },
		{ { 60, 60, 60 }, true },
		{ { 0, 0, 60 }, false }, /* hop-by-hop options come first only */
		{ { 60, 43, 0 }, false },
		{ { 0, 43, 44 }, false }, /* fragment */
		{ { 0, 51, 60 }, false }, /* AH */
		{ { 0, 60, 50 }, false }, /* ESP */
		{ { 0, 60, 59 }, false }, /* nothing */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct bytes b = bytes_hex(IP6("002c"));
		uint8_t buf[40 + 24 + 20] = { 0 };

		memcpy(buf, b.p, b.len);
		buf[6] = rows[i].types[0];
		buf[40] = rows[i].types[1];
		buf[48] = rows[i].types[2];
		buf[56] = 6;
		buf[64 + 12] = 0x50;
		assert_int_equal(taken(buf, sizeof(buf)), rows[i].whole);
		free(b.p);
	}
}

static void test_every_number_of_segments_left(void **state)
{
	struct packet p = load_synack(&families[3]);

	for (unsigned int left = 0; left < 256; left++) {
		p.buf[40 + 8 + 3] = (uint8_t)left;
		assert_int_equal(taken(p.buf, p.len), left == 0);
	}
	free(p.buf);
}

/* It would pass for an IPv4 address. */
static void test_mapped_addresses_in_ip6_are_not_taken(void **state)
{
	const struct ip_addr mapped = ip_from_v4(0x01020304);

	for (size_t at = 8; at <= 24; at += 16) {
		struct packet p = load_synack(&families[2]);
		memcpy(p.buf + at, mapped.b, sizeof(mapped.b));
		assert_false(taken(p.buf, p.len));
		free(p.buf);
	}
}

/* Checksums */

static void test_every_wrong_bit_is_unsound(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load(f->extended, f->len + 5);
		const bool v4 = ip_is_v4(&p.src.ip);

		for (size_t bit = 0; bit < p.len * 8; bit++) {
			const size_t at = bit / 8;
			/* IPv6 has a checksum of the addresses only; the version is known by now. */
			const bool covered = v4 ? at > 0 : (at >= 8 && at < 40) || at >= p.tcp;

			if (at == 0)
				continue;
			p.buf[at] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(packet_sound(&p), !covered);
			p.buf[at] ^= (uint8_t)(1u << bit % 8);
		}
		assert_true(packet_sound(&p));
		free(p.buf);
	}
}

/* Options */

static int mptcp_of(const char *options)
{
	const struct bytes o = bytes_hex(options);
	uint8_t buf[40 + 40] = { 0 };
	struct wr w = wr_init(buf, sizeof(buf));
	struct packet p;

	assert_true(o.len % 4 == 0);
	wr_u16(&w, 0x4500);
	wr_u16(&w, (uint16_t)(40 + o.len));
	wr_u32(&w, 0);
	wr_u16(&w, 0x4006);
	wr_room(&w, 10 + 12);
	wr_u16(&w, (uint16_t)((20 + o.len) / 4 << 12));
	wr_room(&w, 6);
	wr_bytes(&w, o.p, o.len);
	assert_false(w.failed);

	const struct bytes b = bytes_copy(buf, wr_len(&w));
	assert_true(packet_parse(b.p, b.len, &p));
	const int subtype = packet_mptcp(&p);
	free(b.p);
	free(o.p);
	return subtype;
}

static void test_mptcp(void **state)
{
	static const struct {
		const char *options;
		int subtype;
	} cases[] = {
		{ "", -1 },
		{ "1e040100", 0 },             /* MP_CAPABLE */
		{ "1e041000", 1 },             /* MP_JOIN */
		{ "1e04f000", 15 },
		{ "1e032000", 2 },
		{ "01010101 1e041000", 1 },    /* NOPs before */
		{ "01 1e031f", 1 },
		{ "020405b4 01 030307 1e041000", 1 },
		{ "1e041000 1e040100", 1 },    /* the first counts */
		{ "01010101", -1 },
		{ "00000000", -1 },
		{ "00 1e0310", -1 },           /* behind the end */
		{ "0204 05b4 00000000", -1 },
		{ "1e001000", -1 },            /* lengths that no option has */
		{ "1e011000", -1 },
		{ "02001e04 10000000", -1 },
		{ "02011e04 10000000", -1 },
		{ "1e021e03", -1 },            /* no room for a subtype */
		{ "0101 1e02", -1 },
		{ "0101 011e", -1 },           /* beyond the options */
		{ "1e051000", -1 },
		{ "1eff1000", -1 },
		{ "0205 1e03", -1 },
		{ "08ff 1e03 10000000", -1 },
		{ "1e041000 02ff0000", 1 },    /* malformed behind */
		{ "1e041000 02000000", 1 },
		{ "1e28 1000 0000000000000000 0000000000000000 0000000000000000 0000000000000000"
		  "00000000", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(mptcp_of(cases[i].options), cases[i].subtype);
}

/* Options end where the header does, whatever stands in the payload. */
static void test_mptcp_is_not_looked_for_in_the_payload(void **state)
{
	struct packet p = load(families[0].reset, 44);

	assert_true(packet_extend(&p, 44, "\x1e\x04\x10\x00", 4));
	assert_int_equal(packet_mptcp(&p), -1);
	free(p.buf);
}

/* Change */

static void test_extend_and_strip(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load(f->synack, f->len + 5);

		assert_true(packet_extend(&p, f->len + 5, "plait", 5));
		assert_packet(&p, f->extended);
		packet_strip(&p);
		assert_packet(&p, f->synack);
		packet_strip(&p); /* without payload, nothing to do */
		assert_packet(&p, f->synack);
		free(p.buf);
	}
}

static void test_unaligned(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		for (size_t shift = 1; shift < 8; shift++) {
			const struct bytes b = bytes_hex(f->synack);
			uint8_t buf[160];
			struct packet p;

			memcpy(buf + shift, b.p, b.len);
			assert_true(packet_parse(buf + shift, b.len, &p));
			assert_true(packet_sound(&p));
			assert_true(packet_extend(&p, b.len + 5, "plait", 5));
			assert_packet(&p, f->extended);
			packet_reset(&p);
			assert_packet(&p, f->reset);
			free(b.p);
		}
	}
}

/* Odd ones too, and those whose words carry. */
static void test_round_trip_of_every_length(void **state)
{
	uint8_t payload[600];
	memset(payload, 0xff, sizeof(payload));

	for (const struct family *f = families; f < families_end; f++) {
		for (size_t len = 0; len <= sizeof(payload); len++) {
			struct packet p = load(f->synack, f->len + len), again;

			assert_true(packet_extend(&p, f->len + len, payload, len));
			assert_int_equal(packet_payload_len(&p), len);
			assert_int_equal(p.seq, 0x01020304 - len);
			assert_true(packet_sound(&p));
			assert_memory_equal(p.buf + p.payload, payload, len);
			assert_true(packet_parse(p.buf, p.len, &again));
			assert_same(&p, &again);
			packet_strip(&p);
			assert_packet(&p, f->synack);
			free(p.buf);
		}
	}
}

static void test_sequence_number_wraps(void **state)
{
	struct packet p = load(WRAP_DATA, 45);

	packet_strip(&p);
	assert_int_equal(p.seq, 3);
	assert_packet(&p, WRAP_BARE);
	assert_true(packet_extend(&p, 45, "plait", 5));
	assert_int_equal(p.seq, 0xfffffffe);
	assert_packet(&p, WRAP_DATA);
	free(p.buf);
}

static void test_extend_refuses(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load(f->synack, f->len + 5);

		assert_false(packet_extend(&p, f->len + 4, "plait", 5));
		assert_false(packet_extend(&p, f->len, "p", 1));
		assert_false(packet_extend(&p, f->len - 1, NULL, 0));
		assert_false(packet_extend(&p, 0, NULL, 0));
		assert_false(packet_extend(&p, SIZE_MAX, NULL, SIZE_MAX));
		assert_packet(&p, f->synack);
		assert_true(packet_extend(&p, f->len, NULL, 0));
		assert_packet(&p, f->synack);

		assert_true(packet_extend(&p, f->len + 5, "plait", 5));
		assert_false(packet_extend(&p, f->len + 10, "plait", 5)); /* has payload */
		assert_false(packet_extend(&p, f->len + 10, NULL, 0));
		assert_packet(&p, f->extended);
		free(p.buf);
	}
}

static void test_extend_to_the_longest_packet(void **state)
{
	static const uint8_t payload[70000] = { [0] = 1, [65000] = 2 };

	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load(f->synack, sizeof(payload));
		const size_t most = UINT16_MAX + (ip_is_v4(&p.src.ip) ? 0 : 40) - f->len;

		assert_false(packet_extend(&p, sizeof(payload), payload, most + 1));
		assert_packet(&p, f->synack);
		assert_true(packet_extend(&p, sizeof(payload), payload, most));
		assert_int_equal(p.len, f->len + most);
		assert_true(packet_sound(&p));
		packet_strip(&p);
		assert_packet(&p, f->synack);
		free(p.buf);
	}
}

static void test_reset(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load_synack(f);
		packet_reset(&p);
		assert_packet(&p, f->reset);
		packet_reset(&p);
		assert_packet(&p, f->reset);
		free(p.buf);

		p = load(f->extended, f->len + 5);
		packet_reset(&p);
		assert_packet(&p, f->reset);
		free(p.buf);
	}
}

static void test_reset_clears_what_a_rst_does_not_say(void **state)
{
	struct packet p = load_synack(&families[0]);

	p.buf[p.tcp + 12] |= 0x0f;           /* reserved */
	p.buf[p.tcp + 13] = 0xff;            /* flags */
	put16(p.buf + p.tcp + 18, 0xffff);   /* urgent pointer */
	assert_true(packet_parse(p.buf, p.len, &p));
	packet_reset(&p);
	assert_int_equal(p.flags, PACKET_RST | PACKET_ACK);
	assert_packet(&p, families[0].reset);
	free(p.buf);
}

/* What the receiver sends back: from its address and port, at the number that was acknowledged. */
static void test_refusal(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load_synack(f), rst = load_synack(f);
		const size_t addresses = ip_is_v4(&p.src.ip) ? 4 : 16, at = addresses == 4 ? 12 : 8;
		uint8_t *const tcp = rst.buf + rst.tcp;

		/* In an IP header of the other way. */
		packet_reset(&rst);
		memcpy(rst.buf + at, p.dst.ip.b + 16 - addresses, addresses);
		memcpy(rst.buf + at + addresses, p.src.ip.b + 16 - addresses, addresses);
		packet_refusal(&p, tcp);
		assert_true(packet_parse(rst.buf, rst.len, &rst));
		assert_true(packet_sound(&rst));
		assert_true(endpoint_equal(&rst.src, &p.dst) && endpoint_equal(&rst.dst, &p.src));
		assert_int_equal(rst.seq, p.ack);
		assert_int_equal(rst.flags, PACKET_RST);
		assert_packet(&p, f->synack); /* as it was */
		free(p.buf);
		free(rst.buf);
	}
}

static void test_unreachable(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load_synack(f);
		const bool v4 = ip_is_v4(&p.src.ip);
		const struct bytes b = bytes_hex(v4 ? UNREACHABLE4 : UNREACHABLE6);
		uint8_t out[68 + 1];

		memset(out, 0xa5, sizeof(out));
		for (size_t size = 0; size < b.len; size++)
			assert_int_equal(packet_unreachable(&p, b.p[1], out, size), 0);
		for (size_t i = 0; i < sizeof(out); i++)
			assert_int_equal(out[i], 0xa5);
		assert_int_equal(packet_unreachable(&p, b.p[1], out, sizeof(out)), b.len);
		assert_memory_equal(out, b.p, b.len);
		assert_int_equal(out[b.len], 0xa5);
		memset(out, 0xa5, sizeof(out));
		assert_int_equal(packet_unreachable(&p, b.p[1], out, b.len), b.len);
		assert_memory_equal(out, b.p, b.len);
		assert_packet(&p, f->synack); /* as it was */
		free(p.buf);
		free(b.p);
	}
}

static void test_unreachable_quotes_a_syn(void **state)
{
	for (const struct family *f = families; f < families_end; f++) {
		struct packet p = load_synack(f), syn;
		uint8_t out[68];

		memset(p.buf + p.tcp + 8, 0, 4);
		assert_true(packet_parse(p.buf, p.len, &p));
		const size_t len = packet_unreachable(&p, 0, out, sizeof(out));
		assert_true(packet_parse(out + 8, len - 8, &syn));
		assert_true(packet_sound(&syn));
		assert_true(endpoint_equal(&syn.src, &p.dst));
		assert_true(endpoint_equal(&syn.dst, &p.src));
		assert_int_equal(syn.seq, 0xffffffff);
		assert_int_equal(syn.ack, 0);
		assert_int_equal(syn.flags, PACKET_SYN);
		free(p.buf);
	}
}

/* Seeds for the fuzzer */

static int write_seeds(const char *dir)
{
	int failed = seed_write(dir, "v4_syn_wrap", WRAP_DATA);

	for (const struct family *f = families; f < families_end; f++) {
		char name[64];
		failed |= seed_write(dir, f->name, f->synack);
		snprintf(name, sizeof(name), "%s_payload", f->name);
		failed |= seed_write(dir, name, f->extended);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		failed |= seed_write(dir, others[i].name, others[i].packet);
	return failed;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(argv[2]);

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_all_flags),
		cmocka_unit_test(test_others_are_not_taken),
		cmocka_unit_test(test_truncated_at_every_length),
		cmocka_unit_test(test_every_ip_length),
		cmocka_unit_test(test_bytes_behind_are_ignored),
		cmocka_unit_test(test_every_version),
		cmocka_unit_test(test_every_ip4_header_length),
		cmocka_unit_test(test_every_tcp_header_length),
		cmocka_unit_test(test_every_fragment_bit),
		cmocka_unit_test(test_every_protocol),
		cmocka_unit_test(test_every_extension_header),
		cmocka_unit_test(test_extension_headers_in_a_row),
		cmocka_unit_test(test_every_number_of_segments_left),
		cmocka_unit_test(test_mapped_addresses_in_ip6_are_not_taken),
		cmocka_unit_test(test_every_wrong_bit_is_unsound),
		cmocka_unit_test(test_mptcp),
		cmocka_unit_test(test_mptcp_is_not_looked_for_in_the_payload),
		cmocka_unit_test(test_extend_and_strip),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_round_trip_of_every_length),
		cmocka_unit_test(test_sequence_number_wraps),
		cmocka_unit_test(test_extend_refuses),
		cmocka_unit_test(test_extend_to_the_longest_packet),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_reset_clears_what_a_rst_does_not_say),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_unreachable_quotes_a_syn),
	};
	return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
