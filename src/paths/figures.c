/* SPDX-License-Identifier: ISC */
#include "paths/figures.h"

#include <string.h>

#define SUBFLOWS_EACH 4 /* there is room for so many of every session */
#define RATE_LEAST    (900 * MS_US)

int figures_init(struct figures *f, uint32_t max, const uint8_t key[FLOWS_KEY])
{
	*f = (struct figures){ 0 };
	flows_init(&f->by_flow, key);
	flows_init(&f->by_token, key);
	return slots_init(&f->subflows, sizeof(struct subflow), SUBFLOWS_EACH * max);
}

void figures_done(struct figures *f)
{
	slots_done(&f->subflows);
	flows_done(&f->by_flow);
	flows_done(&f->by_token);
}

/* A token in the place of two ends. */
static struct flow flow_of_token(uint32_t token)
{
	struct flow flow = { 0 };

	memcpy(flow.near.ip.b, &token, sizeof(token));
	return flow;
}

bool figures_find(const struct figures *f, uint32_t token, struct slot_ref *ref)
{
	const struct flow flow = flow_of_token(token);

	return token && flows_get(&f->by_token, &flow, ref);
}

static struct subflow *find(const struct figures *f, const struct flow *flow)
{
	struct slot_ref ref;

	return flows_get(&f->by_flow, flow, &ref) ? slots_at(&f->subflows, ref) : NULL;
}

static struct subflow *add(struct figures *f, struct session_figures *s, const struct flow *flow, unsigned int link)
{
	struct slot_ref ref;
	struct subflow *const sub = slots_take(&f->subflows, &ref);

	if (!sub)
		return NULL;
	*sub = (struct subflow){ .ref = ref, .link = link, .last.flow = *flow, .look = f->look };
	if (flows_put(&f->by_flow, flow, ref) < 0) {
		slots_give(&f->subflows, ref);
		return NULL;
	}
	LIST_INSERT_HEAD(&s->subflows, sub, of_session);
	return sub;
}

static void drop(struct figures *f, struct subflow *sub)
{
	flows_remove(&f->by_flow, &sub->last.flow);
	LIST_REMOVE(sub, of_session);
	slots_give(&f->subflows, sub->ref);
}

static uint64_t since(uint64_t then, uint64_t now)
{
	return now > then ? now - then : 0;
}

/* What came since the last look. */
static void count(struct figures *f, struct subflow *sub, const struct subflow_info *now)
{
	struct link_figures *const l = &f->link[sub->link];

	l->up += since(sub->last.acked, now->acked);
	l->down += since(sub->last.received, now->received);
	l->resent += since(sub->last.resent, now->resent);
	l->disordered += since(sub->last.disordered, now->disordered);
	sub->last = *now;
	sub->look = f->look;
}

void figures_begin(struct figures *f, struct session_figures *s, struct slot_ref ref, uint32_t token,
	const struct flow *first, unsigned int link)
{
	const struct flow flow = flow_of_token(token);

	*s = (struct session_figures){ 0 };
	if (!token || flows_put(&f->by_token, &flow, ref) < 0)
		return;
	s->token = token;
	if (link < FIGURES_LINKS)
		add(f, s, first, link);
}

void figures_end(struct figures *f, struct session_figures *s, const struct subflow_info *last, unsigned int n)
{
	const struct flow flow = flow_of_token(s->token);
	struct subflow *sub;

	for (unsigned int i = 0; i < n; i++) {
		sub = find(f, &last[i].flow);
		if (sub)
			count(f, sub, &last[i]);
	}
	while ((sub = LIST_FIRST(&s->subflows)))
		drop(f, sub);
	if (s->token)
		flows_remove(&f->by_token, &flow);
	s->token = 0;
}

void figures_look_begin(struct figures *f, mono_t now)
{
	f->look++;
	f->looked = now;
	for (unsigned int i = 0; i < FIGURES_LINKS; i++) {
		f->link[i].subflows = f->link[i].stale = 0;
		f->link[i].rtt = 0;
	}
}

void figures_see(struct figures *f, struct session_figures *s, const struct subflow_info *i, unsigned int link)
{
	struct subflow *sub = find(f, &i->flow);

	/* One that is asked for is none yet. */
	if (!i->established || link >= FIGURES_LINKS)
		return;
	if (!sub)
		sub = add(f, s, &i->flow, link);
	if (!sub)
		return;
	count(f, sub, i);
	struct link_figures *const l = &f->link[sub->link];
	l->subflows++;
	l->stale += i->stale;
	l->rtt += i->rtt;
}

void figures_look_end(struct figures *f)
{
	const int64_t took = mono_diff(f->looked, f->rated);
	uint32_t slot = 0;

	/* One that is not there any more is waited for until the next look: figures_closed() is to find it. */
	for (struct subflow *sub; (sub = slots_next(&f->subflows, &slot)); slot++) {
		if (f->look - sub->look > 1)
			drop(f, sub);
	}
	for (unsigned int i = 0; i < FIGURES_LINKS; i++) {
		struct link_figures *const l = &f->link[i];
		l->rtt = l->subflows ? l->rtt / l->subflows : 0;
		if (took < RATE_LEAST)
			continue;
		l->up_rate = (l->up - l->up_then) * 8 * S_US / (uint64_t)took;
		l->down_rate = (l->down - l->down_then) * 8 * S_US / (uint64_t)took;
		l->up_then = l->up;
		l->down_then = l->down;
	}
	if (took >= RATE_LEAST)
		f->rated = f->looked;
}

void figures_joined(struct figures *f, struct session_figures *s, const struct flow *flow, unsigned int link)
{
	if (link >= FIGURES_LINKS)
		return;
	f->link[link].joined++;
	if (!find(f, flow))
		add(f, s, flow, link);
}

void figures_closed(struct figures *f, const struct flow *flow, unsigned int link)
{
	struct subflow *const sub = find(f, flow);

	if (sub) {
		struct link_figures *const l = &f->link[sub->link];
		l->lost++;
		l->subflows -= l->subflows && sub->look == f->look;
		l->stale -= l->stale && sub->look == f->look && sub->last.stale;
		drop(f, sub);
	} else if (link < FIGURES_LINKS) {
		f->link[link].joins_failed++;
	}
}

void figures_forget_link(struct figures *f, unsigned int link)
{
	uint32_t slot = 0;

	for (struct subflow *sub; (sub = slots_next(&f->subflows, &slot)); slot++) {
		if (sub->link == link)
			drop(f, sub);
	}
	f->link[link] = (struct link_figures){ 0 };
}
