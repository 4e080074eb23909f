/* SPDX-License-Identifier: ISC */
/*
 * One subflow as the kernel sees it (RFC 8684: a TCP connection that is part of an MPTCP connection).
 */
#ifndef OS_SUBFLOW_H
#define OS_SUBFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/flows.h"

#define SUBFLOWS_MAX 16 /* of one connection: 8 links, and those that take the place of others */

struct subflow_info {
	struct flow flow;
	uint32_t token;    /* ours, of its connection; 0: not told */
	bool established;  /* else its handshake is not over */
	bool stale;        /* data are under way, and for a second no acknowledgement came */
	uint64_t acked;    /* bytes that the peer acknowledged */
	uint64_t received; /* bytes */
	uint64_t resent;   /* bytes sent once more */
	uint64_t disordered; /* segments that came before an earlier one, which was lost or slower */
	int64_t rtt;       /* us, smoothed; 0: not known */
};

/* What a subflow has to send. */
struct subflow_load {
	uint64_t unsent; /* bytes that it was given and has not sent yet */
	uint64_t rate;   /* bytes/s at which it sends; 0: not known */
	int64_t rtt;     /* us, smoothed */
	int64_t unheard; /* us since the last acknowledgement, with data under way; 0: none are */
};

/* Fill in what a struct tcp_info of @len bytes tells. */
void subflow_take(struct subflow_info *s, const void *tcp_info, size_t len);

#endif
