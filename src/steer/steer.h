/* SPDX-License-Identifier: ISC */
/*
 * Steering on the CPE: which converter takes a connection, and which ones are trusted.
 *
 * Converters are tried in the order of their list: the configured ones, then those that were learnt
 * (steer/leases). The list may change while they are in use. One that fails is left out for a time:
 *
 *   unreachable  no handshake: until a probe (an Info TLV, RFC 8803 6.2.3) gets an answer
 *   backing off  it said "resource exceeded" or "network failure": for the delay it asked for
 *   distrusted   its answer was wrong, or none came: for the configured time
 *
 * And for each of them it is remembered what a link lets through, since middleboxes on it may eat the
 * payload of SYNs or of SYN/ACKs: that costs one slow connection, not every one.
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

#define STEER_CONVERTERS 16 /* a customer has one or two */
#define STEER_SLOTS      32 /* some are gone and still referred to; a mask of those tried fits an int */
#define STEER_NAME       48
#define STEER_LINKS      9  /* 8, and the routing table's choice */
#define STEER_LINK       16 /* the name of an interface */
#define STEER_PROVEN     (3600 * S_US) /* how long a good echo counts as recent */

enum trust { TRUST_USABLE, TRUST_UNREACHABLE, TRUST_BACKING_OFF, TRUST_DISTRUSTED };
const char *trust_text(enum trust t);

/* What a link lets through to a converter, most first. */
enum carriage {
	CARRY_ALL,     /* the message in the SYN, the answer in the SYN/ACK */
	CARRY_SYN,     /* the message in the SYN; the answer comes in the stream */
	CARRY_STREAM,  /* both in the stream: a round trip more */
	CARRY_NOTHING, /* the converter cannot be used from there */
};
const char *carriage_text(enum carriage c);

struct carried {
	enum carriage most;
	mono_t until;          /* below CARRY_ALL: when all is tried again */
	unsigned int failures; /* in a row */
};

/* What is known of a converter from who names it. */
struct steer_entry {
	char name[STEER_NAME];
	struct endpoint at;
	char only[STEER_LINK]; /* the interface through which alone it is reached; empty: all */
};

struct converter {
	bool listed; /* else the slot is free, or kept for those that still refer to it */
	unsigned int rank;
	char name[STEER_NAME];
	struct endpoint at;
	char only[STEER_LINK];

	enum trust trust;
	mono_t until;      /* trust other than usable: when it ends, or when the next probe is due */
	mono_t good_at;    /* last verified echo; 0: never */
	int64_t rtt;       /* us, of the path, the server's time left out as well as we can; 0: not known */
	unsigned int failures; /* in a row */
	bool probing;
	bool bare;         /* of another make: no Echo TLV for it */
	struct carried link[STEER_LINKS];

	uint8_t cookie[CONVERT_COOKIE_SYN];
	size_t cookie_len;

	uint64_t connections, verified, failed;
};

struct steer {
	struct converter converter[STEER_SLOTS];
	int64_t distrust_ttl; /* us */
};

/* Put the @n entries at @e in place of the list, in their order. A converter of the same name, address
 * and reach stays what it is; when there is a new one, distrust ends for all. Slots in the mask @busy
 * are not used for new ones. Returns how many entries found no room. */
unsigned int steer_list(struct steer *s, const struct steer_entry *e, unsigned int n, uint32_t busy);
/* The converter behind @c in their order, the first one for NULL; NULL at the end. */
struct converter *steer_next(struct steer *s, const struct converter *c);

/* The first usable converter whose bit is not set in @tried, or NULL. */
struct converter *steer_pick(struct steer *s, uint32_t tried, mono_t now);
uint32_t steer_bit(const struct steer *s, const struct converter *c);

/* Whether steer_pick() has one for a new connection. */
bool steer_any(struct steer *s, mono_t now);

/* What @link lets through to @c. */
enum carriage steer_carriage(struct converter *c, unsigned int link, mono_t now);
/* It let through no more than @most: so it is taken for 30 s at first, longer each time, up to the
 * configured time of distrust. Returns that time in us. */
int64_t steer_carries(const struct steer *s, struct converter *c, unsigned int link, enum carriage most,
	mono_t now);
/* It let all through. */
void steer_carries_all(struct converter *c, unsigned int link);

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
/* A handshake took @us. It may have waited for the server: what counts is what the path itself takes. */
void steer_handshake(struct converter *c, int64_t us);
/* For the Echo TLV, in 10 ms: our kernel repeats the SYN after 1 s (Patience). 0: not known. */
uint8_t steer_patience(const struct converter *c);
/* Whether a probe is due: unreachable, its time is over, and none is under way. */
bool steer_probe_due(const struct converter *c, mono_t now);

#endif
