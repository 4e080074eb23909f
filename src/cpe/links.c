/* SPDX-License-Identifier: ISC */
/*
 * The links' health: what the interfaces receive is looked at while there are connections, and a link
 * that is doubted is asked by probes. A probe is a plain TCP handshake with the converter: it carries
 * nothing that a middlebox may take offence at, and whatever answers, the link works.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "cpe/session.h"
#include "os/sock.h"

#define LOOK_IDLE    (1 * S_US)
#define LOOK_BUSY    (250 * MS_US) /* while there are connections */
#define LOOK_TROUBLE (100 * MS_US) /* while a link is not good */

#define RENEW_AFTER  (2 * S_US) /* silent for so long, a subflow waits too long for its next repetition */

static void look_again(struct cpe *c, int64_t us)
{
	const mono_t due = mono_add(c->loop.now, us);

	if (mono_diff(c->links_due, c->loop.now) > 0 && mono_diff(due, c->links_due) >= 0)
		return; /* will be sooner */
	c->links_due = due;
	loop_after(&c->loop, us, cpe_tag(KIND_LINKS_LOOK, 0));
}

/* ---- probes ---- */

static void end_probe(struct link_probe *p)
{
	if (p->fd >= 0)
		sock_reset(p->fd);
	p->fd = -1;
}

/* A converter to ask for, over a link of its family. */
static const struct converter *whom_to_ask(struct cpe *c, const struct wan *w)
{
	for (const struct converter *v = NULL; (v = steer_next(&c->steer, v));) {
		if (v->trust == TRUST_USABLE && w->has[family_index(&v->at.ip)])
			return v;
	}
	return NULL;
}

static void send_probe(struct cpe *c, unsigned int i)
{
	const struct wan *const w = &c->paths.wan[i];
	const struct converter *const v = whom_to_ask(c, w);
	struct link_probe *oldest = &c->link_probe[i][0];
	unsigned int k = 0;

	if (!v)
		return;
	for (unsigned int j = 1; j < LINK_PROBES; j++) {
		if (mono_diff(c->link_probe[i][j].sent, oldest->sent) < 0) {
			oldest = &c->link_probe[i][j];
			k = j;
		}
	}
	end_probe(oldest);
	c->counters.link_probes++;
	oldest->sent = c->loop.now;
	oldest->fd = sock_connect_from(&v->at, paths_address(w, &v->at.ip));
	if (oldest->fd >= 0 && loop_add(&c->loop, oldest->fd, EPOLLOUT | EPOLLET,
				       cpe_tag(KIND_LINK_PROBE, i * LINK_PROBES + k)) < 0)
		end_probe(oldest);
}

/* A handshake, or its refusal. */
void cpe_on_link_probe(struct cpe *c, uint32_t slot)
{
	struct link_probe *const p = &c->link_probe[slot / LINK_PROBES][slot % LINK_PROBES];

	if (p->fd < 0)
		return;
	const int err = sock_error(p->fd);
	if (!err && !sock_established(p->fd))
		return;
	end_probe(p);
	if (!err || err == ECONNREFUSED || err == ECONNRESET)
		cpe_link_heard(c, &c->paths.wan[slot / LINK_PROBES], mono_diff(c->loop.now, p->sent));
}

/* ---- what was found ---- */

void cpe_link_doubt(struct cpe *c, struct wan *w)
{
	if (health_doubt(&w->health, c->loop.now))
		log_debug("wan \"%s\": doubted: asking whether it works", w->name);
	look_again(c, 0);
}

static void say_silent(const struct wan *w)
{
	log_peer(LOG_WARNING, "wan \"%s\": no answer through it: connections begin on others until there is one",
		w->name);
}

void cpe_link_silent(struct cpe *c, struct wan *w)
{
	if (health_silent(&w->health, c->loop.now))
		say_silent(w);
	look_again(c, 0);
}

void cpe_link_heard(struct cpe *c, struct wan *w, int64_t rtt)
{
	const bool was_dead = w->health.state == HEALTH_DEAD;
	const int64_t silent = health_heard(&w->health, rtt, c->loop.now);

	if (!silent)
		return;
	log_peer(LOG_INFO, "wan \"%s\": answers again, after %.1f s", w->name, (double)silent / S_US);
	if (was_dead)
		paths_sync(&c->paths);
	else if (silent >= RENEW_AFTER)
		paths_renew(&c->paths, w);
}

/* ---- looking ---- */

static void look_at_traffic(struct cpe *c, struct wan *w)
{
	uint64_t packets;

	/* A backup link is quiet as long as it is not needed. */
	if (w->backup || !w->running || netlink_received(c->paths.nl, w->ifindex, &packets) < 0)
		return;
	if (health_received(&w->health, packets, c->loop.now))
		log_debug("wan \"%s\": fell quiet: asking whether it works", w->name);
}

static void look_at(struct cpe *c, unsigned int i)
{
	struct wan *const w = &c->paths.wan[i];

	if (c->sessions.used)
		look_at_traffic(c, w);
	if (w->health.state == HEALTH_GOOD || !w->running)
		return;
	if (health_judge(&w->health, paths_spare(&c->paths, w), c->loop.now)) {
		if (w->health.state == HEALTH_DEAD) {
			log_peer(LOG_WARNING, "wan \"%s\": still no answer: running connections leave it", w->name);
			paths_sync(&c->paths);
		} else {
			say_silent(w);
		}
	}
	if (health_probe(&w->health, c->loop.now))
		send_probe(c, i);
}

void cpe_links_look(struct cpe *c)
{
	bool trouble = false;

	if (mono_diff(c->loop.now, c->links_due) < 0)
		return; /* another timer will */
	for (unsigned int i = 0; i < c->paths.n; i++) {
		look_at(c, i);
		trouble = trouble || (c->paths.wan[i].running && c->paths.wan[i].health.state != HEALTH_GOOD);
	}
	look_again(c, trouble ? LOOK_TROUBLE : c->sessions.used ? LOOK_BUSY : LOOK_IDLE);
}

void cpe_links_open(struct cpe *c)
{
	look_again(c, LOOK_IDLE);
}

void cpe_link_forget(struct cpe *c, unsigned int i)
{
	for (unsigned int k = 0; k < LINK_PROBES; k++)
		end_probe(&c->link_probe[i][k]);
}

void cpe_links_close(struct cpe *c)
{
	for (unsigned int i = 0; i < PATHS_MAX; i++)
		cpe_link_forget(c, i);
}
