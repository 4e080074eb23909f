/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a packet, and every change of one that is taken. What has to hold:
 *
 *  - nothing is read or written outside a block of exactly the bytes given, or of the room said;
 *  - a refused packet leaves the output alone, and parsing leaves the packet alone;
 *  - after each change the checksums are right, the bytes parse to the fields of the struct, and
 *    nothing behind the packet was written to;
 *  - strip after extend gives back the packet;
 *  - the ICMP message quotes a segment that parses, with the ends the other way round.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/packet.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

#define CHANGED_MAX 4096 /* libFuzzer's -max_len, and a payload */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy(const uint8_t *data, size_t len, size_t room)
{
	uint8_t *const buf = malloc(room > 0 ? room : 1);
	CHECK(buf && len <= room);
	if (len > 0)
		memcpy(buf, data, len);
	return buf;
}

static bool same(const struct packet *a, const struct packet *b)
{
	return a->buf == b->buf && a->len == b->len && a->tcp == b->tcp &&
	       a->payload == b->payload && endpoint_equal(&a->src, &b->src) &&
	       endpoint_equal(&a->dst, &b->dst) && a->seq == b->seq && a->ack == b->ack &&
	       a->flags == b->flags;
}

static void check_changed(const struct packet *p)
{
	struct packet again;

	CHECK(packet_sound(p));
	CHECK(packet_parse(p->buf, p->len, &again) && same(p, &again));
}

static struct packet parsed(const uint8_t *data, size_t size, size_t room)
{
	struct packet p;
	CHECK(packet_parse(copy(data, size, room), size, &p));
	return p;
}

/* A right checksum that is written anew stays, but for the other zero of ones' complement. */
static bool has_other_zero(const struct packet *p)
{
	static const uint8_t zero[2] = { 0xff, 0xff };

	return memcmp(p->buf + p->tcp + 16, zero, 2) == 0 ||
	       (ip_is_v4(&p->src.ip) && memcmp(p->buf + 10, zero, 2) == 0);
}

static void check_strip(const uint8_t *data, size_t size)
{
	struct packet p = parsed(data, size, size);
	const struct packet before = p;
	const bool stays = packet_payload_len(&p) == 0 && packet_sound(&p) && !has_other_zero(&p);

	packet_strip(&p);
	check_changed(&p);
	if (stays)
		CHECK(memcmp(p.buf, data, size) == 0);
	CHECK(packet_payload_len(&p) == 0 && p.payload == before.payload);
	CHECK(p.seq == (uint32_t)(before.seq + packet_payload_len(&before)));
	CHECK(p.ack == before.ack && p.flags == before.flags);
	CHECK(memcmp(p.buf + p.len, data + p.len, size - p.len) == 0);
	free(p.buf);
}

static void check_extend(const uint8_t *data, size_t size)
{
	const size_t len = (size_t)data[size - 1] * 5; /* odd or even, up to 1275 */
	const size_t room = size + len;
	uint8_t payload[256 * 5], bare[CHANGED_MAX];
	struct packet p = parsed(data, size, room);

	memset(payload, data[0], sizeof(payload));
	if (packet_payload_len(&p) > 0) {
		CHECK(!packet_extend(&p, room, payload, len));
		CHECK(memcmp(p.buf, data, size) == 0);
	}
	packet_strip(&p); /* makes the checksums right too */
	memcpy(bare, p.buf, p.len);
	const struct packet before = p;
	CHECK(!packet_extend(&p, p.len + len - 1, payload, len));
	CHECK(same(&p, &before) && memcmp(p.buf, bare, p.len) == 0);

	CHECK(packet_extend(&p, p.len + len, payload, len));
	check_changed(&p);
	CHECK(packet_payload_len(&p) == len && p.seq == (uint32_t)(before.seq - len));
	CHECK(memcmp(p.buf + p.payload, payload, len) == 0);
	if (p.len < size)
		CHECK(memcmp(p.buf + p.len, data + p.len, size - p.len) == 0);

	packet_strip(&p);
	check_changed(&p);
	CHECK(same(&p, &before) && memcmp(p.buf, bare, p.len) == 0);
	free(p.buf);
}

static void check_reset(const uint8_t *data, size_t size)
{
	struct packet p = parsed(data, size, size);
	const struct packet before = p;

	packet_reset(&p);
	check_changed(&p);
	CHECK(p.len == p.payload && p.payload == before.tcp + 20);
	CHECK(p.seq == 0 && p.ack == before.ack && p.flags == (PACKET_RST | PACKET_ACK));
	CHECK(packet_mptcp(&p) == -1);
	CHECK(memcmp(p.buf + p.len, data + p.len, size - p.len) == 0);
	free(p.buf);
}

static void check_unreachable(const struct packet *p)
{
	uint8_t out[68];
	struct packet syn;
	const size_t expected = ip_is_v4(&p->src.ip) ? 48 : 68;
	uint8_t *const exact = copy(out, 0, expected);

	CHECK(packet_unreachable(p, 1, out, expected - 1) == 0);
	CHECK(packet_unreachable(p, 1, exact, expected) == expected);
	CHECK(packet_parse(exact + 8, expected - 8, &syn) && packet_sound(&syn));
	CHECK(syn.len == expected - 8 && syn.flags == PACKET_SYN);
	CHECK(syn.seq == (uint32_t)(p->ack - 1) && syn.ack == 0);
	CHECK(endpoint_equal(&syn.src, &p->dst) && endpoint_equal(&syn.dst, &p->src));
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union {
		struct packet p;
		uint8_t bytes[sizeof(struct packet)];
	} out, nothing; /* with its padding */
	uint8_t *const buf = copy(data, size, size);

	memset(nothing.bytes, 0xa5, sizeof(nothing.bytes));
	memcpy(out.bytes, nothing.bytes, sizeof(out.bytes));
	if (!packet_parse(buf, size, &out.p)) {
		CHECK(memcmp(out.bytes, nothing.bytes, sizeof(out.bytes)) == 0);
		free(buf);
		return 0;
	}
	const struct packet p = out.p;
	CHECK(p.buf == buf && p.tcp + 20 <= p.payload && p.payload <= p.len && p.len <= size);
	CHECK(packet_mptcp(&p) >= -1 && packet_mptcp(&p) <= 15);
	packet_sound(&p);
	check_unreachable(&p);
	CHECK(memcmp(buf, data, size) == 0);
	free(buf);

	check_strip(data, size);
	check_reset(data, size);
	if (size <= CHANGED_MAX)
		check_extend(data, size);
	return 0;
}
