// SPDX-License-Identifier: ISC
#include "shaper.h"

#define NONE (-1)
#define NS_PER_S 1000000000

/* How long @len bytes and their frame check sequence occupy the transmitter. */
static int64_t airtime(uint64_t rate_bps, uint64_t len)
{
	if (rate_bps == 0)
		return 0;
	return (int64_t)((len + SHAPER_FCS) * 8 * NS_PER_S / rate_bps);
}

/* splitmix64: small, no state beyond one word, good enough for dice. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Evenly distributed in [0, 1). */
static double draw_unit(uint64_t *state)
{
	return (double)(draw(state) >> 11) / (double)(UINT64_C(1) << 53);
}

void shaper_seed(struct shaper *s, uint64_t seed)
{
	s->random = seed;
}

void shaper_init(struct shaper *s, struct shaper_slot *slots, uint32_t count, uint64_t seed)
{
	*s = (struct shaper){ .slots = slots, .head = NONE, .tail = NONE, .free = NONE,
			      .random = seed };
	for (int32_t i = (int32_t)count - 1; i >= 0; i--) {
		slots[i] = (struct shaper_slot){ .next = s->free, .prev = NONE };
		s->free = i;
	}
}

int64_t shaper_wait(const struct shaper *s, int64_t now)
{
	return s->busy_ns > now ? s->busy_ns - now : 0;
}

uint64_t shaper_backlog(const struct shaper *s, int64_t now)
{
	/* In floating point: nanoseconds times bits per second would overflow for long queues. */
	return (uint64_t)((double)shaper_wait(s, now) * (double)s->set.rate_bps / 8 / NS_PER_S);
}

int64_t shaper_expect(const struct shaper *s, int64_t now, uint32_t len)
{
	return now + shaper_wait(s, now) + airtime(s->set.rate_bps, len) + s->set.delay_ns;
}

static bool queue_full(const struct shaper *s, int64_t now, uint32_t len)
{
	if (s->set.rate_bps == 0)
		return false;
	if (s->set.queue_bytes)
		return shaper_backlog(s, now) + len > s->set.queue_bytes;
	return shaper_wait(s, now) > s->set.queue_ns;
}

/* Into the list behind everything that departs no later: frames that are not held go to its end. */
static void insert(struct shaper *s, int32_t slot)
{
	struct shaper_slot *const new = &s->slots[slot];
	int32_t before = s->tail;

	while (before != NONE && s->slots[before].due_ns > new->due_ns)
		before = s->slots[before].prev;
	new->prev = before;
	new->next = before == NONE ? s->head : s->slots[before].next;
	if (new->prev == NONE)
		s->head = slot;
	else
		s->slots[new->prev].next = slot;
	if (new->next == NONE)
		s->tail = slot;
	else
		s->slots[new->next].prev = slot;
	s->count++;
	s->bytes += new->len;
}

enum shaper_verdict shaper_push(struct shaper *s, int64_t now, uint32_t len, int64_t hold_until,
				int32_t *slot)
{
	if (queue_full(s, now, len))
		return SHAPER_QUEUE_FULL;

	const int64_t finish = now + shaper_wait(s, now) + airtime(s->set.rate_bps, len);
	const bool lost = s->set.loss > 0 && draw_unit(&s->random) * 100 < s->set.loss;

	if (!lost && s->free == NONE)
		return SHAPER_POOL_FULL;
	if (s->set.rate_bps)
		s->busy_ns = finish;
	if (lost)
		return SHAPER_LOST;

	int64_t due = finish + s->set.delay_ns;
	if (s->set.jitter_ns)
		due += (int64_t)(draw_unit(&s->random) * (double)s->set.jitter_ns);
	if (due < s->last_due_ns)
		due = s->last_due_ns;
	if (due < hold_until)
		due = hold_until;
	else
		s->last_due_ns = due;

	*slot = s->free;
	struct shaper_slot *const new = &s->slots[*slot];
	s->free = new->next;
	*new = (struct shaper_slot){ .finish_ns = finish, .due_ns = due, .len = len };
	insert(s, *slot);
	return SHAPER_QUEUED;
}

int32_t shaper_next(const struct shaper *s)
{
	return s->head;
}

void shaper_pop(struct shaper *s)
{
	const int32_t slot = s->head;
	struct shaper_slot *const old = &s->slots[slot];

	s->head = old->next;
	if (s->head == NONE)
		s->tail = NONE;
	else
		s->slots[s->head].prev = NONE;
	s->count--;
	s->bytes -= old->len;
	old->next = s->free;
	s->free = slot;
}

void shaper_clear(struct shaper *s)
{
	while (s->head != NONE)
		shaper_pop(s);
	s->busy_ns = 0;
	s->last_due_ns = 0;
}

/* The end of a wait that began before the rate changed: what is left of it is @factor as long. */
static int64_t rescale(int64_t end, int64_t now, double factor)
{
	return end <= now ? end : now + (int64_t)((double)(end - now) * factor);
}

void shaper_set(struct shaper *s, const struct shaper_settings *set, int64_t now)
{
	const uint64_t old_rate = s->set.rate_bps, new_rate = set->rate_bps;

	s->set = *set;
	if (old_rate == new_rate)
		return;

	const double factor = new_rate ? (double)old_rate / (double)new_rate : 0;
	int64_t last = 0;
	s->busy_ns = rescale(s->busy_ns, now, factor);
	for (int32_t i = s->head; i != NONE; i = s->slots[i].next) {
		struct shaper_slot *const f = &s->slots[i];
		const int64_t finish = rescale(f->finish_ns, now, factor);

		f->due_ns += finish - f->finish_ns;
		f->finish_ns = finish;
		if (f->due_ns < last)
			f->due_ns = last;
		last = f->due_ns;
	}
	s->last_due_ns = last;
}
