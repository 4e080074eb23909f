/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include <sodium.h>

#include "steer/cookie.h"

static const struct ip_addr alice = { { 1 } }, bob = { { 2 } };

static mono_t at(int64_t s)
{
	return (mono_t){ .us = s * S_US };
}

static void test_a_cookie_is_its_address_s_own(void **state)
{
	struct cookie_keys k;
	uint8_t cookie[COOKIE_LEN], again[COOKIE_LEN];

	cookie_init(&k, at(0));
	cookie_make(&k, &alice, at(0), cookie);
	cookie_make(&k, &alice, at(1), again);
	assert_memory_equal(cookie, again, COOKIE_LEN); /* stateless: the same for the whole period */
	assert_true(cookie_valid(&k, &alice, at(1), cookie, COOKIE_LEN));
	assert_false(cookie_valid(&k, &bob, at(1), cookie, COOKIE_LEN));
}

static void test_only_the_right_length(void **state)
{
	struct cookie_keys k;
	uint8_t cookie[COOKIE_LEN + 4] = { 0 };

	cookie_init(&k, at(0));
	cookie_make(&k, &alice, at(0), cookie);
	for (size_t len = 0; len <= sizeof(cookie); len++)
		assert_int_equal(cookie_valid(&k, &alice, at(0), cookie, len), len == COOKIE_LEN);
}

static void test_every_byte_counts(void **state)
{
	struct cookie_keys k;
	uint8_t cookie[COOKIE_LEN];

	cookie_init(&k, at(0));
	cookie_make(&k, &alice, at(0), cookie);
	for (size_t i = 0; i < COOKIE_LEN; i++) {
		cookie[i] ^= 1;
		assert_false(cookie_valid(&k, &alice, at(0), cookie, COOKIE_LEN));
		cookie[i] ^= 1;
	}
}

/* The keys change every hour; a cookie is good for that hour and the next. */
static void test_keys_rotate(void **state)
{
	struct cookie_keys k;
	uint8_t first[COOKIE_LEN], second[COOKIE_LEN];

	cookie_init(&k, at(0));
	cookie_make(&k, &alice, at(0), first);
	assert_true(cookie_valid(&k, &alice, at(3599), first, COOKIE_LEN));
	cookie_make(&k, &alice, at(3600), second);
	assert_memory_not_equal(first, second, COOKIE_LEN);
	assert_true(cookie_valid(&k, &alice, at(7199), first, COOKIE_LEN));
	assert_true(cookie_valid(&k, &alice, at(7199), second, COOKIE_LEN));
	assert_false(cookie_valid(&k, &alice, at(7200), first, COOKIE_LEN));
	assert_true(cookie_valid(&k, &alice, at(7200), second, COOKIE_LEN));
}

/* After a long silence neither key is fresh: what they made is of no use any more. */
static void test_old_keys_die_in_silence(void **state)
{
	struct cookie_keys k;
	uint8_t cookie[COOKIE_LEN];

	cookie_init(&k, at(0));
	cookie_make(&k, &alice, at(0), cookie);
	assert_false(cookie_valid(&k, &alice, at(5 * 3600LL), cookie, COOKIE_LEN));
}

static void test_another_converter_has_other_keys(void **state)
{
	struct cookie_keys a, b;
	uint8_t cookie[COOKIE_LEN];

	cookie_init(&a, at(0));
	cookie_init(&b, at(0));
	cookie_make(&a, &alice, at(0), cookie);
	assert_false(cookie_valid(&b, &alice, at(0), cookie, COOKIE_LEN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_cookie_is_its_address_s_own),
		cmocka_unit_test(test_only_the_right_length),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_keys_rotate),
		cmocka_unit_test(test_old_keys_die_in_silence),
		cmocka_unit_test(test_another_converter_has_other_keys),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("cookie", tests, NULL, NULL);
}
