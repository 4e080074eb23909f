/* SPDX-License-Identifier: ISC */
/*
 * What middleboxes do to TCP: find the TCP header in an Ethernet frame and change it in place. Pure.
 *
 * Checksums are updated by the difference (RFC 1624) and not computed anew: a segment that came with
 * a wrong one leaves with a wrong one.
 */
#ifndef LAB_MANGLE_H
#define LAB_MANGLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

struct mangle_flow {
	uint8_t src[16], dst[16];       /* IPv4: the first 4 bytes, the others 0 */
	uint16_t sport, dport;
};

/* Where things are, in bytes from the start of the frame. */
struct mangle_tcp {
	bool v6;
	uint8_t flags;
	size_t ip, tcp, payload, end;
	struct mangle_flow flow;
};

/* Whether @frame is a whole TCP segment in IPv4 or IPv6; only then *@out is written. */
bool mangle_parse(const uint8_t *frame, size_t len, struct mangle_tcp *out);

static inline size_t mangle_payload_len(const struct mangle_tcp *t)
{
	return t->end - t->payload;
}

/* Cut the payload off; the frame's new length is @t->end. */
void mangle_strip_payload(uint8_t *frame, struct mangle_tcp *t);

/* Overwrite each MPTCP option (kind 30, RFC 8684) by NOPs; whether there was one. */
bool mangle_strip_mptcp(uint8_t *frame, const struct mangle_tcp *t);

/*
 * Which flows are to have the first segment after their SYN held, and until when. Flows that share
 * a place in the table replace one another: the older one is then not held.
 */
#define HOLD_FLOWS 4096

struct hold_flow {
	struct mangle_flow flow;
	bool pending;                   /* SYN seen, nothing after it yet */
	int64_t until_ns;
};

struct hold_table {
	struct hold_flow flow[HOLD_FLOWS];
};

/*
 * A segment is about to be sent that would be due at @due. Returns until when it is held, or 0. A
 * SYN starts its flow; the first segment behind it is held @hold longer; those that follow stay
 * behind that one.
 */
int64_t hold_step(struct hold_table *h, const struct mangle_tcp *t, int64_t due, int64_t hold);

#endif
