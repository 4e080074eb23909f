/* SPDX-License-Identifier: ISC */
/*
 * The CPE. Theory of operation:
 *
 *   1 intercept  a LAN host's SYN reaches a TPROXY listener; its SYN/ACK waits at the LAN gate. Without
 *                that gate, or with `handshake = early`, the accepted connection comes instead
 *   2 steer      which converter; without a usable one direct, or refused
 *   3 upstream   an MPTCP connection to the converter, from the address of the first link that works;
 *                the gate puts the Convert message into its SYN. Early data of the LAN host ride
 *                behind it, to a converter that has proved itself lately. They are only looked at:
 *                should another converter be needed, they are still in the LAN host's socket
 *   4 verify     the answer echoes what was sent, bit for bit. It comes in the SYN/ACK, where the gate
 *                takes it out, or as the first bytes of the stream
 *   5 admit      the LAN host's handshake goes on, or is refused as the server refused
 *   6 relay      both ways, on another thread, until the end
 *
 * Each session is a state machine (session/client.h); this file finds out facts, asks it for the
 * next step, and takes that step. What passes the gates stands in gate.c.
 */
#include "cpe/pipeline.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "cpe/session.h"
#include "os/process.h"
#include "os/sock.h"

#define ACCEPT_BATCH 64 /* accepted in one turn, so that others are not starved */

/* A handshake that nobody answers is begun anew on another link: when probes through its link are not
 * answered either, at the latest just before the kernel repeats its SYN after 1 s. (Without the gate that repetition has no data, and costs the connection its MPTCP.) */
#define ATTEMPT_TIME   (900 * MS_US)
/* When every link was tried, and a proven converter is left to be tried by stream bytes: one repetition
 * each. */
#define LINKS_TIME     (1600 * MS_US)
#define STREAM_TIME    (2500 * MS_US)
/* How long a connection goes on trying a converter that answers others. */
#define ANSWERED_TIME  (20 * S_US)
/* From the handshake to the answer. A converter says PENDING when its patience, at most 1 s, is over. */
#define ANSWER_TIME    (5 * S_US)
#define VERDICT_TIME   (75 * S_US) /* a converter gives its server less */
#define DIRECT_TIME    (75 * S_US)
#define ADMIT_TIME     (10 * S_US) /* for a LAN host to end its handshake: some repetitions */
#define EARLY_WAIT     (5 * MS_US) /* for its first bytes: a client that speaks first does so at once */
#define LINKS_CALM     (20 * MS_US) /* changes of links come in flocks: look at the first, and behind them */
#define PROBE_EVERY    (1 * S_US)   /* how often is looked whether a probe is due */

#define EARLY_MAX      (64u << 10)  /* bytes sent before the answer: the first request, not a bulk */
#define LAN_IDLE       1800         /* s; then a LAN host that vanished is noticed in 5 minutes */

static void apply(struct cpe *c, struct session *s, enum client_event event);
static void on_silence(struct cpe *c, struct session *s);
static void on_connect_failed(struct cpe *c, struct session *s, int err);

/* ---- small helpers ---- */

static struct loop_tag tag(enum kind kind, struct slot_ref ref)
{
	return (struct loop_tag){ .kind = kind, .ref = ref };
}

static void set_deadline(struct cpe *c, struct session *s, int64_t us)
{
	s->deadline = mono_add(c->loop.now, us);
	if (loop_after(&c->loop, us, tag(KIND_DEADLINE, s->ref)) < 0)
		log_peer(LOG_ERROR, "no memory for a timer");
}

static void forget(struct cpe *c, struct session *s)
{
	cpe_gate_forget(c, s);
	free(s->hs);
	s->hs = NULL;
	slots_give(&c->sessions, s->ref);
}

/* "…; connections go direct for 600 s": what a failure means for those who use us. */
static const char *what_goes_on(struct cpe *c)
{
	return steer_any(&c->steer, c->loop.now) ? "others are used meanwhile"
	       : c->config->refuse        ? "connections are refused meanwhile"
					  : "connections go direct meanwhile";
}

/* ---- 2 steer ---- */

static void steer(struct cpe *c, struct session *s)
{
	s->converter = steer_pick(&c->steer, s->hs->tried, c->loop.now);
	if (s->converter) {
		s->hs->tried |= steer_bit(&c->steer, s->converter);
		apply(c, s, CLIENT_STEERED_CONVERTER);
	} else {
		apply(c, s, c->config->refuse ? CLIENT_STEERED_NOWHERE : CLIENT_STEERED_DIRECT);
	}
}

/* Connections that no converter can take are not even taken from the kernel's forwarding. */
void cpe_consider_taking(struct cpe *c)
{
	intercept_take(&c->intercept, c->config->refuse || steer_any(&c->steer, c->loop.now));
}

static void say_left_out(struct cpe *c, const struct converter *v, const char *why, int64_t us)
{
	char at[ENDPOINT_TEXT];

	log_peer(LOG_WARNING, "converter \"%s\" (%s): %s: left out for %lld s, %s", v->name,
		endpoint_text(&v->at, at), why, (long long)((us + S_US - 1) / S_US), what_goes_on(c));
}

/* ---- 3 upstream ---- */

/* What the SYN may carry behind the message: the LAN host's first bytes, if they are there. */
static void add_early(struct cpe *c, struct session *s)
{
	struct handshake *const hs = s->hs;

	if (!c->config->early || s->lan < 0 || hs->carriage == CARRY_STREAM ||
		!steer_proven(s->converter, c->loop.now))
		return;
	const ssize_t n = recv(s->lan, hs->out + hs->out_len, sizeof(hs->out) - hs->out_len, MSG_PEEK);
	if (n <= 0)
		return;
	hs->out_len += (size_t)n;
	hs->early = (size_t)n;
}

static int make_request(struct cpe *c, struct session *s)
{
	const struct converter *const v = s->converter;
	struct handshake *const hs = s->hs;
	struct request_terms terms = {
		.patience = steer_patience(v), .bare = v->bare,
		.in_syn_ack = c->up_gate && hs->carriage == CARRY_ALL,
		.cookie = { .p = v->cookie, .len = v->cookie_len },
	};

	randombytes_buf(&terms.nonce, sizeof(terms.nonce));
	const int err = request_make(&hs->request, &s->server, &terms);
	if (err)
		return err;
	memcpy(hs->out, hs->request.bytes, hs->request.len);
	hs->out_len = hs->request.len;
	add_early(c, s);
	return 0;
}

static unsigned int link_of(const struct cpe *c, const struct wan *w)
{
	return w ? (unsigned int)(w - c->paths.wan) : STEER_LINKS - 1;
}

uint32_t cpe_links_beside(const struct cpe *c, const struct converter *v)
{
	uint32_t mask = 0;

	for (unsigned int i = 0; *v->only && i < c->paths.n; i++)
		mask |= (uint32_t)(strcmp(c->paths.wan[i].ifname, v->only) != 0) << i;
	return mask;
}

/* The links from which @v cannot be used, as a mask for paths_first(). */
static uint32_t useless_links(const struct cpe *c, struct converter *v)
{
	uint32_t mask = cpe_links_beside(c, v);

	for (unsigned int i = 0; i < c->paths.n; i++)
		mask |= (uint32_t)(steer_carriage(v, i, c->loop.now) == CARRY_NOTHING) << i;
	return mask;
}

static unsigned int links_to(const struct cpe *c, const struct converter *v)
{
	return paths_count(&c->paths, &v->at.ip, cpe_links_beside(c, v));
}

/* How often a handshake with this converter is begun: on every link, and a proven converter may get
 * its message as stream bytes at last. Without the gate a lost SYN is made up for by a new one. */
static unsigned int attempts_all(const struct cpe *c, const struct session *s)
{
	const unsigned int links = links_to(c, s->converter);
	const unsigned int n = links ? links : 1;

	if (c->up_gate)
		return n + steer_proven(s->converter, c->loop.now);
	return n > 1 ? n : 2;
}

static int64_t attempt_time(const struct cpe *c, const struct session *s)
{
	const unsigned int left = attempts_all(c, s) - s->hs->attempts;
	const bool stream_last = c->up_gate && steer_proven(s->converter, c->loop.now);

	if (left <= 1)
		return stream_last ? STREAM_TIME : HANDSHAKE_TIME;
	return stream_last && left == 2 ? LINKS_TIME : ATTEMPT_TIME;
}

static void choose_carriage(struct cpe *c, struct session *s)
{
	struct converter *const v = s->converter;
	struct handshake *const hs = s->hs;
	const bool proven = steer_proven(v, c->loop.now);

	const uint32_t useless = useless_links(c, v);
	hs->wan = paths_first(&c->paths, &v->at.ip, useless | hs->links_tried);
	if (!hs->wan)
		hs->wan = paths_first(&c->paths, &v->at.ip, useless);
	hs->link = link_of(c, hs->wan);
	hs->carriage = steer_carriage(v, hs->link, c->loop.now);
	if (proven && c->up_gate && hs->attempts && hs->attempts + 1 == attempts_all(c, s))
		hs->carriage = CARRY_STREAM;
	/* Stream bytes are for peers that are known to be converters. */
	if (hs->carriage == CARRY_NOTHING || (hs->carriage == CARRY_STREAM && !proven))
		hs->carriage = CARRY_ALL;
}

static int open_upstream(struct cpe *c, struct session *s)
{
	struct converter *const v = s->converter;
	struct handshake *const hs = s->hs;

	hs->in.have = 0;
	hs->syn_seen = hs->answered = false;
	hs->started = c->loop.now;
	choose_carriage(c, s);
	int err = make_request(c, s);
	if (err)
		return err;
	v->connections++;
	const bool fast_open = !c->up_gate && hs->carriage != CARRY_STREAM;
	s->up = sock_connect_converter(&v->at, paths_address(hs->wan, &v->at.ip), hs->out,
		fast_open ? hs->out_len : 0);
	if (s->up < 0)
		return s->up;
	sock_set_congestion(s->up, c->congestion);
	if (c->up_gate)
		err = cpe_gate_watch(c, s->up, v, s->ref, &s->up_near);
	return err ? err : loop_add(&c->loop, s->up, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, tag(KIND_UP, s->ref));
}

static void close_upstream(struct cpe *c, struct session *s)
{
	if (s->up >= 0)
		sock_reset(s->up);
	s->up = -1;
	if (s->converter)
		cpe_gate_unwatch(c, s->converter, &s->up_near);
}

/* Whether there is a link to go on with when this one turns out not to work. */
static bool may_change_link(const struct cpe *c, const struct session *s)
{
	return s->hs->wan && s->hs->carriage != CARRY_STREAM && links_to(c, s->converter) > 1 &&
	       s->hs->attempts + 1 < attempts_all(c, s);
}

static void connect_converter(struct cpe *c, struct session *s)
{
	const int err = open_upstream(c, s);

	if (err) {
		on_connect_failed(c, s, -err);
		return;
	}
	s->hs->wait = may_change_link(c, s) ? WAIT_ANSWER : WAIT_ALL;
	set_deadline(c, s, s->hs->wait == WAIT_ALL ? attempt_time(c, s) : health_patience(&s->hs->wan->health));
}

/* The handshake's time is over. One that may go on over another link first asks whether this one works;
 * if it does, it is the server that takes its time. */
static void on_no_handshake(struct cpe *c, struct session *s)
{
	struct handshake *const hs = s->hs;

	if (hs->wait != WAIT_ALL && mono_diff(hs->wan->health.heard, hs->started) > 0) {
		hs->wait = WAIT_ALL;
		set_deadline(c, s, attempt_time(c, s) - mono_diff(c->loop.now, hs->started));
	} else if (hs->wait == WAIT_ANSWER) {
		hs->wait = WAIT_PROBES;
		cpe_link_doubt(c, hs->wan);
		set_deadline(c, s, health_patience(&hs->wan->health));
	} else {
		on_silence(c, s);
	}
}

static void connect_direct(struct cpe *c, struct session *s)
{
	s->up = sock_connect_transparent(&s->server, &s->lan_host.ip);
	const int err = s->up < 0 ? s->up
				  : loop_add(&c->loop, s->up, EPOLLOUT | EPOLLET, tag(KIND_UP, s->ref));
	if (err) {
		log_peer(LOG_WARNING, "a direct connection cannot be made: %s", strerror(-err));
		apply(c, s, CLIENT_FAILED);
		return;
	}
	set_deadline(c, s, DIRECT_TIME);
}

/* ---- 4 verify ---- */

/* Send what the LAN host said so far, leaving it where it is. */
static void send_early(struct cpe *c, struct session *s)
{
	static uint8_t buf[EARLY_MAX];

	if (s->lan < 0 || s->hs->early || !steer_proven(s->converter, c->loop.now))
		return;
	const ssize_t n = recv(s->lan, buf, sizeof(buf), MSG_PEEK);
	if (n <= 0)
		return;
	const ssize_t sent = send(s->up, buf, (size_t)n, MSG_NOSIGNAL);
	if (sent > 0)
		s->hs->early = (size_t)sent;
}

/* Take out of the LAN host's socket what was sent already. */
static bool discard_early(struct session *s)
{
	s->early = s->hs->early;
	while (s->hs->early) {
		const ssize_t n = recv(s->lan, NULL, s->hs->early, MSG_TRUNC);
		if (n <= 0)
			return false;
		s->hs->early -= (size_t)n;
	}
	return true;
}

static void failed(struct cpe *c, struct session *s, const char *why, int64_t us)
{
	if (us)
		say_left_out(c, s->converter, why, us);
	s->hs->links_tried = s->hs->attempts = 0;
	apply(c, s, CLIENT_CONVERTER_FAILED);
	cpe_consider_taking(c);
}

/* Give this attempt up and steer anew, with the same converter among the choices. */
static void try_again(struct cpe *c, struct session *s)
{
	s->hs->tried &= ~steer_bit(&c->steer, s->converter);
	apply(c, s, CLIENT_CONVERTER_FAILED);
}

/* Ask the same converter once more, with what was learnt. A session does so three times at most: a
 * cookie that is too old, then none, then a new one; or without the Echo TLV. */
static bool ask_again(struct cpe *c, struct session *s)
{
	if (s->hs->asked_again == 3)
		return false;
	s->hs->asked_again++;
	try_again(c, s);
	return true;
}

static void take_cookie(struct cpe *c, struct session *s, const struct convert_msg *m)
{
	struct converter *const v = s->converter;

	/* The first byte of Value is zero, the cookie follows (RFC 8803 6.2.8). */
	v->cookie_len = m->error_value.len - 1;
	memcpy(v->cookie, m->error_value.p + 1, v->cookie_len);
	if (!ask_again(c, s))
		failed(c, s, "it refuses the cookie that it gave", steer_wrong(&c->steer, v, c->loop.now));
}

static void on_unauthorized(struct cpe *c, struct session *s, const struct convert_msg *m)
{
	struct converter *const v = s->converter;
	const bool had_cookie = v->cookie_len > 0;

	c->counters.unauthorized++;
	v->cookie_len = 0; /* an old one is refused like this (RFC 8803 6.2.7) */
	if (!had_cookie || !ask_again(c, s))
		failed(c, s, convert_error_name(m->error), steer_unauthorized(v, c->loop.now));
}

static void on_unsupported(struct cpe *c, struct session *s)
{
	struct converter *const v = s->converter;
	char at[ENDPOINT_TEXT];

	v->bare = true;
	log_info("converter \"%s\" (%s): it knows no Echo TLV: it is asked without one, and its answers are "
		 "taken as they are", v->name, endpoint_text(&v->at, at));
	if (!ask_again(c, s))
		failed(c, s, "it supports no request of ours", steer_wrong(&c->steer, v, c->loop.now));
}

/* How the LAN host is refused: as the converter was. */
static int refusal_of(const struct convert_msg *m)
{
	if (m->error != CONVERT_DESTINATION_UNREACHABLE)
		return REFUSE_RESET;
	const uint8_t code = m->error_value.len ? m->error_value.p[0] : 0;
	return code == CONVERT_NO_ICMP ? REFUSE_SILENT : code;
}

static void on_good_answer(struct cpe *c, struct session *s, enum answer a)
{
	struct converter *const v = s->converter;
	struct handshake *const hs = s->hs;

	if (s->state != CLIENT_PENDING && !hs->answered) {
		steer_good(v, c->loop.now);
		if (hs->carriage == CARRY_ALL && (hs->syn_seen || !c->up_gate))
			steer_carries_all(v, hs->link);
	}
	hs->in.have = 0;
	if (s->state == CLIENT_CONVERTING) { /* at the gate; the kernel has yet to see the SYN/ACK */
		hs->answered = true;
		hs->answer = a;
		return;
	}
	if (a == ANSWER_PENDING)
		set_deadline(c, s, VERDICT_TIME);
	apply(c, s, a == ANSWER_PENDING ? CLIENT_UNDECIDED : CLIENT_ACCEPTED);
}

void cpe_on_answer(struct cpe *c, struct session *s, const struct convert_msg *m)
{
	struct converter *const v = s->converter;
	const enum answer a = s->state == CLIENT_PENDING ? request_judge_verdict(m)
							 : request_judge(&s->hs->request, m);

	switch (a) {
	case ANSWER_ACCEPTED:
	case ANSWER_PENDING:
		on_good_answer(c, s, a);
		break;
	case ANSWER_REFUSED:
		c->counters.refused_by_server++;
		if (m->has_echo && s->state != CLIENT_PENDING)
			steer_good(v, c->loop.now);
		s->hs->refusal = refusal_of(m);
		apply(c, s, CLIENT_SERVER_REFUSED);
		break;
	case ANSWER_UNAVAILABLE:
		c->counters.converter_busy++;
		failed(c, s, convert_error_name(m->error), steer_busy(v, request_delay(m), c->loop.now));
		break;
	case ANSWER_UNAUTHORIZED:
		on_unauthorized(c, s, m);
		break;
	case ANSWER_COOKIE:
		take_cookie(c, s, m);
		break;
	case ANSWER_UNSUPPORTED:
		on_unsupported(c, s);
		break;
	case ANSWER_WRONG:
		c->counters.answer_wrong++;
		failed(c, s, "its answer is none to our request", steer_wrong(&c->steer, v, c->loop.now));
		break;
	}
}

void cpe_on_defect(struct cpe *c, struct session *s, enum convert_defect d)
{
	c->counters.answer_wrong++;
	failed(c, s, convert_defect_text(d), steer_wrong(&c->steer, s->converter, c->loop.now));
}

static void say_carries(const struct cpe *c, const struct session *s, const char *what, int64_t us)
{
	const struct wan *const w = s->hs->wan;

	(void)c;
	log_peer(LOG_WARNING, "wan \"%s\", converter \"%s\": %s for %lld s", w ? w->name : "",
		s->converter->name, what, (long long)((us + S_US - 1) / S_US));
}

void cpe_on_syn_refused(struct cpe *c, struct session *s)
{
	struct converter *const v = s->converter;
	const bool proven = steer_proven(v, c->loop.now);
	const int64_t us = steer_carries(&c->steer, v, s->hs->link, proven ? CARRY_STREAM : CARRY_NOTHING,
		c->loop.now);
	const struct wan *const w = s->hs->wan;

	c->counters.syn_refused++;
	if (proven) {
		say_carries(c, s, "the SYN's data were not taken: messages go as stream bytes", us);
		try_again(c, s);
	} else if (w && paths_first(&c->paths, &v->at.ip, useless_links(c, v))) {
		say_carries(c, s, "the SYN's data were not taken: not used", us);
		try_again(c, s); /* on another link */
	} else {
		failed(c, s, "it took no data from our SYN: it is no converter, or a middlebox removed them",
			steer_wrong(&c->steer, v, c->loop.now));
	}
}

/* The stream ended before an answer. Where a middlebox ate the payload of the SYN/ACK, the converter's
 * kernel resets: our ACK acknowledges too little. */
static void on_no_answer(struct cpe *c, struct session *s, bool reset)
{
	struct handshake *const hs = s->hs;

	if (reset && s->state == CLIENT_ANSWERING && hs->request.in_syn_ack && !hs->in.have) {
		say_carries(c, s, "an answer in the SYN/ACK may have been lost: it is asked for in the stream",
			steer_carries(&c->steer, s->converter, hs->link, CARRY_SYN, c->loop.now));
		try_again(c, s);
		return;
	}
	c->counters.answer_missing++;
	failed(c, s, "it closed the connection without an answer",
		steer_wrong(&c->steer, s->converter, c->loop.now));
}

static void read_answer(struct cpe *c, struct session *s)
{
	const struct slot_ref ref = s->ref;

	/* A pending answer and its verdict may come together. */
	while (s && (s->state == CLIENT_ANSWERING || s->state == CLIENT_PENDING)) {
		struct convert_msg m;
		enum convert_defect defect;

		switch (message_read(&s->hs->in, s->up, CONVERT_FROM_CONVERTER, &m, &defect)) {
		case MESSAGE_MORE:
			return;
		case MESSAGE_WHOLE:
			cpe_on_answer(c, s, &m);
			break;
		case MESSAGE_DEFECT:
			cpe_on_defect(c, s, defect);
			break;
		case MESSAGE_EOF:
			on_no_answer(c, s, false);
			break;
		case MESSAGE_BROKEN:
			on_no_answer(c, s, true);
			break;
		}
		s = slots_at(&c->sessions, ref);
	}
}

/* Say as stream bytes what the SYN did not carry. */
static void send_message(struct cpe *c, struct session *s)
{
	struct handshake *const hs = s->hs;

	if (hs->syn_seen || (!c->up_gate && hs->carriage != CARRY_STREAM))
		return;
	/* A SYN that passed by a full gate, towards a peer that nobody knows. */
	const bool may = hs->carriage == CARRY_STREAM || steer_proven(s->converter, c->loop.now);
	if (!may || send(s->up, hs->out, hs->out_len, MSG_NOSIGNAL) != (ssize_t)hs->out_len)
		apply(c, s, CLIENT_CONVERTER_FAILED);
	else if (hs->attempts)
		say_carries(c, s, "only a SYN without data was answered: messages go as stream bytes",
			steer_carries(&c->steer, s->converter, hs->link, CARRY_STREAM, c->loop.now));
}

static void on_connected(struct cpe *c, struct session *s)
{
	const struct slot_ref ref = s->ref;

	if (s->state == CLIENT_CONVERTING) {
		steer_handshake(s->converter, mono_diff(c->loop.now, s->hs->started));
		if (s->hs->wan)
			cpe_link_heard(c, s->hs->wan, mono_diff(c->loop.now, s->hs->started));
		set_deadline(c, s, ANSWER_TIME);
	}
	apply(c, s, CLIENT_CONNECTED);
	s = slots_at(&c->sessions, ref);
	if (!s || s->state != CLIENT_ANSWERING)
		return;
	if (s->hs->answered)
		on_good_answer(c, s, s->hs->answer);
	else
		send_message(c, s);
}

/* Whether the link lets nothing through, or a plain SYN but not ours with its data. */
static void blame(struct cpe *c, struct session *s, struct wan *w)
{
	const bool alive = mono_diff(w->health.heard, s->hs->started) > 0;
	const bool proven = steer_proven(s->converter, c->loop.now);

	s->hs->links_tried |= 1u << s->hs->link;
	if (!alive)
		cpe_link_silent(c, w);
	else
		say_carries(c, s, proven ? "no answer to a SYN with data: messages go as stream bytes"
					 : "no answer to a SYN with data: not used",
			steer_carries(&c->steer, s->converter, s->hs->link,
				proven ? CARRY_STREAM : CARRY_NOTHING, c->loop.now));
}

/* Nobody answered the SYN: the link may be dead, whatever its carrier says. */
static void on_silence(struct cpe *c, struct session *s)
{
	struct wan *const w = s->hs->wan;

	if (w && links_to(c, s->converter) > 1 && s->hs->carriage != CARRY_STREAM)
		blame(c, s, w);
	if (s->hs->attempts + 1 >= attempts_all(c, s)) {
		/* Links that lose packets lost these ones, too, while others were answered: once more. */
		if (mono_diff(s->converter->good_at, s->hs->started) > 0 &&
			mono_diff(c->loop.now, s->opened) < ANSWERED_TIME) {
			s->hs->links_tried = s->hs->attempts = 0;
			try_again(c, s);
			return;
		}
		c->counters.converter_unreachable++;
		failed(c, s, "no answer to our SYN", steer_unreachable(s->converter, c->loop.now));
		return;
	}
	s->hs->attempts++;
	try_again(c, s); /* on another link, if there is one */
}

/* What the end of a direct attempt means for the LAN host. MPTCP sockets tell no ICMP codes. */
static int refusal_by_errno(const struct session *s, int err)
{
	const bool v4 = ip_is_v4(&s->server.ip);

	switch (err) { /* RFC 792, RFC 4443 3.1 */
	case ENETUNREACH:
		return 0;
	case EHOSTUNREACH:
		return v4 ? 1 : 3;
	case EACCES:
		return v4 ? 13 : 1;
	case ETIMEDOUT:
		return REFUSE_SILENT;
	default:
		return REFUSE_RESET;
	}
}

/* Whether the next router or our own kernel says that there is no way: on this link. */
static bool of_the_link(int err)
{
	return err == ENETUNREACH || err == EHOSTUNREACH || err == ENETDOWN || err == EADDRNOTAVAIL ||
	       err == EINVAL;
}

static void on_connect_failed(struct cpe *c, struct session *s, int err)
{
	if (s->state == CLIENT_DIRECT) {
		s->hs->refusal = refusal_by_errno(s, err);
		apply(c, s, CLIENT_FAILED);
		return;
	}
	if (of_the_link(err) && may_change_link(c, s)) {
		s->hs->links_tried |= 1u << s->hs->link;
		cpe_link_silent(c, s->hs->wan);
		s->hs->attempts++;
		try_again(c, s);
		return;
	}
	/* One RST may be meant for an earlier connection from the same port, of which the converter has not heard
	 * that it is gone. */
	if (err == ECONNREFUSED && !s->hs->attempts && steer_proven(s->converter, c->loop.now)) {
		s->hs->attempts++;
		try_again(c, s);
		return;
	}
	c->counters.converter_unreachable++;
	failed(c, s, strerror(err), steer_unreachable(s->converter, c->loop.now));
}

static void on_up(struct cpe *c, struct session *s)
{
	const struct slot_ref ref = s->ref;

	if (s->state == CLIENT_CONVERTING || s->state == CLIENT_DIRECT) {
		const int err = sock_error(s->up);
		if (err)
			on_connect_failed(c, s, err);
		else if (sock_established(s->up))
			on_connected(c, s);
	}
	s = slots_at(&c->sessions, ref);
	if (s && s->up >= 0)
		read_answer(c, s);
}

/* ---- 1 intercept ---- */

static void listen_to_lan(struct cpe *c, bool on)
{
	if (c->listening == on)
		return;
	c->listening = on;
	for (uint32_t i = 0; i < 2; i++)
		loop_mod(&c->loop, c->intercept.listener[i], on ? EPOLLIN : 0, cpe_tag(KIND_LISTENER, i));
}

static void watch_lan(struct cpe *c, struct session *s, int fd)
{
	s->lan = fd;
	s->lan_watched = loop_add(&c->loop, fd, EPOLLIN | EPOLLET, tag(KIND_LAN, s->ref)) == 0;
}

/* No room: what is not accepted yet gets no answer, and comes again. */
static void turn_away(struct cpe *c, int fd, const struct queued *held)
{
	if (held)
		queue_drop(c->lan_gate, held->id);
	else
		sock_reset(fd);
	c->counters.refused++;
	log_peer(LOG_WARNING, "%u connections are open, that is all: new ones are refused", SESSIONS_MAX);
}

/* With `handshake = early` a connection that can carry data in its SYN waits for them a moment. */
static bool wait_for_early(struct cpe *c, const struct session *s)
{
	const struct converter *const v = steer_pick(&c->steer, 0, c->loop.now);
	uint8_t byte;

	return c->config->early && v && steer_proven(v, c->loop.now) &&
	       recv(s->lan, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

void cpe_open_session(struct cpe *c, int fd, struct queued *held, const struct endpoint *lan_host,
	const struct endpoint *server)
{
	struct slot_ref ref;
	struct handshake *const hs = calloc(1, sizeof(*hs));
	struct session *const s = hs ? slots_take(&c->sessions, &ref) : NULL;

	c->counters.accepted++;
	if (!s) {
		free(hs);
		turn_away(c, fd, held);
		return;
	}
	hs->refusal = REFUSE_RESET;
	*s = (struct session){ .ref = ref, .state = CLIENT_ARRIVED, .lan = -1, .up = -1,
		.lan_host = *lan_host, .server = *server, .hs = hs, .opened = c->loop.now };
	if (held) {
		hold_take(&hs->lan, c->lan_gate, held);
		flows_put(&c->lan_flows, &(struct flow){ .near = *server, .far = *lan_host }, ref);
	} else {
		watch_lan(c, s, fd);
	}
	if (!held && wait_for_early(c, s))
		set_deadline(c, s, EARLY_WAIT);
	else
		steer(c, s);
}

/* A connection of a LAN host is complete: one whose SYN/ACK was held, or a new one. */
static void on_accepted(struct cpe *c, int fd, const struct endpoint *lan_host,
	const struct endpoint *server)
{
	struct session *const s = cpe_gate_find(c, lan_host, server);

	if (!s || !s->hs || s->lan >= 0) {
		cpe_open_session(c, fd, NULL, lan_host, server);
	} else if (s->state == CLIENT_ADMITTING) {
		s->lan = fd;
		apply(c, s, CLIENT_ADMITTED);
	} else {
		watch_lan(c, s, fd);
	}
}

static void on_listener(struct cpe *c, uint32_t which)
{
	struct endpoint lan_host, server;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		const int fd = intercept_accept(&c->intercept, (int)which, &lan_host, &server);
		if (fd >= 0) {
			on_accepted(c, fd, &lan_host, &server);
			continue;
		}
		if (sock_no_room(-fd)) {
			/* The backlog stays readable: without a pause this would spin. */
			log_peer(LOG_WARNING, "cannot accept: %s; trying again when a connection ends",
				strerror(-fd));
			listen_to_lan(c, false);
		}
		return;
	}
}

static void on_lan(struct cpe *c, struct session *s, uint32_t events)
{
	if ((events & (EPOLLERR | EPOLLHUP)) && sock_error(s->lan))
		apply(c, s, CLIENT_LAN_GONE);
	else if (s->state == CLIENT_ARRIVED)
		steer(c, s);
	else if (s->state == CLIENT_ANSWERING || s->state == CLIENT_PENDING)
		send_early(c, s);
}

/* ---- 5 admit ---- */

static void admit(struct cpe *c, struct session *s)
{
	if (s->lan >= 0) {
		apply(c, s, CLIENT_ADMITTED);
		return;
	}
	hold_release(&s->hs->lan, c->lan_gate);
	set_deadline(c, s, ADMIT_TIME);
}

/* ---- 6 relay, and the ends ---- */

static void end_session(struct cpe *c, struct session *s, bool reset)
{
	close_upstream(c, s);
	if (s->lan >= 0 && reset)
		sock_reset(s->lan);
	else if (s->lan >= 0)
		close(s->lan);
	else
		cpe_gate_refuse(c, s, reset ? s->hs->refusal : REFUSE_SILENT);
	forget(c, s);
	listen_to_lan(c, true);
}

static void start_relay(struct cpe *c, struct session *s)
{
	if (!discard_early(s)) {
		end_session(c, s, true);
		return;
	}
	if (s->converter) {
		c->counters.converted++;
		c->counters.tcp_fallback += !cpe_figures_begin(c, s) && !sock_is_mptcp(s->up);
	} else {
		c->counters.direct++;
	}
	if (s->lan_watched)
		loop_del(&c->loop, s->lan);
	loop_del(&c->loop, s->up);
	if (s->converter)
		cpe_gate_unwatch(c, s->converter, &s->up_near);
	free(s->hs);
	s->hs = NULL;
	const int lan = s->lan, up = s->up;
	s->lan = s->up = -1;
	relay_start(c->relays, &s->relay, s->ref, lan, up);
}

static void on_relay_ended(struct cpe *c)
{
	struct relay_ended batch[64];
	const ssize_t n = read(c->relay_ended, batch, sizeof(batch));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(batch[0]); i++) {
		struct session *const s = slots_at(&c->sessions, batch[i].owner);
		if (!s)
			continue;
		c->counters.bytes_up += s->early + s->relay.way[RELAY_CLIENT].bytes;
		c->counters.bytes_down += s->relay.way[RELAY_SERVER].bytes;
		if (batch[i].end == RELAY_END_FINISHED)
			c->counters.ended_finished++;
		else
			c->counters.ended_reset++;
		cpe_figures_end(c, s);
		apply(c, s, CLIENT_RELAY_ENDED);
		forget(c, s);
	}
	listen_to_lan(c, true);
}

/* ---- the state machine's hands ---- */

static void apply(struct cpe *c, struct session *s, enum client_event event)
{
	const enum client_state was = s->state;
	const struct client_next next = client_step(was, event);

	s->state = next.state;
	switch (next.what) {
	case CLIENT_DO_NOTHING:
		break;
	case CLIENT_DO_CONNECT:
		connect_converter(c, s);
		break;
	case CLIENT_DO_DIRECT:
		connect_direct(c, s);
		break;
	case CLIENT_DO_AWAIT:
		send_early(c, s);
		break;
	case CLIENT_DO_ADMIT:
		admit(c, s);
		break;
	case CLIENT_DO_RELAY:
		start_relay(c, s);
		break;
	case CLIENT_DO_STEER:
		close_upstream(c, s);
		s->hs->early = 0;
		steer(c, s);
		break;
	case CLIENT_DO_RESET:
		c->counters.refused += event == CLIENT_STEERED_NOWHERE;
		end_session(c, s, true);
		break;
	case CLIENT_DO_CLOSE:
		end_session(c, s, false);
		break;
	case CLIENT_DO_REFUSED:
		log_peer(LOG_ERROR, "a session in state \"%s\" refused event %d", client_state_text(was), event);
		break;
	}
}

static void on_deadline(struct cpe *c, struct session *s)
{
	if (!s->hs || mono_diff(c->loop.now, s->deadline) < 0)
		return; /* relayed, or a later deadline was set */
	switch (s->state) {
	case CLIENT_CONVERTING:
		on_no_handshake(c, s);
		break;
	case CLIENT_DIRECT:
		s->hs->refusal = REFUSE_SILENT;
		apply(c, s, CLIENT_FAILED);
		break;
	case CLIENT_ADMITTING:
		c->counters.lan_gone++;
		apply(c, s, CLIENT_LAN_GONE);
		break;
	case CLIENT_ARRIVED:
		steer(c, s);
		break;
	case CLIENT_ANSWERING:
	case CLIENT_PENDING:
		c->counters.answer_missing++;
		failed(c, s, "it gave no answer", steer_wrong(&c->steer, s->converter, c->loop.now));
		break;
	case CLIENT_RELAYING:
	case CLIENT_ENDED:
		break;
	}
}

/* ---- events ---- */

static void on_links_changed(struct cpe *c)
{
	netlink_changed(c->links);
	if (c->links_changed)
		return;
	c->links_changed = true;
	paths_sync(&c->paths);
	loop_after(&c->loop, LINKS_CALM, cpe_tag(KIND_LINKS, 0));
}

static void on_signals(struct cpe *c)
{
	switch (process_told(c->signals)) {
	case PROCESS_TOLD_NOTHING:
		break;
	case PROCESS_TOLD_TO_RELOAD:
		json_decref(cpe_reload(c));
		break;
	case PROCESS_TOLD_TO_END:
		c->loop.stop = true;
		break;
	}
}

static void on_event(void *ctx, struct loop_tag t, uint32_t events)
{
	struct cpe *const c = ctx;
	struct session *s;

	switch ((enum kind)t.kind) {
	case KIND_LISTENER:
		on_listener(c, t.ref.slot);
		break;
	case KIND_LAN:
		s = slots_at(&c->sessions, t.ref);
		if (s && s->lan >= 0)
			on_lan(c, s, events);
		break;
	case KIND_UP:
		s = slots_at(&c->sessions, t.ref);
		if (s && s->up >= 0)
			on_up(c, s);
		break;
	case KIND_GATE:
		cpe_gate_read(c, t.ref.slot);
		break;
	case KIND_PROBE:
		cpe_on_probe(c, t.ref.slot);
		break;
	case KIND_RELAYS:
		on_relay_ended(c);
		break;
	case KIND_LINKS:
		on_links_changed(c);
		break;
	case KIND_LINK_PROBE:
		cpe_on_link_probe(c, t.ref.slot);
		break;
	case KIND_SUBFLOWS:
		cpe_on_subflows(c);
		break;
	case KIND_FIGURES:
		cpe_figures_read(c);
		break;
	case KIND_METRICS:
		metrics_serve(c->metrics);
		break;
	case KIND_SIGNALS:
		on_signals(c);
		break;
	case KIND_CONTROL:
		control_on_listener(c->control);
		break;
	case KIND_CONTROL_CLIENT:
		control_on_client(c->control, t.ref);
		break;
	case KIND_DEADLINE:
	case KIND_PROBES:
	case KIND_LINKS_LOOK:
		break;
	}
}

static void on_timer(void *ctx, struct loop_tag t)
{
	struct cpe *const c = ctx;
	struct session *s;

	switch ((enum kind)t.kind) {
	case KIND_DEADLINE:
		s = slots_at(&c->sessions, t.ref);
		if (s)
			on_deadline(c, s);
		break;
	case KIND_PROBES:
		cpe_expire_leases(c);
		cpe_probe_all(c);
		cpe_consider_taking(c);
		loop_after(&c->loop, PROBE_EVERY, cpe_tag(KIND_PROBES, 0));
		break;
	case KIND_LINKS:
		c->links_changed = false;
		paths_sync(&c->paths);
		break;
	case KIND_LINKS_LOOK:
		cpe_links_look(c);
		break;
	case KIND_FIGURES:
		cpe_figures_on_timer(c);
		break;
	case KIND_METRICS:
		metrics_on_timer(c->metrics);
		break;
	case KIND_CONTROL_CLIENT:
		control_on_timer(c->control, t.ref);
		break;
	case KIND_LISTENER:
	case KIND_LAN:
	case KIND_UP:
	case KIND_GATE:
	case KIND_PROBE:
	case KIND_LINK_PROBE:
	case KIND_RELAYS:
	case KIND_SUBFLOWS:
	case KIND_SIGNALS:
	case KIND_CONTROL:
		break;
	}
}

/* ---- open, run, close ---- */

/* Watch @fd, or pass on the error that it is. */
static int watch(struct cpe *c, int fd, enum kind kind)
{
	return fd < 0 ? fd : loop_add(&c->loop, fd, EPOLLIN, cpe_tag(kind, 0));
}

static void take_config(struct cpe *c, struct netlink *nl, struct restore *restore)
{
	const struct cpe_config *const config = c->config;

	c->paths = (struct paths){ .nl = nl, .restore = restore };
	paths_configure(&c->paths, config->wan, config->n_wan);
	c->steer.distrust_ttl = config->distrust_ttl;
}

static int start_intercepting(struct cpe *c, struct netlink *nl)
{
	struct endpoint at[STEER_CONVERTERS];
	const unsigned int n = cpe_converters_at(c, at);
	int err = intercept_open(&c->intercept, &c->config->intercept, at, n, nl);

	for (uint32_t i = 0; !err && i < 2; i++) {
		sock_keepalive(c->intercept.listener[i], LAN_IDLE); /* its connections inherit that */
		err = loop_add(&c->loop, c->intercept.listener[i], EPOLLIN, cpe_tag(KIND_LISTENER, i));
	}
	c->listening = !err;
	if (!err)
		cpe_consider_taking(c);
	return err;
}

int cpe_open(struct cpe *c, struct cpe_config *config, struct netlink *nl, struct restore *restore)
{
	*c = (struct cpe){ .config = config, .relay_ended = -1, .links = -1, .signals = -1,
		.subflows = -1,
		.loop.epfd = -1, .intercept.listener = { -1, -1 } };
	for (unsigned int i = 0; i < PATHS_MAX; i++) {
		for (unsigned int k = 0; k < LINK_PROBES; k++)
			c->link_probe[i][k].fd = -1;
	}
	take_config(c, nl, restore);
	sock_choose_congestion(config->congestion, c->congestion);

	int err = loop_init(&c->loop);
	if (err)
		return err;
	c->started = c->loop.now;
	cpe_load_leases(c);
	cpe_list_converters(c);
	c->signals = process_signals(); /* before there are threads */
	err = watch(c, c->signals, KIND_SIGNALS);
	if (!err)
		err = slots_init(&c->sessions, sizeof(struct session), SESSIONS_MAX);
	if (!err)
		err = relay_pool_new(&c->relays, config->workers, config->relay_buffer, &c->relay_ended);
	if (!err)
		err = watch(c, c->relay_ended, KIND_RELAYS);
	if (!err) {
		c->links = netlink_watch();
		err = watch(c, c->links, KIND_LINKS);
	}
	if (!err)
		err = control_open(&c->control, config->control, &c->loop, KIND_CONTROL,
			KIND_CONTROL_CLIENT, cpe_answer_control, c);
	if (!err)
		err = metrics_open(&c->metrics, config->metrics, &c->loop, KIND_METRICS, cpe_metrics, c);
	if (!err)
		err = cpe_figures_open(c);
	if (!err)
		err = paths_sync(&c->paths);
	if (!err) {
		cpe_links_open(c);
		cpe_gate_open(c);
		err = loop_after(&c->loop, PROBE_EVERY, cpe_tag(KIND_PROBES, 0));
	}
	/* Last: from here on LAN hosts depend on us. */
	return err ? err : start_intercepting(c, nl);
}

int cpe_run(struct cpe *c)
{
	return loop_run(&c->loop, on_event, on_timer, c);
}

void cpe_close(struct cpe *c)
{
	uint32_t slot = 0;

	if (c->listening)
		intercept_close(&c->intercept);
	cpe_probe_close(c);
	cpe_links_close(c);
	cpe_gate_close(c);
	relay_pool_free(c->relays);
	for (struct session *s; (s = slots_next(&c->sessions, &slot)); slot++) {
		close_upstream(c, s);
		if (s->lan >= 0)
			sock_reset(s->lan);
		free(s->hs);
		free(s->relay.last);
	}
	slots_done(&c->sessions);
	cpe_figures_close(c);
	flows_done(&c->lan_flows);
	flows_done(&c->up_flows);
	control_close(c->control);
	metrics_close(c->metrics);
	if (c->links >= 0)
		close(c->links);
	if (c->signals >= 0)
		close(c->signals);
	loop_done(&c->loop);
}
