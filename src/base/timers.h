/* SPDX-License-Identifier: ISC */
/*
 * Deadlines, earliest first: a binary heap of times with a 64-bit tag each.
 *
 * There is no cancelling: a tag whose thing is gone, or whose thing has another deadline by now,
 * comes out in its time and is ignored by its owner. So an entry lives no longer than its delay.
 */
#ifndef BASE_TIMERS_H
#define BASE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mono.h"

struct timers {
	struct timer {
		mono_t due;
		uint64_t tag;
	} *heap;
	size_t n, room;
};

void timers_done(struct timers *t);
/* Returns 0, or -ENOMEM with nothing added. */
int timers_add(struct timers *t, mono_t due, uint64_t tag);
/* Takes the earliest one out when it is due at @now. */
bool timers_take(struct timers *t, mono_t now, uint64_t *tag);
/* Milliseconds until the earliest one, rounded up; -1 when there is none. */
int timers_wait_ms(const struct timers *t, mono_t now);

#endif
