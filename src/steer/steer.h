/* SPDX-License-Identifier: ISC */
/*
 * Steering on the CPE: which converter takes a connection, and which ones are trusted.
 *
 * Converters are tried in the order of the configuration. One that fails is left out for a time:
 *
 *   unreachable  no handshake: until a probe (an Info TLV, RFC 8803 6.2.3) gets an answer
 *   backing off  it said "resource exceeded" or "network failure": for the delay it asked for
 *   distrusted   its answer was wrong, or none came: for the configured time
 *
 * Pure: the clock is passed in.
 */
#ifndef STEER_STEER_H
#define STEER_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/mono.h"
#include "wire/convert.h"

#define STEER_CONVERTERS 16 /* a customer has one or two; a mask of those tried fits an int */
#define STEER_PROVEN     (3600 * S_US) /* how long a good echo counts as recent */

enum trust { TRUST_USABLE, TRUST_UNREACHABLE, TRUST_BACKING_OFF, TRUST_DISTRUSTED };
const char *trust_text(enum trust t);

struct converter {
	char name[32];
	struct endpoint at;

	enum trust trust;
	mono_t until;      /* trust other than usable: when it ends, or when the next probe is due */
	mono_t good_at;    /* last verified echo; 0: never */
	int64_t rtt;       /* us, of the last handshake; 0: not known */
	unsigned int failures; /* in a row */
	bool probing;

	uint8_t cookie[CONVERT_COOKIE_SYN];
	size_t cookie_len;

	uint64_t connections, verified, failed;
};

struct steer {
	struct converter converter[STEER_CONVERTERS];
	unsigned int n;
	int64_t distrust_ttl; /* us */
};

/* The first usable converter whose bit is not set in @tried, or NULL. */
struct converter *steer_pick(struct steer *s, uint32_t tried, mono_t now);
uint32_t steer_bit(const struct steer *s, const struct converter *c);

/* What became of a connection: each returns how long, in us, the converter is left out (0: not). */
void steer_good(struct converter *c, mono_t now);
int64_t steer_unreachable(struct converter *c, mono_t now);
int64_t steer_wrong(const struct steer *s, struct converter *c, mono_t now);
int64_t steer_busy(struct converter *c, unsigned int seconds, mono_t now);
int64_t steer_unauthorized(struct converter *c, mono_t now);
/* A probe reached it: usable again. */
void steer_reached(struct converter *c);

/* Whether an echo was verified lately: such a converter is sent the LAN host's first bytes right
 * behind the handshake, without a round trip to wait for the answer. */
bool steer_proven(const struct converter *c, mono_t now);
/* For the Echo TLV, in 10 ms: our kernel repeats the SYN after 1 s (Patience). 0: not known. */
uint8_t steer_patience(const struct converter *c);
/* Whether a probe is due: unreachable, its time is over, and none is under way. */
bool steer_probe_due(const struct converter *c, mono_t now);

#endif
