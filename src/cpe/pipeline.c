/* SPDX-License-Identifier: ISC */
/*
 * The CPE. Theory of operation:
 *
 *   1 intercept  a LAN host's connection to a server comes out of TPROXY
 *   2 steer      which converter; without a usable one direct, or refused
 *   3 upstream   an MPTCP connection to the converter with the Convert message in its SYN, from the
 *                address of the first link that works
 *   4 await      the handshake is over: what the LAN host said meanwhile follows at once to a
 *                converter that has proved itself lately, so that waiting for the answer costs no
 *                round trip. It is only looked at: should another converter be needed, it is still
 *                in the LAN host's socket
 *   5 verify     the answer echoes what was sent, bit for bit; the relay gets what follows it
 *   6 relay      both ways, on another thread, until the end
 *
 * Each session is a state machine (session/client.h); this file finds out facts, asks it for the
 * next step, and takes that step.
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
#include "os/process.h"
#include "os/sock.h"
#include "session/client.h"
#include "upstream/message.h"
#include "upstream/request.h"

#define SESSIONS_MAX RELAY_MAX
#define ACCEPT_BATCH 64 /* accepted in one turn, so that others are not starved */

/* The kernel repeats an unanswered SYN after 1 s, without its data, which would cost the connection
 * its MPTCP. So a new connection, on another link if there is one, is begun just before that. The
 * last attempt gets the time of the kernel's own repetitions, at 1 s and 3 s. */
#define ATTEMPT_TIME   (900 * MS_US)
#define HANDSHAKE_TIME (3500 * MS_US)
/* From the handshake to the answer. A converter says PENDING when its patience, at most 1 s, is over. */
#define ANSWER_TIME    (5 * S_US)
#define VERDICT_TIME   (75 * S_US) /* a converter gives its server less */
#define DIRECT_TIME    (75 * S_US)
#define LINKS_CALM     (20 * MS_US) /* changes of links come in flocks: look once behind them */
#define PROBE_EVERY    (1 * S_US)   /* how often is looked whether a probe is due */

#define EARLY_MAX      (64u << 10)  /* bytes sent before the answer: the first request, not a bulk */
#define LAN_IDLE       1800         /* s; then a LAN host that vanished is noticed in 5 minutes */

enum kind {
	KIND_LISTENER, /* slot: which */
	KIND_LAN,      /* the LAN host's socket */
	KIND_UP,       /* towards converter or server */
	KIND_DEADLINE,
	KIND_PROBE,    /* slot: the converter */
	KIND_PROBES,
	KIND_RELAYS,
	KIND_LINKS,
	KIND_SIGNALS,
	KIND_CONTROL,
	KIND_CONTROL_CLIENT,
};

/* What is needed until the relay begins. */
struct handshake {
	struct request request;
	struct message in;
	uint32_t tried; /* converters, by steer_bit() */
	size_t early;   /* bytes of the LAN host sent upstream, still in its socket */
	struct wan *wan; /* where this attempt began; NULL: the routing table's choice */
	unsigned int attempts; /* handshakes with this converter that nobody answered */
	unsigned int asked_again; /* with another cookie */
	mono_t started; /* of this attempt */
};

struct session {
	struct slot_ref ref;
	enum client_state state;
	int lan, up; /* -1: none, or the relay's */
	struct endpoint lan_host, server;
	struct converter *converter; /* NULL: direct */
	struct handshake *hs;
	uint64_t early; /* bytes that went upstream before the relay */
	mono_t opened, deadline;
	struct relay relay;
};

/* A connection that asks an unreachable converter whether it is back (RFC 8803 6.2.3). */
struct probe {
	int fd;
	struct message in;
	mono_t deadline;
};

static void apply(struct cpe *c, struct session *s, enum client_event event);

/* ---- small helpers ---- */

static struct loop_tag tag(enum kind kind, struct slot_ref ref)
{
	return (struct loop_tag){ .kind = kind, .ref = ref };
}

static struct loop_tag tag_slot(enum kind kind, uint32_t slot)
{
	return tag(kind, (struct slot_ref){ .slot = slot });
}

static void set_deadline(struct cpe *c, struct session *s, int64_t us)
{
	s->deadline = mono_add(c->loop.now, us);
	if (loop_after(&c->loop, us, tag(KIND_DEADLINE, s->ref)) < 0)
		log_peer(LOG_ERROR, "no memory for a timer");
}

static void forget(struct cpe *c, struct session *s)
{
	free(s->hs);
	s->hs = NULL;
	slots_give(&c->sessions, s->ref);
}

/* "…; connections go direct for 600 s": what a failure means for those who use us. */
static const char *what_goes_on(const struct cpe *c)
{
	return c->config->n_converter > 1 ? "others are used meanwhile"
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

static void say_left_out(const struct cpe *c, const struct converter *v, const char *why, int64_t us)
{
	char at[ENDPOINT_TEXT];

	log_peer(LOG_WARNING, "converter \"%s\" (%s): %s: left out for %lld s, %s", v->name,
		endpoint_text(&v->at, at), why, (long long)((us + S_US - 1) / S_US), what_goes_on(c));
}

/* ---- 3 upstream ---- */

static int open_upstream(struct cpe *c, struct session *s)
{
	struct converter *const v = s->converter;
	struct request *const r = &s->hs->request;
	uint64_t nonce;

	randombytes_buf(&nonce, sizeof(nonce));
	const int err = request_make(r, &s->server, nonce, steer_patience(v),
		(struct span){ .p = v->cookie, .len = v->cookie_len });
	if (err)
		return err;
	s->hs->in.have = 0;
	s->hs->started = c->loop.now;
	s->hs->wan = paths_first(&c->paths, &v->at.ip, c->loop.now);
	v->connections++;
	return sock_connect_fastopen(&v->at, paths_address(s->hs->wan, &v->at.ip), r->bytes, r->len);
}

/* Whether the attempt that begins is the last one with its converter: every link is tried once, and
 * a single one twice. */
static bool last_attempt(const struct cpe *c, const struct session *s)
{
	const unsigned int links = paths_count(&c->paths, &s->converter->at.ip);

	return s->hs->attempts + 1 >= (links > 1 ? links : 2);
}

static void connect_converter(struct cpe *c, struct session *s)
{
	s->up = open_upstream(c, s);
	int err = s->up < 0 ? s->up : 0;
	if (!err)
		err = loop_add(&c->loop, s->up, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, tag(KIND_UP, s->ref));
	if (err) {
		c->counters.converter_unreachable++;
		say_left_out(c, s->converter, strerror(-err), steer_unreachable(s->converter, c->loop.now));
		apply(c, s, CLIENT_CONVERTER_FAILED);
		return;
	}
	set_deadline(c, s, last_attempt(c, s) ? HANDSHAKE_TIME : ATTEMPT_TIME);
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

static void close_upstream(struct session *s)
{
	if (s->up >= 0)
		sock_reset(s->up);
	s->up = -1;
}

/* ---- 4 await ---- */

/* Send what the LAN host said so far, leaving it where it is. */
static void send_early(struct cpe *c, struct session *s)
{
	static uint8_t buf[EARLY_MAX];

	if (s->hs->early || !steer_proven(s->converter, c->loop.now))
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

/* ---- 5 verify ---- */

static void failed(struct cpe *c, struct session *s, const char *why, int64_t us)
{
	if (us)
		say_left_out(c, s->converter, why, us);
	apply(c, s, CLIENT_CONVERTER_FAILED);
}

/* Give this attempt up and steer anew, with the same converter among the choices. */
static void try_again(struct cpe *c, struct session *s)
{
	s->hs->tried &= ~steer_bit(&c->steer, s->converter);
	apply(c, s, CLIENT_CONVERTER_FAILED);
}

/* Ask the same converter once more, with what was learnt. A session does so twice at most: a cookie
 * that is too old, then none, then a new one. */
static bool ask_again(struct cpe *c, struct session *s)
{
	if (s->hs->asked_again == 2)
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

static void on_answer(struct cpe *c, struct session *s, const struct convert_msg *m)
{
	struct converter *const v = s->converter;
	const bool verdict = s->state == CLIENT_PENDING;
	const enum answer a = verdict ? request_judge_verdict(m) : request_judge(&s->hs->request, m);

	switch (a) {
	case ANSWER_ACCEPTED:
	case ANSWER_PENDING:
		if (!verdict)
			steer_good(v, c->loop.now);
		s->hs->in.have = 0;
		if (a == ANSWER_PENDING)
			set_deadline(c, s, VERDICT_TIME);
		apply(c, s, a == ANSWER_PENDING ? CLIENT_UNDECIDED : CLIENT_ACCEPTED);
		break;
	case ANSWER_REFUSED:
		c->counters.refused_by_server++;
		log_debug("the server refused: %s", convert_error_name(m->error));
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
	case ANSWER_WRONG:
		c->counters.answer_wrong++;
		failed(c, s, "its answer is none to our request", steer_wrong(&c->steer, v, c->loop.now));
		break;
	}
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
			on_answer(c, s, &m);
			break;
		case MESSAGE_DEFECT:
			c->counters.answer_wrong++;
			failed(c, s, convert_defect_text(defect),
				steer_wrong(&c->steer, s->converter, c->loop.now));
			break;
		case MESSAGE_EOF:
		case MESSAGE_BROKEN:
			c->counters.answer_missing++;
			failed(c, s, "it closed the connection without an answer",
				steer_wrong(&c->steer, s->converter, c->loop.now));
			break;
		}
		s = slots_at(&c->sessions, ref);
	}
}

static void on_connected(struct cpe *c, struct session *s)
{
	if (s->state == CLIENT_CONVERTING) {
		s->converter->rtt = mono_diff(c->loop.now, s->hs->started);
		if (s->hs->wan)
			paths_answered(s->hs->wan);
		set_deadline(c, s, ANSWER_TIME);
	}
	apply(c, s, CLIENT_CONNECTED);
}

/* Nobody answered the SYN: the link may be dead, whatever its carrier says. */
static void on_silence(struct cpe *c, struct session *s)
{
	struct wan *const w = s->hs->wan;

	if (w && paths_count(&c->paths, &s->converter->at.ip) > 1) {
		const int64_t us = paths_silent(w, c->loop.now);
		log_peer(LOG_WARNING, "wan \"%s\": no answer to a SYN: connections begin on others for %lld s",
			w->name, (long long)((us + S_US - 1) / S_US));
	}
	if (last_attempt(c, s)) {
		s->hs->attempts = 0;
		c->counters.converter_unreachable++;
		failed(c, s, "no answer to our SYN", steer_unreachable(s->converter, c->loop.now));
		return;
	}
	s->hs->attempts++;
	try_again(c, s); /* on another link, if there is one */
}

static void on_connect_failed(struct cpe *c, struct session *s, const char *why)
{
	if (s->state == CLIENT_DIRECT) {
		apply(c, s, CLIENT_FAILED);
		return;
	}
	c->counters.converter_unreachable++;
	failed(c, s, why, steer_unreachable(s->converter, c->loop.now));
}

static void on_up(struct cpe *c, struct session *s)
{
	const struct slot_ref ref = s->ref;

	if (s->state == CLIENT_CONVERTING || s->state == CLIENT_DIRECT) {
		const int err = sock_error(s->up);
		if (err)
			on_connect_failed(c, s, strerror(err));
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
		loop_mod(&c->loop, c->intercept.listener[i], on ? EPOLLIN : 0, tag_slot(KIND_LISTENER, i));
}

static void open_session(struct cpe *c, int fd, const struct endpoint *lan_host,
	const struct endpoint *server)
{
	struct slot_ref ref;
	struct handshake *const hs = calloc(1, sizeof(*hs));
	struct session *const s = hs ? slots_take(&c->sessions, &ref) : NULL;

	c->counters.accepted++;
	if (!s) {
		free(hs);
		sock_reset(fd);
		c->counters.refused++;
		log_peer(LOG_WARNING, "%u connections are open, that is all: new ones are reset", SESSIONS_MAX);
		return;
	}
	*s = (struct session){ .ref = ref, .state = CLIENT_ARRIVED, .lan = fd, .up = -1,
		.lan_host = *lan_host, .server = *server, .hs = hs, .opened = c->loop.now };
	sock_keepalive(fd, LAN_IDLE);
	if (loop_add(&c->loop, fd, EPOLLIN | EPOLLET, tag(KIND_LAN, ref)) < 0) {
		sock_reset(fd);
		forget(c, s);
		return;
	}
	steer(c, s);
}

static void on_listener(struct cpe *c, uint32_t which)
{
	struct endpoint lan_host, server;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		const int fd = intercept_accept(&c->intercept, (int)which, &lan_host, &server);
		if (fd >= 0) {
			open_session(c, fd, &lan_host, &server);
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
	else if (s->state == CLIENT_ANSWERING || s->state == CLIENT_PENDING)
		send_early(c, s);
}

/* ---- 6 relay, and the ends ---- */

static void end_session(struct cpe *c, struct session *s, bool reset)
{
	close_upstream(s);
	if (s->lan >= 0 && reset)
		sock_reset(s->lan);
	else if (s->lan >= 0)
		close(s->lan);
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
		c->counters.tcp_fallback += !sock_is_mptcp(s->up);
	} else {
		c->counters.direct++;
	}
	loop_del(&c->loop, s->lan);
	loop_del(&c->loop, s->up);
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
	case CLIENT_DO_RELAY:
		start_relay(c, s);
		break;
	case CLIENT_DO_STEER:
		close_upstream(s);
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
		on_silence(c, s);
		break;
	case CLIENT_DIRECT:
		apply(c, s, CLIENT_FAILED);
		break;
	case CLIENT_ANSWERING:
	case CLIENT_PENDING:
		c->counters.answer_missing++;
		failed(c, s, "it gave no answer", steer_wrong(&c->steer, s->converter, c->loop.now));
		break;
	case CLIENT_ARRIVED:
	case CLIENT_RELAYING:
	case CLIENT_ENDED:
		break;
	}
}

/* ---- probes ---- */

static void end_probe(struct cpe *c, uint32_t i, bool reached)
{
	struct converter *const v = &c->steer.converter[i];

	sock_reset(c->probe[i]->fd);
	free(c->probe[i]);
	c->probe[i] = NULL;
	v->probing = false;
	if (reached) {
		log_info("converter \"%s\": answers again: used from now on", v->name);
		steer_reached(v);
	} else {
		steer_unreachable(v, c->loop.now);
	}
}

static void start_probe(struct cpe *c, uint32_t i)
{
	struct converter *const v = &c->steer.converter[i];
	const struct convert_msg ask = { .has_info = true, .has_cookie = v->cookie_len > 0,
		.cookie = { .p = v->cookie, .len = v->cookie_len } };
	uint8_t msg[CONVERT_MAX];
	const size_t len = convert_encode(&ask, msg, sizeof(msg));
	struct probe *const p = calloc(1, sizeof(*p));

	if (!p)
		return;
	c->counters.probes++;
	v->probing = true;
	c->probe[i] = p;
	p->deadline = mono_add(c->loop.now, HANDSHAKE_TIME);
	const struct wan *const w = paths_first(&c->paths, &v->at.ip, c->loop.now);
	p->fd = sock_connect_fastopen(&v->at, paths_address(w, &v->at.ip), msg, len);
	if (p->fd < 0 || loop_add(&c->loop, p->fd, EPOLLIN | EPOLLRDHUP, tag_slot(KIND_PROBE, i)) < 0)
		end_probe(c, i, false);
}

/* Any Convert message is an answer: it is a converter, and it is there. */
static void on_probe(struct cpe *c, uint32_t i)
{
	struct convert_msg m;
	enum convert_defect defect;

	if (!c->probe[i])
		return;
	const enum message_result r =
		message_read(&c->probe[i]->in, c->probe[i]->fd, CONVERT_FROM_CONVERTER, &m, &defect);
	if (r != MESSAGE_MORE)
		end_probe(c, i, r == MESSAGE_WHOLE);
}

static void on_probes(struct cpe *c)
{
	for (uint32_t i = 0; i < c->steer.n; i++) {
		if (c->probe[i] && mono_diff(c->loop.now, c->probe[i]->deadline) >= 0)
			end_probe(c, i, false);
		if (steer_probe_due(&c->steer.converter[i], c->loop.now))
			start_probe(c, i);
	}
	loop_after(&c->loop, PROBE_EVERY, tag_slot(KIND_PROBES, 0));
}

/* ---- events ---- */

static void on_links_changed(struct cpe *c)
{
	netlink_changed(c->links);
	if (c->links_changed)
		return;
	c->links_changed = true;
	loop_after(&c->loop, LINKS_CALM, tag_slot(KIND_LINKS, 0));
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
	case KIND_PROBE:
		on_probe(c, t.ref.slot);
		break;
	case KIND_RELAYS:
		on_relay_ended(c);
		break;
	case KIND_LINKS:
		on_links_changed(c);
		break;
	case KIND_SIGNALS:
		c->loop.stop = process_told_to_end(c->signals);
		break;
	case KIND_CONTROL:
		control_on_listener(c->control);
		break;
	case KIND_CONTROL_CLIENT:
		control_on_client(c->control, t.ref);
		break;
	case KIND_DEADLINE:
	case KIND_PROBES:
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
		on_probes(c);
		break;
	case KIND_LINKS:
		c->links_changed = false;
		paths_sync(&c->paths);
		break;
	case KIND_CONTROL_CLIENT:
		control_on_timer(c->control, t.ref);
		break;
	case KIND_LISTENER:
	case KIND_LAN:
	case KIND_UP:
	case KIND_PROBE:
	case KIND_RELAYS:
	case KIND_SIGNALS:
	case KIND_CONTROL:
		break;
	}
}

/* ---- what the control socket tells ---- */

static json_t *session_json(const struct cpe *c, const struct session *s)
{
	char lan_host[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:I, s:I}", "state", client_state_text(s->state),
		"lan_host", endpoint_text(&s->lan_host, lan_host),
		"server", endpoint_text(&s->server, server),
		"converter", s->converter ? s->converter->name : "",
		"seconds", (double)mono_diff(c->loop.now, s->opened) / S_US,
		"bytes_up", (json_int_t)s->early + (json_int_t)s->relay.way[RELAY_CLIENT].bytes,
		"bytes_down", (json_int_t)s->relay.way[RELAY_SERVER].bytes);
}

static json_t *converter_json(const struct cpe *c, const struct converter *v)
{
	char at[ENDPOINT_TEXT];
	const int64_t left = v->trust == TRUST_USABLE ? 0 : mono_diff(v->until, c->loop.now);

	return json_pack("{s:s, s:s, s:s, s:f, s:f, s:I, s:I, s:I}", "name", v->name,
		"address", endpoint_text(&v->at, at), "trust", trust_text(v->trust),
		"seconds_left", (double)(left > 0 ? left : 0) / S_US,
		"handshake_ms", (double)v->rtt / MS_US, "connections", (json_int_t)v->connections,
		"verified", (json_int_t)v->verified, "failed", (json_int_t)v->failed);
}

static json_t *wan_json(const struct wan *w)
{
	char v4[ENDPOINT_TEXT] = "", v6[ENDPOINT_TEXT] = "";

	if (w->has[FAMILY_4])
		ip_text(&w->addr[FAMILY_4], v4);
	if (w->has[FAMILY_6])
		ip_text(&w->addr[FAMILY_6], v6);
	return json_pack("{s:s, s:s, s:s, s:b, s:i, s:s, s:s}", "name", w->name, "interface", w->ifname,
		"mode", w->backup ? "backup" : "aggregate", "running", (int)w->running, "silences",
		(int)w->silences, "ipv4", v4, "ipv6", v6);
}

static json_t *answer_control(void *ctx, const char *command)
{
	const struct cpe *const c = ctx;
	json_t *const list = json_array();
	uint32_t slot = 0;

	if (!strcmp(command, "sessions")) {
		for (const struct session *s; (s = slots_next(&c->sessions, &slot)); slot++)
			json_array_append_new(list, session_json(c, s));
	} else if (!strcmp(command, "converters")) {
		for (unsigned int i = 0; i < c->steer.n; i++)
			json_array_append_new(list, converter_json(c, &c->steer.converter[i]));
	} else if (!strcmp(command, "paths")) {
		for (unsigned int i = 0; i < c->paths.n; i++)
			json_array_append_new(list, wan_json(&c->paths.wan[i]));
	} else {
		json_decref(list);
		if (strcmp(command, "status") != 0)
			return NULL;
		return json_pack("{s:s, s:s, s:i, s:f, s:i, s:o}", "program", "plait-cpe", "version",
			PLAIT_VERSION, "pid", (int)getpid(),
			"seconds", (double)mono_diff(c->loop.now, c->started) / S_US,
			"sessions", (int)c->sessions.used, "counters", client_counters_json(&c->counters));
	}
	return json_pack("{s:o}", command, list);
}

/* ---- open, run, close ---- */

/* Watch @fd, or pass on the error that it is. */
static int watch(struct cpe *c, int fd, enum kind kind)
{
	return fd < 0 ? fd : loop_add(&c->loop, fd, EPOLLIN, tag_slot(kind, 0));
}

static void take_config(struct cpe *c, struct netlink *nl, struct restore *restore)
{
	const struct cpe_config *const config = c->config;

	c->paths = (struct paths){ .nl = nl, .restore = restore, .n = config->n_wan };
	memcpy(c->paths.wan, config->wan, sizeof(c->paths.wan));
	c->steer = (struct steer){ .n = config->n_converter, .distrust_ttl = config->distrust_ttl };
	for (unsigned int i = 0; i < config->n_converter; i++) {
		struct converter *const v = &c->steer.converter[i];
		strncpy(v->name, config->converter_name[i], sizeof(v->name) - 1);
		v->at = config->converter_at[i];
	}
}

static int start_intercepting(struct cpe *c, struct netlink *nl)
{
	int err = intercept_open(&c->intercept, &c->config->intercept, nl);

	for (uint32_t i = 0; !err && i < 2; i++)
		err = loop_add(&c->loop, c->intercept.listener[i], EPOLLIN, tag_slot(KIND_LISTENER, i));
	c->listening = !err;
	return err;
}

int cpe_open(struct cpe *c, const struct cpe_config *config, struct netlink *nl, struct restore *restore)
{
	*c = (struct cpe){ .config = config, .relay_ended = -1, .links = -1, .signals = -1,
		.loop.epfd = -1, .intercept.listener = { -1, -1 } };
	take_config(c, nl, restore);

	int err = loop_init(&c->loop);
	if (err)
		return err;
	c->started = c->loop.now;
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
			KIND_CONTROL_CLIENT, answer_control, c);
	if (!err)
		err = paths_sync(&c->paths);
	if (!err)
		err = loop_after(&c->loop, PROBE_EVERY, tag_slot(KIND_PROBES, 0));
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
	relay_pool_free(c->relays);
	for (struct session *s; (s = slots_next(&c->sessions, &slot)); slot++) {
		close_upstream(s);
		if (s->lan >= 0)
			sock_reset(s->lan);
		free(s->hs);
	}
	slots_done(&c->sessions);
	for (uint32_t i = 0; i < c->steer.n; i++) {
		if (c->probe[i])
			end_probe(c, i, false);
	}
	control_close(c->control);
	if (c->links >= 0)
		close(c->links);
	if (c->signals >= 0)
		close(c->signals);
	loop_done(&c->loop);
}
