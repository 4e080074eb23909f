/* SPDX-License-Identifier: ISC */
#include "wire/packet.h"

#include "base/cursor.h"

#define LENGTH_MAX  0xffff /* of the length field of an IP header */
#define TTL         64     /* of a quoted SYN, as of most */
#define ICMP_HEADER 8

/* Bytes of the headers without options, and where their fields are. */
enum {
	IP4_LENGTH = 2,
	IP4_FRAGMENT = 6,
	IP4_PROTOCOL = 9,
	IP4_CHECKSUM = 10,
	IP4_SRC = 12,
	IP4_DST = 16,
	IP4_HEADER = 20,
};
enum {
	IP6_LENGTH = 4,
	IP6_NEXT = 6,
	IP6_SRC = 8,
	IP6_DST = 24,
	IP6_HEADER = 40,
};
enum {
	TCP_SEQ = 4,
	TCP_OFFSET = 12, /* in its upper half */
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	TCP_URGENT = 18,
	TCP_HEADER = 20,
};

/* Protocol, or "next header" */
enum { NEXT_HOP_BY_HOP = 0, NEXT_TCP = 6, NEXT_ROUTING = 43, NEXT_DESTINATION = 60 };

enum { ICMP4_UNREACHABLE = 3, ICMP6_UNREACHABLE = 1 };

/* TCP option kinds */
enum { KIND_EOL = 0, KIND_NOP = 1, KIND_MPTCP = 30 };

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

static uint8_t version(const uint8_t *buf)
{
	return buf[0] >> 4;
}

static bool is_v4(const struct packet *p)
{
	return version(p->buf) == 4;
}

/* Parse */

static struct ip_addr read_v4(const uint8_t *p)
{
	uint32_t v4;
	memcpy(&v4, p, sizeof(v4));
	return ip_from_v4(v4);
}

static struct ip_addr read_v6(const uint8_t *p)
{
	struct ip_addr ip;
	memcpy(ip.b, p, sizeof(ip.b));
	return ip;
}

/* RFC 791 3.1 */
static bool parse_ip4(struct rd r, struct packet *p)
{
	const uint8_t *const h = rd_bytes(&r, IP4_HEADER);
	if (!h)
		return false;

	p->len = get16(h + IP4_LENGTH);
	p->tcp = (size_t)(h[0] & 0x0f) * 4;
	p->src.ip = read_v4(h + IP4_SRC);
	p->dst.ip = read_v4(h + IP4_DST);
	const bool fragment = get16(h + IP4_FRAGMENT) & 0x3fff; /* more of them, or an offset */
	return h[IP4_PROTOCOL] == NEXT_TCP && !fragment && p->tcp >= IP4_HEADER;
}

/* From the header of type @next to that of TCP. Hop-by-hop options come first or not at all. */
static bool skip_extensions(struct rd *r, uint8_t next)
{
	for (bool first = true; next != NEXT_TCP; first = false) {
		const uint8_t type = next;
		if (type != NEXT_ROUTING && type != NEXT_DESTINATION &&
			!(type == NEXT_HOP_BY_HOP && first))
			return false;

		next = rd_u8(r);
		const size_t len = 8 + rd_u8(r) * 8u;
		const uint8_t *const rest = rd_bytes(r, len - 2);
		if (!rest || (type == NEXT_ROUTING && rest[1] > 0)) /* segments left */
			return false;
	}
	return true;
}

/* RFC 8200 3 */
static bool parse_ip6(struct rd r, struct packet *p)
{
	const uint8_t *const h = rd_bytes(&r, IP6_HEADER);
	if (!h)
		return false;

	const size_t len = get16(h + IP6_LENGTH);
	struct rd body = rd_sub(&r, len);
	if (!skip_extensions(&body, h[IP6_NEXT]))
		return false;

	p->len = IP6_HEADER + len;
	p->tcp = p->len - rd_left(&body);
	p->src.ip = read_v6(h + IP6_SRC);
	p->dst.ip = read_v6(h + IP6_DST);
	return !ip_is_v4(&p->src.ip) && !ip_is_v4(&p->dst.ip);
}

/* RFC 9293 3.1 */
static bool parse_tcp(struct rd r, struct packet *p)
{
	p->src.port = rd_u16(&r);
	p->dst.port = rd_u16(&r);
	p->seq = rd_u32(&r);
	p->ack = rd_u32(&r);
	const size_t header = (size_t)(rd_u8(&r) >> 4) * 4;
	p->flags = rd_u8(&r);
	p->payload = p->tcp + header;
	return !r.failed && header >= TCP_HEADER && p->payload <= p->len;
}

bool packet_parse(uint8_t *buf, size_t len, struct packet *out)
{
	struct packet p = { .buf = buf };
	const struct rd r = rd_init(buf, len);

	if (len == 0)
		return false;
	const bool ip = version(buf) == 4 ? parse_ip4(r, &p) : version(buf) == 6 && parse_ip6(r, &p);
	if (!ip || p.len > len || p.tcp > p.len || !parse_tcp(rd_init(buf + p.tcp, p.len - p.tcp), &p))
		return false;
	*out = p;
	return true;
}

int packet_mptcp(const struct packet *p)
{
	const size_t options = p->tcp + TCP_HEADER;
	struct rd r = rd_init(p->buf + options, p->payload - options);

	while (rd_left(&r) > 0) {
		const uint8_t kind = rd_u8(&r);
		if (kind == KIND_EOL)
			return -1;
		if (kind == KIND_NOP)
			continue;

		const uint8_t len = rd_u8(&r);
		if (len < 2)
			return -1;
		struct rd value = rd_sub(&r, len - 2u);
		const uint8_t subtype = rd_u8(&value) >> 4;
		if (kind == KIND_MPTCP)
			return value.failed ? -1 : subtype;
	}
	return -1;
}

/* Checksums */

/* The sum of @len bytes as 16-bit words, not yet folded (RFC 1071). */
static uint64_t sum(const uint8_t *p, size_t len)
{
	uint64_t s = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		s += get16(p + i);
	if (len & 1)
		s += (uint64_t)p[len - 1] << 8;
	return s;
}

/* The checksum that makes the sum right; 0 when the sum has the right one in it. */
static uint16_t fold(uint64_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static uint16_t ip4_checksum(const struct packet *p)
{
	return fold(sum(p->buf, p->tcp));
}

/* Over the pseudo-header too: addresses, protocol, length (RFC 9293 3.1, RFC 8200 8.1). */
static uint16_t tcp_checksum(const struct packet *p)
{
	const size_t len = p->len - p->tcp;
	const uint64_t addresses = is_v4(p) ? sum(p->buf + IP4_SRC, IP4_HEADER - IP4_SRC)
					    : sum(p->buf + IP6_SRC, IP6_HEADER - IP6_SRC);

	return fold(addresses + NEXT_TCP + len + sum(p->buf + p->tcp, len));
}

bool packet_sound(const struct packet *p)
{
	return (!is_v4(p) || ip4_checksum(p) == 0) && tcp_checksum(p) == 0;
}

/* Change */

/* Bring length, sequence number and checksums in the bytes in step with @p. */
static void seal(struct packet *p)
{
	uint8_t *const tcp = p->buf + p->tcp;

	if (is_v4(p)) {
		put16(p->buf + IP4_LENGTH, (uint16_t)p->len);
		put16(p->buf + IP4_CHECKSUM, 0);
		put16(p->buf + IP4_CHECKSUM, ip4_checksum(p));
	} else {
		put16(p->buf + IP6_LENGTH, (uint16_t)(p->len - IP6_HEADER));
	}
	put32(tcp + TCP_SEQ, p->seq);
	put16(tcp + TCP_CHECKSUM, 0);
	put16(tcp + TCP_CHECKSUM, tcp_checksum(p));
}

void packet_strip(struct packet *p)
{
	p->seq += (uint32_t)packet_payload_len(p);
	p->len = p->payload;
	seal(p);
}

bool packet_extend(struct packet *p, size_t size, const void *bytes, size_t len)
{
	const size_t longest = LENGTH_MAX + (is_v4(p) ? 0 : IP6_HEADER);
	const size_t end = size < longest ? size : longest;

	if (packet_payload_len(p) > 0 || end < p->len || end - p->len < len)
		return false;
	if (len > 0)
		memcpy(p->buf + p->payload, bytes, len);
	p->len += len;
	p->seq -= (uint32_t)len;
	seal(p);
	return true;
}

void packet_reset(struct packet *p)
{
	uint8_t *const tcp = p->buf + p->tcp;

	p->payload = p->tcp + TCP_HEADER;
	p->len = p->payload;
	p->seq = 0;
	p->flags = PACKET_RST | PACKET_ACK;
	tcp[TCP_OFFSET] = TCP_HEADER / 4 << 4;
	tcp[TCP_FLAGS] = p->flags;
	put16(tcp + TCP_WINDOW, 0);
	put16(tcp + TCP_URGENT, 0);
	seal(p);
}

/* Write the headers of @p to p->buf. The window is not known, and does not count. */
static void write_headers(struct packet *p, bool v4)
{
	struct wr w = wr_init(p->buf, p->len);

	if (v4) {
		wr_u32(&w, 4u << 28 | IP4_HEADER / 4 << 24);
		wr_u32(&w, 0);
		wr_u32(&w, TTL << 24 | NEXT_TCP << 16);
		wr_bytes(&w, p->src.ip.b + 12, 4);
		wr_bytes(&w, p->dst.ip.b + 12, 4);
	} else {
		wr_u32(&w, 6u << 28);
		wr_u32(&w, NEXT_TCP << 8 | TTL);
		wr_bytes(&w, p->src.ip.b, sizeof(p->src.ip.b));
		wr_bytes(&w, p->dst.ip.b, sizeof(p->dst.ip.b));
	}
	wr_u16(&w, p->src.port);
	wr_u16(&w, p->dst.port);
	wr_u32(&w, p->seq);
	wr_u32(&w, p->ack);
	wr_u16(&w, (uint16_t)(TCP_HEADER / 4 << 12 | p->flags));
	wr_u16(&w, 0); /* window */
	wr_u32(&w, 0); /* checksum, urgent pointer */
	seal(p);
}

void packet_refusal(const struct packet *synack, uint8_t out[PACKET_REFUSAL])
{
	uint8_t buf[IP6_HEADER + TCP_HEADER];
	const bool v4 = is_v4(synack);
	const size_t tcp = v4 ? IP4_HEADER : IP6_HEADER;
	struct packet rst = {
		.buf = buf,
		.len = tcp + TCP_HEADER,
		.tcp = tcp,
		.payload = tcp + TCP_HEADER,
		.src = synack->dst,
		.dst = synack->src,
		.seq = synack->ack,
		.flags = PACKET_RST,
	};

	write_headers(&rst, v4);
	memcpy(out, buf + tcp, TCP_HEADER);
}

size_t packet_unreachable(const struct packet *synack, uint8_t code, uint8_t *out, size_t size)
{
	const bool v4 = is_v4(synack);
	const size_t tcp = v4 ? IP4_HEADER : IP6_HEADER;
	const size_t len = ICMP_HEADER + tcp + TCP_HEADER;
	if (size < len)
		return 0;

	struct packet syn = {
		.buf = out + ICMP_HEADER,
		.len = tcp + TCP_HEADER,
		.tcp = tcp,
		.payload = tcp + TCP_HEADER,
		.src = synack->dst,
		.dst = synack->src,
		.seq = synack->ack - 1,
		.flags = PACKET_SYN,
	};
	memset(out, 0, ICMP_HEADER);
	out[0] = v4 ? ICMP4_UNREACHABLE : ICMP6_UNREACHABLE;
	out[1] = code;
	write_headers(&syn, v4);
	if (v4)
		put16(out + 2, fold(sum(out, len)));
	return len;
}
