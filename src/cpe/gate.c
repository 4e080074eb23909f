/* SPDX-License-Identifier: ISC */
/*
 * The CPE's gates: three kinds of packets wait in netfilter queues until it is known what to do.
 *
 *   LAN gate       our SYN/ACK to a LAN host      held until the server has answered
 *   upstream gate  our SYN to a converter         the Convert message is put in
 *                  the converter's SYN/ACK        the answer is verified and taken out
 *
 * The message never passes our kernel's TCP: its SYN is a plain one, of which the gate makes a longer
 * one with an earlier sequence number. So a repeated SYN carries the message again and the connection
 * stays MPTCP, whatever was lost; and there is nothing that the kernel could send as stream data to a
 * peer that did not take it from the SYN.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "cpe/session.h"
#include "gate/rules.h"
#include "os/sock.h"

#define RULES     "plait_cpe"
#define LAN_QUEUE 28780u /* "pl" */
#define UP_QUEUE  28781u
#define LAN_MAX   16384u /* SYN/ACKs that wait; more are not held */
#define UP_MAX    4096u

enum gate { GATE_LAN, GATE_UP };

/* ---- the LAN gate ---- */

static struct session *find(const struct cpe *c, const struct flows *flows, const struct flow *flow)
{
	struct slot_ref ref;

	return flows_get(flows, flow, &ref) && ref.slot < PROBE_SLOT ? slots_at(&c->sessions, ref) : NULL;
}

struct session *cpe_gate_find(struct cpe *c, const struct endpoint *lan_host, const struct endpoint *server)
{
	return find(c, &c->lan_flows, &(struct flow){ .near = *server, .far = *lan_host });
}

/* A SYN/ACK for a LAN host. It comes again, by the kernel's timer or for a repeated SYN. */
static void on_lan_packet(void *ctx, struct queued *q)
{
	struct cpe *const c = ctx;
	struct session *const s = cpe_gate_find(c, &q->p.dst, &q->p.src);

	if (!s)
		cpe_open_session(c, -1, q, &q->p.dst, &q->p.src);
	else if (s->hs && s->lan < 0 && s->state != CLIENT_ADMITTING)
		hold_take(&s->hs->lan, c->lan_gate, q);
	else
		queue_pass(c->lan_gate, q->id);
}

static bool send_unreachable(const struct hold *h, uint8_t code)
{
	uint8_t syn_ack[HOLD_PACKET], icmp[128];
	struct packet p;

	memcpy(syn_ack, h->packet, h->len);
	if (!packet_parse(syn_ack, h->len, &p))
		return false;
	const size_t len = packet_unreachable(&p, code, icmp, sizeof(icmp));
	return len && sock_send_icmp(&p.dst.ip, icmp, len) == 0;
}

void cpe_gate_refuse(struct cpe *c, struct session *s, int refusal)
{
	struct hold *const h = &s->hs->lan;

	if (!c->lan_gate)
		return;
	if (refusal == REFUSE_SILENT || (refusal >= 0 && h->held && send_unreachable(h, (uint8_t)refusal)))
		hold_drop(h, c->lan_gate);
	else
		hold_refuse(h, c->lan_gate);
	/* Else the kernel would send its SYN/ACK again for a minute, each a new session. */
	const int err = netlink_abort(c->paths.nl, &s->server, &s->lan_host);
	if (err && err != -ENOENT)
		log_peer(LOG_WARNING, "a refused handshake cannot be forgotten (%s): the server is asked some "
			"times more", strerror(-err));
}

void cpe_gate_forget(struct cpe *c, struct session *s)
{
	if (s->hs && c->lan_gate)
		hold_drop(&s->hs->lan, c->lan_gate);
	flows_remove(&c->lan_flows, &(struct flow){ .near = s->server, .far = s->lan_host });
}

/* ---- the upstream gate ---- */

int cpe_gate_watch(struct cpe *c, int fd, const struct converter *v, struct slot_ref ref,
	struct endpoint *near)
{
	int err = sock_name(fd, near);
	if (!err)
		err = flows_put(&c->up_flows, &(struct flow){ .near = *near, .far = v->at }, ref);
	if (err)
		near->port = 0;
	return err;
}

void cpe_gate_unwatch(struct cpe *c, const struct converter *v, struct endpoint *near)
{
	if (near->port)
		flows_remove(&c->up_flows, &(struct flow){ .near = *near, .far = v->at });
	near->port = 0;
}

/* Put the message into our SYN, so that its last byte has the sequence number of the kernel's SYN. */
static void pass_with(struct cpe *c, struct queued *q, const uint8_t *msg, size_t len)
{
	if (packet_extend(&q->p, QUEUE_PACKET, msg, len))
		queue_pass_changed(c->up_gate, q->id, &q->p);
	else
		queue_pass(c->up_gate, q->id);
}

static void on_syn(struct cpe *c, struct session *s, struct queued *q)
{
	struct handshake *const hs = s->hs;

	if (hs->carriage == CARRY_STREAM) {
		queue_pass(c->up_gate, q->id);
		return;
	}
	hs->syn_seen = true;
	hs->isn = q->p.seq;
	pass_with(c, q, hs->out, hs->out_len);
}

/* Refuse a SYN/ACK by RST. Its socket is closed by now; the kernel, which remembers that it was there,
 * would only drop the packet, and the peer would wait. */
static void refuse_syn_ack(struct cpe *c, struct queued *q)
{
	uint8_t rst[PACKET_REFUSAL];

	packet_refusal(&q->p, rst);
	sock_send_tcp(&q->p.dst.ip, &q->p.src.ip, rst, sizeof(rst));
	queue_drop(c->up_gate, q->id);
}

/* Verify the answer in the SYN/ACK; if it is good, take it out, so that MPTCP sees none. */
static void take_answer(struct cpe *c, struct session *s, struct queued *q)
{
	const struct slot_ref ref = s->ref;
	const uint8_t *const payload = q->p.buf + q->p.payload;
	const size_t len = packet_payload_len(&q->p);
	enum convert_defect defect = CONVERT_DEFECT_TLV_OVERRUN;
	struct convert_msg m;

	/* The message and not a byte more. */
	const size_t said = len >= CONVERT_HEADER ? convert_length(payload, &defect) : 0;
	if (said && said != len)
		defect = CONVERT_DEFECT_TLV_OVERRUN;
	else if (said)
		defect = convert_decode(payload, len, CONVERT_FROM_CONVERTER, &m);
	if (defect == CONVERT_FINE)
		cpe_on_answer(c, s, &m);
	else
		cpe_on_defect(c, s, defect);
	s = slots_at(&c->sessions, ref);
	if (s && s->state == CLIENT_CONVERTING && s->hs->answered) {
		packet_strip(&q->p);
		queue_pass_changed(c->up_gate, q->id, &q->p);
	} else {
		refuse_syn_ack(c, q);
	}
}

static void on_syn_ack(struct cpe *c, struct session *s, struct queued *q)
{
	const struct handshake *const hs = s->hs;
	const bool carried = hs->carriage != CARRY_STREAM && hs->syn_seen;

	const bool sound = packet_sound(&q->p);

	if (sound && carried && q->p.ack == hs->isn + 1 && packet_payload_len(&q->p)) {
		take_answer(c, s, q);
		return;
	}
	if (sound && carried && q->p.ack == hs->isn + 1 - (uint32_t)hs->out_len) {
		cpe_on_syn_refused(c, s);
		refuse_syn_ack(c, q);
		return;
	}
	/* What is damaged, or acknowledges something else, is the kernel's to drop. */
	queue_pass(c->up_gate, q->id);
}

static void on_probe_packet(struct cpe *c, uint32_t i, struct queued *q)
{
	struct probe *const p = c->probe[i];

	if (p && q->out) {
		p->isn = q->p.seq;
		pass_with(c, q, p->out, p->out_len);
		return;
	}
	if (p && packet_sound(&q->p) && q->p.ack == p->isn + 1 - (uint32_t)p->out_len) {
		cpe_end_probe(c, i, false);
		refuse_syn_ack(c, q);
		return;
	}
	queue_pass(c->up_gate, q->id);
}

/* A SYN to, or a SYN/ACK from, an address of a converter; of additional subflows and of others, too. */
static void on_up_packet(void *ctx, struct queued *q)
{
	struct cpe *const c = ctx;
	const struct flow flow = { .near = q->out ? q->p.src : q->p.dst, .far = q->out ? q->p.dst : q->p.src };
	struct slot_ref ref;

	if (!flows_get(&c->up_flows, &flow, &ref)) {
		queue_pass(c->up_gate, q->id);
		return;
	}
	if (ref.slot >= PROBE_SLOT) {
		on_probe_packet(c, ref.slot - PROBE_SLOT, q);
		return;
	}
	struct session *const s = slots_at(&c->sessions, ref);
	if (!s || s->state != CLIENT_CONVERTING)
		queue_pass(c->up_gate, q->id);
	else if (q->out)
		on_syn(c, s, q);
	else
		on_syn_ack(c, s, q);
}

/* ---- both ---- */

void cpe_gate_read(struct cpe *c, uint32_t gate)
{
	queue_read(gate == GATE_LAN ? c->lan_gate : c->up_gate);
}

static int open_queue(struct cpe *c, enum gate gate)
{
	struct queue **const q = gate == GATE_LAN ? &c->lan_gate : &c->up_gate;
	const int err = gate == GATE_LAN ? queue_open(q, LAN_QUEUE, LAN_MAX, on_lan_packet, c)
					 : queue_open(q, UP_QUEUE, UP_MAX, on_up_packet, c);

	return err ? err : loop_add(&c->loop, queue_fd(*q), EPOLLIN, cpe_tag(KIND_GATE, gate));
}

static int set_rules(struct cpe *c, bool anew)
{
	struct endpoint at[STEER_CONVERTERS];
	const unsigned int n_at = cpe_converters_at(c, at);
	struct gate_rule rules[1 + 2 * STEER_CONVERTERS];
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_at; i++) {
		rules[n++] = (struct gate_rule){ .out = true, .to = &at[i].ip, .dport = at[i].port,
			.queue = UP_QUEUE };
		rules[n++] = (struct gate_rule){ .syn_ack = true, .from = &at[i].ip, .sport = at[i].port,
			.queue = UP_QUEUE };
	}
	if (!c->config->early)
		rules[n++] = (struct gate_rule){ .out = true, .syn_ack = true, .mark = INTERCEPT_MARK,
			.queue = LAN_QUEUE };
	return anew ? rules_open(RULES, rules, n) : rules_change(RULES, rules, n);
}

void cpe_gate_open(struct cpe *c)
{
	uint8_t key[FLOWS_KEY];

	randombytes_buf(key, sizeof(key));
	flows_init(&c->lan_flows, key);
	flows_init(&c->up_flows, key);
	if (!c->config->gate) {
		log_info("SYN/ACK gate: off, as configured");
		return;
	}
	int err = open_queue(c, GATE_UP);
	if (!err && !c->config->early)
		err = open_queue(c, GATE_LAN);
	if (!err)
		err = set_rules(c, true);
	if (!err)
		return;
	log_warning("no SYN/ACK gate (%s): it needs CAP_NET_ADMIN, and nftables' queue statement or iptables "
		    "with NFQUEUE; going on without: LAN hosts are answered before their servers are, and "
		    "converters answer in the stream", strerror(-err));
	cpe_gate_close(c);
}

void cpe_gate_change(struct cpe *c)
{
	int err = c->up_gate ? 0 : -EBADF;

	if (!err && !c->config->early && !c->lan_gate)
		err = open_queue(c, GATE_LAN);
	if (!err)
		err = set_rules(c, false);
	if (err && err != -EBADF)
		log_error("the SYN/ACK gate cannot follow the configuration: %s", strerror(-err));
}

void cpe_gate_close(struct cpe *c)
{
	if (c->up_gate || c->lan_gate)
		rules_close(RULES);
	queue_close(c->lan_gate);
	queue_close(c->up_gate);
	c->lan_gate = c->up_gate = NULL;
}
