/* SPDX-License-Identifier: ISC */
/*
 * The converter's gate: its SYN/ACKs wait in a netfilter queue until the server has answered, and
 * carry the answer where the client takes it there.
 *
 * A client takes it there when it says so (flag 0x01 of the Echo TLV: its gate takes the answer out
 * again), or when the connection is plain TCP. A stock MPTCP client would fall back to TCP.
 *
 * Fast Open makes the SYN/ACK and the connection to accept at the same moment, and either may be
 * seen first. So a SYN/ACK without a session waits a moment as an orphan; if none comes, the SYN's
 * data were not accepted (there were none, the Fast Open queue is full, SYN cookies, an additional
 * subflow), and it passes: those connections are accepted behind their handshake.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "converter/session.h"
#include "gate/rules.h"
#include "os/sock.h"

#define GATE_MAX    8192u       /* SYN/ACKs that wait; more pass as they are */
#define ORPHAN_TIME (2 * MS_US)
#define ORPHANS_MAX 256u

enum { MP_JOIN = 1 }; /* RFC 8684 3 */

struct orphan {
	struct orphan *next;
	struct flow flow;
	struct hold syn_ack;
	mono_t until;
};

/* ---- what may be said where ---- */

static bool is_mptcp(const struct hold *h)
{
	uint8_t buf[HOLD_PACKET];
	struct packet p;

	memcpy(buf, h->packet, h->len);
	return packet_parse(buf, h->len, &p) && packet_mptcp(&p) >= 0;
}

bool converter_gate_can_answer(const struct session *s)
{
	const struct handshake *const hs = s->hs;

	return hs->syn_ack.held &&
	       ((hs->has_echo && hs->echo.flags & CONVERT_ECHO_SYNACK_PAYLOAD) || !is_mptcp(&hs->syn_ack));
}

void converter_gate_answer(struct converter *c, struct session *s)
{
	struct handshake *const hs = s->hs;

	if (hs->said || !converter_gate_can_answer(s)) {
		converter_gate_release(c, s);
	} else if (hold_answer(&hs->syn_ack, c->gate, hs->out, hs->out_len)) {
		c->counters.in_syn_ack++;
		hs->said = true;
		memcpy(hs->in_syn_ack, hs->out, hs->out_len);
		hs->in_syn_ack_len = hs->out_len;
	}
}

void converter_gate_release(struct converter *c, struct session *s)
{
	struct handshake *const hs = s->hs;

	if (!c->gate || hs->in_syn_ack_len)
		return;
	hs->released = true;
	hold_release(&hs->syn_ack, c->gate);
}

/* ---- SYN/ACKs of sessions ---- */

/* Whether there is something to say, for which no SYN/ACK was there yet. */
static bool is_ready(const struct session *s)
{
	return s->state == CONVERTER_ACCEPTING || s->state == CONVERTER_REFUSING;
}

static void on_syn_ack(struct converter *c, struct session *s, struct queued *q)
{
	struct handshake *const hs = s->hs;

	if (!hs || hs->released) {
		queue_pass(c->gate, q->id);
		return;
	}
	hold_take(&hs->syn_ack, c->gate, q);
	if (hs->in_syn_ack_len) /* once more: what it carried stays the same */
		hold_answer(&hs->syn_ack, c->gate, hs->in_syn_ack, hs->in_syn_ack_len);
	else if (s->state == CONVERTER_MESSAGE)
		converter_gate_release(c, s);
	else if (is_ready(s))
		converter_gate_answer(c, s);
}

static struct session *find(const struct converter *c, const struct flow *flow)
{
	struct slot_ref ref;

	return flows_get(&c->flows, flow, &ref) ? slots_at(&c->sessions, ref) : NULL;
}

void converter_gate_watch(struct converter *c, struct session *s)
{
	struct flow flow = { .far = s->client };

	if (!c->gate || sock_name(s->up, &flow.near) < 0 || flows_put(&c->flows, &flow, s->ref) < 0)
		return;
	s->near = flow.near;
	for (struct orphan **at = &c->orphan; *at; at = &(*at)->next) {
		struct orphan *const o = *at;
		if (memcmp(&o->flow, &flow, sizeof(flow)) != 0)
			continue;
		s->hs->syn_ack = o->syn_ack;
		*at = o->next;
		c->n_orphans--;
		free(o);
		return;
	}
}

void converter_gate_forget(struct converter *c, struct session *s)
{
	if (s->hs && c->gate)
		hold_drop(&s->hs->syn_ack, c->gate);
	if (s->near.port)
		flows_remove(&c->flows, &(struct flow){ .near = s->near, .far = s->client });
	s->near.port = 0;
}

/* ---- orphans ---- */

static void accept_all(struct converter *c)
{
	for (unsigned int i = 0; i < c->config->n_listen; i++)
		converter_accept(c, i);
}

static void add_orphan(struct converter *c, const struct flow *flow, struct queued *q)
{
	struct orphan *const o = c->n_orphans < ORPHANS_MAX ? calloc(1, sizeof(*o)) : NULL;

	if (!o) {
		queue_pass(c->gate, q->id);
		return;
	}
	o->flow = *flow;
	o->until = mono_add(c->loop.now, ORPHAN_TIME);
	hold_take(&o->syn_ack, c->gate, q);
	o->next = c->orphan;
	c->orphan = o;
	c->n_orphans++;
	loop_after(&c->loop, ORPHAN_TIME, (struct loop_tag){ .kind = KIND_ORPHANS });
}

void converter_gate_orphans(struct converter *c)
{
	accept_all(c);
	for (struct orphan **at = &c->orphan; *at;) {
		struct orphan *const o = *at;
		if (mono_diff(c->loop.now, o->until) < 0) {
			at = &o->next;
			continue;
		}
		hold_release(&o->syn_ack, c->gate);
		*at = o->next;
		c->n_orphans--;
		free(o);
	}
}

/* ---- the queue ---- */

static void on_packet(void *ctx, struct queued *q)
{
	struct converter *const c = ctx;
	const struct flow flow = { .near = q->p.src, .far = q->p.dst };

	if (packet_mptcp(&q->p) == MP_JOIN) {
		queue_pass(c->gate, q->id);
		return;
	}
	struct session *s = find(c, &flow);
	if (!s) {
		accept_all(c);
		s = find(c, &flow);
	}
	if (s)
		on_syn_ack(c, s, q);
	else
		add_orphan(c, &flow, q);
}

void converter_gate_read(struct converter *c)
{
	queue_read(c->gate);
}

/* Beside the rules of another converter on this host, with another port. */
static const char *rules_name(const struct converter *c)
{
	static char name[32];

	snprintf(name, sizeof(name), "plait_conv_%u", c->config->listen[0].port);
	return name;
}

static int open_rules(const struct converter *c)
{
	const uint16_t port = c->config->listen[0].port;
	const struct gate_rule rule = { .out = true, .syn_ack = true, .sport = port, .queue = port };

	return rules_open(rules_name(c), &rule, 1);
}

void converter_gate_open(struct converter *c)
{
	uint8_t key[FLOWS_KEY];

	randombytes_buf(key, sizeof(key));
	flows_init(&c->flows, key);
	if (!c->config->gate || !c->config->n_listen) {
		log_info("SYN/ACK gate: off, as configured");
		return;
	}
	int err = queue_open(&c->gate, c->config->listen[0].port, GATE_MAX, on_packet, c);
	if (!err)
		err = loop_add(&c->loop, queue_fd(c->gate), EPOLLIN, (struct loop_tag){ .kind = KIND_GATE });
	if (!err)
		err = open_rules(c);
	if (!err)
		return;
	log_warning("no SYN/ACK gate (%s): it needs CAP_NET_ADMIN, and nftables' queue statement or iptables "
		    "with NFQUEUE; going on without: SYN/ACKs do not wait for the server, and answers go in "
		    "the stream", strerror(-err));
	converter_gate_close(c);
}

void converter_gate_close(struct converter *c)
{
	if (c->gate)
		rules_close(rules_name(c));
	queue_close(c->gate);
	c->gate = NULL;
	while (c->orphan) {
		struct orphan *const o = c->orphan;
		c->orphan = o->next;
		free(o);
	}
}
