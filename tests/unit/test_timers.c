/* SPDX-License-Identifier: ISC */
#include <limits.h>

#include "testing.h"

#include "base/timers.h"

static mono_t at(int64_t us)
{
	return (mono_t){ .us = us };
}

static void test_none(void **state)
{
	struct timers t = { 0 };
	uint64_t tag = 4711;

	assert_false(timers_take(&t, at(INT64_MAX), &tag));
	assert_int_equal(tag, 4711);
	assert_int_equal(timers_wait_ms(&t, at(0)), -1);
	timers_done(&t);
}

static void test_due_at_its_time_not_before(void **state)
{
	struct timers t = { 0 };
	uint64_t tag = 0;

	assert_int_equal(timers_add(&t, at(1000), 7), 0);
	assert_false(timers_take(&t, at(999), &tag));
	assert_true(timers_take(&t, at(1000), &tag));
	assert_int_equal(tag, 7);
	assert_false(timers_take(&t, at(1000), &tag));
	timers_done(&t);
}

/* Each order of five, two of them at the same time. */
static void test_earliest_first_in_any_order_of_adding(void **state)
{
	static const int64_t due[5] = { 10, 20, 20, 30, 40 };

	for (unsigned int order = 0; order < 5 * 5 * 5 * 5 * 5; order++) {
		struct timers t = { 0 };
		unsigned int seen = 0, o = order;
		for (int i = 0; i < 5; i++, o /= 5) {
			assert_int_equal(timers_add(&t, at(due[o % 5]), o % 5), 0);
			seen |= 1u << o % 5;
		}
		int64_t last = 0;
		uint64_t tag;
		for (int i = 0; i < 5; i++) {
			assert_true(timers_take(&t, at(100), &tag));
			assert_true(due[tag] >= last);
			assert_true(seen & 1u << tag);
			last = due[tag];
		}
		assert_false(timers_take(&t, at(100), &tag));
		timers_done(&t);
	}
}

/* Many, added and taken in turn: what comes out is never earlier than what came before it. */
static void test_many(void **state)
{
	enum { MANY = 5000 };
	struct timers t = { 0 };
	uint64_t tag, random = 1;
	int64_t now = 0;
	unsigned int taken = 0;

	for (unsigned int i = 0; i < MANY; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		const int64_t due = now + 1 + (int64_t)(random >> 40) % 10000;
		assert_int_equal(timers_add(&t, at(due), (uint64_t)due), 0);
		now += 3;
		while (timers_take(&t, at(now), &tag)) {
			assert_true((int64_t)tag <= now);
			taken++;
		}
	}
	for (int64_t last = 0; timers_take(&t, at(INT64_MAX), &tag); taken++) {
		assert_true((int64_t)tag >= last);
		assert_true((int64_t)tag > now);
		last = (int64_t)tag;
	}
	assert_int_equal(taken, MANY);
	assert_int_equal(t.n, 0);
	timers_done(&t);
}

/* A loop that waited too short would spin; too long would be late. */
static void test_wait_is_rounded_up(void **state)
{
	struct timers t = { 0 };

	assert_int_equal(timers_add(&t, at(5000), 1), 0);
	assert_int_equal(timers_wait_ms(&t, at(0)), 5);
	assert_int_equal(timers_wait_ms(&t, at(1)), 5);
	assert_int_equal(timers_wait_ms(&t, at(4999)), 1);
	assert_int_equal(timers_wait_ms(&t, at(5000)), 0);
	assert_int_equal(timers_wait_ms(&t, at(9000)), 0);
	assert_int_equal(timers_add(&t, at(2000), 2), 0); /* the earliest counts */
	assert_int_equal(timers_wait_ms(&t, at(0)), 2);
	timers_done(&t);

	assert_int_equal(timers_add(&t, at(INT64_MAX), 3), 0);
	assert_int_equal(timers_wait_ms(&t, at(0)), INT_MAX);
	timers_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_due_at_its_time_not_before),
		cmocka_unit_test(test_earliest_first_in_any_order_of_adding),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_wait_is_rounded_up),
	};
	return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
