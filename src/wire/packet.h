/* SPDX-License-Identifier: ISC */
/*
 * A TCP segment in an IP packet, as it comes out of a netfilter queue: parsed, and changed in place.
 * Every change keeps the IP length and both checksums right, and struct packet in step.
 *
 * Pure: no system call, no allocation, no clock. The packet stays in the caller's buffer, at any
 * alignment.
 */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* RFC 9293 3.1 */
enum { PACKET_FIN = 0x01, PACKET_SYN = 0x02, PACKET_RST = 0x04, PACKET_ACK = 0x10 };

struct packet {
	uint8_t *buf;        /* the IP header */
	size_t len;          /* of the packet, as its IP header says */
	size_t tcp, payload; /* where these start */
	struct endpoint src, dst;
	uint32_t seq, ack;
	uint8_t flags;       /* all 8 bits of the byte */
};

/* Whether the @len bytes at @buf begin with one whole TCP segment; only then *@out is written. Bytes
 * behind the IP length are ignored. IPv4 may have options (RFC 791), IPv6 the extension headers
 * hop-by-hop options, routing and destination options (RFC 8200 4.1). Not taken: fragments,
 * jumbograms (RFC 2675), a routing header with segments left, whose checksum is over another
 * address, and IPv4-mapped addresses in IPv6, which would pass for IPv4. Checksums are not looked at. */
bool packet_parse(uint8_t *buf, size_t len, struct packet *out);

static inline size_t packet_payload_len(const struct packet *p)
{
	return p->len - p->payload;
}

/* Whether the TCP checksum (RFC 9293 3.1), and with IPv4 the header checksum, is right. */
bool packet_sound(const struct packet *p);

/* The subtype (RFC 8684 3) of the first MPTCP option, as 0 MP_CAPABLE, 1 MP_JOIN; -1 when there is
 * none, or the options are malformed before it. */
int packet_mptcp(const struct packet *p);

/* Take the payload out, and add its length to the sequence number. */
void packet_strip(struct packet *p);

/* Put the @len bytes at @bytes in as payload, and subtract @len from the sequence number. @size is
 * the room from p->buf on. A segment that has payload, or not the room, or would be longer than IP
 * can say, is left as it is: false. */
bool packet_extend(struct packet *p, size_t size, const void *bytes, size_t len);

/* Make it the RST that refuses what it acknowledges (RFC 9293 3.5.2): RST and ACK, sequence number
 * and window 0, neither TCP options nor payload. The IP header, with what extends it, the ports and
 * the acknowledgement number stay. */
void packet_reset(struct packet *p);

/* Write the RST of its receiver that refuses @synack (RFC 9293 3.10.7.1): a TCP header without options,
 * with its checksum. */
#define PACKET_REFUSAL 20
void packet_refusal(const struct packet *synack, uint8_t out[PACKET_REFUSAL]);

/* Write the "destination unreachable" of ICMP (RFC 792, type 3) or ICMPv6 (RFC 4443 3.1, type 1)
 * with @code that refuses the SYN which @synack answers. It quotes of that SYN what @synack tells:
 * an IP header and a TCP header without options. The ICMP checksum is filled in for IPv4; for IPv6
 * it is 0, since the raw socket fills it (RFC 3542 3.1). Returns the length, from the ICMP header
 * on, or 0 with @out untouched when @size is too small. */
size_t packet_unreachable(const struct packet *synack, uint8_t code, uint8_t *out, size_t size);

#endif
