/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include <errno.h>

#include "steer/leases.h"

static mono_t at(int64_t s)
{
	return (mono_t){ .us = 1000000 * S_US + s * S_US };
}

/* @n converters, 192.0.2.@first and the next. */
static struct lease lease(const char *source, const char *ifname, unsigned int first, unsigned int n)
{
	struct lease l = { .order = LEASE_ORDER, .n = n };

	snprintf(l.source, sizeof(l.source), "%s", source);
	snprintf(l.ifname, sizeof(l.ifname), "%s", ifname);
	for (unsigned int i = 0; i < n; i++)
		l.at[i] = (struct endpoint){ .ip.b = { [10] = 255, 255, 192, 0, 2, (uint8_t)(first + i) },
			.port = 5124 };
	return l;
}

/* The last bytes of the addresses, "1 2 3". */
static const char *listed(const struct leases *l)
{
	static char text[256];
	struct steer_entry e[32];
	const unsigned int n = leases_list(l, e, 0, ARRAY_SIZE(e));
	size_t len = 0;

	*text = '\0';
	for (unsigned int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", i ? " " : "", e[i].at.ip.b[15]);
	return text;
}

static void put(struct leases *l, struct lease what)
{
	assert_int_equal(leases_put(l, &what), 0);
}

static void test_a_new_one_takes_the_place(void **state)
{
	struct leases l = { 0 };

	put(&l, lease("dhcp4", "dsl", 1, 2));
	put(&l, lease("dhcp4", "lte", 3, 1));
	put(&l, lease("dhcp6", "dsl", 4, 1));
	assert_string_equal(listed(&l), "1 2 3 4");
	put(&l, lease("dhcp4", "dsl", 9, 1));
	assert_string_equal(listed(&l), "9 3 4");
	put(&l, lease("dhcp4", "lte", 0, 0)); /* withdrawn */
	put(&l, lease("dhcp4", "sat", 0, 0)); /* there was none */
	assert_string_equal(listed(&l), "9 4");
}

static void test_order(void **state)
{
	struct leases l = { 0 };
	struct lease first = lease("dhcp4", "lte", 3, 1), last = lease("dhcp4", "sat", 5, 1);

	first.order = 1;
	last.order = LEASE_ORDER + 1;
	put(&l, last);
	put(&l, lease("dhcp4", "dsl", 1, 1));
	put(&l, first);
	put(&l, lease("dhcp6", "dsl", 2, 1));
	assert_string_equal(listed(&l), "3 1 2 5");
	first.order = LEASE_ORDER + 2;
	put(&l, first);
	assert_string_equal(listed(&l), "1 2 5 3");
}

static void test_one_that_is_there_already(void **state)
{
	struct leases l = { 0 };
	struct steer_entry e[8] = { { .name = "isp", .at = lease("", "", 2, 1).at[0] } };

	put(&l, lease("dhcp4", "dsl", 1, 3));
	assert_int_equal(leases_list(&l, e, 1, 8), 3);
	assert_string_equal(e[0].name, "isp");
	assert_string_equal(e[1].name, "dsl.dhcp4");
	assert_int_equal(e[2].at.ip.b[15], 3);
	assert_int_equal(leases_list(&l, e, 1, 2), 2); /* no room for more */
}

static void test_only_through_its_link(void **state)
{
	struct leases l = { 0 };
	struct lease one = lease("dhcp4", "lte", 1, 1);
	struct steer_entry e[2];

	one.only = true;
	put(&l, one);
	put(&l, lease("dhcp4", "dsl", 2, 1));
	assert_int_equal(leases_list(&l, e, 0, 2), 2);
	assert_string_equal(e[0].only, "lte");
	assert_string_equal(e[1].only, "");
}

static void test_time_is_over(void **state)
{
	struct leases l = { 0 };
	struct lease a = lease("dhcp4", "dsl", 1, 1), b = lease("dhcp4", "lte", 2, 1);

	a.expires = at(10);
	b.expires = at(20);
	put(&l, a);
	put(&l, b);
	put(&l, lease("hand", "sat", 3, 1)); /* for ever */
	assert_false(leases_expire(&l, at(9)));
	assert_true(leases_expire(&l, at(10)));
	assert_string_equal(listed(&l), "2 3");
	assert_true(leases_expire(&l, at(1000)));
	assert_string_equal(listed(&l), "3");
	assert_false(leases_expire(&l, at(1000000)));
}

static void test_no_more_than_allowed(void **state)
{
	struct leases l = { 0 };
	char name[16];

	for (unsigned int i = 0; i < LEASES_MAX; i++) {
		snprintf(name, sizeof(name), "wan%u", i);
		put(&l, lease("dhcp4", name, i, 1));
	}
	const struct lease more = lease("dhcp4", "more", 99, 1);
	assert_int_equal(leases_put(&l, &more), -ENOSPC);
	put(&l, lease("dhcp4", "wan3", 50, 1));
	put(&l, lease("dhcp4", "more", 0, 0));
	assert_int_equal(l.n, LEASES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_one_takes_the_place),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_one_that_is_there_already),
		cmocka_unit_test(test_only_through_its_link),
		cmocka_unit_test(test_time_is_over),
		cmocka_unit_test(test_no_more_than_allowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
