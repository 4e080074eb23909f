/* SPDX-License-Identifier: ISC */
#include "gate/hold.h"

#include <string.h>

void hold_take(struct hold *h, struct queue *q, const struct queued *p)
{
	if (p->p.len > sizeof(h->packet)) {
		queue_pass(q, p->id);
		return;
	}
	hold_drop(h, q);
	h->held = true;
	h->id = p->id;
	h->len = p->p.len;
	memcpy(h->packet, p->p.buf, h->len);
}

void hold_release(struct hold *h, struct queue *q)
{
	if (h->held)
		queue_pass(q, h->id);
	h->held = false;
}

bool hold_answer(struct hold *h, struct queue *q, const void *bytes, size_t len)
{
	uint8_t buf[QUEUE_PACKET];
	struct packet p;

	if (!h->held)
		return false;
	memcpy(buf, h->packet, h->len);
	if (!packet_parse(buf, h->len, &p) || !packet_extend(&p, sizeof(buf), bytes, len))
		return false;
	queue_pass_changed(q, h->id, &p);
	h->held = false;
	return true;
}

void hold_refuse(struct hold *h, struct queue *q)
{
	struct packet p;

	if (!h->held)
		return;
	if (packet_parse(h->packet, h->len, &p)) {
		packet_reset(&p);
		queue_pass_changed(q, h->id, &p);
	} else {
		queue_drop(q, h->id);
	}
	h->held = false;
}

void hold_drop(struct hold *h, struct queue *q)
{
	if (h->held)
		queue_drop(q, h->id);
	h->held = false;
}
