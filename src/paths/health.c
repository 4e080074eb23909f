/* SPDX-License-Identifier: ISC */
#include "paths/health.h"

#define PATIENCE_LEAST (250 * MS_US)
#define PATIENCE_MOST  (450 * MS_US) /* twice this is less than a kernel's first repetition of a SYN */

#define PROBE_LEAST    (300 * MS_US)
#define PROBE_MOST     (10 * S_US)
#define PROBE_SHARE    16 /* of the time that it is silent already */

#define SILENT_AFTER   (600 * MS_US)
#define DEAD_AFTER     (2 * S_US)
#define DEAD_PROBES    4

#define QUIET_TIME     (500 * MS_US)
#define BUSY_PACKETS   20 /* before the pause: some data, and not a handshake or two */

const char *health_text(enum health_state s)
{
	switch (s) {
	case HEALTH_GOOD:
		return "good";
	case HEALTH_DOUBTED:
		return "doubted";
	case HEALTH_SILENT:
		return "silent";
	case HEALTH_DEAD:
		return "dead";
	}
	return "?";
}

bool health_doubt(struct health *h, mono_t now)
{
	if (h->state != HEALTH_GOOD)
		return false;
	h->state = HEALTH_DOUBTED;
	h->since = h->probe_due = now;
	h->unanswered = 0;
	return true;
}

static void fall_silent(struct health *h)
{
	h->state = HEALTH_SILENT;
	h->silences++;
}

bool health_silent(struct health *h, mono_t now)
{
	health_doubt(h, now);
	if (h->state != HEALTH_DOUBTED)
		return false;
	fall_silent(h);
	return true;
}

int64_t health_heard(struct health *h, int64_t rtt, mono_t now)
{
	const bool was_silent = h->state == HEALTH_SILENT || h->state == HEALTH_DEAD;

	h->state = HEALTH_GOOD;
	h->heard = now;
	/* What took longer may have waited for a server. */
	if (rtt > 0)
		h->rtt = !h->rtt || rtt < h->rtt ? rtt : h->rtt + (rtt - h->rtt) / 16;
	return was_silent ? mono_diff(now, h->since) : 0;
}

bool health_received(struct health *h, uint64_t packets, mono_t now)
{
	if (packets != h->received) {
		h->lately += packets > h->received ? packets - h->received : packets;
		h->received = packets;
		h->received_at = now;
		return false;
	}
	if (mono_diff(now, h->received_at) < QUIET_TIME)
		return false;
	const bool was_busy = h->lately >= BUSY_PACKETS;
	h->lately = 0;
	return was_busy && health_doubt(h, now);
}

bool health_probe(struct health *h, mono_t now)
{
	if (h->state == HEALTH_GOOD || mono_diff(now, h->probe_due) < 0)
		return false;
	int64_t pause = mono_diff(now, h->since) / PROBE_SHARE;
	if (pause < PROBE_LEAST)
		pause = PROBE_LEAST;
	if (pause > PROBE_MOST)
		pause = PROBE_MOST;
	h->probe_due = mono_add(now, pause);
	h->unanswered++;
	return true;
}

bool health_judge(struct health *h, bool spare, mono_t now)
{
	const int64_t silent = mono_diff(now, h->since);

	if (h->state == HEALTH_DOUBTED && h->unanswered > 1 && silent >= SILENT_AFTER) {
		fall_silent(h);
		return true;
	}
	if (h->state == HEALTH_SILENT && spare && h->unanswered >= DEAD_PROBES && silent >= DEAD_AFTER) {
		h->state = HEALTH_DEAD;
		return true;
	}
	return false;
}

int64_t health_patience(const struct health *h)
{
	const int64_t us = 4 * h->rtt;

	if (!h->rtt || us > PATIENCE_MOST)
		return PATIENCE_MOST;
	return us < PATIENCE_LEAST ? PATIENCE_LEAST : us;
}
