/* SPDX-License-Identifier: ISC */
#include "relay/fit.h"

#define LOOK_EVERY (500 * MS_US)
#define LOW_LOOKS  3            /* in a row, until that is no chance */
#define WIDE_TIME  (20 * S_US)  /* ... the first time, then four times as long, up to */
#define TRIES_MOST 4
#define RATE_LEAST (1u << 20)   /* bytes/s; what is slower waits for nothing */
#define LOSSY      1000         /* one segment of so many is sent again */
#define ROOM_CLOSE (256u << 10) /* bytes, beside what is needed */
#define ROOM_WIDE  (1u << 20)

bool fit_due(const struct fit *f, mono_t now)
{
	return mono_diff(now, f->looked) >= LOOK_EVERY;
}

/* About what is needed at a rate. */
static uint64_t close_to(uint64_t rate, int64_t trip)
{
	return rate * (uint64_t)trip / S_US * 3 / 2 + ROOM_CLOSE;
}

/* About what the kernel would let it hold. */
static uint64_t wide(uint64_t rate, int64_t trip)
{
	return rate * (uint64_t)trip / S_US * 4 + ROOM_WIDE;
}

/* Within a tenth. */
static bool steady(uint64_t before, uint64_t now)
{
	return now > before - before / 10 && now < before + before / 10;
}

/* A subflow that has ended takes its figures along. */
static bool is_lossy(const struct fit_facts *before, const struct fit_facts *now)
{
	return now->resent > before->resent && now->sent > before->sent &&
	       (now->resent - before->resent) * LOSSY > now->sent - before->sent;
}

static void come_close(struct fit *f)
{
	f->state = FIT_CLOSE;
	f->best = f->rate;
	f->low = 0;
}

static uint64_t give_up(struct fit *f, int64_t trip, mono_t now)
{
	f->state = FIT_WIDE;
	f->until = mono_add(now, WIDE_TIME << (2 * f->tries));
	f->tries += f->tries < TRIES_MOST;
	return wide(f->best, trip);
}

uint64_t fit_size(struct fit *f, const struct fit_facts *facts, mono_t now)
{
	const int64_t took = mono_diff(now, f->looked);
	const uint64_t before = f->rate;
	const bool lossy = is_lossy(&f->last, facts);

	f->rate = took > 0 && facts->acked > f->last.acked ? (facts->acked - f->last.acked) * S_US / (uint64_t)took : 0;
	f->last = *facts;
	f->looked = now;
	switch ((enum fit_state)f->state) {
	case FIT_KERNEL:
		if (f->rate < RATE_LEAST || !steady(before, f->rate) || lossy)
			return 0;
		come_close(f);
		return close_to(f->rate, facts->trip);
	case FIT_CLOSE:
		f->low = f->rate < f->best - f->best / 20 ? f->low + 1 : 0;
		if (f->low == LOW_LOOKS)
			return give_up(f, facts->trip, now);
		if (f->rate > f->best)
			f->best += (f->rate - f->best) / 4;
		return lossy ? wide(f->best, facts->trip) : close_to(f->best, facts->trip);
	case FIT_WIDE:
		if (mono_diff(now, f->until) >= 0 && steady(before, f->rate))
			come_close(f);
		else if (f->rate > f->best)
			f->best = f->rate;
		return wide(f->best, facts->trip);
	}
	return 0;
}
