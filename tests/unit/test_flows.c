/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "base/flows.h"

#define MANY 5000u

static const uint8_t key[FLOWS_KEY] = "0123456789abcde";

static struct flow flow_of(unsigned int n)
{
	struct flow f = { .near.port = 5124, .far.port = (uint16_t)(1024 + n % 8) };

	f.far.ip.b[12] = (uint8_t)(n >> 16);
	f.far.ip.b[13] = (uint8_t)(n >> 8);
	f.far.ip.b[14] = (uint8_t)n;
	return f;
}

static struct slot_ref ref_of(unsigned int n)
{
	return (struct slot_ref){ .slot = n };
}

/* What flow @n leads to, or -1. */
static int64_t got(const struct flows *f, unsigned int n)
{
	const struct flow flow = flow_of(n);
	struct slot_ref ref;

	return flows_get(f, &flow, &ref) ? (int64_t)ref.slot : -1;
}

static void put(struct flows *f, unsigned int n, unsigned int to)
{
	const struct flow flow = flow_of(n);

	assert_int_equal(flows_put(f, &flow, ref_of(to)), 0);
}

static void removed(struct flows *f, unsigned int n)
{
	const struct flow flow = flow_of(n);

	flows_remove(f, &flow);
}

static void test_an_empty_one(void **state)
{
	struct flows f;

	flows_init(&f, key);
	assert_int_equal(got(&f, 0), -1);
	removed(&f, 0);
	flows_done(&f);
}

static void test_put_get_remove(void **state)
{
	struct flows f;

	flows_init(&f, key);
	put(&f, 1, 10);
	put(&f, 2, 20);
	assert_int_equal(got(&f, 1), 10);
	assert_int_equal(got(&f, 2), 20);
	assert_int_equal(got(&f, 3), -1);
	put(&f, 1, 11); /* in place of */
	assert_int_equal(got(&f, 1), 11);
	assert_int_equal(f.used, 2);
	removed(&f, 3);
	removed(&f, 1);
	assert_int_equal(got(&f, 1), -1);
	assert_int_equal(got(&f, 2), 20);
	flows_done(&f);
	assert_int_equal(got(&f, 2), -1);
}

static void test_either_end_counts(void **state)
{
	struct flows f;
	struct flow a = flow_of(1);
	struct slot_ref ref;

	flows_init(&f, key);
	put(&f, 1, 1);
	a.near.port++;
	assert_false(flows_get(&f, &a, &ref));
	a = flow_of(1);
	a.near.ip.b[0] = 1;
	assert_false(flows_get(&f, &a, &ref));
	a = (struct flow){ .near = flow_of(1).far, .far = flow_of(1).near };
	assert_false(flows_get(&f, &a, &ref));
	flows_done(&f);
}

/* Holes are closed: those that stood behind what is removed are still found, through every growth. */
static void test_many_come_and_go(void **state)
{
	struct flows f;

	flows_init(&f, key);
	for (unsigned int n = 0; n < MANY; n++)
		put(&f, n, n);
	for (unsigned int step = 1; step < 8; step += 2) {
		for (unsigned int n = 0; n < MANY; n += step)
			removed(&f, n);
		for (unsigned int n = 0; n < MANY; n++)
			assert_int_equal(got(&f, n), n % step == 0 ? -1 : (int64_t)n);
		for (unsigned int n = 0; n < MANY; n += step)
			put(&f, n, n);
	}
	assert_int_equal(f.used, MANY);
	for (unsigned int n = MANY; n-- > 0;)
		removed(&f, n);
	assert_int_equal(f.used, 0);
	flows_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_one),
		cmocka_unit_test(test_put_get_remove),
		cmocka_unit_test(test_either_end_counts),
		cmocka_unit_test(test_many_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
