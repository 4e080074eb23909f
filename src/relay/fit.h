/* SPDX-License-Identifier: ISC */
/*
 * How much an MPTCP connection may hold that its peer has not acknowledged.
 *
 * The kernel lets each subflow queue about three times what can be under way. When a link is lost, what
 * it had is sent anew behind that on the others: half a second of silence where a tenth would do. Too
 * little is worse: a subflow with nothing to send is a link that stands idle.
 *
 * So what the subflows have left to send is looked at. When each of them has had some to spare for the
 * length of a trip, the room of the whole connection is made smaller by that; when one has nothing
 * left, larger, and it is not made smaller for a while, which becomes longer each time. What links of
 * unequal delay, or losses, need is found that way and not reckoned. The kernel decides until there was
 * something to spare.
 *
 * Pure: what the kernel tells, and the clock, are passed in.
 */
#ifndef RELAY_FIT_H
#define RELAY_FIT_H

#include <stdint.h>

#include "base/mono.h"
#include "os/subflow.h"

struct fit {
	uint64_t size;       /* bytes; 0: the kernel's choice */
	uint64_t delivered;  /* bytes, at the last look */
	uint64_t rate;       /* bytes/s that it gets, of late */
	mono_t looked, hold; /* the last look; until when the room becomes no smaller */
	int64_t spare;       /* us for which each subflow had something to spare, the least... */
	mono_t since;        /* ... since then; 0: not looked at */
	uint16_t idle;       /* thousandths of the links that had nothing to send, of late */
	uint8_t tries;       /* how often less room turned out to be too little */
	bool smaller;        /* it is less than it was, and not yet found to be too little */
};

/* A look, ten times a second, also while nothing moves: @delivered bytes were taken from the sender so far;
 * @full: more were to be had. Returns whether fit_size() is to be asked. */
bool fit_look(struct fit *f, uint64_t delivered, bool full, mono_t now);
/* Of a connection with these @n subflows that may hold @held bytes: how many from now on; 0: as before. */
uint64_t fit_size(struct fit *f, const struct subflow_load *s, unsigned int n, uint64_t held, mono_t now);

#endif
