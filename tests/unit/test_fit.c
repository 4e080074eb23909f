/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "relay/fit.h"

#define MB   UINT64_C(1000000)
#define TRIP (100 * MS_US)

/* A connection of which a look is taken every half second. */
struct run {
	struct fit fit;
	struct fit_facts facts;
	mono_t now;
};

static struct run begin(void)
{
	return (struct run){ .now = { .us = 1000 * S_US } };
}

/* Half a second at @rate bytes/s, with @resent of a thousand segments sent again. */
static uint64_t half_second(struct run *r, uint64_t rate, unsigned int resent)
{
	r->now = mono_add(r->now, 500 * MS_US);
	r->facts.acked += rate / 2;
	r->facts.sent += 1000;
	r->facts.resent += resent;
	r->facts.trip = TRIP;
	assert_true(fit_due(&r->fit, r->now));
	return fit_size(&r->fit, &r->facts, r->now);
}

static uint64_t run_for(struct run *r, unsigned int looks, uint64_t rate, unsigned int resent)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < looks; i++)
		size = half_second(r, rate, resent);
	return size;
}

static void test_looks_are_some_time_apart(void **state)
{
	struct run r = begin();

	half_second(&r, 10 * MB, 0);
	assert_false(fit_due(&r.fit, mono_add(r.now, 499 * MS_US)));
	assert_true(fit_due(&r.fit, mono_add(r.now, 500 * MS_US)));
}

static void test_left_to_the_kernel_while_it_becomes_faster(void **state)
{
	struct run r = begin();

	for (uint64_t rate = MB; rate < 100 * MB; rate += rate / 4)
		assert_int_equal(half_second(&r, rate, 0), 0);
	assert_int_equal(r.fit.state, FIT_KERNEL);
}

static void test_slow_ones_are_left_to_the_kernel(void **state)
{
	struct run r = begin();

	assert_int_equal(run_for(&r, 20, MB / 2, 0), 0);
}

static void test_a_steady_one_gets_what_it_needs(void **state)
{
	struct run r = begin();
	const uint64_t size = run_for(&r, 4, 10 * MB, 0);

	assert_int_equal(r.fit.state, FIT_CLOSE);
	/* 1 MB is under way. */
	assert_in_range(size, MB * 3 / 2, MB * 2);
}

static void test_it_can_become_faster(void **state)
{
	struct run r = begin();
	uint64_t rate = 10 * MB;

	run_for(&r, 4, rate, 0);
	/* It sends what it may hold once in a round trip. */
	for (int i = 0; i < 40; i++) {
		const uint64_t size = half_second(&r, rate, 0);
		assert_true(size * S_US / TRIP > rate * 5 / 4);
		if (rate < 50 * MB)
			rate = size * S_US / TRIP * 4 / 5;
	}
	assert_true(rate >= 50 * MB);
	assert_int_equal(r.fit.state, FIT_CLOSE);
}

static void test_losses_need_room(void **state)
{
	struct run r = begin();
	const uint64_t without = run_for(&r, 4, 10 * MB, 0);
	const uint64_t with = half_second(&r, 10 * MB, 5);

	assert_true(with > 2 * without);
	assert_int_equal(half_second(&r, 10 * MB, 0), without);
}

static void test_not_begun_with_losses(void **state)
{
	struct run r = begin();

	assert_int_equal(run_for(&r, 20, 10 * MB, 5), 0);
	assert_int_equal(r.fit.state, FIT_KERNEL);
}

/* Never worse than without it: what becomes slower is given room, and each time for longer. */
static void test_what_becomes_slower_is_let_go(void **state)
{
	struct run r = begin();
	unsigned int looks[3];

	for (int k = 0; k < 3; k++) {
		while (r.fit.state != FIT_CLOSE)
			half_second(&r, 10 * MB, 0);
		assert_true(run_for(&r, 3, 9 * MB, 0) > 4 * MB);
		assert_int_equal(r.fit.state, FIT_WIDE);
		for (looks[k] = 0; r.fit.state == FIT_WIDE; looks[k]++)
			assert_true(half_second(&r, 10 * MB, 0) > MB);
	}
	assert_in_range(looks[0], 35, 45);
	assert_in_range(looks[1], 150, 170);
	assert_in_range(looks[2], 600, 680);
}

static void test_one_slow_look_is_chance(void **state)
{
	struct run r = begin();

	run_for(&r, 4, 10 * MB, 0);
	for (int i = 0; i < 20; i++) {
		run_for(&r, 2, 8 * MB, 0);
		half_second(&r, 10 * MB, 0);
	}
	assert_int_equal(r.fit.state, FIT_CLOSE);
}

/* A subflow that ends takes its figures along; nothing acknowledged for a while is a rate of 0. */
static void test_figures_that_shrink(void **state)
{
	struct run r = begin();

	run_for(&r, 4, 10 * MB, 0);
	r.facts.sent = r.facts.resent = 0;
	r.facts.acked -= 5 * MB;
	assert_in_range(half_second(&r, 0, 0), 1, 3 * MB);
	assert_int_equal(r.fit.rate, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks_are_some_time_apart),
		cmocka_unit_test(test_left_to_the_kernel_while_it_becomes_faster),
		cmocka_unit_test(test_slow_ones_are_left_to_the_kernel),
		cmocka_unit_test(test_a_steady_one_gets_what_it_needs),
		cmocka_unit_test(test_it_can_become_faster),
		cmocka_unit_test(test_losses_need_room),
		cmocka_unit_test(test_not_begun_with_losses),
		cmocka_unit_test(test_what_becomes_slower_is_let_go),
		cmocka_unit_test(test_one_slow_look_is_chance),
		cmocka_unit_test(test_figures_that_shrink),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
