/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "paths/health.h"

static const mono_t start = { .us = 1000 * S_US };

static mono_t after(int64_t ms)
{
	return mono_add(start, ms * MS_US);
}

/* Look every 100 ms from @from to @to; returns the number of probes. */
static unsigned int look(struct health *h, bool spare, int64_t from, int64_t to)
{
	unsigned int n = 0;

	for (int64_t ms = from; ms < to; ms += 100) {
		health_judge(h, spare, after(ms));
		n += health_probe(h, after(ms));
	}
	return n;
}

static void test_a_good_link_is_not_probed(void **state)
{
	struct health h = { 0 };

	assert_int_equal(look(&h, true, 0, 60000), 0);
	assert_int_equal(h.state, HEALTH_GOOD);
}

static void test_from_doubt_to_death(void **state)
{
	struct health h = { 0 };

	assert_true(health_doubt(&h, start));
	assert_false(health_doubt(&h, start));
	assert_int_equal(look(&h, true, 0, 600), 2);
	assert_int_equal(h.state, HEALTH_DOUBTED);
	look(&h, true, 600, 700);
	assert_int_equal(h.state, HEALTH_SILENT);
	assert_int_equal(h.silences, 1);
	look(&h, true, 700, 2000);
	assert_int_equal(h.state, HEALTH_SILENT);
	look(&h, true, 2000, 2100);
	assert_int_equal(h.state, HEALTH_DEAD);
	assert_int_equal(health_heard(&h, 0, after(2500)), 2500 * MS_US);
	assert_int_equal(h.state, HEALTH_GOOD);
	assert_int_equal(health_heard(&h, 0, after(2600)), 0);
}

static void test_an_answer_ends_a_doubt(void **state)
{
	struct health h = { 0 };

	health_doubt(&h, start);
	look(&h, true, 0, 300);
	assert_int_equal(health_heard(&h, 0, after(300)), 0); /* it was never silent */
	assert_int_equal(look(&h, true, 300, 10000), 0);
	assert_int_equal(h.silences, 0);
}

static void test_the_last_link_does_not_die(void **state)
{
	struct health h = { 0 };

	assert_true(health_silent(&h, start));
	look(&h, false, 0, 60000);
	assert_int_equal(h.state, HEALTH_SILENT);
	look(&h, true, 60000, 60100);
	assert_int_equal(h.state, HEALTH_DEAD);
}

static void test_probes_become_rarer(void **state)
{
	struct health h = { 0 };

	health_silent(&h, start);
	assert_in_range(look(&h, true, 0, 3000), 9, 10);
	look(&h, true, 3000, 60000);
	assert_in_range(look(&h, true, 60000, 70000), 2, 3);
	look(&h, true, 70000, 600000);
	assert_in_range(look(&h, true, 600000, 660000), 5, 7);
}

/* As the interface's figure is looked at, four times a second. */
static bool receive(struct health *h, unsigned int packets, int64_t from, int64_t to)
{
	bool doubted = false;

	for (int64_t ms = from; ms < to; ms += 250)
		doubted = health_received(h, h->received + packets, after(ms)) || doubted;
	return doubted;
}

static void test_a_busy_link_that_falls_quiet(void **state)
{
	struct health h = { 0 };

	assert_false(receive(&h, 100, 0, 2000));
	assert_false(receive(&h, 0, 2000, 2250));
	assert_true(receive(&h, 0, 2250, 2750));
	assert_int_equal(h.state, HEALTH_DOUBTED);
	health_heard(&h, 0, after(2800));
	assert_false(receive(&h, 0, 2750, 60000)); /* asked once */
	assert_false(receive(&h, 100, 60000, 61000));
	assert_true(receive(&h, 0, 61000, 62000));
}

static void test_a_few_packets_raise_no_doubt(void **state)
{
	struct health h = { 0 };

	assert_false(receive(&h, 5, 0, 750));
	assert_false(receive(&h, 0, 750, 10000));
	assert_false(receive(&h, 5, 10000, 10750));
	assert_false(receive(&h, 0, 10750, 20000));
}

static void test_an_interface_that_counts_anew(void **state)
{
	struct health h = { 0 };

	receive(&h, 1000, 0, 1000);
	assert_false(health_received(&h, 10, after(1000)));
	assert_false(health_received(&h, 20, after(1250)));
	assert_true(receive(&h, 0, 1500, 2500));
}

static void test_patience(void **state)
{
	struct health h = { 0 };

	assert_int_equal(health_patience(&h), 450 * MS_US);
	health_heard(&h, 20 * MS_US, start);
	assert_int_equal(health_patience(&h), 250 * MS_US);
	health_heard(&h, 2000 * MS_US, start); /* the server took its time */
	assert_in_range(h.rtt, 100 * MS_US, 150 * MS_US);
	assert_int_equal(health_patience(&h), 450 * MS_US);
	health_heard(&h, 80 * MS_US, start);
	assert_int_equal(health_patience(&h), 320 * MS_US);
}

static void test_words(void **state)
{
	assert_string_equal(health_text(HEALTH_GOOD), "good");
	assert_string_equal(health_text(HEALTH_DEAD), "dead");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_link_is_not_probed),
		cmocka_unit_test(test_from_doubt_to_death),
		cmocka_unit_test(test_an_answer_ends_a_doubt),
		cmocka_unit_test(test_the_last_link_does_not_die),
		cmocka_unit_test(test_probes_become_rarer),
		cmocka_unit_test(test_a_busy_link_that_falls_quiet),
		cmocka_unit_test(test_a_few_packets_raise_no_doubt),
		cmocka_unit_test(test_an_interface_that_counts_anew),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
