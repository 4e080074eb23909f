/* SPDX-License-Identifier: ISC */
/*
 * A SYN/ACK that is held back until it is known what to answer.
 *
 * While it is held the kernel sends it again, by timer or for a repeated SYN: the newest one is kept
 * and the older one dropped. Its bytes are kept, since a verdict that changes a packet must bring
 * all of it.
 */
#ifndef GATE_HOLD_H
#define GATE_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate/queue.h"

#define HOLD_PACKET 128 /* bytes of a SYN/ACK: IPv6 and TCP headers take at most 100 */

struct hold {
	bool held;
	uint32_t id;
	size_t len;
	uint8_t packet[HOLD_PACKET];
};

/* Hold @p back; one that is longer than any SYN/ACK of the kernel passes. */
void hold_take(struct hold *h, struct queue *q, const struct queued *p);
/* The verdicts; each does nothing when nothing is held. */
void hold_release(struct hold *h, struct queue *q);
/* With @bytes as its payload, which the peer takes for the first bytes of the stream. Returns
 * whether it was done. */
bool hold_answer(struct hold *h, struct queue *q, const void *bytes, size_t len);
/* As a RST. */
void hold_refuse(struct hold *h, struct queue *q);
void hold_drop(struct hold *h, struct queue *q);

#endif
