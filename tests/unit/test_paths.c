/* SPDX-License-Identifier: ISC */
/* Which link a connection begins on; what is done to the kernel is tested end to end. */
#include "testing.h"

#include "paths/paths.h"

static const mono_t start = { .us = 1000 * S_US };

static mono_t after(int64_t seconds)
{
	return mono_add(start, seconds * S_US);
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr a;
	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

/* Three links with both families; the last one is a backup. */
static struct paths three(void)
{
	struct paths p = { .n = 3 };
	static const char *const names[] = { "dsl", "lte", "sat" };

	for (unsigned int i = 0; i < p.n; i++) {
		memcpy(p.wan[i].name, names[i], 4);
		p.wan[i].running = p.wan[i].has[FAMILY_4] = p.wan[i].has[FAMILY_6] = true;
		p.wan[i].addr[FAMILY_4] = ip("192.0.2.1");
		p.wan[i].addr[FAMILY_6] = ip("2001:db8::1");
	}
	p.wan[2].backup = true;
	return p;
}

static const char *first(struct paths *p, const char *to, mono_t now)
{
	const struct ip_addr a = ip(to);
	const struct wan *const w = paths_first(p, &a, 0, now);
	return w ? w->name : "none";
}

static void test_the_order_is_the_configurations(void **state)
{
	struct paths p = three();
	const struct ip_addr v4 = ip("198.51.100.1"), v6 = ip("2001:db8:c::1");

	assert_string_equal(first(&p, "198.51.100.1", start), "dsl");
	assert_memory_equal(paths_address(&p.wan[0], &v4), &p.wan[0].addr[FAMILY_4], 16);
	assert_memory_equal(paths_address(&p.wan[0], &v6), &p.wan[0].addr[FAMILY_6], 16);
	assert_null(paths_address(NULL, &v4));
	p.wan[0].running = false;
	assert_string_equal(first(&p, "198.51.100.1", start), "lte");
}

static void test_only_links_of_its_family(void **state)
{
	struct paths p = three();
	const struct ip_addr v6 = ip("2001:db8:c::1");

	p.wan[0].has[FAMILY_6] = false;
	assert_string_equal(first(&p, "2001:db8:c::1", start), "lte");
	assert_int_equal(paths_count(&p, &v6), 2);
	p.wan[1].has[FAMILY_6] = p.wan[2].has[FAMILY_6] = false;
	assert_string_equal(first(&p, "2001:db8:c::1", start), "none");
	assert_int_equal(paths_count(&p, &v6), 0);
}

static void test_backup_links_come_last(void **state)
{
	struct paths p = three();

	p.wan[0].backup = true;
	assert_string_equal(first(&p, "198.51.100.1", start), "lte");
	p.wan[1].running = false;
	assert_string_equal(first(&p, "198.51.100.1", start), "dsl");
}

static void test_a_silent_link_is_left_out_for_a_time(void **state)
{
	struct paths p = three();

	assert_int_equal(paths_silent(&p.wan[0], start), 10 * S_US);
	assert_string_equal(first(&p, "198.51.100.1", start), "lte");
	assert_string_equal(first(&p, "198.51.100.1", after(9)), "lte");
	assert_string_equal(first(&p, "198.51.100.1", after(10)), "dsl");
}

static void test_a_backup_link_before_a_silent_one(void **state)
{
	struct paths p = three();

	paths_silent(&p.wan[0], start);
	paths_silent(&p.wan[1], start);
	assert_string_equal(first(&p, "198.51.100.1", start), "sat");
	paths_silent(&p.wan[2], start);
	assert_string_equal(first(&p, "198.51.100.1", start), "dsl"); /* better than nothing */
}

static void test_the_time_doubles_and_ends(void **state)
{
	struct paths p = three();
	struct wan *const w = &p.wan[0];
	static const int expected[] = { 10, 20, 40, 80, 120, 120 };
	mono_t now = start;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(paths_silent(w, now), expected[i] * S_US);
		/* Found silent by another connection meanwhile: the same silence. */
		assert_int_equal(paths_silent(w, mono_add(now, S_US)), (expected[i] - 1) * S_US);
		now = mono_add(now, expected[i] * S_US);
	}
	paths_answered(w);
	assert_string_equal(first(&p, "198.51.100.1", start), "dsl");
	assert_int_equal(paths_silent(w, now), 10 * S_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_order_is_the_configurations),
		cmocka_unit_test(test_only_links_of_its_family),
		cmocka_unit_test(test_backup_links_come_last),
		cmocka_unit_test(test_a_silent_link_is_left_out_for_a_time),
		cmocka_unit_test(test_a_backup_link_before_a_silent_one),
		cmocka_unit_test(test_the_time_doubles_and_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
