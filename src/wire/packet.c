/* SPDX-License-Identifier: ISC */
#include "wire/packet.h"

#include <string.h>

#include "base/cursor.h"

#define PROTOCOL_TCP 6
#define IP4_HEADER   20
#define IP6_HEADER   40
#define TCP_HEADER   20

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* ---- parse: where the TCP header is, and how long the packet ---- */

static bool parse_ip4(struct rd r, struct packet *out)
{
	uint32_t v4;
	const uint8_t *const h = rd_bytes(&r, IP4_HEADER);
	if (!h)
		return false;

	const size_t header = (h[0] & 0x0f) * 4u;
	const uint16_t fragment = get16(h + 6) & 0x3fff; /* more fragments, offset */
	out->len = get16(h + 2);
	out->tcp = header;
	memcpy(&v4, h + 12, 4);
	out->src.ip = ip_from_v4(v4);
	memcpy(&v4, h + 16, 4);
	out->dst.ip = ip_from_v4(v4);
	return header >= IP4_HEADER && h[9] == PROTOCOL_TCP && !fragment;
}

static bool parse_ip6(struct rd r, struct packet *out)
{
	const uint8_t *const h = rd_bytes(&r, IP6_HEADER);
	if (!h)
		return false;

	out->len = IP6_HEADER + (size_t)get16(h + 4);
	out->tcp = IP6_HEADER;
	memcpy(out->src.ip.b, h + 8, 16);
	memcpy(out->dst.ip.b, h + 24, 16);
	return h[6] == PROTOCOL_TCP;
}

static bool parse_tcp(struct packet *p)
{
	struct rd r = rd_init(p->buf + p->tcp, p->len - p->tcp);

	p->src.port = rd_u16(&r);
	p->dst.port = rd_u16(&r);
	p->seq = rd_u32(&r);
	p->ack = rd_u32(&r);
	const size_t header = (rd_u8(&r) >> 4) * 4u;
	p->flags = rd_u8(&r);
	p->payload = p->tcp + header;
	return !r.failed && header >= TCP_HEADER && p->payload <= p->len;
}

bool packet_parse(uint8_t *buf, size_t len, struct packet *out)
{
	struct packet p = { .buf = buf };
	const struct rd r = rd_init(buf, len);

	if (!len)
		return false;
	const bool ip = buf[0] >> 4 == 4 ? parse_ip4(r, &p) : buf[0] >> 4 == 6 && parse_ip6(r, &p);
	if (!ip || p.len > len || p.tcp > p.len || !parse_tcp(&p))
		return false;
	*out = p;
	return true;
}

/* ---- change ---- */

/* The ones' complement sum of @len bytes (RFC 1071), not yet folded. */
static uint64_t sum(const uint8_t *p, size_t len)
{
	uint64_t s = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		s += get16(p + i);
	if (len & 1)
		s += (uint64_t)p[len - 1] << 8;
	return s;
}

static uint16_t fold(uint64_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void fix_checksums(struct packet *p)
{
	const bool v4 = p->buf[0] >> 4 == 4;
	uint8_t *const tcp = p->buf + p->tcp;
	const size_t tcp_len = p->len - p->tcp;

	if (v4) {
		put16(p->buf + 10, 0);
		put16(p->buf + 10, fold(sum(p->buf, p->tcp)));
	}
	/* The pseudo-header: addresses, protocol, length (RFC 9293 3.1). */
	const uint64_t pseudo = (v4 ? sum(p->buf + 12, 8) : sum(p->buf + 8, 32)) + PROTOCOL_TCP + tcp_len;
	put16(tcp + 16, 0);
	put16(tcp + 16, fold(pseudo + sum(tcp, tcp_len)));
}

void packet_strip(struct packet *p, uint32_t shift)
{
	p->len = p->payload;
	if (p->buf[0] >> 4 == 4)
		put16(p->buf + 2, (uint16_t)p->len);
	else
		put16(p->buf + 4, (uint16_t)(p->len - IP6_HEADER));
	p->seq += shift;
	put32(p->buf + p->tcp + 4, p->seq);
	fix_checksums(p);
}
