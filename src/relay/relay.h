/* SPDX-License-Identifier: ISC */
/*
 * The relay: moves bytes between two sockets, both ways, until both ways have ended.
 *
 * Theory of operation. A few worker threads, one a core, each run a level-triggered epoll loop with
 * one large buffer. What is received from one socket is sent to the other in the same turn. What
 * the other does not take is the way's *backlog*: it gets memory of its own, and nothing more is
 * read for this way until it is gone. So a slow reader closes the sender's window, as on a direct
 * connection.
 *
 * Ends: a FIN is passed on as a FIN once all before it is delivered (half-close); a way that ended
 * leaves the other one going. A RST, or any error, on either socket ends both with a RST (MPTCP:
 * MP_FASTCLOSE), as a direct connection would show it.
 *
 * Stalls: Linux MPTCP can fill its receive buffer with segments that wait for an earlier one, which
 * then finds no room (sock_make_room()). A connection that fell quiet is looked at for that, until it
 * has nothing of the kind for some seconds.
 *
 * Or it does not hear of a DATA_FIN: the last data came twice, the second time with the DATA_FIN, and
 * were dropped with it. The kernel notes it and looks at the note when something happens to one of the
 * connection's subflows. So one of them is reset when a DATA_FIN alone stays unacknowledged.
 *
 * Limits: a way holds at most one buffer as backlog, a worker at most RELAY_BACKLOG_TOTAL in all;
 * near that its reads become small, down to RELAY_READ_MIN. Reads shrink to what a slow socket
 * took last and grow again when all is taken, so the usual backlog is small. There is no
 * allocation while bytes flow freely.
 *
 * Memory: a struct relay belongs to its caller, and to the worker from relay_start() until it comes
 * back as a struct relay_ended. The worker owns and closes both sockets.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/slots.h"
#include "os/subflow.h"
#include "relay/fit.h"

#define RELAY_READ_MIN      (16u << 10)  /* bytes; small enough for thousands of slow readers */
#define RELAY_BACKLOG_TOTAL (64u << 20)  /* bytes a worker: a router has some hundred MB */
/* Relays of one pool: their hand-overs fit the pipes between the threads, so that two threads never
 * wait for each other. */
#define RELAY_MAX 65536u

enum relay_side { RELAY_CLIENT, RELAY_SERVER };

enum relay_end {
	RELAY_END_FINISHED, /* both ways ended with a FIN */
	RELAY_END_CLIENT_RESET,
	RELAY_END_SERVER_RESET,
	RELAY_END_STOPPED, /* the daemon ends */
};
const char *relay_end_text(enum relay_end e);

/* The way of the bytes that are read from one side. */
struct relay_way {
	_Atomic uint64_t bytes; /* delivered; written by the worker, read by anyone */
	uint8_t *backlog;       /* heap: what the other side has not taken yet */
	uint32_t backlog_len, backlog_sent;
	uint32_t read_max;      /* bytes asked for in one read */
	uint8_t eof, shut;      /* FIN received; FIN passed on */
	uint8_t plain;          /* goes to a socket that is not MPTCP's */
	uint8_t full;           /* that took less than there was, since the last look */
	struct fit fit;
	uint64_t late;          /* bytes in front of a FIN that waits, as last seen; 0: none waits */
};

struct relay {
	struct slot_ref owner; /* comes back in struct relay_ended */
	int fd[2];             /* by enum relay_side */
	uint32_t events[2];    /* what epoll watches for */
	struct relay_way way[2]; /* by the side that is read */
	uint32_t slot, gen; /* in the worker's table */
	uint8_t ended;
	struct subflow_info *last; /* heap, the owner frees it: the server side's subflows at the end; NULL: none */
	unsigned int n_last;

	LIST_ENTRY(relay) lively; /* of those that moved bytes lately */
	LIST_ENTRY(relay) late;   /* of those with a FIN that waits */
	uint8_t is_lively, moved, quiet; /* on that list; bytes since the last look; looks without */
};

struct relay_ended {
	struct slot_ref owner;
	enum relay_end end;
};

struct relay_pool;

/*
 * Start @workers threads with a buffer of @buffer bytes each (at least RELAY_READ_MIN). Ended
 * relays are written to the pipe whose reading end comes back in @ended_fd: one struct relay_ended
 * each, the struct relay is its owner's again. Returns 0, or -errno with nothing started.
 */
int relay_pool_new(struct relay_pool **out, unsigned int workers, size_t buffer, int *ended_fd);
/* Ends all relays with a RST and all threads. */
void relay_pool_free(struct relay_pool *pool);

/* Relay between @client and @server, two connected non-blocking sockets, which belong to the relay
 * from here on. The caller has at most RELAY_MAX relays at once. */
void relay_start(
	struct relay_pool *pool, struct relay *r, struct slot_ref owner, int client, int server);

#endif
