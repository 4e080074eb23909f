/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "paths/figures.h"

enum { DSL, LTE };

static const mono_t start = { .us = 1000 * S_US };
static const struct slot_ref ref = { .slot = 3, .gen = 1 };

static int open_figures(void **state)
{
	static struct figures f;
	static const uint8_t key[FLOWS_KEY] = { 1 };

	assert_int_equal(figures_init(&f, 64, key), 0);
	*state = &f;
	return 0;
}

static int close_figures(void **state)
{
	figures_done(*state);
	return 0;
}

static struct flow flow_from(uint16_t port)
{
	return (struct flow){ .near = { .port = port }, .far = { .port = 5124 } };
}

static struct subflow_info seen(uint16_t port, uint64_t acked, uint64_t received)
{
	return (struct subflow_info){ .flow = flow_from(port), .established = true, .acked = acked,
		.received = received, .rtt = 20 * MS_US };
}

/* A look at @n subflows of one session, on links by turns. */
static void look(struct figures *f, struct session_figures *s, const struct subflow_info *i, unsigned int n, int64_t ms)
{
	figures_look_begin(f, mono_add(start, ms * MS_US));
	for (unsigned int k = 0; k < n; k++)
		figures_see(f, s, &i[k], k);
	figures_look_end(f);
}

static void begin(struct figures *f, struct session_figures *s)
{
	const struct flow first = flow_from(1);

	figures_begin(f, s, ref, 77, &first, DSL);
}

static void test_sums_grow_by_what_came_since(void **state)
{
	struct figures *const f = *state;
	struct session_figures s;

	begin(f, &s);
	look(f, &s, (struct subflow_info[]){ seen(1, 100, 1000), seen(2, 10, 500) }, 2, 0);
	look(f, &s, (struct subflow_info[]){ seen(1, 150, 3000), seen(2, 10, 500) }, 2, 1000);
	assert_int_equal(f->link[DSL].up, 150);
	assert_int_equal(f->link[DSL].down, 3000);
	assert_int_equal(f->link[LTE].down, 500);
	assert_int_equal(f->link[DSL].subflows, 1);
	assert_int_equal(f->link[DSL].rtt, 20 * MS_US);
	assert_int_equal(f->link[DSL].down_rate, 2000 * 8);

	/* What came after the last look is known at the end. */
	figures_end(f, &s, (struct subflow_info[]){ seen(1, 160, 4000), seen(2, 11, 500) }, 2);
	assert_int_equal(f->link[DSL].up, 160);
	assert_int_equal(f->link[DSL].down, 4000);
	assert_int_equal(f->link[LTE].up, 11);
	assert_int_equal(f->subflows.used, 0);
	assert_int_equal(f->by_flow.used, 0);
	assert_int_equal(f->by_token.used, 0);
}

static void test_sums_do_not_shrink_when_a_subflow_goes(void **state)
{
	struct figures *const f = *state;
	struct session_figures s;

	begin(f, &s);
	look(f, &s, (struct subflow_info[]){ seen(1, 100, 1000), seen(2, 10, 500) }, 2, 0);
	look(f, &s, (struct subflow_info[]){ seen(1, 100, 1000) }, 1, 1000);
	assert_int_equal(f->link[LTE].down, 500);
	assert_int_equal(f->link[LTE].subflows, 0);
	/* The same ends may come again: it is another one. */
	look(f, &s, (struct subflow_info[]){ seen(1, 100, 1000) }, 1, 2000);
	look(f, &s, (struct subflow_info[]){ seen(1, 100, 1000), seen(2, 0, 30) }, 2, 3000);
	assert_int_equal(f->link[LTE].down, 530);
	figures_end(f, &s, NULL, 0);
	assert_int_equal(f->subflows.used, 0);
}

static void test_joins(void **state)
{
	struct figures *const f = *state;
	const struct flow second = flow_from(2), third = flow_from(3);
	struct session_figures s;

	begin(f, &s);
	figures_joined(f, &s, &second, LTE);
	assert_int_equal(f->link[LTE].joined, 1);
	/* What never was there has failed to come; what was is lost. */
	figures_closed(f, &third, LTE);
	assert_int_equal(f->link[LTE].joins_failed, 1);
	assert_int_equal(f->link[LTE].lost, 0);
	figures_closed(f, &second, LTE);
	assert_int_equal(f->link[LTE].joins_failed, 1);
	assert_int_equal(f->link[LTE].lost, 1);
	figures_end(f, &s, NULL, 0);
}

static void test_one_that_is_asked_for_is_none_yet(void **state)
{
	struct figures *const f = *state;
	struct session_figures s;
	const struct flow second = flow_from(2);
	struct subflow_info asked = { .flow = second };

	begin(f, &s);
	look(f, &s, (struct subflow_info[]){ seen(1, 0, 0), asked }, 2, 0);
	assert_int_equal(f->link[LTE].subflows, 0);
	figures_closed(f, &second, LTE);
	assert_int_equal(f->link[LTE].joins_failed, 1);
	figures_end(f, &s, NULL, 0);
}

/* The kernel tells of a subflow's end some time after a look does not find it any more. */
static void test_an_end_between_look_and_event(void **state)
{
	struct figures *const f = *state;
	const struct flow second = flow_from(2);
	struct session_figures s;

	begin(f, &s);
	figures_joined(f, &s, &second, LTE);
	look(f, &s, (struct subflow_info[]){ seen(1, 0, 0) }, 1, 0);
	figures_closed(f, &second, LTE);
	assert_int_equal(f->link[LTE].lost, 1);
	assert_int_equal(f->link[LTE].joins_failed, 0);
	figures_end(f, &s, NULL, 0);
}

static void test_tokens(void **state)
{
	struct figures *const f = *state;
	struct session_figures s, plain;
	struct slot_ref found = { 0 };
	const struct flow first = flow_from(9);

	begin(f, &s);
	figures_begin(f, &plain, ref, 0, &first, DSL); /* fell back to TCP */
	assert_true(figures_find(f, 77, &found));
	assert_int_equal(found.slot, ref.slot);
	assert_false(figures_find(f, 78, &found));
	assert_false(figures_find(f, 0, &found));
	figures_end(f, &plain, NULL, 0);
	figures_end(f, &s, NULL, 0);
	assert_false(figures_find(f, 77, &found));
}

static void test_a_link_that_is_another_one_begins_anew(void **state)
{
	struct figures *const f = *state;
	struct session_figures s;

	begin(f, &s);
	look(f, &s, (struct subflow_info[]){ seen(1, 100, 1000), seen(2, 10, 500) }, 2, 0);
	figures_forget_link(f, DSL);
	assert_int_equal(f->link[DSL].down, 0);
	assert_int_equal(f->link[LTE].down, 500);
	figures_end(f, &s, (struct subflow_info[]){ seen(1, 100, 1000) }, 1);
	assert_int_equal(f->link[DSL].down, 0);
	assert_int_equal(f->subflows.used, 0);
}

/* No room: the connection goes on, uncounted. */
static void test_more_than_there_is_room_for(void **state)
{
	struct figures *const f = *state;
	struct session_figures s;

	begin(f, &s);
	figures_look_begin(f, start);
	for (uint16_t port = 2; port < 400; port++) {
		const struct subflow_info i = seen(port, 1, 1);
		figures_see(f, &s, &i, LTE);
	}
	figures_look_end(f);
	assert_int_equal(f->subflows.used, f->subflows.max);
	figures_end(f, &s, NULL, 0);
	assert_int_equal(f->subflows.used, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_figures, close_figures)
	const struct CMUnitTest tests[] = {
		TEST(test_sums_grow_by_what_came_since),
		TEST(test_sums_do_not_shrink_when_a_subflow_goes),
		TEST(test_joins),
		TEST(test_one_that_is_asked_for_is_none_yet),
		TEST(test_an_end_between_look_and_event),
		TEST(test_tokens),
		TEST(test_a_link_that_is_another_one_begins_anew),
		TEST(test_more_than_there_is_room_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
