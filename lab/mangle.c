// SPDX-License-Identifier: ISC
#include "mangle.h"

#include <string.h>

#include "base/cursor.h"

enum { ETH_HEADER = 14, ETH_IPV4 = 0x0800, ETH_IPV6 = 0x86dd };
enum { IPPROTO_HOPBYHOP = 0, IPPROTO_TCP_ = 6, IPPROTO_ROUTE = 43, IPPROTO_DESTOPT = 60 };
enum { IP4_LENGTH = 2, IP4_CHECKSUM = 10, IP6_LENGTH = 4, IP6_HEADER = 40 };
enum { TCP_OPTIONS = 20, TCP_CHECKSUM = 16 };
enum { OPT_END = 0, OPT_NOP = 1, OPT_MPTCP = 30 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The IPv4 header up to the TCP header: false when it is something else, or a fragment. */
static bool parse_ip4(struct rd *r, struct mangle_tcp *t)
{
	const uint8_t version_words = rd_u8(r);
	const size_t header = (size_t)(version_words & 0x0f) * 4;

	rd_u8(r);
	const uint16_t total = rd_u16(r);
	rd_u16(r);
	const uint16_t fragment = rd_u16(r);
	rd_u8(r);
	const uint8_t protocol = rd_u8(r);
	rd_u16(r);
	const uint8_t *const addresses = rd_bytes(r, 8);

	if (r->failed || version_words >> 4 != 4 || header < 20 || protocol != IPPROTO_TCP_ ||
	    fragment & 0x3fff || total < header)
		return false;
	rd_bytes(r, header - 20);
	memcpy(t->flow.src, addresses, 4);
	memcpy(t->flow.dst, addresses + 4, 4);
	t->tcp = t->ip + header;
	t->end = t->ip + total;
	return !r->failed;
}

/* The same for IPv6, over the extension headers that a whole packet may have. */
static bool parse_ip6(struct rd *r, struct mangle_tcp *t)
{
	const uint8_t version = rd_u32(r) >> 28;
	const uint16_t total = rd_u16(r);
	uint8_t next = rd_u8(r);

	rd_u8(r);
	const uint8_t *const addresses = rd_bytes(r, 32);
	if (r->failed || version != 6)
		return false;
	memcpy(t->flow.src, addresses, 16);
	memcpy(t->flow.dst, addresses + 16, 16);
	t->v6 = true;
	t->tcp = t->ip + IP6_HEADER;
	t->end = t->tcp + total;

	while (!r->failed &&
	       (next == IPPROTO_HOPBYHOP || next == IPPROTO_ROUTE || next == IPPROTO_DESTOPT)) {
		next = rd_u8(r);
		const size_t length = ((size_t)rd_u8(r) + 1) * 8;
		rd_bytes(r, length - 2);
		t->tcp += length;
	}
	return !r->failed && next == IPPROTO_TCP_;
}

bool mangle_parse(const uint8_t *frame, size_t len, struct mangle_tcp *out)
{
	struct rd r = rd_init(frame, len);
	struct mangle_tcp t = { .ip = ETH_HEADER };

	rd_bytes(&r, ETH_HEADER - 2);
	const uint16_t type = rd_u16(&r);
	if (type != ETH_IPV4 && type != ETH_IPV6)
		return false;
	if (!(type == ETH_IPV4 ? parse_ip4(&r, &t) : parse_ip6(&r, &t)))
		return false;

	t.flow.sport = rd_u16(&r);
	t.flow.dport = rd_u16(&r);
	rd_u64(&r);
	t.payload = t.tcp + (size_t)(rd_u8(&r) >> 4) * 4;
	t.flags = rd_u8(&r);
	if (r.failed || t.payload < t.tcp + TCP_OPTIONS || t.payload > t.end || t.end > len)
		return false;
	*out = t;
	return true;
}

/* The sum of 16-bit words; @bytes starts at an even place in what is summed. */
static uint32_t sum(const uint8_t *bytes, size_t len)
{
	uint32_t total = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		total += get16(bytes + i);
	if (len % 2)
		total += (uint32_t)bytes[len - 1] << 8;
	return total;
}

/* Replace @old by @new in the checksum at @field (RFC 1624, equation 3). */
static void update(uint8_t *field, uint32_t old, uint32_t new)
{
	while (old >> 16)
		old = (old & 0xffff) + (old >> 16);
	uint64_t total = (uint64_t)(uint16_t)~get16(field) + (uint16_t)~old + new;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	put16(field, (uint16_t)~total);
}

void mangle_strip_payload(uint8_t *frame, struct mangle_tcp *t)
{
	const size_t cut = mangle_payload_len(t);
	uint8_t *const ip = frame + t->ip;
	uint8_t *const length = ip + (t->v6 ? IP6_LENGTH : IP4_LENGTH);
	const uint16_t old_length = get16(length);
	const uint16_t new_length = (uint16_t)(old_length - cut);

	put16(length, new_length);
	if (!t->v6)
		update(ip + IP4_CHECKSUM, old_length, new_length);

	/* The pseudo-header has the segment's length, so it falls by what is cut. */
	update(frame + t->tcp + TCP_CHECKSUM,
	       sum(frame + t->payload, cut) + (uint32_t)(t->end - t->tcp),
	       (uint32_t)(t->payload - t->tcp));
	t->end = t->payload;
}

bool mangle_strip_mptcp(uint8_t *frame, const struct mangle_tcp *t)
{
	uint8_t *const options = frame + t->tcp + TCP_OPTIONS;
	const size_t len = t->payload - t->tcp - TCP_OPTIONS;
	const uint32_t before = sum(options, len);
	bool found = false;

	for (size_t i = 0; i < len && options[i] != OPT_END;) {
		if (options[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= len || options[i + 1] < 2 || i + options[i + 1] > len)
			break;
		const size_t size = options[i + 1];
		if (options[i] == OPT_MPTCP) {
			memset(options + i, OPT_NOP, size);
			found = true;
		}
		i += size;
	}
	if (found)
		update(frame + t->tcp + TCP_CHECKSUM, before, sum(options, len));
	return found;
}

/* FNV-1a. */
static uint32_t hash(const struct mangle_flow *f)
{
	uint8_t bytes[36];
	uint32_t h = 2166136261u;

	memcpy(bytes, f->src, 16);
	memcpy(bytes + 16, f->dst, 16);
	put16(bytes + 32, f->sport);
	put16(bytes + 34, f->dport);
	for (size_t i = 0; i < sizeof(bytes); i++)
		h = (h ^ bytes[i]) * 16777619u;
	return h ^ h >> 16;
}

static bool same_flow(const struct mangle_flow *a, const struct mangle_flow *b)
{
	return !memcmp(a->src, b->src, 16) && !memcmp(a->dst, b->dst, 16) &&
	       a->sport == b->sport && a->dport == b->dport;
}

int64_t hold_step(struct hold_table *h, const struct mangle_tcp *t, int64_t due, int64_t hold)
{
	struct hold_flow *const f = &h->flow[hash(&t->flow) % HOLD_FLOWS];

	if (t->flags & TCP_SYN) {
		if (!(t->flags & TCP_ACK))
			*f = (struct hold_flow){ .flow = t->flow, .pending = true };
		return 0;
	}
	if (!same_flow(&f->flow, &t->flow))
		return 0;
	if (f->pending) {
		f->pending = false;
		f->until_ns = due + hold;
	}
	return due < f->until_ns ? f->until_ns : 0;
}
