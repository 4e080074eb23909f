/* SPDX-License-Identifier: ISC */
#include "relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mono.h"
#include "os/netlink.h"
#include "os/sock.h"

#define BATCH      64
#define LOOK_EVERY (100 * MS_US) /* at connections that fell quiet; a stall costs that much */
/* After so many looks at a quiet connection... */
#define FIN_LOOKS      12        /* a DATA_FIN counts as unheard, */
#define FIN_LOOKS_LAST 70        /* and the only subflow is given up for that: the kernel has said it six times; */
#define ALONE_LOOK     75        /* one that has no subflow behind its FIN is lost; */
#define PROBE_LOOK     80        /* the peer is asked whether it is there, and has not given up the only subflow, */
#define PROBE_LOOK_END 100       /* until then: some lost packets do no harm; */
#define LOOKS          101       /* it is an idle one, or, where something is unsettled, looked at once more. */
#define FIN_ROOM   (64u << 10)   /* bytes that a FIN does not wait for */
#define LATE_SOON  (5 * MS_US)   /* how often a FIN that waits is tried */
#define PEER_IDLE  600           /* s; later on a peer is asked that often */
#define PIPE_SIZE (1 << 20)
_Static_assert(RELAY_MAX * sizeof(struct relay_ended) <= PIPE_SIZE, "hand-overs must fit");
_Static_assert(RELAY_MAX * sizeof(struct relay *) <= PIPE_SIZE, "hand-overs must fit");
#define INBOX_TAG UINT64_MAX

struct worker {
	pthread_t thread;
	int epfd;
	int inbox[2]; /* struct relay *, NULL: stop */
	int ended_fd; /* shared with the other workers */

	uint8_t *buffer;
	size_t buffer_size;
	size_t backlog_total;

	/* The relays of this worker; epoll's tags name a place and its generation. */
	struct place {
		struct relay *relay;
		uint32_t gen, next_free;
	} *places;
	uint32_t n_places, first_free;

	LIST_HEAD(relay_list, relay) lively;
	mono_t look_at; /* when the lively ones are looked at next */
	struct relay_list late;
	mono_t late_at; /* when the late ones are tried next */

	/* Ended in this batch of events; swept behind it, so that no event finds a freed relay. */
	struct relay *ended[BATCH];
	enum relay_end ended_how[BATCH];
	unsigned int n_ended;
};

struct relay_pool {
	unsigned int n, next;
	int ended[2];
	struct worker worker[];
};

const char *relay_end_text(enum relay_end e)
{
	switch (e) {
	case RELAY_END_FINISHED:
		return "finished";
	case RELAY_END_CLIENT_RESET:
		return "reset by the client's side";
	case RELAY_END_SERVER_RESET:
		return "reset by the server's side";
	case RELAY_END_STOPPED:
		return "stopped";
	}
	return "?";
}

/* ---- places ---- */

#define NO_PLACE UINT32_MAX

static int place_take(struct worker *w, struct relay *r)
{
	if (w->first_free == NO_PLACE) {
		const uint32_t n = w->n_places ? 2 * w->n_places : 64;
		struct place *const p = realloc(w->places, n * sizeof(*p));
		if (!p)
			return -ENOMEM;
		for (uint32_t i = w->n_places; i < n; i++)
			p[i] = (struct place){ .next_free = i + 1 < n ? i + 1 : NO_PLACE };
		w->places = p;
		w->first_free = w->n_places;
		w->n_places = n;
	}
	struct place *const p = &w->places[w->first_free];
	r->slot = w->first_free;
	r->gen = p->gen;
	w->first_free = p->next_free;
	p->relay = r;
	return 0;
}

static void place_give(struct worker *w, const struct relay *r)
{
	struct place *const p = &w->places[r->slot];
	p->relay = NULL;
	p->gen = (p->gen + 1) & 0x7fffffffu;
	p->next_free = w->first_free;
	w->first_free = r->slot;
}

static uint64_t tag_of(const struct relay *r, enum relay_side side)
{
	return (uint64_t)r->gen << 33 | (uint64_t)side << 32 | r->slot;
}

static struct relay *relay_at(struct worker *w, uint64_t tag)
{
	const uint32_t slot = (uint32_t)tag;
	if (slot >= w->n_places || w->places[slot].gen != (uint32_t)(tag >> 33))
		return NULL;
	struct relay *const r = w->places[slot].relay;
	return r && !r->ended ? r : NULL;
}

/* ---- one way ---- */

static enum relay_side other(enum relay_side s)
{
	return s == RELAY_CLIENT ? RELAY_SERVER : RELAY_CLIENT;
}

/* What epoll is to watch for on @side: readable when its way may take more, writable when the
 * other way has a backlog. With nothing to wait for, edges only: EPOLLHUP and EPOLLERR cannot be
 * masked and would spin. */
static uint32_t interest(const struct relay *r, enum relay_side side)
{
	const struct relay_way *const from = &r->way[side], *const to = &r->way[other(side)];
	const uint32_t events = (!from->eof && !from->backlog ? EPOLLIN : 0u) |
				(to->backlog ? EPOLLOUT : 0u);
	return events ? events : EPOLLET;
}

static void watch(struct worker *w, struct relay *r, enum relay_side side)
{
	const uint32_t events = interest(r, side);
	if (events == r->events[side])
		return;
	struct epoll_event ev = { .events = events, .data.u64 = tag_of(r, side) };
	if (epoll_ctl(w->epfd, r->events[side] ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, r->fd[side], &ev) == 0)
		r->events[side] = events;
}

static bool has_late_fin(const struct relay *r)
{
	return r->way[RELAY_CLIENT].late || r->way[RELAY_SERVER].late;
}

/* The figures of the server side's subflows go with its socket. */
static void keep_figures(struct relay *r)
{
	struct subflow_info last[SUBFLOWS_MAX];
	const unsigned int n = sock_subflows(r->fd[RELAY_SERVER], last, SUBFLOWS_MAX);

	r->last = n ? malloc(n * sizeof(last[0])) : NULL;
	if (!r->last)
		return;
	memcpy(r->last, last, n * sizeof(last[0]));
	r->n_last = n;
}

static void end(struct worker *w, struct relay *r, enum relay_end how)
{
	if (r->ended)
		return;
	r->ended = true;
	if (how != RELAY_END_STOPPED)
		keep_figures(r);
	if (r->is_lively)
		LIST_REMOVE(r, lively);
	if (has_late_fin(r))
		LIST_REMOVE(r, late);
	for (int s = 0; s < 2; s++) {
		sock_close_by_reset(r->fd[s], how != RELAY_END_FINISHED);
		close(r->fd[s]);
		r->fd[s] = -1;
		w->backlog_total -= r->way[s].backlog ? r->way[s].backlog_len : 0;
		free(r->way[s].backlog);
		r->way[s].backlog = NULL;
	}
	w->ended[w->n_ended] = r;
	w->ended_how[w->n_ended++] = how;
}

static void end_reset(struct worker *w, struct relay *r, enum relay_side by)
{
	end(w, r, by == RELAY_CLIENT ? RELAY_END_CLIENT_RESET : RELAY_END_SERVER_RESET);
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* As much of @buf as @to takes. Returns the bytes, or -1 when the connection is broken. */
static ssize_t put(int to, const uint8_t *buf, size_t len)
{
	const ssize_t n = send(to, buf, len, MSG_NOSIGNAL);
	return n < 0 && would_block() ? 0 : n;
}

static void delivered(struct relay_way *way, size_t n)
{
	const uint64_t sum = atomic_load_explicit(&way->bytes, memory_order_relaxed) + n;
	atomic_store_explicit(&way->bytes, sum, memory_order_relaxed);
}

/* An MPTCP connection takes no new subflows behind a FIN: should all of its own be lost then, what is
 * left in front of it never arrives. So a FIN waits until that is little. */
static bool fin_waits(struct worker *w, struct relay *r, enum relay_side side)
{
	const uint64_t left = sock_mptcp_unacked(r->fd[other(side)]);
	const bool was_late = has_late_fin(r);

	r->way[side].late = left > FIN_ROOM ? left : 0;
	if (!was_late && has_late_fin(r)) {
		if (LIST_EMPTY(&w->late))
			w->late_at = mono_add(mono_now(), LATE_SOON);
		LIST_INSERT_HEAD(&w->late, r, late);
	} else if (was_late && !has_late_fin(r)) {
		LIST_REMOVE(r, late);
	}
	return r->way[side].late != 0;
}

/* Pass the FIN of @side on, once nothing is left in front of it. */
static void pass_fin(struct worker *w, struct relay *r, enum relay_side side)
{
	struct relay_way *const way = &r->way[side];

	if (!way->eof || way->backlog || way->shut || fin_waits(w, r, side))
		return;
	way->shut = true;
	if (shutdown(r->fd[other(side)], SHUT_WR) < 0 && errno != ENOTCONN)
		end_reset(w, r, other(side));
	else if (r->way[other(side)].shut)
		end(w, r, RELAY_END_FINISHED);
}

/* How much to read for @way: what went through last, less when this worker's backlogs are many. */
static size_t read_size(const struct worker *w, const struct relay_way *way)
{
	const size_t room = RELAY_BACKLOG_TOTAL > w->backlog_total
				    ? RELAY_BACKLOG_TOTAL - w->backlog_total : 0;
	const size_t want = way->read_max < room ? way->read_max : room;
	return want > RELAY_READ_MIN ? want : RELAY_READ_MIN;
}

/* Keep what the other side did not take. */
static int keep(struct worker *w, struct relay_way *way, const uint8_t *rest, size_t len)
{
	way->backlog = malloc(len);
	if (!way->backlog)
		return -ENOMEM;
	memcpy(way->backlog, rest, len);
	way->backlog_len = (uint32_t)len;
	way->backlog_sent = 0;
	way->full = true;
	w->backlog_total += len;
	return 0;
}

static void mark_lively(struct worker *w, struct relay *r)
{
	r->moved = true;
	if (r->is_lively)
		return;
	if (LIST_EMPTY(&w->lively))
		w->look_at = mono_add(mono_now(), LOOK_EVERY);
	LIST_INSERT_HEAD(&w->lively, r, lively);
	r->is_lively = true;
}

static void readable(struct worker *w, struct relay *r, enum relay_side side)
{
	struct relay_way *const way = &r->way[side];
	const size_t want = read_size(w, way);
	const ssize_t got = recv(r->fd[side], w->buffer, want, 0);

	if (got < 0) {
		if (!would_block())
			end_reset(w, r, side);
		return;
	}
	if (got == 0) {
		way->eof = true;
		pass_fin(w, r, side);
		return;
	}

	mark_lively(w, r);
	const ssize_t sent = put(r->fd[other(side)], w->buffer, (size_t)got);
	if (sent < 0) {
		end_reset(w, r, other(side));
		return;
	}
	delivered(way, (size_t)sent);
	if (sent < got) {
		if (keep(w, way, w->buffer + sent, (size_t)(got - sent)) < 0) {
			log_peer(LOG_ERROR, "no memory for a slow connection: it is reset");
			end_reset(w, r, other(side));
			return;
		}
		way->read_max = (uint32_t)sent > RELAY_READ_MIN ? (uint32_t)sent : RELAY_READ_MIN;
	} else if ((size_t)got == want && way->read_max < w->buffer_size) {
		way->read_max *= 2;
		if (way->read_max > w->buffer_size)
			way->read_max = (uint32_t)w->buffer_size;
	}
}

/* @side takes data again: deliver the backlog that waits for it. */
static void writable(struct worker *w, struct relay *r, enum relay_side side)
{
	struct relay_way *const way = &r->way[other(side)];

	if (!way->backlog)
		return;
	const ssize_t sent = put(r->fd[side], way->backlog + way->backlog_sent,
		way->backlog_len - way->backlog_sent);
	if (sent < 0) {
		end_reset(w, r, side);
		return;
	}
	delivered(way, (size_t)sent);
	way->backlog_sent += (uint32_t)sent;
	if (way->backlog_sent < way->backlog_len)
		return;
	w->backlog_total -= way->backlog_len;
	free(way->backlog);
	way->backlog = NULL;
	pass_fin(w, r, other(side));
}

static void handle(struct worker *w, struct relay *r, enum relay_side side, uint32_t events)
{
	/* An error is read from the socket behind the data before it; but where nothing is read any
	 * more, or not now, the RST must still end the other side. */
	if ((events & EPOLLERR) && !(r->events[side] & EPOLLIN) && sock_error(r->fd[side])) {
		end_reset(w, r, side);
		return;
	}
	if (events & EPOLLOUT)
		writable(w, r, side);
	if (!r->ended && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !r->way[side].eof &&
		!r->way[side].backlog)
		readable(w, r, side);
	if (r->ended)
		return;
	watch(w, r, RELAY_CLIENT);
	watch(w, r, RELAY_SERVER);
}

/* ---- ends ---- */

static void tell_ended(int fd, struct slot_ref owner, enum relay_end how)
{
	const struct relay_ended e = { .owner = owner, .end = how };
	while (write(fd, &e, sizeof(e)) < 0 && errno == EINTR)
		;
}

static void sweep(struct worker *w)
{
	for (unsigned int i = 0; i < w->n_ended; i++) {
		struct relay *const r = w->ended[i];
		place_give(w, r);
		tell_ended(w->ended_fd, r->owner, w->ended_how[i]);
	}
	w->n_ended = 0;
}

/* ---- stalls ---- */

/* The peer's kernel has our DATA_FIN and is not aware of it: wake it up by a RST on one subflow. */
static void wake_peer(struct relay *r, enum relay_side side)
{
	struct endpoint near, far;
	char text[ENDPOINT_TEXT];
	struct netlink *nl;

	if (!sock_fin_unheard(r->fd[side]))
		return;
	const unsigned int subflows = sock_subflow(r->fd[side], &near, &far);
	if (!subflows || (subflows == 1 && r->quiet < FIN_LOOKS_LAST) || netlink_open(&nl) < 0)
		return;
	const int err = netlink_abort(nl, &near, &far);
	netlink_close(nl);
	log_peer(LOG_INFO, "%s has all data and not the end of the stream: one of %u subflows is reset%s%s",
		endpoint_text(&far, text), subflows, err ? ": " : "", err ? strerror(-err) : "");
}

/* A subflow that the peer has reset, by a RST that was lost, would be waited for for ever. */
static void ask_peer(const struct relay *r, enum relay_side side)
{
	if (!(r->events[side] & EPOLLIN) || !sock_is_mptcp(r->fd[side]))
		return;
	if (r->quiet == PROBE_LOOK)
		sock_keepalive_now(r->fd[side]);
	else
		sock_keepalive(r->fd[side], PEER_IDLE);
}

/* Try the FINs that wait; soon again while what is in front of them becomes less. Returns when. */
static int64_t look_at_late(struct worker *w)
{
	struct relay *next;
	bool moves = false;

	for (struct relay *r = LIST_FIRST(&w->late); r && w->n_ended < BATCH; r = next) {
		const uint64_t before = r->way[0].late + r->way[1].late;
		next = LIST_NEXT(r, late);
		pass_fin(w, r, RELAY_CLIENT);
		if (!r->ended)
			pass_fin(w, r, RELAY_SERVER);
		moves = moves || r->way[0].late + r->way[1].late < before;
	}
	return moves ? LATE_SOON : LOOK_EVERY;
}

/* Whether a quiet connection may yet need help: a FIN of ours that the peer has not acknowledged, or segments
 * that wait for an earlier one, which may be repeated ever more rarely. */
static bool is_unsettled(const struct relay *r)
{
	for (int s = 0; s < 2; s++) {
		const enum relay_side side = s ? RELAY_SERVER : RELAY_CLIENT;
		if (r->way[other(side)].shut && sock_mptcp_unacked(r->fd[side]))
			return true;
		if ((r->events[side] & EPOLLIN) && sock_waits_for_earlier(r->fd[side]))
			return true;
	}
	return false;
}

static void look(struct worker *w, struct relay *r)
{
	for (int s = 0; s < 2 && !r->ended; s++) {
		const enum relay_side side = s ? RELAY_SERVER : RELAY_CLIENT;
		if (r->way[other(side)].shut && (r->quiet == FIN_LOOKS || r->quiet == FIN_LOOKS_LAST))
			wake_peer(r, side);
		/* Lost behind its FIN: nothing will ever move again. */
		if (r->way[other(side)].shut && r->quiet == ALONE_LOOK && sock_mptcp_alone(r->fd[side])) {
			end_reset(w, r, side);
			return;
		}
		if (r->quiet == PROBE_LOOK || r->quiet == PROBE_LOOK_END)
			ask_peer(r, side);
		if ((r->events[side] & EPOLLIN) && sock_make_room(r->fd[side]))
			handle(w, r, side, EPOLLIN);
	}
}

/* Fit what the socket of @to holds to what its subflows need. */
static void fit(struct relay *r, enum relay_side to, mono_t now)
{
	struct relay_way *const way = &r->way[other(to)];
	struct subflow_load load[SUBFLOWS_MAX];
	const bool full = way->full;

	way->full = way->backlog != NULL;
	if (way->plain || !fit_look(&way->fit, atomic_load_explicit(&way->bytes, memory_order_relaxed), full, now))
		return;
	const int n = sock_subflow_loads(r->fd[to], load, SUBFLOWS_MAX);
	way->plain = n < 0;
	if (n <= 0)
		return;
	const uint64_t held = way->fit.size ? way->fit.size : sock_held(r->fd[to]);
	const uint64_t size = fit_size(&way->fit, load, (unsigned int)n, held, now);
	if (size)
		sock_hold(r->fd[to], size);
}

static void look_at_lively(struct worker *w, mono_t now)
{
	struct relay *next;

	for (struct relay *r = LIST_FIRST(&w->lively); r; r = next) {
		next = LIST_NEXT(r, lively);
		r->quiet = r->moved ? 0 : (uint8_t)(r->quiet + 1);
		r->moved = false;
		fit(r, RELAY_CLIENT, now);
		fit(r, RELAY_SERVER, now);
		if (r->quiet)
			look(w, r);
		if (!r->ended && r->quiet == LOOKS) {
			r->quiet = 0;
			r->is_lively = is_unsettled(r);
			if (!r->is_lively)
				LIST_REMOVE(r, lively);
		}
		if (w->n_ended == BATCH)
			sweep(w);
	}
}

/* Milliseconds until the next look; -1 when there is nothing to look at. */
static int look_if_due(struct worker *w)
{
	if (LIST_EMPTY(&w->lively) && LIST_EMPTY(&w->late))
		return -1;
	const mono_t now = mono_now();
	int64_t wait = LOOK_EVERY;
	if (!LIST_EMPTY(&w->lively)) {
		if (mono_diff(w->look_at, now) <= 0) {
			look_at_lively(w, now);
			w->look_at = mono_add(now, LOOK_EVERY);
		}
		wait = mono_diff(w->look_at, now);
	}
	if (!LIST_EMPTY(&w->late)) {
		if (mono_diff(w->late_at, now) <= 0)
			w->late_at = mono_add(now, look_at_late(w));
		if (mono_diff(w->late_at, now) < wait)
			wait = mono_diff(w->late_at, now);
	}
	return (int)(wait / MS_US) + 1;
}

/* ---- the worker ---- */

static void begin(struct worker *w, struct relay *r)
{
	if (place_take(w, r) < 0) {
		log_peer(LOG_ERROR, "no memory for one more connection: it is reset");
		sock_reset(r->fd[0]);
		sock_reset(r->fd[1]);
		tell_ended(w->ended_fd, r->owner, RELAY_END_STOPPED);
		return;
	}
	/* Should this process be killed, a FIN would tell both sides that they have had everything. */
	sock_close_by_reset(r->fd[RELAY_CLIENT], true);
	sock_close_by_reset(r->fd[RELAY_SERVER], true);
	watch(w, r, RELAY_CLIENT);
	watch(w, r, RELAY_SERVER);
}

/* Returns false when the pool ends. */
static bool take_inbox(struct worker *w)
{
	struct relay *batch[BATCH];
	const ssize_t n = read(w->inbox[0], batch, sizeof(batch));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(struct relay *); i++) {
		if (!batch[i])
			return false;
		begin(w, batch[i]);
	}
	return true;
}

static void stop_all(struct worker *w)
{
	for (uint32_t i = 0; i < w->n_places; i++) {
		if (!w->places[i].relay)
			continue;
		end(w, w->places[i].relay, RELAY_END_STOPPED);
		w->n_ended = 0; /* nobody listens any more */
	}
}

static void *work(void *arg)
{
	struct worker *const w = arg;
	struct epoll_event ev[BATCH];

	for (bool more = true; more;) {
		const int wait = look_if_due(w);
		sweep(w);
		/* A batch can end at most BATCH relays, all of which fit w->ended. */
		const int n = epoll_wait(w->epfd, ev, BATCH, wait);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u64 == INBOX_TAG) {
				more = take_inbox(w);
				continue;
			}
			struct relay *const r = relay_at(w, ev[i].data.u64);
			if (r)
				handle(w, r, (enum relay_side)(ev[i].data.u64 >> 32 & 1), ev[i].events);
		}
		sweep(w);
	}
	stop_all(w);
	return NULL;
}

/* ---- the pool ---- */

static void worker_close(struct worker *w)
{
	for (int i = 0; i < 2; i++) {
		if (w->inbox[i] >= 0)
			close(w->inbox[i]);
	}
	if (w->epfd >= 0)
		close(w->epfd);
	free(w->buffer);
	free(w->places);
}

static int worker_open(struct worker *w, size_t buffer, int ended_fd)
{
	*w = (struct worker){ .epfd = -1, .inbox = { -1, -1 }, .ended_fd = ended_fd,
		.buffer_size = buffer, .first_free = NO_PLACE };

	w->buffer = malloc(buffer);
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!w->buffer || w->epfd < 0 || pipe2(w->inbox, O_CLOEXEC) < 0)
		return w->buffer ? -errno : -ENOMEM;
	fcntl(w->inbox[1], F_SETPIPE_SZ, PIPE_SIZE);
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = INBOX_TAG };
	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->inbox[0], &ev) < 0 ? -errno : 0;
}

static void send_inbox(struct worker *w, struct relay *r)
{
	while (write(w->inbox[1], &r, sizeof(struct relay *)) < 0 && errno == EINTR)
		;
}

int relay_pool_new(struct relay_pool **out, unsigned int workers, size_t buffer, int *ended_fd)
{
	struct relay_pool *const pool = calloc(1, sizeof(*pool) + workers * sizeof(pool->worker[0]));
	int err;

	if (!pool)
		return -ENOMEM;
	if (buffer < RELAY_READ_MIN)
		buffer = RELAY_READ_MIN;
	if (pipe2(pool->ended, O_CLOEXEC) < 0) {
		err = -errno;
		free(pool);
		return err;
	}
	fcntl(pool->ended[0], F_SETFL, O_NONBLOCK); /* the reader's end alone */
	fcntl(pool->ended[1], F_SETPIPE_SZ, PIPE_SIZE);

	for (; pool->n < workers; pool->n++) {
		struct worker *const w = &pool->worker[pool->n];
		err = worker_open(w, buffer, pool->ended[1]);
		if (!err)
			err = -pthread_create(&w->thread, NULL, work, w);
		if (err) {
			worker_close(w);
			relay_pool_free(pool);
			return err;
		}
	}
	*out = pool;
	*ended_fd = pool->ended[0];
	return 0;
}

void relay_pool_free(struct relay_pool *pool)
{
	if (!pool)
		return;
	/* A worker that waits for room in the pipe must see its reader gone, not wait for ever. */
	close(pool->ended[0]);
	for (unsigned int i = 0; i < pool->n; i++)
		send_inbox(&pool->worker[i], NULL);
	for (unsigned int i = 0; i < pool->n; i++) {
		pthread_join(pool->worker[i].thread, NULL);
		worker_close(&pool->worker[i]);
	}
	close(pool->ended[1]);
	free(pool);
}

void relay_start(
	struct relay_pool *pool, struct relay *r, struct slot_ref owner, int client, int server)
{
	*r = (struct relay){ .owner = owner, .fd = { client, server } };
	for (int s = 0; s < 2; s++)
		r->way[s].read_max = 4 * RELAY_READ_MIN;
	send_inbox(&pool->worker[pool->next++ % pool->n], r);
}
