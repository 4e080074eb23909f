/* SPDX-License-Identifier: ISC */
/*
 * One thread's event loop: epoll and deadlines.
 *
 * What an event is about travels as a tag: a kind, and the slot and generation of a thing. Stale
 * tags find nothing (base/slots.h), so a callback may end anything at any time.
 */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mono.h"
#include "base/slots.h"
#include "base/timers.h"

struct loop_tag {
	uint8_t kind; /* the owner's enum */
	struct slot_ref ref;
};

/* @events is epoll's mask. */
typedef void loop_event_fn(void *ctx, struct loop_tag tag, uint32_t events);
typedef void loop_timer_fn(void *ctx, struct loop_tag tag);

struct loop {
	int epfd;
	bool stop;
	mono_t now; /* read once a turn */
	struct timers timers;
};

int loop_init(struct loop *l); /* 0 or -errno */
void loop_done(struct loop *l);

/* Watch @fd for @events (with EPOLLET if wanted); loop_mod() changes that. Closing @fd ends it.
 * Return 0 or -errno. */
int loop_add(struct loop *l, int fd, uint32_t events, struct loop_tag tag);
int loop_mod(struct loop *l, int fd, uint32_t events, struct loop_tag tag);
/* Stop watching an fd that goes on elsewhere. */
void loop_del(struct loop *l, int fd);

/* Call back with @tag @us from now. Returns 0 or -ENOMEM. */
int loop_after(struct loop *l, int64_t us, struct loop_tag tag);

/* Run until loop->stop. Returns 0 or -errno. */
int loop_run(struct loop *l, loop_event_fn *on_event, loop_timer_fn *on_timer, void *ctx);

#endif
