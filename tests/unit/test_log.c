/* SPDX-License-Identifier: ISC */
#include "capture.h"

#include "base/log.h"
#include "base/mono.h"

static void test_a_line_says_who_and_how_bad(void **state)
{
	struct capture c;

	capture_start(&c, STDERR_FILENO);
	log_init("plait-test", LOG_DEBUG);
	log_error("no %s", "way");
	log_warning("mind %d", 7);
	log_info("ready");
	log_debug("detail");
	assert_string_equal(capture_end(&c), "plait-test: error: no way\n"
					     "plait-test: warning: mind 7\n"
					     "plait-test: ready\n"
					     "plait-test: debug: detail\n");
}

static void test_lines_above_the_level_are_dropped(void **state)
{
	struct capture c;

	capture_start(&c, STDERR_FILENO);
	log_init("plait-test", LOG_WARNING);
	log_error("1");
	log_warning("2");
	log_info("3");
	log_debug("4");
	log_peer(LOG_INFO, "5");
	assert_string_equal(capture_end(&c), "plait-test: error: 1\nplait-test: warning: 2\n");
}

static void test_a_long_line_is_cut(void **state)
{
	struct capture c;
	char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	capture_start(&c, STDERR_FILENO);
	log_init("plait-test", LOG_INFO);
	log_info("%s", text);
	const char *const said = capture_end(&c);
	assert_int_equal(count_lines(said), 1);
	assert_true(strlen(said) > 1000 && strlen(said) < 1100);
	assert_int_equal(said[strlen(said) - 1], '\n');
}

static void test_a_peer_gets_five_lines(void **state)
{
	struct log_limit limit = { 0 };
	struct capture c;

	capture_start(&c, STDERR_FILENO);
	log_init("plait-test", LOG_INFO);
	for (int i = 0; i < 1000; i++)
		log_write_limited(&limit, LOG_WARNING, "bad message %d", i);
	const char *const said = capture_end(&c);
	assert_int_equal(count_lines(said), 5);
	assert_non_null(strstr(said, "bad message 4\n"));
	assert_int_equal(limit.held, 995);
}

static void test_the_next_window_says_what_was_left_out(void **state)
{
	struct log_limit limit = { 0 };
	struct capture c;

	capture_start(&c, STDERR_FILENO);
	log_init("plait-test", LOG_INFO);
	for (int i = 0; i < 12; i++)
		log_write_limited(&limit, LOG_WARNING, "bad message");
	limit.window_start -= 11 * S_US;
	log_write_limited(&limit, LOG_WARNING, "another");
	limit.window_start -= 11 * S_US;
	log_write_limited(&limit, LOG_WARNING, "and one"); /* nothing was left out before this one */
	const char *const said = capture_end(&c);
	assert_int_equal(count_lines(said), 5 + 1 + 1 + 1);
	assert_non_null(strstr(said, "plait-test: warning: 7 more messages like the next one were left out\n"
				     "plait-test: warning: another\n"
				     "plait-test: warning: and one\n"));
}

static void test_each_site_has_its_own_limit(void **state)
{
	struct capture c;

	capture_start(&c, STDERR_FILENO);
	log_init("plait-test", LOG_INFO);
	for (int i = 0; i < 100; i++) {
		log_peer(LOG_WARNING, "one");
		log_peer(LOG_WARNING, "two");
	}
	assert_int_equal(count_lines(capture_end(&c)), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_says_who_and_how_bad),
		cmocka_unit_test(test_lines_above_the_level_are_dropped),
		cmocka_unit_test(test_a_long_line_is_cut),
		cmocka_unit_test(test_a_peer_gets_five_lines),
		cmocka_unit_test(test_the_next_window_says_what_was_left_out),
		cmocka_unit_test(test_each_site_has_its_own_limit),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
