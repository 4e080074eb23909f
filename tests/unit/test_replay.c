/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "steer/replay.h"

static const uint8_t key[REPLAY_KEY] = "0123456789abcde";
static const struct ip_addr ours = { { [15] = 1 } }, theirs = { { [15] = 2 } };

static mono_t at(int64_t s)
{
	return (mono_t){ .us = 1000000 * S_US + s * S_US };
}

static struct replay fresh(void)
{
	struct replay r;

	replay_init(&r, key, at(0));
	return r;
}

static void test_a_nonce_works_once(void **state)
{
	struct replay r = fresh();

	assert_false(replay_is(&r, &ours, 1, at(0)));
	assert_true(replay_is(&r, &ours, 1, at(0)));
	assert_false(replay_is(&r, &ours, 0, at(0)));
	assert_true(replay_is(&r, &ours, 0, at(0)));
	replay_done(&r);
}

static void test_each_client_has_its_own(void **state)
{
	struct replay r = fresh();

	assert_false(replay_is(&r, &ours, 1, at(0)));
	assert_false(replay_is(&r, &theirs, 1, at(0)));
	assert_true(replay_is(&r, &theirs, 1, at(0)));
	replay_done(&r);
}

/* Whenever it was said within a set's time, it is known for two minutes, and forgotten after four. */
static void test_two_minutes_at_least(void **state)
{
	for (int64_t said = 0; said < 240; said += 17) {
		for (int64_t other = said; other <= said + 120; other += 9) {
			struct replay r = fresh();
			assert_false(replay_is(&r, &ours, 1, at(said)));
			assert_false(replay_is(&r, &ours, 2, at(other))); /* it may turn the sets over */
			assert_true(replay_is(&r, &ours, 1, at(said + 120)));
			replay_done(&r);
		}
		struct replay r = fresh();
		assert_false(replay_is(&r, &ours, 1, at(said)));
		assert_false(replay_is(&r, &ours, 1, at(said + 240)));
		replay_done(&r);
	}
}

static void test_long_silence(void **state)
{
	struct replay r = fresh();

	assert_false(replay_is(&r, &ours, 1, at(0)));
	assert_false(replay_is(&r, &ours, 1, at(100000)));
	assert_true(replay_is(&r, &ours, 1, at(100001)));
	replay_done(&r);
}

/* More than there is room for: the oldest are forgotten, the last million is not, and no more is taken. */
static void test_it_is_bounded(void **state)
{
	const uint64_t many = 3u << 20, last = 1u << 20;
	struct replay r = fresh();

	for (uint64_t n = 0; n < many; n++)
		assert_false(replay_is(&r, &ours, n, at(1)));
	assert_true(r.now.size <= 1u << 21 && r.before.size <= 1u << 21);
	for (uint64_t n = many - last; n < many; n += 1001)
		assert_true(replay_is(&r, &ours, n, at(1)));
	replay_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_nonce_works_once),
		cmocka_unit_test(test_each_client_has_its_own),
		cmocka_unit_test(test_two_minutes_at_least),
		cmocka_unit_test(test_long_silence),
		cmocka_unit_test(test_it_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
