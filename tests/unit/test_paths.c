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

static const char *first(struct paths *p, const char *to)
{
	const struct ip_addr a = ip(to);
	const struct wan *const w = paths_first(p, &a, 0);
	return w ? w->name : "none";
}

static void test_the_order_is_the_configurations(void **state)
{
	struct paths p = three();
	const struct ip_addr v4 = ip("198.51.100.1"), v6 = ip("2001:db8:c::1");

	assert_string_equal(first(&p, "198.51.100.1"), "dsl");
	assert_memory_equal(paths_address(&p.wan[0], &v4), &p.wan[0].addr[FAMILY_4], 16);
	assert_memory_equal(paths_address(&p.wan[0], &v6), &p.wan[0].addr[FAMILY_6], 16);
	assert_null(paths_address(NULL, &v4));
	p.wan[0].running = false;
	assert_string_equal(first(&p, "198.51.100.1"), "lte");
}

static void test_only_links_of_its_family(void **state)
{
	struct paths p = three();
	const struct ip_addr v6 = ip("2001:db8:c::1");

	p.wan[0].has[FAMILY_6] = false;
	assert_string_equal(first(&p, "2001:db8:c::1"), "lte");
	assert_int_equal(paths_count(&p, &v6, 0), 2);
	p.wan[1].has[FAMILY_6] = p.wan[2].has[FAMILY_6] = false;
	assert_string_equal(first(&p, "2001:db8:c::1"), "none");
	assert_int_equal(paths_count(&p, &v6, 0), 0);
}

static void test_backup_links_come_last(void **state)
{
	struct paths p = three();

	p.wan[0].backup = true;
	assert_string_equal(first(&p, "198.51.100.1"), "lte");
	p.wan[1].running = false;
	assert_string_equal(first(&p, "198.51.100.1"), "dsl");
}

static void silence(struct wan *w)
{
	assert_true(health_silent(&w->health, start));
}

static void test_a_silent_link_is_left_out(void **state)
{
	struct paths p = three();

	silence(&p.wan[0]);
	assert_string_equal(first(&p, "198.51.100.1"), "lte");
	health_heard(&p.wan[0].health, 0, after(1));
	assert_string_equal(first(&p, "198.51.100.1"), "dsl");
}

static void test_a_doubted_link_is_not(void **state)
{
	struct paths p = three();

	assert_true(health_doubt(&p.wan[0].health, start));
	assert_string_equal(first(&p, "198.51.100.1"), "dsl");
}

static void test_a_backup_link_before_a_silent_one(void **state)
{
	struct paths p = three();

	silence(&p.wan[0]);
	silence(&p.wan[1]);
	assert_string_equal(first(&p, "198.51.100.1"), "sat");
	silence(&p.wan[2]);
	assert_string_equal(first(&p, "198.51.100.1"), "dsl"); /* better than nothing */
}

static void test_links_to_avoid(void **state)
{
	struct paths p = three();
	const struct ip_addr to = ip("198.51.100.1");

	assert_ptr_equal(paths_first(&p, &to, 1), &p.wan[1]);
	assert_ptr_equal(paths_first(&p, &to, 3), &p.wan[2]);
	assert_null(paths_first(&p, &to, 7));
}

static void test_a_spare_link(void **state)
{
	struct paths p = three();

	assert_true(paths_spare(&p, &p.wan[0]));
	silence(&p.wan[1]);
	p.wan[2].running = false;
	assert_false(paths_spare(&p, &p.wan[0]));
	assert_true(paths_spare(&p, &p.wan[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_order_is_the_configurations),
		cmocka_unit_test(test_only_links_of_its_family),
		cmocka_unit_test(test_backup_links_come_last),
		cmocka_unit_test(test_a_silent_link_is_left_out),
		cmocka_unit_test(test_a_doubted_link_is_not),
		cmocka_unit_test(test_a_backup_link_before_a_silent_one),
		cmocka_unit_test(test_links_to_avoid),
		cmocka_unit_test(test_a_spare_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
