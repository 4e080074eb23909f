/* SPDX-License-Identifier: ISC */
/*
 * A netfilter queue: packets wait in the kernel until their verdict is given.
 *
 * Fails open: what the kernel cannot queue (no daemon, too many waiting) passes as it is.
 */
#ifndef GATE_QUEUE_H
#define GATE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/packet.h"

#define QUEUE_PACKET 4096 /* room for a packet and what is put into it */

struct queue;

/* A packet that waits. It lives as long as the call that shows it; its id until the verdict. */
struct queued {
	uint32_t id;
	bool out; /* it leaves this host; else it arrives */
	struct packet p; /* in a buffer of QUEUE_PACKET bytes */
};

/* Called for each TCP segment. It must get its verdict, now or later. What is no whole TCP segment
 * is not shown: leaving, it passes; arriving, it is dropped, since what cannot be read cannot be
 * checked. */
typedef void queue_fn(void *ctx, struct queued *q);

/* Open queue @number, where at most @len packets wait. Returns 0 or -errno. */
int queue_open(struct queue **out, uint16_t number, uint32_t len, queue_fn *fn, void *ctx);
/* What still waits is dropped by the kernel. */
void queue_close(struct queue *q);

/* Readable when packets wait, for queue_read(). */
int queue_fd(const struct queue *q);
void queue_read(struct queue *q);

/* Verdicts: let it pass as it is, in this form, or not at all. */
void queue_pass(struct queue *q, uint32_t id);
void queue_pass_changed(struct queue *q, uint32_t id, const struct packet *p);
void queue_drop(struct queue *q, uint32_t id);

#endif
