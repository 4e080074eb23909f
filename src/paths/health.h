/* SPDX-License-Identifier: ISC */
/*
 * Whether a link works, whatever its carrier says.
 *
 *   good     nothing speaks against it
 *   doubted  something was not answered in time: it is asked, by probes through it
 *   silent   nor were they: connections begin on other links
 *   dead     for so long that running connections are taken off it
 *
 * Any answer through the link makes it good again. Probes are frequent at first, so that a link which
 * comes back is noticed within a second, and rarer the longer it is silent.
 *
 * Pure: the clock is passed in.
 */
#ifndef PATHS_HEALTH_H
#define PATHS_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mono.h"

enum health_state { HEALTH_GOOD, HEALTH_DOUBTED, HEALTH_SILENT, HEALTH_DEAD };
const char *health_text(enum health_state s);

struct health {
	enum health_state state;
	mono_t heard;            /* the last answer; 0: never */
	mono_t since;            /* not good: the beginning of the doubt */
	mono_t probe_due;        /* not good */
	unsigned int unanswered; /* probes since then */
	unsigned int silences;   /* how often it fell silent, as a figure */
	int64_t rtt;             /* us, of a handshake through it; 0: not known */

	/* What the interface received, in packets. */
	uint64_t received;
	uint64_t lately;  /* since the last pause */
	mono_t received_at;
};

/* Something was not answered in time. Returns whether that is news. */
bool health_doubt(struct health *h, mono_t now);
/* A SYN was not answered, and the probes neither. Returns whether that is news. */
bool health_silent(struct health *h, mono_t now);
/* An answer came, @rtt us after what it answers (0: not known). Returns for how long, in us, the link
 * was silent or dead before; 0: it was not. */
int64_t health_heard(struct health *h, int64_t rtt, mono_t now);

/* The interface has received @packets so far. A link that was busy and fell quiet is doubted; returns
 * whether that is news. */
bool health_received(struct health *h, uint64_t packets, mono_t now);

/* Whether to send a probe now; it is counted as sent. */
bool health_probe(struct health *h, mono_t now);
/* What unanswered probes mean by now. A link dies only beside a better one (@spare). Returns whether
 * the state changed. */
bool health_judge(struct health *h, bool spare, mono_t now);

/* How long, in us, a handshake may be unanswered before the link is doubted. */
int64_t health_patience(const struct health *h);

#endif
