/* SPDX-License-Identifier: ISC */
/*
 * What the subflows of all sessions carry, by session and summed up by link.
 *
 * Theory of operation. The kernel has figures of the subflows that are there now, and forgets those that
 * are gone. So they are looked at every now and then, at the latest when a session ends, and what came
 * in between is added to the sums of the link: these never become less. What a subflow carries between
 * the last look and its own end in the middle of a session is not counted.
 *
 * A session is found by the token of its MPTCP connection (RFC 8684 3.2); subflows of other programs'
 * connections are left out.
 *
 * Pure: what the kernel says, and the clock, are passed in.
 */
#ifndef PATHS_FIGURES_H
#define PATHS_FIGURES_H

#include <sys/queue.h>

#include "base/mono.h"
#include "base/slots.h"
#include "os/subflow.h"

#define FIGURES_LINKS 8

struct subflow {
	struct slot_ref ref;
	unsigned int link;
	struct subflow_info last; /* as last looked at */
	uint32_t look;            /* which look that was */
	LIST_ENTRY(subflow) of_session;
};

/* A session's own part. */
struct session_figures {
	uint32_t token; /* 0: no MPTCP connection */
	LIST_HEAD(subflow_list, subflow) subflows;
};

struct link_figures {
	uint64_t up, down;     /* bytes: acknowledged by converters; received from them */
	uint64_t resent;       /* bytes sent once more */
	uint64_t disordered;   /* segments that came before an earlier one */
	uint64_t joined;       /* subflows behind the first one */
	uint64_t joins_failed; /* that never came to be */
	uint64_t lost;         /* subflows that ended before their connection */

	/* Now. */
	unsigned int subflows, stale;
	int64_t rtt;              /* us, the mean of the subflows; 0: not known */
	uint64_t up_rate, down_rate; /* bit/s, between the last two looks that were far enough apart */
	uint64_t up_then, down_then; /* bytes at the first of them */
};

struct figures {
	struct slots subflows;
	struct flows by_flow, by_token; /* to subflows; to sessions */
	struct link_figures link[FIGURES_LINKS];
	uint32_t look;
	mono_t looked, rated;
};

/* At most @max sessions. @key: random bytes. Returns 0 or -ENOMEM. */
int figures_init(struct figures *f, uint32_t max, const uint8_t key[FLOWS_KEY]);
void figures_done(struct figures *f);

/* The session @ref has begun, with a subflow @first on the link @link. Without memory it goes uncounted. */
void figures_begin(struct figures *f, struct session_figures *s, struct slot_ref ref, uint32_t token,
	const struct flow *first, unsigned int link);
/* It ends; @last: its subflows as they were at the end. */
void figures_end(struct figures *f, struct session_figures *s, const struct subflow_info *last, unsigned int n);

/* To which session a token leads; only then *@ref is written. */
bool figures_find(const struct figures *f, uint32_t token, struct slot_ref *ref);

/* A look at all subflows: figures_look_begin(), figures_see() for each one of a session, whose part is
 * @s, and figures_look_end(). */
void figures_look_begin(struct figures *f, mono_t now);
void figures_see(struct figures *f, struct session_figures *s, const struct subflow_info *i, unsigned int link);
void figures_look_end(struct figures *f);

/* A subflow has joined the session of @s, or has ended before it. */
void figures_joined(struct figures *f, struct session_figures *s, const struct flow *flow, unsigned int link);
void figures_closed(struct figures *f, const struct flow *flow, unsigned int link);

/* The slot of the link is another one's now. */
void figures_forget_link(struct figures *f, unsigned int link);

#endif
