/* SPDX-License-Identifier: ISC */
#include "base/timers.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

void timers_done(struct timers *t)
{
	free(t->heap);
	*t = (struct timers){ 0 };
}

int timers_add(struct timers *t, mono_t due, uint64_t tag)
{
	if (t->n == t->room) {
		const size_t room = t->room ? 2 * t->room : 64;
		struct timer *const heap = realloc(t->heap, room * sizeof(*heap));
		if (!heap)
			return -ENOMEM;
		t->heap = heap;
		t->room = room;
	}

	size_t i = t->n++;
	for (; i && t->heap[(i - 1) / 2].due.us > due.us; i = (i - 1) / 2)
		t->heap[i] = t->heap[(i - 1) / 2];
	t->heap[i] = (struct timer){ .due = due, .tag = tag };
	return 0;
}

bool timers_take(struct timers *t, mono_t now, uint64_t *tag)
{
	if (!t->n || t->heap[0].due.us > now.us)
		return false;
	*tag = t->heap[0].tag;

	const struct timer last = t->heap[--t->n];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < t->n; i = child) {
		if (child + 1 < t->n && t->heap[child + 1].due.us < t->heap[child].due.us)
			child++;
		if (t->heap[child].due.us >= last.due.us)
			break;
		t->heap[i] = t->heap[child];
	}
	if (t->n)
		t->heap[i] = last;
	return true;
}

int timers_wait_ms(const struct timers *t, mono_t now)
{
	if (!t->n)
		return -1;
	const int64_t us = mono_diff(t->heap[0].due, now);
	if (us <= 0)
		return 0;
	const int64_t ms = us / 1000 + (us % 1000 != 0);
	return ms > INT_MAX ? INT_MAX : (int)ms;
}
