/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "cpe/session.h"
#include "os/sock.h"

void cpe_end_probe(struct cpe *c, uint32_t i, bool reached)
{
	struct converter *const v = &c->steer.converter[i];

	if (c->probe[i]->fd >= 0)
		sock_reset(c->probe[i]->fd);
	cpe_gate_unwatch(c, v, &c->probe[i]->near);
	free(c->probe[i]);
	c->probe[i] = NULL;
	v->probing = false;
	if (reached) {
		log_info("converter \"%s\": answers again: used from now on", v->name);
		steer_reached(v);
		cpe_consider_taking(c);
	} else {
		steer_unreachable(v, c->loop.now);
	}
}

static int connect_probe(struct cpe *c, uint32_t i, struct probe *p)
{
	const struct converter *const v = &c->steer.converter[i];
	const struct wan *const w = paths_first(&c->paths, &v->at.ip, cpe_links_beside(c, v));
	const bool gated = c->up_gate;

	p->fd = sock_connect_converter(&v->at, paths_address(w, &v->at.ip), p->out, gated ? 0 : p->out_len);
	int err = p->fd < 0 ? p->fd : 0;
	if (!err && gated)
		err = cpe_gate_watch(c, p->fd, v, (struct slot_ref){ .slot = PROBE_SLOT + i }, &p->near);
	return err ? err : loop_add(&c->loop, p->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, cpe_tag(KIND_PROBE, i));
}

static void start_probe(struct cpe *c, uint32_t i)
{
	struct converter *const v = &c->steer.converter[i];
	const struct convert_msg ask = { .has_info = true, .has_cookie = v->cookie_len > 0,
		.cookie = { .p = v->cookie, .len = v->cookie_len } };
	struct probe *const p = calloc(1, sizeof(*p));

	if (!p)
		return;
	c->counters.probes++;
	v->probing = true;
	c->probe[i] = p;
	p->deadline = mono_add(c->loop.now, HANDSHAKE_TIME);
	p->out_len = convert_encode(&ask, p->out, sizeof(p->out));
	if (connect_probe(c, i, p) < 0)
		cpe_end_probe(c, i, false);
}

/* Any Convert message is an answer: it is a converter, and it is there. */
void cpe_on_probe(struct cpe *c, uint32_t i)
{
	struct convert_msg m;
	enum convert_defect defect;

	if (!c->probe[i])
		return;
	const enum message_result r =
		message_read(&c->probe[i]->in, c->probe[i]->fd, CONVERT_FROM_CONVERTER, &m, &defect);
	if (r != MESSAGE_MORE)
		cpe_end_probe(c, i, r == MESSAGE_WHOLE);
}

void cpe_probe_all(struct cpe *c)
{
	for (uint32_t i = 0; i < STEER_SLOTS; i++) {
		if (c->probe[i] && mono_diff(c->loop.now, c->probe[i]->deadline) >= 0)
			cpe_end_probe(c, i, false);
		if (steer_probe_due(&c->steer.converter[i], c->loop.now))
			start_probe(c, i);
	}
}

void cpe_probe_close(struct cpe *c)
{
	for (uint32_t i = 0; i < STEER_SLOTS; i++) {
		if (c->probe[i])
			cpe_end_probe(c, i, false);
	}
}
