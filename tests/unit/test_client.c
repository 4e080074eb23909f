/* SPDX-License-Identifier: ISC */
#include <stdbool.h>

#include "testing.h"

#include "session/client.h"

/* The whole machine: in a state, what an event leads to. All else is refused. */
static const struct {
	enum client_state state;
	enum client_event event;
	enum client_state next;
	enum client_do what;
} table[] = {
#define ROW(state, event, next, what) \
	{ CLIENT_##state, CLIENT_##event, CLIENT_##next, CLIENT_DO_##what }
	ROW(ARRIVED, STEERED_CONVERTER, CONVERTING, CONNECT),
	ROW(ARRIVED, STEERED_DIRECT, DIRECT, DIRECT),
	ROW(ARRIVED, STEERED_NOWHERE, ENDED, RESET),
	ROW(ARRIVED, LAN_GONE, ENDED, CLOSE),

	ROW(CONVERTING, CONNECTED, ANSWERING, AWAIT),
	ROW(CONVERTING, SERVER_REFUSED, ENDED, RESET), /* said in the SYN/ACK */
	ROW(CONVERTING, CONVERTER_FAILED, ARRIVED, STEER),
	ROW(CONVERTING, LAN_GONE, ENDED, CLOSE),

	ROW(ANSWERING, ACCEPTED, ADMITTING, ADMIT),
	ROW(ANSWERING, UNDECIDED, PENDING, NOTHING),
	ROW(ANSWERING, SERVER_REFUSED, ENDED, RESET),
	ROW(ANSWERING, CONVERTER_FAILED, ARRIVED, STEER),
	ROW(ANSWERING, LAN_GONE, ENDED, CLOSE),

	ROW(PENDING, ACCEPTED, ADMITTING, ADMIT),
	ROW(PENDING, SERVER_REFUSED, ENDED, RESET),
	ROW(PENDING, CONVERTER_FAILED, ENDED, RESET), /* never again elsewhere: it may be accepted */
	ROW(PENDING, LAN_GONE, ENDED, CLOSE),

	ROW(DIRECT, CONNECTED, ADMITTING, ADMIT),
	ROW(DIRECT, FAILED, ENDED, RESET),
	ROW(DIRECT, LAN_GONE, ENDED, CLOSE),

	ROW(ADMITTING, ADMITTED, RELAYING, RELAY),
	ROW(ADMITTING, LAN_GONE, ENDED, CLOSE),

	ROW(RELAYING, RELAY_ENDED, ENDED, NOTHING),
#undef ROW
};

static void test_every_state_and_event(void **state)
{
	for (enum client_state s = CLIENT_ARRIVED; s <= CLIENT_ENDED; s++) {
		for (enum client_event e = CLIENT_STEERED_CONVERTER; e <= CLIENT_RELAY_ENDED; e++) {
			struct client_next want = { s, CLIENT_DO_REFUSED };
			for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
				if (table[i].state == s && table[i].event == e)
					want = (struct client_next){ table[i].next, table[i].what };
			}
			const struct client_next got = client_step(s, e);
			if (got.state != want.state || got.what != want.what)
				fail_msg("%s, event %d: %s, action %d; expected %s, action %d",
					client_state_text(s), (int)e, client_state_text(got.state),
					(int)got.what, client_state_text(want.state), (int)want.what);
		}
	}
}

/* An end can be reached from everywhere, and nothing leads out of it. */
static void test_ended_is_final(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_not_equal(table[i].state, CLIENT_ENDED);
	for (enum client_state s = CLIENT_ARRIVED; s < CLIENT_ENDED; s++) {
		bool ends = false;
		for (size_t i = 0; i < ARRAY_SIZE(table); i++)
			ends |= table[i].state == s && table[i].next == CLIENT_ENDED;
		assert_true(ends);
	}
}

static void test_texts_differ(void **state)
{
	for (enum client_state a = CLIENT_ARRIVED; a <= CLIENT_ENDED; a++) {
		assert_string_not_equal(client_state_text(a), "?");
		for (enum client_state b = CLIENT_ARRIVED; b < a; b++)
			assert_string_not_equal(client_state_text(a), client_state_text(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_state_and_event),
		cmocka_unit_test(test_ended_is_final),
		cmocka_unit_test(test_texts_differ),
	};
	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
