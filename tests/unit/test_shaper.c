// SPDX-License-Identifier: ISC
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settings.h"
#include "shaper.h"

#define MS INT64_C(1000000)
#define SLOTS 64
#define FULL 1514u                      /* with its check sequence: 1518 bytes on the link */

static struct shaper_slot slots[SLOTS];

static struct shaper make(struct shaper_settings set)
{
	struct shaper s;

	shaper_init(&s, slots, SLOTS, 1);
	shaper_set(&s, &set, 0);
	return s;
}

/* Push a frame that must be taken; when it is due. */
static int64_t due_of(struct shaper *s, int64_t now, uint32_t len)
{
	int32_t slot = -1;

	assert_int_equal(shaper_push(s, now, len, 0, &slot), SHAPER_QUEUED);
	return s->slots[slot].due_ns;
}

static void delay_alone(void **state)
{
	struct shaper s = make((struct shaper_settings){ .delay_ns = 15 * MS });

	assert_int_equal(due_of(&s, 100, FULL), 100 + 15 * MS);
	assert_int_equal(due_of(&s, 100, 60), 100 + 15 * MS);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.bytes, FULL + 60);
}

/* 50 Mbit/s carry 1518 bytes in 242.88 us, so 1428 bytes of payload are 94.1 % of the rate. */
static void serialization_takes_time(void **state)
{
	struct shaper s = make((struct shaper_settings){ .rate_bps = 50000000, .queue_ns = 100 * MS });

	assert_int_equal(due_of(&s, 0, FULL), 242880);
	assert_int_equal(due_of(&s, 0, FULL), 2 * 242880);
	/* Idle time is not saved up. */
	assert_int_equal(due_of(&s, 10 * MS, FULL), 10 * MS + 242880);
}

static void queue_in_time_drops_tail(void **state)
{
	struct shaper s = make((struct shaper_settings){ .rate_bps = 12144000, .queue_ns = 10 * MS });
	int32_t slot;

	/* One frame is 1 ms: one in the transmitter and ten that wait. */
	for (int i = 1; i <= 11; i++)
		assert_int_equal(due_of(&s, 0, FULL), i * MS);
	assert_int_equal(shaper_push(&s, 0, FULL, 0, &slot), SHAPER_QUEUE_FULL);
	assert_int_equal(shaper_wait(&s, 0), 11 * MS);
	assert_int_equal(due_of(&s, 1 * MS, FULL), 12 * MS);
}

static void queue_in_bytes_drops_tail(void **state)
{
	struct shaper s = make((struct shaper_settings){ .rate_bps = 12144000, .queue_bytes = 4000 });
	int32_t slot;

	due_of(&s, 0, FULL);
	due_of(&s, 0, FULL);
	assert_int_equal(shaper_backlog(&s, 0), 2 * 1518);
	assert_int_equal(shaper_push(&s, 0, FULL, 0, &slot), SHAPER_QUEUE_FULL);
	due_of(&s, 0, 100);
}

static void no_slot_no_frame(void **state)
{
	struct shaper s = make((struct shaper_settings){ .delay_ns = MS });
	int32_t slot = 77;

	for (int i = 0; i < SLOTS; i++)
		due_of(&s, 0, 60);
	assert_int_equal(shaper_push(&s, 0, 60, 0, &slot), SHAPER_POOL_FULL);
	assert_int_equal(slot, 77);
	shaper_pop(&s);
	due_of(&s, 0, 60);
	shaper_clear(&s);
	assert_int_equal(s.count, 0);
	assert_int_equal(s.bytes, 0);
	assert_int_equal(shaper_next(&s), -1);
}

static void jitter_keeps_the_order(void **state)
{
	struct shaper s = make((struct shaper_settings){ .delay_ns = 10 * MS, .jitter_ns = 5 * MS });
	int64_t last = 0, shortest = INT64_MAX, longest = 0;

	for (int64_t i = 0; i < 1000; i++) {
		const int64_t sent = i * 20 * MS, due = due_of(&s, sent, 60);
		if (due - sent < shortest)
			shortest = due - sent;
		if (due - sent > longest)
			longest = due - sent;
		shaper_pop(&s);
	}
	assert_in_range(shortest, 10 * MS, 11 * MS);
	assert_in_range(longest, 14 * MS, 15 * MS);
	for (int64_t i = 0; i < SLOTS; i++) {
		const int64_t due = due_of(&s, i * MS / 10, 60);
		assert_true(due >= last);
		last = due;
	}
}

static void loss_is_as_told_and_repeats(void **state)
{
	int32_t slot;
	int lost[2] = { 0, 0 };

	for (int run = 0; run < 2; run++) {
		struct shaper s = make((struct shaper_settings){ .loss = 2 });
		for (int i = 0; i < 100000; i++) {
			const enum shaper_verdict v = shaper_push(&s, i, 60, 0, &slot);
			if (v == SHAPER_LOST)
				lost[run]++;
			else
				shaper_pop(&s);
		}
	}
	assert_in_range(lost[0], 1800, 2200);
	assert_int_equal(lost[0], lost[1]);

	struct shaper all = make((struct shaper_settings){ .loss = 100 });
	assert_int_equal(shaper_push(&all, 0, 60, 0, &slot), SHAPER_LOST);
}

/* What is lost was on the link: the next one waits for it. */
static void lost_frames_use_the_link(void **state)
{
	struct shaper s = make((struct shaper_settings){ .rate_bps = 12144000, .queue_ns = MS,
							 .loss = 100 });
	int32_t slot;

	assert_int_equal(shaper_push(&s, 0, FULL, 0, &slot), SHAPER_LOST);
	assert_int_equal(shaper_wait(&s, 0), MS);
}

static void a_new_rate_counts_at_once(void **state)
{
	struct shaper_settings set = { .rate_bps = 12144000, .queue_ns = 100 * MS,
				       .delay_ns = 5 * MS };
	struct shaper s = make(set);

	due_of(&s, 0, FULL);
	due_of(&s, 0, FULL);
	due_of(&s, 0, FULL);
	set.rate_bps *= 2;
	/* The first has left the transmitter; half of the second and the third are yet to go. */
	shaper_set(&s, &set, 3 * MS / 2);
	assert_int_equal(s.slots[shaper_next(&s)].due_ns, 6 * MS);
	shaper_pop(&s);
	assert_int_equal(s.slots[shaper_next(&s)].due_ns, 5 * MS + 3 * MS / 2 + MS / 4);
	shaper_pop(&s);
	assert_int_equal(s.slots[shaper_next(&s)].due_ns, 5 * MS + 3 * MS / 2 + 3 * MS / 4);
	assert_int_equal(shaper_wait(&s, 3 * MS / 2), 3 * MS / 4);

	set.rate_bps = 0;
	shaper_set(&s, &set, 3 * MS / 2);
	assert_int_equal(s.slots[shaper_next(&s)].due_ns, 5 * MS + 3 * MS / 2);
	assert_int_equal(shaper_wait(&s, 3 * MS / 2), 0);
}

static void a_shorter_delay_does_not_reorder(void **state)
{
	struct shaper_settings set = { .delay_ns = 50 * MS };
	struct shaper s = make(set);

	due_of(&s, 0, 60);
	set.delay_ns = MS;
	shaper_set(&s, &set, 10 * MS);
	assert_int_equal(due_of(&s, 10 * MS, 60), 50 * MS);
	assert_int_equal(due_of(&s, 60 * MS, 60), 61 * MS);
}

static void held_frames_let_others_pass(void **state)
{
	struct shaper s = make((struct shaper_settings){ .delay_ns = 10 * MS });
	int32_t first, second, other;

	assert_int_equal(shaper_push(&s, 0, 60, 100 * MS, &first), SHAPER_QUEUED);
	assert_int_equal(shaper_push(&s, 1, 60, 100 * MS, &second), SHAPER_QUEUED);
	assert_int_equal(shaper_push(&s, 2, 60, 0, &other), SHAPER_QUEUED);
	assert_int_equal(shaper_next(&s), other);
	assert_int_equal(s.slots[other].due_ns, 10 * MS + 2);
	shaper_pop(&s);
	assert_int_equal(shaper_next(&s), first);
	shaper_pop(&s);
	assert_int_equal(shaper_next(&s), second);
}

static void settings_are_read(void **state)
{
	struct shaper_settings set = { .rate_bps = 0 };

	assert_null(settings_parse("delay=15ms", &set));
	assert_int_equal(set.delay_ns, 15 * MS);
	assert_null(settings_parse("delay=250us", &set));
	assert_int_equal(set.delay_ns, 250000);
	assert_null(settings_parse("jitter=1.5", &set));
	assert_int_equal(set.jitter_ns, 3 * MS / 2);
	assert_null(settings_parse("rate=50mbit", &set));
	assert_int_equal(set.rate_bps, 50000000);
	assert_null(settings_parse("rate=0", &set));
	assert_int_equal(set.rate_bps, 0);
	assert_null(settings_parse("queue=64kB", &set));
	assert_int_equal(set.queue_bytes, 64000);
	assert_null(settings_parse("queue=100ms", &set));
	assert_int_equal(set.queue_bytes, 0);
	assert_int_equal(set.queue_ns, 100 * MS);
	assert_null(settings_parse("loss=0.5%", &set));
	assert_true(set.loss > 0.49 && set.loss < 0.51);
}

static void bad_settings_change_nothing(void **state)
{
	static const char *const bad[] = {
		"", "delay", "=", "delay=", "delay=-1", "delay=1h", "delay=11s", "delay=inf",
		"delay= 1", "delay=nan", "delay=0x10", "rate=fast", "rate=1bit", "rate=200gbit",
		"queue=", "queue=0B", "queue=2GB", "queue=61s", "loss=101", "loss=-1", "loss=1ms",
		"colour=red", "delays=1", "rate=1mbit ", "jitter=..", "delay=1e99",
	};
	const struct shaper_settings before = { .delay_ns = 1, .rate_bps = 2, .queue_ns = 3 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct shaper_settings set = before;
		if (!settings_parse(bad[i], &set))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(set.delay_ns, before.delay_ns);
		assert_int_equal(set.jitter_ns, before.jitter_ns);
		assert_int_equal(set.rate_bps, before.rate_bps);
		assert_int_equal(set.queue_ns, before.queue_ns);
		assert_int_equal(set.queue_bytes, before.queue_bytes);
		assert_true(set.loss == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delay_alone),
		cmocka_unit_test(serialization_takes_time),
		cmocka_unit_test(queue_in_time_drops_tail),
		cmocka_unit_test(queue_in_bytes_drops_tail),
		cmocka_unit_test(no_slot_no_frame),
		cmocka_unit_test(jitter_keeps_the_order),
		cmocka_unit_test(loss_is_as_told_and_repeats),
		cmocka_unit_test(lost_frames_use_the_link),
		cmocka_unit_test(a_new_rate_counts_at_once),
		cmocka_unit_test(a_shorter_delay_does_not_reorder),
		cmocka_unit_test(held_frames_let_others_pass),
		cmocka_unit_test(settings_are_read),
		cmocka_unit_test(bad_settings_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
