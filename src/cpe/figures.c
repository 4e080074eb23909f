/* SPDX-License-Identifier: ISC */
/* What the links carry: the kernel is asked for its subflows about once a second, less often where they are
 * many, and when somebody wants to know. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "cpe/session.h"
#include "os/netlink.h"
#include "os/sock.h"

#define LOOK_EVERY  (1 * S_US)
#define LOOK_EACH   (1 * MS_US)    /* and a session: it takes some 10 us */
#define LOOK_FRESH  (100 * MS_US)  /* for who asks... */
#define LOOK_FEW    500            /* ... and sessions, so that it is over at once */
#define EVENT_BATCH 256            /* taken in one turn, so that others are not starved */

/* The link with this address of ours, or FIGURES_LINKS. */
static unsigned int link_at(const struct cpe *c, const struct ip_addr *ip)
{
	const enum family_index f = family_index(ip);

	for (unsigned int i = 0; i < c->paths.n; i++) {
		const struct wan *const w = &c->paths.wan[i];
		if (*w->name && w->has[f] && ip_equal(&w->addr[f], ip))
			return i;
	}
	return FIGURES_LINKS;
}

static struct session *session_of(struct cpe *c, uint32_t token)
{
	struct slot_ref ref;

	return figures_find(&c->figures, token, &ref) ? slots_at(&c->sessions, ref) : NULL;
}

/* ---- looking ---- */

static void see(void *ctx, const struct subflow_info *i)
{
	struct cpe *const c = ctx;
	struct session *const s = session_of(c, i->token);
	const unsigned int link = link_at(c, &i->flow.near.ip);

	if (!s)
		return;
	figures_see(&c->figures, &s->figures, i, link);
	if (i->stale && link < FIGURES_LINKS)
		cpe_link_doubt(c, &c->paths.wan[link]);
}

/* The far port that all subflows have, or 0: converters may differ in it. */
static uint16_t port_of_all(struct cpe *c)
{
	uint16_t port = 0;

	for (unsigned int i = 0; i < STEER_SLOTS; i++) {
		const uint16_t p = c->steer.converter[i].at.port;
		if (p && port && p != port)
			return 0;
		port = p ? p : port;
	}
	return port;
}

static void begin_look(struct cpe *c)
{
	cpe_on_subflows(c);
	figures_look_begin(&c->figures, c->loop.now);
	c->looking = c->sessions.used && netlink_subflows_ask(c->paths.nl, port_of_all(c)) == 0;
	if (!c->looking)
		figures_look_end(&c->figures);
}

/* Take a part of it. */
void cpe_figures_read(struct cpe *c)
{
	const int more = c->looking ? netlink_subflows_take(c->paths.nl, see, c) : 0;

	if (more > 0)
		return;
	if (more < 0)
		log_peer(LOG_WARNING, "the kernel does not tell of its subflows: %s", strerror(-more));
	else if (c->looking)
		figures_look_end(&c->figures);
	c->looking = false;
}

/* Where there are many, what was seen last has to do. */
void cpe_figures_look(struct cpe *c)
{
	if (c->sessions.used > LOOK_FEW || mono_diff(c->loop.now, c->figures.looked) < LOOK_FRESH)
		return;
	if (!c->looking)
		begin_look(c);
	while (c->looking)
		cpe_figures_read(c);
}

void cpe_figures_on_timer(struct cpe *c)
{
	const int64_t pause = c->sessions.used * LOOK_EACH;

	if (!c->looking)
		begin_look(c);
	loop_after(&c->loop, pause > LOOK_EVERY ? pause : LOOK_EVERY, cpe_tag(KIND_FIGURES, 0));
}

void cpe_on_subflows(struct cpe *c)
{
	struct nl_event e;

	for (int i = 0; i < EVENT_BATCH && c->subflows >= 0 && netlink_event(c->subflows, &e); i++) {
		struct session *const s = session_of(c, e.token);
		const unsigned int link = link_at(c, &e.flow.near.ip);
		if (!s)
			continue;
		if (e.established)
			figures_joined(&c->figures, &s->figures, &e.flow, link);
		else
			figures_closed(&c->figures, &e.flow, link);
		if (e.error && link < FIGURES_LINKS)
			cpe_link_doubt(c, &c->paths.wan[link]);
	}
}

/* ---- sessions ---- */

bool cpe_figures_begin(struct cpe *c, struct session *s)
{
	const uint32_t token = sock_mptcp_token(s->up);
	struct flow first = { .near = s->up_near, .far = s->converter->at };

	if (!token || (!first.near.port && sock_name(s->up, &first.near) < 0))
		return false;
	figures_begin(&c->figures, &s->figures, s->ref, token, &first, link_at(c, &first.near.ip));
	return true;
}

void cpe_figures_end(struct cpe *c, struct session *s)
{
	figures_end(&c->figures, &s->figures, s->relay.last, s->relay.n_last);
	free(s->relay.last);
	s->relay.last = NULL;
}

/* ---- open and close ---- */

int cpe_figures_open(struct cpe *c)
{
	uint8_t key[FLOWS_KEY];

	randombytes_buf(key, sizeof(key));
	int err = figures_init(&c->figures, SESSIONS_MAX, key);
	if (err)
		return err;
	c->subflows = netlink_watch_subflows(c->paths.nl);
	if (c->subflows >= 0)
		err = loop_add(&c->loop, c->subflows, EPOLLIN, cpe_tag(KIND_SUBFLOWS, 0));
	else
		log_warning("this kernel tells of no subflow that comes or goes: they are not counted");
	const int fd = netlink_subflows_fd(c->paths.nl);
	if (!err && fd >= 0)
		err = loop_add(&c->loop, fd, EPOLLIN, cpe_tag(KIND_FIGURES, 0));
	return err ? err : loop_after(&c->loop, LOOK_EVERY, cpe_tag(KIND_FIGURES, 0));
}

void cpe_figures_close(struct cpe *c)
{
	figures_done(&c->figures);
	if (c->subflows >= 0)
		close(c->subflows);
}
