/* SPDX-License-Identifier: ISC */
/*
 * A TCP segment in an IP packet, as it comes out of a netfilter queue: parsed, and changed in place
 * with both checksums right. Pure.
 */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum { PACKET_FIN = 0x01, PACKET_SYN = 0x02, PACKET_RST = 0x04, PACKET_ACK = 0x10 };

struct packet {
	uint8_t *buf;        /* the IP header */
	size_t len;          /* of the packet, as its IP header says */
	size_t tcp, payload; /* where these start */
	struct endpoint src, dst;
	uint32_t seq, ack;
	uint8_t flags;
};

/* Whether the @len bytes at @buf are one whole TCP segment, IPv4 or IPv6 without extension headers;
 * fragments are not. Only then *@out is written. Checksums are not looked at. */
bool packet_parse(uint8_t *buf, size_t len, struct packet *out);

/* The payload, or an empty range. */
static inline size_t packet_payload_len(const struct packet *p)
{
	return p->len - p->payload;
}

/* Take the payload out and add @shift to the sequence number. */
void packet_strip(struct packet *p, uint32_t shift);

#endif
