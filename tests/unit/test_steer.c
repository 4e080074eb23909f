/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "steer/steer.h"

#define TTL (600 * S_US)

static mono_t at(int64_t s)
{
	return (mono_t){ .us = 1000000 * S_US + s * S_US };
}

static struct steer_entry entry(unsigned int i)
{
	struct steer_entry e = { .at = { .ip.b = { [10] = 255, 255, 192, 0, 2, (uint8_t)i }, .port = 5124 } };

	snprintf(e.name, sizeof(e.name), "c%u", i);
	return e;
}

/* @n converters that are all usable. */
static struct steer steer_of(unsigned int n)
{
	struct steer s = { .distrust_ttl = TTL };
	struct steer_entry e[STEER_CONVERTERS] = { 0 };

	for (unsigned int i = 0; i < n; i++)
		e[i] = entry(i);
	assert_int_equal(steer_list(&s, e, n, 0), 0);
	return s;
}

static void test_in_the_order_of_the_configuration(void **state)
{
	struct steer s = steer_of(3);

	assert_ptr_equal(steer_pick(&s, 0, at(0)), &s.converter[0]);
	assert_ptr_equal(steer_pick(&s, 1, at(0)), &s.converter[1]);
	assert_ptr_equal(steer_pick(&s, 1 | 2, at(0)), &s.converter[2]);
	assert_ptr_equal(steer_pick(&s, 2, at(0)), &s.converter[0]);
	assert_null(steer_pick(&s, 1 | 2 | 4, at(0)));
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(steer_bit(&s, &s.converter[i]), 1u << i);
}

static void test_none_is_configured(void **state)
{
	struct steer s = steer_of(0);
	assert_null(steer_pick(&s, 0, at(0)));
}

static void test_all_that_are_allowed(void **state)
{
	struct steer s = steer_of(STEER_CONVERTERS);
	uint32_t tried = 0;

	for (unsigned int i = 0; i < STEER_CONVERTERS; i++) {
		struct converter *const c = steer_pick(&s, tried, at(0));
		assert_ptr_equal(c, &s.converter[i]);
		tried |= steer_bit(&s, c);
	}
	assert_null(steer_pick(&s, tried, at(0)));
}

/* What stays in the list stays what it is, at its place in the new order. */
static void test_another_list(void **state)
{
	struct steer s = steer_of(3);
	struct converter *const kept = &s.converter[2];
	const struct steer_entry e[] = { entry(7), entry(2) };

	steer_wrong(&s, &s.converter[0], at(0));
	steer_busy(kept, 50, at(0));
	kept->connections = 42;
	assert_int_equal(steer_list(&s, e, 2, 0), 0);
	assert_int_equal(kept->connections, 42);
	assert_string_equal(steer_next(&s, NULL)->name, "c7");
	assert_ptr_equal(steer_next(&s, steer_next(&s, NULL)), kept);
	assert_null(steer_next(&s, kept));
	assert_string_equal(steer_pick(&s, 0, at(0))->name, "c7");
	assert_int_equal(kept->trust, TRUST_BACKING_OFF);
	assert_int_equal(steer_list(&s, NULL, 0, 0), 0);
	assert_null(steer_pick(&s, 0, at(100)));
}

/* A slot that is referred to is not given to another converter, however often the list changes. */
static void test_slots_that_are_referred_to(void **state)
{
	struct steer s = steer_of(1);
	struct steer_entry e;

	for (unsigned int i = 1; i < 100; i++) {
		e = entry(i);
		assert_int_equal(steer_list(&s, &e, 1, 1), 0);
		assert_string_equal(s.converter[0].name, "c0");
		assert_string_equal(steer_pick(&s, 0, at(0))->name, e.name);
	}
	e = entry(100);
	assert_int_equal(steer_list(&s, &e, 1, UINT32_MAX), 1);
	assert_null(steer_pick(&s, 0, at(0)));
}

static void test_a_new_converter_ends_distrust(void **state)
{
	struct steer s = steer_of(2);
	struct steer_entry e[] = { entry(0), entry(1), entry(2) };

	steer_wrong(&s, &s.converter[0], at(0));
	steer_unreachable(&s.converter[1], at(0));
	steer_list(&s, e, 2, 0);
	assert_int_equal(s.converter[0].trust, TRUST_DISTRUSTED); /* it is the same list */
	steer_list(&s, e, 3, 0);
	assert_int_equal(s.converter[0].trust, TRUST_USABLE);
	assert_int_equal(s.converter[1].trust, TRUST_UNREACHABLE);
}

static void test_more_than_are_allowed(void **state)
{
	struct steer s = steer_of(0);
	struct steer_entry e[STEER_CONVERTERS + 5];

	for (unsigned int i = 0; i < ARRAY_SIZE(e); i++)
		e[i] = entry(i);
	assert_int_equal(steer_list(&s, e, ARRAY_SIZE(e), 0), 5);
	unsigned int n = 0;
	for (const struct converter *c = NULL; (c = steer_next(&s, c)); n++)
		assert_string_equal(c->name, e[n].name);
	assert_int_equal(n, STEER_CONVERTERS);
}

static void test_distrusted_for_the_configured_time(void **state)
{
	struct steer s = steer_of(2);
	struct converter *const c = &s.converter[0];

	assert_int_equal(steer_wrong(&s, c, at(0)), TTL);
	assert_int_equal(c->trust, TRUST_DISTRUSTED);
	assert_ptr_equal(steer_pick(&s, 0, at(0)), &s.converter[1]);
	assert_ptr_equal(steer_pick(&s, 0, at(599)), &s.converter[1]);
	assert_ptr_equal(steer_pick(&s, 0, at(600)), c);
	assert_int_equal(c->trust, TRUST_USABLE);
	assert_int_equal(c->failed, 1);
}

static void test_busy_for_as_long_as_it_asked(void **state)
{
	struct steer s = steer_of(1);
	struct converter *const c = &s.converter[0];

	assert_int_equal(steer_busy(c, 45, at(0)), 45 * S_US);
	assert_int_equal(c->trust, TRUST_BACKING_OFF);
	assert_null(steer_pick(&s, 0, at(44)));
	assert_ptr_equal(steer_pick(&s, 0, at(45)), c);
}

/* The waits between probes double from 1 s to 30 s. */
static void test_unreachable_until_a_probe_reaches_it(void **state)
{
	static const int64_t waits[] = { 1, 2, 4, 8, 16, 30, 30, 30 };
	struct steer s = steer_of(1);
	struct converter *const c = &s.converter[0];
	int64_t now = 0;

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		assert_int_equal(steer_unreachable(c, at(now)), waits[i] * S_US);
		assert_int_equal(c->trust, TRUST_UNREACHABLE);
		assert_false(steer_probe_due(c, at(now + waits[i] - 1)));
		now += waits[i];
		assert_true(steer_probe_due(c, at(now)));
	}
	assert_null(steer_pick(&s, 0, at(now + 1000000))); /* time alone does not help */

	steer_reached(c);
	assert_ptr_equal(steer_pick(&s, 0, at(now)), c);
	assert_false(steer_probe_due(c, at(now)));
	assert_int_equal(steer_unreachable(c, at(now)), 1 * S_US); /* from the start again */
}

static void test_one_probe_at_a_time(void **state)
{
	struct converter c = { .listed = true, .probing = true };

	steer_unreachable(&c, at(0));
	assert_false(steer_probe_due(&c, at(100)));
	c.probing = false;
	assert_true(steer_probe_due(&c, at(100)));
}

/* A hundred sessions that fail together are one failure. */
static void test_sessions_that_fail_together_count_once(void **state)
{
	struct converter c = { 0 };

	assert_int_equal(steer_unreachable(&c, at(0)), 1 * S_US);
	for (int i = 0; i < 100; i++)
		assert_int_equal(steer_unreachable(&c, mono_add(at(0), 400 * MS_US)), 600 * MS_US);
	assert_int_equal(c.failures, 1);
	assert_int_equal(steer_unreachable(&c, at(1)), 2 * S_US);
}

/* Only unreachable ones are probed. */
static void test_no_probe_for_the_others(void **state)
{
	struct steer s = steer_of(3);

	steer_wrong(&s, &s.converter[0], at(0));
	steer_busy(&s.converter[1], 30, at(0));
	for (int i = 0; i < 3; i++)
		assert_false(steer_probe_due(&s.converter[i], at(10000)));
	/* and a probe that was under way does not bring trust back */
	steer_reached(&s.converter[0]);
	assert_int_equal(s.converter[0].trust, TRUST_DISTRUSTED);
}

/* Connections that were under way do not shorten the time for which a converter is left out. */
static void test_what_was_under_way_does_not_shorten_the_time(void **state)
{
	struct steer s = steer_of(1);
	struct converter *const c = &s.converter[0];

	steer_wrong(&s, c, at(0));
	assert_int_equal(steer_unreachable(c, at(1)), TTL - 1 * S_US);
	assert_int_equal(steer_busy(c, 30, at(2)), TTL - 2 * S_US);
	assert_int_equal(steer_unauthorized(c, at(3)), TTL - 3 * S_US);
	steer_good(c, at(4));
	assert_int_equal(c->trust, TRUST_DISTRUSTED);
	assert_null(steer_pick(&s, 0, at(599)));
	assert_ptr_equal(steer_pick(&s, 0, at(600)), c);

	/* A longer one counts. */
	steer_busy(c, 30, at(600));
	assert_int_equal(steer_wrong(&s, c, at(601)), TTL);
	assert_null(steer_pick(&s, 0, at(1200)));
	assert_ptr_equal(steer_pick(&s, 0, at(1201)), c);
}

static void test_unauthorized(void **state)
{
	struct steer s = steer_of(1);
	struct converter *const c = &s.converter[0];

	/* One that never served us refuses us. */
	assert_int_equal(steer_unauthorized(c, at(0)), 30 * S_US);
	assert_null(steer_pick(&s, 0, at(29)));
	assert_ptr_equal(steer_pick(&s, 0, at(30)), c);

	/* One that does has refused this server. */
	steer_good(c, at(31));
	assert_int_equal(steer_unauthorized(c, at(32)), 0);
	assert_ptr_equal(steer_pick(&s, 0, at(32)), c);
}

static void test_good_makes_usable_and_proven(void **state)
{
	struct steer s = steer_of(1);
	struct converter *const c = &s.converter[0];

	assert_false(steer_proven(c, at(0)));
	steer_unreachable(c, at(0));
	steer_good(c, at(1)); /* its handshake was slow, not lost */
	assert_ptr_equal(steer_pick(&s, 0, at(1)), c);
	assert_int_equal(c->failures, 0);
	assert_int_equal(c->verified, 1);
	assert_true(steer_proven(c, at(1)));
	assert_true(steer_proven(c, at(3600)));
	assert_false(steer_proven(c, at(3601)));
}

static void test_patience(void **state)
{
	static const struct {
		int64_t rtt_ms;
		uint8_t patience; /* 10 ms */
	} cases[] = {
		{ 0, 0 }, /* not known */
		{ 10, 89 },
		{ 100, 80 },
		{ 880, 2 },
		{ 895, 0 },
		{ 900, 0 }, /* nothing is left of the second */
		{ 5000, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct converter c = { .rtt = cases[i].rtt_ms * MS_US };
		assert_int_equal(steer_patience(&c), cases[i].patience);
	}
}

/* What a link carries is remembered for 30 s, longer each time, and not longer than distrust. */
static void test_a_link_that_carries_less(void **state)
{
	static const int64_t times[] = { 30, 60, 120, 240, 480, 600, 600 };
	struct steer s = steer_of(1);
	struct converter *const c = &s.converter[0];
	int64_t now = 0;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		assert_int_equal(steer_carriage(c, 1, at(now)), CARRY_ALL);
		assert_int_equal(steer_carries(&s, c, 1, CARRY_STREAM, at(now)), times[i] * S_US);
		/* Others that find out the same, or less, while it is known. */
		assert_int_equal(steer_carries(&s, c, 1, CARRY_STREAM, at(now + 1)), (times[i] - 1) * S_US);
		assert_int_equal(steer_carries(&s, c, 1, CARRY_SYN, at(now + 1)), (times[i] - 1) * S_US);
		assert_int_equal(steer_carriage(c, 1, at(now + times[i] - 1)), CARRY_STREAM);
		assert_int_equal(steer_carriage(c, 0, at(now)), CARRY_ALL); /* another link */
		now += times[i];
	}
	steer_carries_all(c, 1);
	assert_int_equal(steer_carries(&s, c, 1, CARRY_NOTHING, at(now)), 30 * S_US);
}

static void test_a_link_that_carries_even_less(void **state)
{
	struct steer s = steer_of(1);
	struct converter *const c = &s.converter[0];

	steer_carries(&s, c, 0, CARRY_SYN, at(0));
	assert_int_equal(steer_carriage(c, 0, at(1)), CARRY_SYN);
	steer_carries(&s, c, 0, CARRY_NOTHING, at(1));
	assert_int_equal(steer_carriage(c, 0, at(2)), CARRY_NOTHING);
}

static void test_texts_differ(void **state)
{
	for (enum trust a = TRUST_USABLE; a <= TRUST_DISTRUSTED; a++) {
		assert_string_not_equal(trust_text(a), "?");
		for (enum trust b = TRUST_USABLE; b < a; b++)
			assert_string_not_equal(trust_text(a), trust_text(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_the_order_of_the_configuration),
		cmocka_unit_test(test_none_is_configured),
		cmocka_unit_test(test_all_that_are_allowed),
		cmocka_unit_test(test_another_list),
		cmocka_unit_test(test_slots_that_are_referred_to),
		cmocka_unit_test(test_a_new_converter_ends_distrust),
		cmocka_unit_test(test_more_than_are_allowed),
		cmocka_unit_test(test_distrusted_for_the_configured_time),
		cmocka_unit_test(test_busy_for_as_long_as_it_asked),
		cmocka_unit_test(test_unreachable_until_a_probe_reaches_it),
		cmocka_unit_test(test_one_probe_at_a_time),
		cmocka_unit_test(test_sessions_that_fail_together_count_once),
		cmocka_unit_test(test_no_probe_for_the_others),
		cmocka_unit_test(test_what_was_under_way_does_not_shorten_the_time),
		cmocka_unit_test(test_unauthorized),
		cmocka_unit_test(test_good_makes_usable_and_proven),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_a_link_that_carries_less),
		cmocka_unit_test(test_a_link_that_carries_even_less),
		cmocka_unit_test(test_texts_differ),
	};
	return cmocka_run_group_tests_name("steer", tests, NULL, NULL);
}
