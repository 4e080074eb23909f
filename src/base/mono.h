/* SPDX-License-Identifier: ISC */
/* Monotonic time in microseconds. A type of its own, so that it is not mixed up with a duration. */
#ifndef BASE_MONO_H
#define BASE_MONO_H

#include <stdint.h>
#include <time.h>

typedef struct {
	int64_t us;
} mono_t;

#define MS_US 1000LL
#define S_US  1000000LL

/* The loops read the clock once a turn and pass it down; only they call this. */
static inline mono_t mono_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (mono_t){ .us = ts.tv_sec * S_US + ts.tv_nsec / 1000 };
}

static inline mono_t mono_add(mono_t t, int64_t us)
{
	return (mono_t){ .us = t.us + us };
}

/* Microseconds from @from to @to; negative when @to is the earlier one. */
static inline int64_t mono_diff(mono_t to, mono_t from)
{
	return to.us - from.us;
}

#endif
