/* SPDX-License-Identifier: ISC */
/*
 * How much an MPTCP connection should hold that is sent and not acknowledged.
 *
 * The kernel lets each subflow queue about three times what can be under way. When a link is lost, what
 * it had is sent anew behind that on the others: half a second of silence where a tenth would do. So a
 * connection whose rate is steady gets room for what it needs and half of it again. While packets
 * are lost it needs more: what came behind them waits. Should it be slower with that than before, the room
 * is as large as the kernel's again, for a while that becomes longer each time.
 *
 * Pure: what the kernel tells, and the clock, are passed in.
 */
#ifndef RELAY_FIT_H
#define RELAY_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mono.h"

/* What the kernel tells of a connection. */
struct fit_facts {
	uint64_t acked;  /* bytes */
	int64_t trip;    /* us: the longest round trip of a subflow, with the time for one burst of data */
	uint64_t sent, resent; /* segments, of all subflows that there are */
};

enum fit_state { FIT_KERNEL, FIT_CLOSE, FIT_WIDE };

struct fit {
	uint8_t state; /* enum: the kernel's own; close to the need; wide, since close was too little */
	uint8_t low;   /* while close: looks in a row at which it was slower */
	uint8_t tries; /* how often close was too little */
	uint64_t rate; /* bytes/s, between the last two looks */
	uint64_t best; /* while close: the rate that there was */
	struct fit_facts last;
	mono_t looked, until;
};

/* Whether it is time for fit_size(). */
bool fit_due(const struct fit *f, mono_t now);
/* Returns the bytes that the connection may hold from now on; 0: as before. */
uint64_t fit_size(struct fit *f, const struct fit_facts *facts, mono_t now);

#endif
