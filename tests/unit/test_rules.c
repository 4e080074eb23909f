/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include <stdlib.h>

#include "gate/rules.h"

static const struct ip_addr v4 = { { [10] = 255, [11] = 255, [12] = 192, [13] = 0, [14] = 2, [15] = 1 } };
static const struct ip_addr v6 = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };

static void is(const struct gate_rule *r, unsigned int n, const char *expected)
{
	char *const text = rules_nft("name", r, n);

	assert_string_equal(text, expected);
	free(text);
}

/* Replaced as a whole: what a run that was killed has left is gone. */
static void test_none(void **state)
{
	is(NULL, 0,
		"table inet name {}\n"
		"delete table inet name\n"
		"table inet name {\n"
		" chain input {\n  type filter hook input priority mangle; policy accept;\n }\n"
		" chain output {\n  type filter hook output priority mangle; policy accept;\n }\n"
		"}\n");
}

/* Nothing but SYNs or SYN/ACKs is queued, and without a program at the queue they pass. */
static void test_each_where_it_belongs(void **state)
{
	const struct gate_rule r[] = {
		{ .out = true, .syn_ack = true, .sport = 5124, .queue = 7 },
		{ .syn_ack = true, .from = &v4, .sport = 5124, .queue = 7 },
		{ .out = true, .to = &v6, .dport = 5124, .mark = 0x706c, .queue = 7 },
	};

	is(r, 3,
		"table inet name {}\n"
		"delete table inet name\n"
		"table inet name {\n"
		" chain input {\n  type filter hook input priority mangle; policy accept;\n"
		"  ip saddr 192.0.2.1 tcp sport 5124 tcp flags & (fin | syn | rst | ack) == (syn | ack) "
		"queue flags bypass to 7\n"
		" }\n"
		" chain output {\n  type filter hook output priority mangle; policy accept;\n"
		"  tcp sport 5124 tcp flags & (fin | syn | rst | ack) == (syn | ack) queue flags bypass to 7\n"
		"  meta mark 0x706c ip6 daddr 2001:db8::1 tcp dport 5124 "
		"tcp flags & (fin | syn | rst | ack) == syn queue flags bypass to 7\n"
		" }\n"
		"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_each_where_it_belongs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
