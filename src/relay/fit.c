/* SPDX-License-Identifier: ISC */
#include "relay/fit.h"

#define RATE_LEAST  (256u << 10)  /* bytes/s; what is slower is not worth a look */
#define BURST       (64u << 10)   /* bytes that MPTCP gives a subflow at once */
#define SPARE_TIME  (30 * MS_US)  /* that each subflow keeps, beside a burst: more than from look to reaction */
#define SPARE_LEAST (10 * MS_US)  /* what is not worth a change */
#define LOOK_TIME   (200 * MS_US) /* beside a trip, before the room is made smaller once more after it was too little */
#define MAIN        20            /* a subflow with less than one of so many parts of the rate does not count */
#define IDLE_MUCH   100           /* thousandths of the links: it needs much more room, and now... */
#define IDLE_SOME   25            /* ... on the average: somewhat more */
#define HOLD_TIME   (250 * MS_US) /* the first time, then twice as long, up to... */
#define TRIES_MOST  6             /* ... so often */
#define SILENT_TIME (50 * MS_US)  /* and a round trip, without an acknowledgement */
#define SIZE_LEAST  (256u << 10)  /* bytes */
#define TRIPS_MOST  4             /* as much as the kernel would let it hold: who reads slowly gets no more */
#define ROOM_MOST   (1u << 20)    /* bytes beside that */

bool fit_look(struct fit *f, uint64_t delivered, bool full, mono_t now)
{
	const int64_t took = mono_diff(now, f->looked);
	const uint64_t rate = took > 0 ? (delivered - f->delivered) * S_US / (uint64_t)took : 0;

	/* What waits for a segment that was lost comes in bursts. */
	f->rate = f->rate - f->rate / 8 + rate / 8;
	f->delivered = delivered;
	f->looked = now;
	return full && f->rate >= RATE_LEAST;
}

static uint64_t rate_of_all(const struct subflow_load *s, unsigned int n)
{
	uint64_t rate = 0;

	for (unsigned int i = 0; i < n; i++)
		rate += s[i].rate;
	return rate;
}

/* The share of the links that have nothing to send, in thousandths. */
static unsigned int idle_now(const struct subflow_load *s, unsigned int n, uint64_t all)
{
	uint64_t idle = 0;

	for (unsigned int i = 0; i < n; i++)
		idle += s[i].unsent ? 0 : s[i].rate;
	return (unsigned int)(idle * 1000 / all);
}

/* For how long, in us, each subflow has something to send beside what it should keep. */
static int64_t spare_now(const struct subflow_load *s, unsigned int n, uint64_t all)
{
	int64_t least = INT64_MAX;

	for (unsigned int i = 0; i < n; i++) {
		if (s[i].rate * MAIN < all)
			continue;
		const int64_t spare = ((int64_t)s[i].unsent - BURST) * S_US / (int64_t)s[i].rate - SPARE_TIME;
		if (spare < least)
			least = spare;
	}
	return least;
}

/* How long, in us, a burst takes to be sent and acknowledged, on the slowest of them. */
static int64_t trip_of_all(const struct subflow_load *s, unsigned int n)
{
	int64_t most = 0;

	for (unsigned int i = 0; i < n; i++) {
		const int64_t trip = s[i].rate ? s[i].rtt + (int64_t)(BURST * S_US / s[i].rate) : 0;
		most = trip > most ? trip : most;
	}
	return most;
}

/* Whether a link has fallen silent. What it had is sent anew on a subflow that has nothing else to send: more
 * room, that is more to send, would delay that. */
static bool is_silent(const struct subflow_load *s, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (s[i].unheard > s[i].rtt + SILENT_TIME)
			return true;
	}
	return false;
}

static uint64_t grow(struct fit *f, unsigned int idle, int64_t trip, mono_t now)
{
	const uint64_t limit = f->rate * (uint64_t)trip / S_US * TRIPS_MOST + ROOM_MOST;
	const uint64_t more = f->size + f->size / (idle > IDLE_MUCH ? 2 : 8);

	f->tries += f->smaller && f->tries < TRIES_MOST;
	f->smaller = false;
	f->idle = 0;
	f->hold = mono_add(now, HOLD_TIME << f->tries);
	if (f->size >= limit)
		return 0;
	f->size = more < limit ? more : limit;
	return f->size;
}

/* Not below what is under way at its rate, whatever the subflows have to spare: they may be slower than they
 * could be for other reasons. */
static uint64_t shrink(struct fit *f, uint64_t less, int64_t trip, uint64_t held)
{
	const uint64_t least = f->rate * (uint64_t)(trip + SPARE_TIME) / S_US + SIZE_LEAST;
	const uint64_t size = held - (less < held / 2 ? less : held / 2);

	if (held <= least)
		return 0;
	f->size = size > least ? size : least;
	f->smaller = true;
	f->idle = 0;
	return f->size;
}

uint64_t fit_size(struct fit *f, const struct subflow_load *s, unsigned int n, uint64_t held, mono_t now)
{
	const uint64_t all = rate_of_all(s, n);

	if (!all)
		return 0;
	const unsigned int idle = idle_now(s, n, all);
	const int64_t spare = spare_now(s, n, all), trip = trip_of_all(s, n);

	f->idle = (uint16_t)(f->idle + ((int)idle - f->idle) / 8);
	if (f->size && (idle > IDLE_MUCH || f->idle > IDLE_SOME)) {
		if (is_silent(s, n))
			return 0;
		f->since.us = 0;
		return grow(f, idle, trip, now);
	}
	if (!f->since.us) {
		f->since = now;
		f->spare = spare;
	}
	f->spare = spare < f->spare ? spare : f->spare;
	if (mono_diff(now, f->since) < trip + (f->tries ? LOOK_TIME : 0))
		return 0;
	f->since.us = 0;
	if (f->spare < SPARE_LEAST || mono_diff(now, f->hold) < 0)
		return 0;
	return shrink(f, all * (uint64_t)f->spare / S_US, trip, held);
}
