/* SPDX-License-Identifier: ISC */
#include "steer/steer.h"

#include <string.h>

#define PROBE_FIRST   (1 * S_US)
#define PROBE_LAST    (30 * S_US)
#define UNAUTHORIZED  (30 * S_US)
#define CARRIED_FIRST (30 * S_US)
#define SYN_REPEAT    (1 * S_US)     /* RFC 6298 2.1 */
#define SYN_MARGIN    (100 * MS_US)  /* for jitter and both gates */

const char *trust_text(enum trust t)
{
	switch (t) {
	case TRUST_USABLE:
		return "usable";
	case TRUST_UNREACHABLE:
		return "unreachable";
	case TRUST_BACKING_OFF:
		return "backing off";
	case TRUST_DISTRUSTED:
		return "distrusted";
	}
	return "?";
}

const char *carriage_text(enum carriage c)
{
	switch (c) {
	case CARRY_ALL:
		return "all";
	case CARRY_SYN:
		return "SYN payload";
	case CARRY_STREAM:
		return "stream only";
	case CARRY_NOTHING:
		return "nothing";
	}
	return "?";
}

enum carriage steer_carriage(struct converter *c, unsigned int link, mono_t now)
{
	struct carried *const l = &c->link[link];

	if (l->most != CARRY_ALL && mono_diff(now, l->until) >= 0)
		l->most = CARRY_ALL;
	return l->most;
}

int64_t steer_carries(const struct steer *s, struct converter *c, unsigned int link, enum carriage most,
	mono_t now)
{
	struct carried *const l = &c->link[link];
	int64_t us = CARRIED_FIRST;

	/* Sessions that find it out together count once. */
	if (l->most >= most && mono_diff(now, l->until) < 0)
		return mono_diff(l->until, now);
	for (unsigned int i = 0; i < l->failures && us < s->distrust_ttl; i++)
		us *= 2;
	if (us > s->distrust_ttl)
		us = s->distrust_ttl;
	l->failures++;
	l->most = most;
	l->until = mono_add(now, us);
	return us;
}

void steer_carries_all(struct converter *c, unsigned int link)
{
	c->link[link] = (struct carried){ .most = CARRY_ALL };
}

static bool usable(struct converter *c, mono_t now)
{
	switch (c->trust) {
	case TRUST_USABLE:
		return true;
	case TRUST_UNREACHABLE:
		return false; /* a probe must reach it first */
	case TRUST_BACKING_OFF:
	case TRUST_DISTRUSTED:
		if (mono_diff(now, c->until) < 0)
			return false;
		c->trust = TRUST_USABLE;
		return true;
	}
	return false;
}

/* ---- the list ---- */

static struct converter *find(struct steer *s, const struct steer_entry *e)
{
	for (unsigned int i = 0; i < STEER_SLOTS; i++) {
		struct converter *const c = &s->converter[i];
		if (c->listed && endpoint_equal(&c->at, &e->at) && !strcmp(c->name, e->name) &&
			!strcmp(c->only, e->only))
			return c;
	}
	return NULL;
}

static struct converter *take_slot(struct steer *s, const struct steer_entry *e, uint32_t busy)
{
	for (unsigned int i = 0; i < STEER_SLOTS; i++) {
		struct converter *const c = &s->converter[i];
		if (c->listed || (busy >> i & 1))
			continue;
		*c = (struct converter){ .listed = true, .at = e->at };
		memcpy(c->name, e->name, sizeof(c->name));
		memcpy(c->only, e->only, sizeof(c->only));
		return c;
	}
	return NULL;
}

static void end_distrust(struct steer *s)
{
	for (unsigned int i = 0; i < STEER_SLOTS; i++) {
		if (s->converter[i].trust == TRUST_DISTRUSTED)
			s->converter[i].trust = TRUST_USABLE;
	}
}

unsigned int steer_list(struct steer *s, const struct steer_entry *e, unsigned int n, uint32_t busy)
{
	unsigned int without = n > STEER_CONVERTERS ? n - STEER_CONVERTERS : 0;
	uint32_t kept = 0;
	bool news = false;

	n -= without;
	for (unsigned int i = 0; i < n; i++) {
		const struct converter *const c = find(s, &e[i]);
		kept |= c ? steer_bit(s, c) : 0;
	}
	for (unsigned int i = 0; i < STEER_SLOTS; i++)
		s->converter[i].listed = kept >> i & 1;
	for (unsigned int i = 0; i < n; i++) {
		struct converter *c = find(s, &e[i]);
		if (!c) {
			c = take_slot(s, &e[i], busy);
			news = news || c;
		}
		if (c)
			c->rank = i;
		else
			without++;
	}
	if (news)
		end_distrust(s);
	return without;
}

struct converter *steer_next(struct steer *s, const struct converter *c)
{
	struct converter *next = NULL;

	for (unsigned int i = 0; i < STEER_SLOTS; i++) {
		struct converter *const o = &s->converter[i];
		if (o->listed && (!c || o->rank > c->rank) && (!next || o->rank < next->rank))
			next = o;
	}
	return next;
}

struct converter *steer_pick(struct steer *s, uint32_t tried, mono_t now)
{
	for (struct converter *c = NULL; (c = steer_next(s, c));) {
		if (!(tried & steer_bit(s, c)) && usable(c, now))
			return c;
	}
	return NULL;
}

bool steer_any(struct steer *s, mono_t now)
{
	return steer_pick(s, 0, now) != NULL;
}

uint32_t steer_bit(const struct steer *s, const struct converter *c)
{
	return 1u << (unsigned int)(c - s->converter);
}

void steer_good(struct converter *c, mono_t now)
{
	c->good_at = now;
	c->verified++;
	steer_reached(c);
}

static int64_t leave_out(struct converter *c, enum trust trust, int64_t us, mono_t now)
{
	c->failed++;
	c->failures++;
	/* What was under way when a longer time began does not shorten it. */
	if ((c->trust == TRUST_DISTRUSTED || c->trust == TRUST_BACKING_OFF) &&
		mono_diff(c->until, now) > us)
		return mono_diff(c->until, now);
	c->trust = trust;
	c->until = mono_add(now, us);
	return us;
}

int64_t steer_unreachable(struct converter *c, mono_t now)
{
	int64_t us = PROBE_FIRST;

	/* Sessions that fail together count once: only a later failure lengthens the wait. */
	if (c->trust == TRUST_UNREACHABLE && mono_diff(now, c->until) < 0)
		return mono_diff(c->until, now);
	for (unsigned int i = 0; i < c->failures && us < PROBE_LAST; i++)
		us *= 2;
	return leave_out(c, TRUST_UNREACHABLE, us < PROBE_LAST ? us : PROBE_LAST, now);
}

int64_t steer_wrong(const struct steer *s, struct converter *c, mono_t now)
{
	return leave_out(c, TRUST_DISTRUSTED, s->distrust_ttl, now);
}

int64_t steer_busy(struct converter *c, unsigned int seconds, mono_t now)
{
	return leave_out(c, TRUST_BACKING_OFF, seconds * S_US, now);
}

int64_t steer_unauthorized(struct converter *c, mono_t now)
{
	/* A converter that serves us has refused this server; one that never did refuses us. */
	if (c->good_at.us)
		return 0;
	return leave_out(c, TRUST_BACKING_OFF, UNAUTHORIZED, now);
}

void steer_reached(struct converter *c)
{
	if (c->trust == TRUST_UNREACHABLE)
		c->trust = TRUST_USABLE;
	c->failures = 0;
}

bool steer_proven(const struct converter *c, mono_t now)
{
	return c->good_at.us && mono_diff(now, c->good_at) < STEER_PROVEN;
}

/* The least that was seen, which rises slowly should the path have become a longer one. */
void steer_handshake(struct converter *c, int64_t us)
{
	c->rtt = !c->rtt || us < c->rtt ? us : c->rtt + ((us < SYN_REPEAT ? us : SYN_REPEAT) - c->rtt) / 64;
}

uint8_t steer_patience(const struct converter *c)
{
	const int64_t us = SYN_REPEAT - c->rtt - SYN_MARGIN;

	return c->rtt && us > 0 ? (uint8_t)(us / (10 * MS_US)) : 0;
}

bool steer_probe_due(const struct converter *c, mono_t now)
{
	return c->listed && c->trust == TRUST_UNREACHABLE && !c->probing && mono_diff(now, c->until) >= 0;
}
