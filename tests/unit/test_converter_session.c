/* SPDX-License-Identifier: ISC */
#include <stdbool.h>

#include "testing.h"

#include "session/converter.h"

/* The whole machine: in a state, what an event leads to. All else is refused. */
static const struct {
	enum converter_state state;
	enum converter_event event;
	enum converter_state next;
	enum converter_do what;
} table[] = {
#define ROW(state, event, next, what) \
	{ CONVERTER_##state, CONVERTER_##event, CONVERTER_##next, CONVERTER_DO_##what }
	ROW(MESSAGE, REQUESTED, CONNECTING, CONNECT),
	ROW(MESSAGE, ANSWERABLE, REFUSING, NOTHING),
	ROW(MESSAGE, ALIEN, ENDED, RESET),
	ROW(MESSAGE, ESTABLISHED, MESSAGE, NOTHING),
	ROW(MESSAGE, CLIENT_GONE, ENDED, CLOSE),
	ROW(MESSAGE, DEADLINE, ENDED, RESET),

	ROW(CONNECTING, SERVER_UP, ACCEPTING, NOTHING),
	ROW(CONNECTING, SERVER_DOWN, REFUSING, NOTHING),
	ROW(CONNECTING, IMPATIENT, PENDING, PENDING),
	ROW(CONNECTING, ESTABLISHED, CONNECTING, NOTHING),
	ROW(CONNECTING, CLIENT_GONE, ENDED, CLOSE),

	ROW(PENDING, SERVER_UP, ACCEPTING, NOTHING),
	ROW(PENDING, SERVER_DOWN, REFUSING, NOTHING),
	ROW(PENDING, ESTABLISHED, PENDING, NOTHING),
	ROW(PENDING, CLIENT_GONE, ENDED, CLOSE),

	/* Nothing is written upstream before the third ACK: only ESTABLISHED says anything. */
	ROW(ACCEPTING, ESTABLISHED, RELAYING, RELAY),
	ROW(ACCEPTING, CLIENT_GONE, ENDED, CLOSE),
	ROW(ACCEPTING, DEADLINE, ENDED, RESET),

	ROW(REFUSING, ESTABLISHED, DRAINING, REFUSE),
	ROW(REFUSING, CLIENT_GONE, ENDED, CLOSE),
	ROW(REFUSING, DEADLINE, ENDED, RESET),

	ROW(DRAINING, CLIENT_GONE, ENDED, CLOSE),
	ROW(DRAINING, DEADLINE, ENDED, CLOSE),

	ROW(RELAYING, RELAY_ENDED, ENDED, NOTHING),
#undef ROW
};

static void test_every_state_and_event(void **state)
{
	for (enum converter_state s = CONVERTER_MESSAGE; s <= CONVERTER_ENDED; s++) {
		for (enum converter_event e = CONVERTER_REQUESTED; e <= CONVERTER_RELAY_ENDED; e++) {
			struct converter_next want = { s, CONVERTER_DO_REFUSED };
			for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
				if (table[i].state == s && table[i].event == e)
					want = (struct converter_next){ table[i].next, table[i].what };
			}
			const struct converter_next got = converter_step(s, e);
			if (got.state != want.state || got.what != want.what)
				fail_msg("%s, event %d: %s, action %d; expected %s, action %d",
					converter_state_text(s), (int)e, converter_state_text(got.state),
					(int)got.what, converter_state_text(want.state), (int)want.what);
		}
	}
}

/* Whoever goes away, whenever: before the relay each state ends with it. */
static void test_a_gone_client_ends_every_state_before_the_relay(void **state)
{
	for (enum converter_state s = CONVERTER_MESSAGE; s < CONVERTER_RELAYING; s++)
		assert_int_equal(converter_step(s, CONVERTER_CLIENT_GONE).state, CONVERTER_ENDED);
}

static void test_texts_differ(void **state)
{
	for (enum converter_state a = CONVERTER_MESSAGE; a <= CONVERTER_ENDED; a++) {
		assert_string_not_equal(converter_state_text(a), "?");
		for (enum converter_state b = CONVERTER_MESSAGE; b < a; b++)
			assert_string_not_equal(converter_state_text(a), converter_state_text(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_state_and_event),
		cmocka_unit_test(test_a_gone_client_ends_every_state_before_the_relay),
		cmocka_unit_test(test_texts_differ),
	};
	return cmocka_run_group_tests_name("converter_session", tests, NULL, NULL);
}
