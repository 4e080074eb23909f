/* SPDX-License-Identifier: ISC */
/*
 * A table of things of one size that come and go, bounded, with stable addresses.
 *
 * A reference is a slot and its generation: one to something that is gone finds nothing, even when
 * the slot is in use again. So events and timers may carry references without keeping count.
 */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

/* Generations have 24 bits, so that a reference fits an epoll tag beside 8 bits of kind. */
struct slot_ref {
	uint32_t slot, gen;
};

struct slots {
	size_t size;
	uint32_t max, used, known; /* slots: allowed, in use, ever used */
	uint32_t first_free;
	void **chunks;
	struct slot_head *heads;
};

/* Things of @size bytes, at most @max of them. Returns 0 or -ENOMEM. */
int slots_init(struct slots *s, size_t size, uint32_t max);
void slots_done(struct slots *s);

/* A zeroed thing, with its reference in @ref; NULL when @max are in use or memory is out. */
void *slots_take(struct slots *s, struct slot_ref *ref);
/* What @ref stands for, or NULL when it is gone. */
void *slots_at(const struct slots *s, struct slot_ref ref);
void slots_give(struct slots *s, struct slot_ref ref);
/* The thing in use at or behind slot @*slot, with its slot there; NULL at the end. */
void *slots_next(const struct slots *s, uint32_t *slot);

#endif
