/* SPDX-License-Identifier: ISC */
/* How much a connection may hold: by looks at what its subflows have left to send. */
#include "testing.h"

#include "relay/fit.h"

#define KB   UINT64_C(1000)
#define MB   UINT64_C(1000000)
#define LOOK (100 * MS_US)
#define SOME 3  /* looks: a trip of 116 ms */
#define LATER 5 /* ... and 200 ms */

/* A connection over two links of 6 and 4 MB/s, and what it may hold. */
struct run {
	struct fit fit;
	struct subflow_load load[2];
	uint64_t delivered, held;
	mono_t now;
};

static struct run begin(void)
{
	struct run r = { .now = { .us = 1000 * S_US }, .held = 6 * MB,
		.load = { { .rate = 6 * MB, .rtt = 50 * MS_US }, { .rate = 4 * MB, .rtt = 100 * MS_US } } };

	fit_look(&r.fit, 0, true, r.now);
	return r;
}

/* A look at it while the subflows have these times, in ms, left to send. Returns what fit_size() does. */
static uint64_t look(struct run *r, uint64_t ms0, uint64_t ms1)
{
	r->now = mono_add(r->now, LOOK);
	r->delivered += MB;
	r->load[0].unsent = ms0 * r->load[0].rate / 1000;
	r->load[1].unsent = ms1 * r->load[1].rate / 1000;
	assert_true(fit_look(&r->fit, r->delivered, true, r->now));
	const uint64_t size = fit_size(&r->fit, r->load, 2, r->held, r->now);
	if (size)
		r->held = size;
	return size;
}

/* So many looks that are all alike; returns the last size that came of them, or 0. */
static uint64_t looks(struct run *r, unsigned int n, uint64_t ms0, uint64_t ms1)
{
	uint64_t last = 0;

	while (n--) {
		const uint64_t size = look(r, ms0, ms1);
		last = size ? size : last;
	}
	return last;
}

/* Links with so much queue beside what they hold themselves: what is not under way there is unsent. */
static void settle(struct run *r, unsigned int n)
{
	const uint64_t under_way = 6 * KB * 50 + 4 * KB * 100;

	while (n--) {
		const uint64_t ms = r->held > under_way ? (r->held - under_way) / (10 * KB) : 0;
		look(r, ms, ms);
	}
}

static void test_what_to_spare_is_taken_away(void **state)
{
	struct run r = begin();

	settle(&r, 30);
	/* 0.7 MB are under way, up to 1.2 when all waits for the slower link; some 50 ms more are kept. */
	assert_in_range(r.held, 1 * MB, 7 * MB / 4);
	const uint64_t settled = r.held;
	settle(&r, 100);
	assert_in_range(r.held, settled - settled / 10, settled);
}

/* The kernel decides until there is something to spare on every link: also while they become faster. */
static void test_the_kernels_choice_at_first(void **state)
{
	struct run r = begin();

	assert_int_equal(looks(&r, 20, 300, 30), 0);
	assert_int_equal(looks(&r, 20, 30, 300), 0);
	assert_int_equal(looks(&r, 20, 0, 300), 0);
	assert_int_equal(r.fit.size, 0);
}

static void test_one_look_is_chance(void **state)
{
	struct run r = begin();

	for (int i = 0; i < 20; i++) {
		assert_int_equal(looks(&r, SOME - 1, 200, 200), 0);
		assert_int_equal(look(&r, 200, 20), 0);
	}
}

/* Whatever is to spare, at most half of it all goes at once, and what is under way stays: 10 MB/s for 146 ms. */
static void test_bounds(void **state)
{
	struct run r = begin();

	assert_int_equal(looks(&r, SOME, 5000, 5000), 3 * MB);
	looks(&r, 30 * SOME, 5000, 5000);
	assert_in_range(r.held, 1 * MB, 1750 * KB);
}

static void test_an_idle_link_gets_room_at_once(void **state)
{
	struct run r = begin();

	settle(&r, 30);
	const uint64_t before = r.held;
	assert_int_equal(look(&r, 50, 0), before + before / 2);
	assert_in_range(look(&r, 50, 0), before * 9 / 4 - 2, before * 9 / 4);
}

/* Now and then idle, which is not much, but too much in the long run. */
static void test_somewhat_idle(void **state)
{
	struct run r = begin();

	r.load[0].rate = 100 * MB;
	r.load[1].rate = 8 * MB; /* 7 % */
	looks(&r, SOME, 200, 200);
	const uint64_t before = r.held;
	unsigned int n = 0;
	while (r.held == before && n++ < 50)
		look(&r, 40, 0);
	assert_in_range(n, 2, 10);
	assert_int_equal(r.held, before + before / 8);
}

/* A link of hardly any rate is not worth what it would take to keep it busy. */
static void test_a_throttled_link_does_not_count(void **state)
{
	struct run r = begin();

	r.load[1].rate = 6 * MB / 40; /* its burst takes 437 ms */
	assert_true(looks(&r, 9, 200, 20) != 0);
	const uint64_t before = r.held;
	assert_int_equal(looks(&r, 100, 35, 0), 0);
	assert_int_equal(r.held, before);
}

/* What was found to be too little is not tried again for a while, and each time for longer. */
static void test_it_learns(void **state)
{
	struct run r = begin();
	unsigned int n[7];

	looks(&r, 40, 100, 20); /* until its rate is known */
	for (unsigned int k = 0; k < 7; k++) {
		assert_true(looks(&r, LATER, 200, 200) > 0);
		assert_true(look(&r, 0, 0) > 0);
		const uint64_t before = r.held;
		for (n[k] = 0; r.held == before; n[k]++)
			look(&r, 100, 100);
		r.held = r.fit.size = 6 * MB;
	}
	assert_in_range(n[0], LATER, 2 * LATER);
	for (unsigned int k = 1; k < 5; k++)
		assert_in_range(n[k], 2 * n[k - 1] - LATER, 2 * n[k - 1] + LATER);
	assert_in_range(n[5], 155, 165); /* 16 s: no longer */
	assert_int_equal(n[6], n[5]);
}

/* What a silent link had is sent anew on those that have nothing else to send. */
static void test_no_room_because_a_link_is_silent(void **state)
{
	struct run r = begin();

	settle(&r, 30);
	r.load[0].unheard = 110 * MS_US;
	assert_int_equal(looks(&r, 10, 50, 0), 0);
	r.load[0].unheard = 90 * MS_US;
	assert_true(look(&r, 50, 0) > 0);
}

/* A reader that takes little leaves subflows with nothing to send, too: it gets no more for that. */
static void test_slow_readers_get_no_more_than_usual(void **state)
{
	struct run r = begin();

	settle(&r, 30);
	looks(&r, 200, 0, 0);
	/* 10 MB/s for four times 100 ms, and 1 MiB. */
	assert_in_range(r.held, 4 * MB, 6 * MB);
	assert_int_equal(looks(&r, 50, 0, 0), 0);
}

static void test_what_is_not_worth_a_look(void **state)
{
	struct fit f = { 0 };
	mono_t now = { .us = 1000 * S_US };

	assert_false(fit_look(&f, 0, true, now));
	assert_true(fit_look(&f, MB, true, now = mono_add(now, LOOK)));
	assert_false(fit_look(&f, 2 * MB, false, now = mono_add(now, LOOK)));           /* it takes all there is */
	assert_true(fit_look(&f, 2 * MB, true, now = mono_add(now, LOOK)));             /* it stands still */
	for (int i = 0; i < 30; i++)
		fit_look(&f, 2 * MB, true, now = mono_add(now, LOOK));
	assert_false(fit_look(&f, 2 * MB, true, now));                                  /* for long */
}

static void test_without_subflows(void **state)
{
	struct fit f = { 0 };
	const mono_t now = { .us = 1000 * S_US };
	const struct subflow_load unknown = { .unsent = MB };

	fit_look(&f, MB, true, now);
	assert_int_equal(fit_size(&f, NULL, 0, MB, now), 0);
	assert_int_equal(fit_size(&f, &unknown, 1, MB, now), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_to_spare_is_taken_away),
		cmocka_unit_test(test_the_kernels_choice_at_first),
		cmocka_unit_test(test_one_look_is_chance),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_an_idle_link_gets_room_at_once),
		cmocka_unit_test(test_somewhat_idle),
		cmocka_unit_test(test_a_throttled_link_does_not_count),
		cmocka_unit_test(test_it_learns),
		cmocka_unit_test(test_no_room_because_a_link_is_silent),
		cmocka_unit_test(test_slow_readers_get_no_more_than_usual),
		cmocka_unit_test(test_what_is_not_worth_a_look),
		cmocka_unit_test(test_without_subflows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
