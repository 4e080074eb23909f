/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "base/slots.h"

struct thing {
	uint64_t value;
	char rest[40];
};

static void test_taken_things_are_zero_and_found(void **state)
{
	struct slots s;
	struct slot_ref a, b;
	static const struct thing zero;

	assert_int_equal(slots_init(&s, sizeof(struct thing), 10), 0);
	struct thing *const first = slots_take(&s, &a);
	assert_non_null(first);
	assert_memory_equal(first, &zero, sizeof(zero));
	struct thing *const second = slots_take(&s, &b);
	assert_ptr_not_equal(first, second);
	assert_ptr_equal(slots_at(&s, a), first);
	assert_ptr_equal(slots_at(&s, b), second);
	assert_int_equal(s.used, 2);
	slots_done(&s);
}

static void test_a_reference_to_what_is_gone_finds_nothing(void **state)
{
	struct slots s;
	struct slot_ref old, new;

	assert_int_equal(slots_init(&s, sizeof(struct thing), 10), 0);
	struct thing *const t = slots_take(&s, &old);
	memset(t, 0xff, sizeof(*t));
	slots_give(&s, old);
	assert_null(slots_at(&s, old));
	assert_int_equal(s.used, 0);

	struct thing *const again = slots_take(&s, &new);
	assert_ptr_equal(again, t); /* the slot is used again, */
	assert_int_equal(again->value, 0);
	assert_null(slots_at(&s, old)); /* and still not found by the old reference */

	slots_give(&s, old); /* nor given back by it */
	assert_ptr_equal(slots_at(&s, new), again);
	assert_int_equal(s.used, 1);
	slots_done(&s);
}

static void test_giving_twice_does_nothing(void **state)
{
	struct slots s;
	struct slot_ref r, a, b;

	assert_int_equal(slots_init(&s, sizeof(struct thing), 10), 0);
	slots_take(&s, &r);
	slots_give(&s, r);
	slots_give(&s, r);
	assert_int_equal(s.used, 0);
	slots_take(&s, &a);
	slots_take(&s, &b);
	assert_int_not_equal(a.slot, b.slot);
	slots_done(&s);
}

static void test_no_more_than_allowed(void **state)
{
	enum { MAX = 130 }; /* more than two chunks, and no multiple of one */
	struct slots s;
	struct slot_ref ref[MAX], more = { .slot = 4711, .gen = 4712 };
	struct thing *at[MAX];

	assert_int_equal(slots_init(&s, sizeof(struct thing), MAX), 0);
	for (uint32_t i = 0; i < MAX; i++) {
		at[i] = slots_take(&s, &ref[i]);
		assert_non_null(at[i]);
		at[i]->value = i;
	}
	assert_null(slots_take(&s, &more));
	assert_int_equal(more.slot, 4711); /* untouched on failure */
	assert_int_equal(s.used, MAX);
	for (uint32_t i = 0; i < MAX; i++) { /* the addresses are stable */
		assert_ptr_equal(slots_at(&s, ref[i]), at[i]);
		assert_int_equal(at[i]->value, i);
	}
	slots_give(&s, ref[77]);
	assert_ptr_equal(slots_take(&s, &more), at[77]);
	assert_null(slots_take(&s, &more));
	slots_done(&s);
}

static void test_next_visits_what_is_in_use(void **state)
{
	struct slots s;
	struct slot_ref ref[100];
	uint32_t slot = 0;

	assert_int_equal(slots_init(&s, sizeof(struct thing), 100), 0);
	assert_null(slots_next(&s, &slot));
	for (uint32_t i = 0; i < 100; i++)
		((struct thing *)slots_take(&s, &ref[i]))->value = i;
	for (uint32_t i = 0; i < 100; i++) {
		if (i % 3)
			slots_give(&s, ref[i]);
	}
	unsigned int n = 0;
	slot = 0;
	for (const struct thing *t; (t = slots_next(&s, &slot)); slot++, n++)
		assert_int_equal(t->value, 3 * n);
	assert_int_equal(n, 34);
	slots_done(&s);
}

static void test_generations_have_24_bits(void **state)
{
	struct slots s;
	struct slot_ref r;

	assert_int_equal(slots_init(&s, sizeof(struct thing), 1), 0);
	for (uint32_t i = 0; i < 1u << 24; i++) {
		slots_take(&s, &r);
		slots_give(&s, r);
	}
	assert_int_equal(r.gen, 0xffffff);
	assert_non_null(slots_take(&s, &r));
	assert_int_equal(r.gen, 0);
	slots_done(&s);
}

static void test_foreign_references_find_nothing(void **state)
{
	struct slots s;
	struct slot_ref r;

	assert_int_equal(slots_init(&s, sizeof(struct thing), 64), 0);
	assert_null(slots_at(&s, (struct slot_ref){ 0 }));
	slots_take(&s, &r);
	assert_null(slots_at(&s, (struct slot_ref){ .slot = r.slot + 1 }));
	assert_null(slots_at(&s, (struct slot_ref){ .slot = UINT32_MAX }));
	assert_null(slots_at(&s, (struct slot_ref){ .slot = r.slot, .gen = r.gen + 1 }));
	slots_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_things_are_zero_and_found),
		cmocka_unit_test(test_a_reference_to_what_is_gone_finds_nothing),
		cmocka_unit_test(test_giving_twice_does_nothing),
		cmocka_unit_test(test_no_more_than_allowed),
		cmocka_unit_test(test_next_visits_what_is_in_use),
		cmocka_unit_test(test_generations_have_24_bits),
		cmocka_unit_test(test_foreign_references_find_nothing),
	};
	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
