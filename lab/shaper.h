/* SPDX-License-Identifier: ISC */
/*
 * One direction of an emulated link: a transmitter of a given rate with a bounded queue in front of
 * it (tail drop), then a delay line. Pure: no system call, no allocation; time is passed in.
 *
 * The arithmetic is done when a frame arrives. The transmitter is busy until `busy_ns`; a frame that
 * arrives earlier waits for it, occupies it for its own length and then spends delay and jitter on
 * the way. So the queue needs no event of its own, and what is stored is one list in the order of
 * departure. Frames keep their order, except that a held frame (see hold_until) lets others pass.
 *
 * All times are nanoseconds of one monotonic clock.
 */
#ifndef LAB_SHAPER_H
#define LAB_SHAPER_H

#include <stdbool.h>
#include <stdint.h>

/* The frame check sequence, which frames read from an interface do not contain. */
#define SHAPER_FCS 4

struct shaper_settings {
	uint64_t rate_bps;      /* 0: unlimited */
	int64_t delay_ns;       /* one way */
	int64_t jitter_ns;      /* 0 to this much is added to the delay, evenly distributed */
	int64_t queue_ns;       /* longest wait for the transmitter; only when queue_bytes is 0 */
	uint64_t queue_bytes;   /* bytes that may wait for the transmitter; 0: queue_ns counts */
	double loss;            /* percent */
};

enum shaper_verdict {
	SHAPER_QUEUED,
	SHAPER_LOST,            /* by the dice; has used its time on the link */
	SHAPER_QUEUE_FULL,
	SHAPER_POOL_FULL,       /* no slot is free: more in flight than the emulator has room for */
};

struct shaper_slot {
	int64_t finish_ns;      /* leaves the transmitter */
	int64_t due_ns;         /* arrives at the other end */
	uint32_t len;
	int32_t next, prev;     /* -1: none */
};

struct shaper {
	struct shaper_settings set;
	int64_t busy_ns;        /* the transmitter is free from here on */
	int64_t last_due_ns;    /* of the frames that were not held */
	uint64_t random;
	struct shaper_slot *slots;
	int32_t head, tail, free;
	uint32_t count;
	uint64_t bytes;
};

/* @slots is the caller's; an empty link without delay, limits or loss. */
void shaper_init(struct shaper *s, struct shaper_slot *slots, uint32_t count, uint64_t seed);

void shaper_seed(struct shaper *s, uint64_t seed);

/* Take other settings from @now on. What waits for the transmitter leaves it at the new rate; what
 * is under way arrives as it would have. */
void shaper_set(struct shaper *s, const struct shaper_settings *set, int64_t now);

/*
 * A frame of @len bytes arrives at @now. Only when the answer is SHAPER_QUEUED is there a *@slot,
 * until shaper_pop(). It departs no earlier than @hold_until (0: not held).
 */
enum shaper_verdict shaper_push(struct shaper *s, int64_t now, uint32_t len, int64_t hold_until,
				int32_t *slot);

/* When a frame of @len bytes that arrived at @now would be due, without jitter. */
int64_t shaper_expect(const struct shaper *s, int64_t now, uint32_t len);

/* The slot that departs next, or -1. */
int32_t shaper_next(const struct shaper *s);

/* Give back the slot of shaper_next(). */
void shaper_pop(struct shaper *s);

/* Forget all frames; the transmitter is free. */
void shaper_clear(struct shaper *s);

/* How long a frame that arrives at @now waits for the transmitter. */
int64_t shaper_wait(const struct shaper *s, int64_t now);

/* Bytes that wait for the transmitter or are in it at @now. */
uint64_t shaper_backlog(const struct shaper *s, int64_t now);

#endif
