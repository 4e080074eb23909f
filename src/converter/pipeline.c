/* SPDX-License-Identifier: ISC */
/*
 * The converter. Theory of operation:
 *
 *   1 accept     on the SYN, with the Convert message in it, while the SYN/ACK waits at the gate; else
 *                its first bytes are awaited
 *   2 read       exactly the message; what follows is the user's and stays in the socket
 *   3 authorise  client, cookie, nonce, server's address
 *   4 connect    to the server, by plain TCP; what came in the SYN behind the message follows at once
 *   5 answer     success or the Error TLV: in the SYN/ACK where the client takes it there, else as the
 *                first bytes of the stream; those never before the third ACK, since MPTCP would lose
 *                them. PENDING when the client's patience is over first
 *   6 relay      both ways, on another thread, until the end
 *
 * Each session is a state machine (session/converter.h); this file finds out facts, asks it for the
 * next step, and takes that step. What passes the gate stands in gate.c. Whatever a client does or
 * fails to do ends in a deadline.
 */
#include "converter/pipeline.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/log.h"
#include "converter/session.h"
#include "intercept/window.h"
#include "os/process.h"
#include "os/sock.h"

/* What peers can make us hold. The limit of those without third ACK is below the Fast Open queue, so that
 * a flood gets Error 64 from us and not silence from the kernel, which a client would take for a
 * middlebox. Silent servers cost more room: a scan from one LAN host must not shut out all others. */
#define FASTOPEN_QUEUE 4096
#define UNACKED_MAX    3072
#define PENDING_MAX    16384
#define ACCEPT_BATCH   64 /* accepted in one turn, so that others are not starved */

#define MESSAGE_TIME   (10 * S_US) /* for the whole message to come: some re-transmissions */
#define CONNECT_TIME   (30 * S_US) /* a server that is silent for longer does not count as there */
#define ACK_TIME       (10 * S_US) /* for the third ACK, once there is something to say */
#define DRAIN_TIME     (5 * S_US)  /* for the client to read the Error TLV and close */
#define PATIENCE       50u         /* 10 ms; for clients that do not know theirs */
#define UPSTREAM_IDLE  600         /* s; then a client that vanished is noticed in 5 minutes */
#define OVERLOAD_DELAY 0           /* s in Error 64: the client's default of 30 */

static void apply(struct converter *c, struct session *s, enum converter_event event);

/* ---- small helpers ---- */

static struct loop_tag tag(enum kind kind, struct slot_ref ref)
{
	return (struct loop_tag){ .kind = kind, .ref = ref };
}

static void set_deadline(struct converter *c, struct session *s, int64_t us)
{
	s->deadline = mono_add(c->loop.now, us);
	if (loop_after(&c->loop, us, tag(KIND_DEADLINE, s->ref)) < 0)
		log_peer(LOG_ERROR, "no memory for a timer");
}

/* The third ACK is there: the connection has left the Fast Open queue. */
static void set_established(struct converter *c, struct session *s)
{
	c->unacked -= !s->established;
	s->established = true;
}

static void forget(struct converter *c, struct session *s)
{
	c->unacked -= !s->established;
	converter_gate_forget(c, s);
	if (s->hs)
		c->pending--;
	free(s->hs);
	slots_give(&c->sessions, s->ref);
}

/* ---- 5 answer ---- */

static void put_answer(struct session *s, const struct convert_msg *m)
{
	s->hs->out_len = convert_encode(m, s->hs->out, sizeof(s->hs->out));
	s->hs->said = false;
}

/* The TCP options of an Extended Connect TLV; empty in a Base one (RFC 8803 6.2.5). */
static struct span connect_options(const struct handshake *h)
{
	return (struct span){ .p = h->connect + CONVERT_CONNECT_BASE,
		.len = h->connect_len - CONVERT_CONNECT_BASE };
}

/* Success or PENDING: Connect TLV and Echo TLV as received; a client without Echo TLV gets the
 * Extended TCP Header TLV alone, as RFC 8803 has it. */
static void put_success(struct session *s, uint8_t flags)
{
	struct handshake *const h = s->hs;
	uint8_t options[40];
	struct convert_msg m = { 0 };

	if (h->pending_said) {
		put_answer(s, &(struct convert_msg){ .has_verdict = true });
		return;
	}
	if (h->has_echo) {
		m.has_connect = true;
		m.server = s->server;
		m.connect_options = connect_options(h);
		m.has_echo = true;
		m.echo = (struct convert_echo){ .flags = flags, .nonce = h->echo.nonce };
	}
	if ((connect_options(h).len || !h->has_echo) && !flags) {
		m.has_extended_header = true;
		m.extended_header.p = options;
		m.extended_header.len = sock_syn_options(s->down, options, sizeof(options));
	}
	put_answer(s, &m);
}

/* Behind a pending answer the nonce was said already: an Error TLV stands alone. */
static void put_error(struct session *s, enum convert_error code, const uint8_t *value, size_t len)
{
	const struct handshake *const h = s->hs;

	put_answer(s, &(struct convert_msg){
		.has_error = true, .error = (uint8_t)code, .error_value = { .p = value, .len = len },
		.has_echo = h->has_echo && !h->pending_said, .echo = { .nonce = h->echo.nonce } });
}

static void put_error_byte(struct session *s, enum convert_error code, uint8_t value)
{
	put_error(s, code, &value, 1);
}

/* Say in the stream what the SYN/ACK did not. It is far smaller than any send buffer: all or nothing. */
static bool say(struct session *s)
{
	struct handshake *const h = s->hs;

	if (h->said)
		return true;
	h->said = send(s->up, h->out, h->out_len, MSG_NOSIGNAL) == (ssize_t)h->out_len;
	return h->said;
}

/* The code of the ICMP message that would have said so, had it come from a router and not from our own
 * kernel (RFC 792, RFC 4443 3.1). */
static uint8_t icmp_code(const struct ip_addr *server, int err)
{
	const bool v4 = ip_is_v4(server);

	switch (err) {
	case ENETUNREACH:
		return 0;
	case EACCES:
		return v4 ? 13 : 1;
	case ETIMEDOUT:
		return CONVERT_NO_ICMP;
	default:
		return v4 ? 1 : 3;
	}
}

/* What became of the attempt to reach the server, as an Error TLV (RFC 8803 6.2.8). */
static void put_server_error(struct session *s, int err)
{
	const int icmp = s->down >= 0 ? sock_icmp_code(s->down) : -1;

	switch (err) {
	case ECONNREFUSED:
		if (icmp >= 0) /* port unreachable, by ICMP */
			put_error_byte(s, CONVERT_DESTINATION_UNREACHABLE, (uint8_t)icmp);
		else
			put_error_byte(s, CONVERT_CONNECTION_RESET, 0);
		return;
	case ECONNRESET:
		put_error_byte(s, CONVERT_CONNECTION_RESET, 0);
		return;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENOPROTOOPT:
	case EACCES:
	case ETIMEDOUT:
		put_error_byte(s, CONVERT_DESTINATION_UNREACHABLE,
			(uint8_t)(icmp >= 0 ? icmp : icmp_code(&s->server.ip, err)));
		return;
	case EADDRNOTAVAIL: /* out of ports towards this server */
		put_error_byte(s, CONVERT_RESOURCE_EXCEEDED, OVERLOAD_DELAY);
		return;
	default:
		if (sock_no_room(err))
			put_error_byte(s, CONVERT_RESOURCE_EXCEEDED, OVERLOAD_DELAY);
		else
			put_error_byte(s, CONVERT_NETWORK_FAILURE, 0);
	}
}

/* ---- 4 connect ---- */

static void connect_downstream(struct converter *c, struct session *s, bool mptcp)
{
	s->down = sock_connect(&s->server, mptcp);
	const int err = s->down < 0 ? s->down
				    : loop_add(&c->loop, s->down, EPOLLOUT | EPOLLET, tag(KIND_SERVER, s->ref));
	if (err) {
		put_server_error(s, -err);
		apply(c, s, CONVERTER_SERVER_DOWN);
		return;
	}
	set_deadline(c, s, CONNECT_TIME);
	const uint8_t patience = s->hs->has_echo && s->hs->echo.patience ? s->hs->echo.patience : PATIENCE;
	loop_after(&c->loop, 10 * MS_US * patience, tag(KIND_PATIENCE, s->ref));
}

/* What came in the SYN behind the message does not wait for the third ACK. It is less than one
 * segment, and the buffer of a new connection is empty. */
static void push_early(struct session *s)
{
	uint8_t buf[2048];

	if (s->established)
		return;
	const ssize_t n = recv(s->up, buf, sizeof(buf), 0);
	if (n > 0 && send(s->down, buf, (size_t)n, MSG_NOSIGNAL) == n)
		s->early += (uint64_t)n;
}

static void on_server(struct converter *c, struct session *s)
{
	if (s->state != CONVERTER_CONNECTING && s->state != CONVERTER_PENDING)
		return;
	const int err = sock_error(s->down);
	if (err) {
		c->counters.refused_by_server++;
		put_server_error(s, err);
		apply(c, s, CONVERTER_SERVER_DOWN);
	} else if (sock_established(s->down)) {
		push_early(s);
		put_success(s, 0);
		apply(c, s, CONVERTER_SERVER_UP);
	}
}

/* ---- 3 authorise ---- */

static void answer_now(struct converter *c, struct session *s, enum convert_error code, uint8_t value)
{
	put_error_byte(s, code, value);
	apply(c, s, CONVERTER_ANSWERABLE);
}

/* RFC 8803 6.2.7. Returns whether the session goes on. */
static bool check_cookie(struct converter *c, struct session *s, const struct convert_msg *m)
{
	uint8_t value[1 + COOKIE_LEN] = { 0 };

	if (!c->config->cookie_required)
		return true;
	if (m->has_cookie) {
		if (cookie_valid(&c->cookies, &s->client.ip, c->loop.now, m->cookie.p, m->cookie.len))
			return true;
		c->counters.not_authorized++;
		answer_now(c, s, CONVERT_NOT_AUTHORIZED, 0);
		return false;
	}
	c->counters.no_cookie++;
	cookie_make(&c->cookies, &s->client.ip, c->loop.now, value + 1);
	put_error(s, CONVERT_MISSING_COOKIE, value, sizeof(value));
	apply(c, s, CONVERTER_ANSWERABLE);
	return false;
}

/* A SYN that was repeated by the network after its connection had ended. Returns whether the session
 * goes on. */
static bool check_nonce(struct converter *c, struct session *s, const struct convert_msg *m)
{
	char client[ENDPOINT_TEXT];

	if (!m->has_echo || !replay_is(&c->replay, &s->client.ip, m->echo.nonce, c->loop.now))
		return true;
	c->counters.replayed++;
	log_peer(LOG_WARNING, "client %s: a nonce that was said before: refused",
		endpoint_text(&s->client, client));
	answer_now(c, s, CONVERT_NOT_AUTHORIZED, 0);
	return false;
}

static void refuse_by_policy(struct converter *c, struct session *s, enum policy_verdict v)
{
	char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

	c->counters.not_authorized++;
	log_peer(LOG_WARNING, "client %s, server %s: refused: %s", endpoint_text(&s->client, client),
		endpoint_text(&s->server, server), policy_verdict_text(v));
	answer_now(c, s, CONVERT_NOT_AUTHORIZED, 0);
}

/* The TCP options that a client may ask for (RFC 8803 6.2.4): SACK, timestamps, MPTCP. */
static void answer_info(struct converter *c, struct session *s)
{
	static const uint8_t kinds[] = { 4, 8, 30 };

	c->counters.info++;
	put_answer(s, &(struct convert_msg){
		.has_supported = true, .supported = { .p = kinds, .len = sizeof(kinds) },
		.has_echo = s->hs->has_echo, .echo = { .nonce = s->hs->echo.nonce } });
	apply(c, s, CONVERTER_ANSWERABLE);
}

/* Whether the options of an Extended Connect TLV ask for MPTCP towards the server (RFC 8803 7.5). */
static bool wants_mptcp(struct span options)
{
	struct rd r = rd_init(options.p, options.len);

	while (rd_left(&r)) {
		const uint8_t kind = rd_u8(&r);
		if (kind == 0)
			break;
		if (kind == 1)
			continue;
		if (kind == 30)
			return true;
		const uint8_t len = rd_u8(&r);
		if (len < 2)
			break;
		rd_bytes(&r, len - 2u);
	}
	return false;
}

static void authorise(struct converter *c, struct session *s, const struct convert_msg *m)
{
	struct handshake *const h = s->hs;

	h->has_echo = m->has_echo;
	h->echo = m->echo;
	s->server = m->server;
	enum policy_verdict v = policy_client(&c->policy, &s->client.ip);
	if (v != POLICY_ALLOW) {
		refuse_by_policy(c, s, v);
		return;
	}
	if (!check_cookie(c, s, m) || !check_nonce(c, s, m))
		return;
	if (!m->has_connect) {
		answer_info(c, s);
		return;
	}
	v = policy_server(&c->policy, &s->server.ip);
	if (v != POLICY_ALLOW) {
		refuse_by_policy(c, s, v);
		return;
	}
	if (c->unacked > UNACKED_MAX || c->pending > PENDING_MAX) {
		c->counters.overload++;
		answer_now(c, s, CONVERT_RESOURCE_EXCEEDED, OVERLOAD_DELAY);
		return;
	}
	h->connect_len = m->connect_raw.len;
	memcpy(h->connect, m->connect_raw.p, h->connect_len);
	apply(c, s, CONVERTER_REQUESTED);
}

/* ---- 2 read ---- */

static void on_defect(struct converter *c, struct session *s, enum convert_defect d)
{
	char client[ENDPOINT_TEXT];
	struct handshake *const h = s->hs;

	c->counters.defective++;
	h->said = false;
	h->out_len = convert_encode_defect(d, h->in.buf, h->in.have, h->out, sizeof(h->out));
	log_peer(LOG_WARNING, "client %s: %s: %s", endpoint_text(&s->client, client),
		convert_defect_text(d), h->out_len ? "answered by an Error TLV" : "reset");
	apply(c, s, h->out_len ? CONVERTER_ANSWERABLE : CONVERTER_ALIEN);
}

static void read_message(struct converter *c, struct session *s)
{
	struct convert_msg m;
	enum convert_defect defect;

	switch (message_read(&s->hs->in, s->up, CONVERT_FROM_CLIENT, &m, &defect)) {
	case MESSAGE_MORE:
		return;
	case MESSAGE_WHOLE:
		if (!s->established && !sock_established(s->up))
			c->counters.on_syn++;
		authorise(c, s, &m);
		return;
	case MESSAGE_DEFECT:
		on_defect(c, s, defect);
		return;
	case MESSAGE_EOF:
	case MESSAGE_BROKEN:
		apply(c, s, CONVERTER_CLIENT_GONE);
	}
}

/* ---- 1 accept ---- */

static void listen_to_clients(struct converter *c, bool on)
{
	if (c->listening == on)
		return;
	c->listening = on;
	for (unsigned int i = 0; i < c->config->n_listen; i++)
		loop_mod(&c->loop, c->listener[i], on ? EPOLLIN : 0,
			tag(KIND_LISTENER, (struct slot_ref){ .slot = i }));
}

static void open_session(struct converter *c, int fd, const struct endpoint *client)
{
	struct slot_ref ref;
	struct handshake *const hs = calloc(1, sizeof(*hs));
	struct session *s = hs ? slots_take(&c->sessions, &ref) : NULL;

	c->counters.accepted++;
	if (!s) {
		free(hs);
		sock_reset(fd);
		c->counters.overload++;
		log_peer(LOG_WARNING, "%u connections are open, that is all: new ones are reset", SESSIONS_MAX);
		return;
	}
	*s = (struct session){ .ref = ref, .state = CONVERTER_MESSAGE, .up = fd, .down = -1,
		.client = *client, .hs = hs, .opened = c->loop.now };
	c->pending++;
	c->unacked++;
	sock_keepalive(fd, UPSTREAM_IDLE);
	if (loop_add(&c->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, tag(KIND_CLIENT, ref)) < 0) {
		sock_reset(fd);
		forget(c, s);
		return;
	}
	set_deadline(c, s, MESSAGE_TIME);
	converter_gate_watch(c, s);
	/* Accepted on its SYN: the message is there already, no event need be waited for. */
	read_message(c, s);
	s = slots_at(&c->sessions, ref);
	if (s && s->state == CONVERTER_MESSAGE)
		converter_gate_release(c, s);
}

void converter_accept(struct converter *c, unsigned int which)
{
	struct endpoint client;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		const int fd = sock_accept(c->listener[which], &client);
		if (fd >= 0) {
			open_session(c, fd, &client);
			continue;
		}
		if (sock_no_room(-fd)) {
			/* The backlog stays readable: without a pause this would spin. */
			log_peer(LOG_WARNING, "cannot accept: %s; trying again when a connection ends",
				strerror(-fd));
			listen_to_clients(c, false);
		}
		return;
	}
}

/* ---- 6 relay, and the ends ---- */

static void end_session(struct converter *c, struct session *s, bool reset)
{
	if (s->down >= 0)
		sock_reset(s->down);
	if (s->up >= 0 && reset)
		sock_reset(s->up);
	else if (s->up >= 0)
		close(s->up);
	forget(c, s);
	listen_to_clients(c, true);
}

static void start_relay(struct converter *c, struct session *s)
{
	if (!say(s)) {
		end_session(c, s, true);
		return;
	}
	c->counters.converted++;
	if (!sock_is_mptcp(s->up))
		c->counters.tcp_clients++;
	loop_del(&c->loop, s->up);
	loop_del(&c->loop, s->down);
	converter_gate_forget(c, s);
	free(s->hs);
	s->hs = NULL;
	c->pending--;
	const int up = s->up, down = s->down;
	s->up = s->down = -1;
	relay_start(c->relays, &s->relay, s->ref, up, down);
}

static void on_relay_ended(struct converter *c)
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
		free(s->relay.last); /* of servers that speak MPTCP */
		apply(c, s, CONVERTER_RELAY_ENDED);
		forget(c, s);
	}
	listen_to_clients(c, true);
}

static void refuse(struct converter *c, struct session *s)
{
	if (s->down >= 0)
		sock_reset(s->down);
	s->down = -1;
	/* No RST, which would overtake the Error TLV (RFC 8803 6.2.2): FIN, and read until the client
	 * closes, since data left unread would make a RST of our close. */
	if (!say(s) || shutdown(s->up, SHUT_WR) < 0) {
		end_session(c, s, true);
		return;
	}
	set_deadline(c, s, DRAIN_TIME);
}

static void drain(struct converter *c, struct session *s)
{
	uint8_t waste[4096];
	ssize_t n;

	while ((n = recv(s->up, waste, sizeof(waste), 0)) > 0)
		;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		apply(c, s, CONVERTER_CLIENT_GONE);
}

/* ---- the state machine's hands ---- */

static void say_pending(struct converter *c, struct session *s)
{
	c->counters.pending++;
	put_success(s, CONVERT_ECHO_PENDING);
	converter_gate_answer(c, s);
	if (!say(s)) {
		end_session(c, s, true);
		return;
	}
	s->hs->pending_said = true;
}

/* The SYN/ACK may still be there to carry what there is to say, or the third ACK already. */
static void answer(struct converter *c, struct session *s)
{
	converter_gate_answer(c, s);
	if (!s->established && sock_established(s->up))
		set_established(c, s);
	if (s->established)
		apply(c, s, CONVERTER_ESTABLISHED);
	else
		set_deadline(c, s, ACK_TIME);
}

static void apply(struct converter *c, struct session *s, enum converter_event event)
{
	const enum converter_state was = s->state;
	const struct converter_next next = converter_step(was, event);

	s->state = next.state;
	switch (next.what) {
	case CONVERTER_DO_NOTHING:
		if (was != s->state && (s->state == CONVERTER_ACCEPTING || s->state == CONVERTER_REFUSING))
			answer(c, s);
		break;
	case CONVERTER_DO_CONNECT:
		connect_downstream(c, s, wants_mptcp(connect_options(s->hs)));
		break;
	case CONVERTER_DO_PENDING:
		say_pending(c, s);
		break;
	case CONVERTER_DO_RELAY:
		start_relay(c, s);
		break;
	case CONVERTER_DO_REFUSE:
		refuse(c, s);
		break;
	case CONVERTER_DO_RESET:
		if (event == CONVERTER_DEADLINE)
			c->counters.too_late++;
		end_session(c, s, true);
		break;
	case CONVERTER_DO_CLOSE:
		if (was != CONVERTER_DRAINING)
			c->counters.client_gone++;
		end_session(c, s, false);
		break;
	case CONVERTER_DO_REFUSED:
		log_peer(LOG_ERROR, "a session in state \"%s\" refused event %d",
			converter_state_text(was), event);
		break;
	}
}

/* ---- events ---- */

static void on_client(struct converter *c, struct session *s, uint32_t events)
{
	const struct slot_ref ref = s->ref;

	if ((events & EPOLLERR) || ((events & EPOLLHUP) && sock_error(s->up))) {
		apply(c, s, CONVERTER_CLIENT_GONE);
		return;
	}
	if (s->state == CONVERTER_MESSAGE) {
		read_message(c, s);
	} else if (s->state == CONVERTER_DRAINING) {
		drain(c, s);
	}
	/* The edge at the third ACK comes once. */
	s = slots_at(&c->sessions, ref);
	if (!s || s->established || s->up < 0 || !sock_established(s->up))
		return;
	set_established(c, s);
	if (s->hs && s->hs->impatient && s->state == CONVERTER_CONNECTING)
		apply(c, s, CONVERTER_IMPATIENT);
	else if (s->state != CONVERTER_DRAINING)
		apply(c, s, CONVERTER_ESTABLISHED);
}

static void on_signals(struct converter *c)
{
	switch (process_told(c->signals)) {
	case PROCESS_TOLD_NOTHING:
		break;
	case PROCESS_TOLD_TO_RELOAD:
		json_decref(converter_reload(c));
		break;
	case PROCESS_TOLD_TO_END:
		c->loop.stop = true;
		break;
	}
}

static void on_event(void *ctx, struct loop_tag t, uint32_t events)
{
	struct converter *const c = ctx;
	struct session *s;

	switch ((enum kind)t.kind) {
	case KIND_LISTENER:
		converter_accept(c, t.ref.slot);
		break;
	case KIND_CLIENT:
		s = slots_at(&c->sessions, t.ref);
		if (s && s->up >= 0)
			on_client(c, s, events);
		break;
	case KIND_SERVER:
		s = slots_at(&c->sessions, t.ref);
		if (s && s->down >= 0)
			on_server(c, s);
		break;
	case KIND_GATE:
		converter_gate_read(c);
		break;
	case KIND_RELAYS:
		on_relay_ended(c);
		break;
	case KIND_ADDRESSES:
		netlink_changed(c->addresses);
		policy_read_own(&c->policy);
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
	case KIND_METRICS:
		metrics_serve(c->metrics);
		break;
	case KIND_DEADLINE:
	case KIND_PATIENCE:
	case KIND_ORPHANS:
		break;
	}
}

static void on_patience(struct converter *c, struct session *s)
{
	if (!s->hs || !s->hs->has_echo || s->state != CONVERTER_CONNECTING)
		return; /* PENDING is for those who sent an Echo TLV */
	s->hs->impatient = true;
	if (s->established || converter_gate_can_answer(s))
		apply(c, s, CONVERTER_IMPATIENT);
	else
		converter_gate_release(c, s); /* PENDING follows in the stream */
}

static void on_deadline(struct converter *c, struct session *s)
{
	if (!s->hs || mono_diff(c->loop.now, s->deadline) < 0)
		return; /* relayed, or a later deadline was set */
	if (s->state == CONVERTER_CONNECTING || s->state == CONVERTER_PENDING) {
		c->counters.refused_by_server++;
		put_server_error(s, ETIMEDOUT);
		apply(c, s, CONVERTER_SERVER_DOWN);
	} else {
		apply(c, s, CONVERTER_DEADLINE);
	}
}

static void on_timer(void *ctx, struct loop_tag t)
{
	struct converter *const c = ctx;
	struct session *s;

	switch ((enum kind)t.kind) {
	case KIND_DEADLINE:
		s = slots_at(&c->sessions, t.ref);
		if (s)
			on_deadline(c, s);
		break;
	case KIND_PATIENCE:
		s = slots_at(&c->sessions, t.ref);
		if (s)
			on_patience(c, s);
		break;
	case KIND_ORPHANS:
		converter_gate_orphans(c);
		break;
	case KIND_CONTROL_CLIENT:
		control_on_timer(c->control, t.ref);
		break;
	case KIND_METRICS:
		metrics_on_timer(c->metrics);
		break;
	case KIND_GATE:
	case KIND_LISTENER:
	case KIND_CLIENT:
	case KIND_SERVER:
	case KIND_RELAYS:
	case KIND_ADDRESSES:
	case KIND_SIGNALS:
	case KIND_CONTROL:
		break;
	}
}

/* ---- open, run, close ---- */

/* Watch @fd, or pass on the error that it is. */
static int watch(struct converter *c, int fd, enum kind kind)
{
	return fd < 0 ? fd : loop_add(&c->loop, fd, EPOLLIN, tag(kind, (struct slot_ref){ 0 }));
}

static int open_listeners(struct converter *c)
{
	char text[ENDPOINT_TEXT], congestion[SOCK_CONGESTION];

	sock_choose_congestion(c->config->congestion, congestion); /* accepted connections inherit it */
	for (unsigned int i = 0; i < c->config->n_listen; i++) {
		const struct endpoint *const at = &c->config->listen[i];
		c->listener[i] = sock_listen_convert(at, FASTOPEN_QUEUE);
		if (c->listener[i] < 0) {
			log_error("cannot listen on %s: %s", endpoint_text(at, text), strerror(-c->listener[i]));
			return c->listener[i];
		}
		sock_set_congestion(c->listener[i], congestion);
		const int err = loop_add(&c->loop, c->listener[i], EPOLLIN,
			tag(KIND_LISTENER, (struct slot_ref){ .slot = i }));
		if (err)
			return err;
		log_info("listening on %s, MPTCP with Fast Open", endpoint_text(at, text));
	}
	c->listening = true;
	return 0;
}

/* Before the first SYN. Without it all works, and downloads over several links are slow. */
static void open_window(struct converter *c)
{
	const uint16_t port = c->config->n_listen ? c->config->listen[0].port : 0;

	if (window_open(port) == 0)
		c->window_port = port;
	else
		log_warning("the windows of SYNs are left as they are: downloads over several links may be slow");
}

int converter_open(struct converter *c, struct converter_config *config)
{
	uint8_t key[REPLAY_KEY];

	*c = (struct converter){
		.config = config, .relay_ended = -1, .addresses = -1, .signals = -1, .loop.epfd = -1,
	};
	converter_take_policy(c);
	for (unsigned int i = 0; i < CONVERTER_LISTEN_MAX; i++)
		c->listener[i] = -1;

	int err = loop_init(&c->loop);
	if (err)
		return err;
	c->started = c->loop.now;
	cookie_init(&c->cookies, c->loop.now);
	randombytes_buf(key, sizeof(key));
	replay_init(&c->replay, key, c->loop.now);
	c->signals = process_signals(); /* before there are threads */
	err = watch(c, c->signals, KIND_SIGNALS);
	if (!err)
		err = slots_init(&c->sessions, sizeof(struct session), SESSIONS_MAX);
	if (!err)
		err = relay_pool_new(&c->relays, config->workers, config->relay_buffer, &c->relay_ended);
	if (!err)
		err = watch(c, c->relay_ended, KIND_RELAYS);
	if (!err)
		err = policy_read_own(&c->policy);
	if (!err) {
		c->addresses = netlink_watch();
		err = watch(c, c->addresses, KIND_ADDRESSES);
	}
	if (!err) {
		open_window(c);
		converter_gate_open(c);
		err = open_listeners(c);
	}
	if (!err)
		err = control_open(&c->control, config->control, &c->loop, KIND_CONTROL,
			KIND_CONTROL_CLIENT, converter_answer_control, c);
	if (!err)
		err = metrics_open(&c->metrics, config->metrics, &c->loop, KIND_METRICS, converter_metrics, c);
	return err;
}

int converter_run(struct converter *c)
{
	return loop_run(&c->loop, on_event, on_timer, c);
}

void converter_close(struct converter *c)
{
	uint32_t slot = 0;

	for (unsigned int i = 0; i < CONVERTER_LISTEN_MAX; i++) {
		if (c->listener[i] >= 0)
			close(c->listener[i]);
	}
	if (c->window_port)
		window_close(c->window_port);
	converter_gate_close(c);
	relay_pool_free(c->relays);
	for (struct session *s; (s = slots_next(&c->sessions, &slot)); slot++) {
		if (s->up >= 0)
			sock_reset(s->up);
		if (s->down >= 0)
			sock_reset(s->down);
		free(s->hs);
		free(s->relay.last);
	}
	slots_done(&c->sessions);
	flows_done(&c->flows);
	replay_done(&c->replay);
	control_close(c->control);
	metrics_close(c->metrics);
	if (c->addresses >= 0)
		close(c->addresses);
	if (c->signals >= 0)
		close(c->signals);
	policy_done(&c->policy);
	loop_done(&c->loop);
}
