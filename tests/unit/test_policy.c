/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "steer/policy.h"

static struct ip_addr ip(const char *text)
{
	struct ip_addr a;
	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static struct prefix block(const char *text)
{
	struct prefix p;
	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

/* As the converter asks: first for the client, then for the server. */
static enum policy_verdict check_ip(
	const struct policy *p, const struct ip_addr *client, const struct ip_addr *server)
{
	const enum policy_verdict v = policy_client(p, client);
	return v == POLICY_ALLOW ? policy_server(p, server) : v;
}

static enum policy_verdict check(const struct policy *p, const char *client, const char *server)
{
	const struct ip_addr c = ip(client), s = ip(server);
	return check_ip(p, &c, &s);
}

static void test_nobody_is_served_unless_said(void **state)
{
	const struct policy p = { 0 };

	assert_int_equal(check(&p, "198.51.100.7", "203.0.113.1"), POLICY_CLIENT_UNKNOWN);
	assert_int_equal(check(&p, "127.0.0.1", "203.0.113.1"), POLICY_CLIENT_UNKNOWN);
}

static void test_clients(void **state)
{
	struct prefix clients[] = { block("198.51.100.0/24"), block("2001:db8:1::/48") };
	const struct policy p = { .clients = clients, .n_clients = 2 };

	assert_int_equal(check(&p, "198.51.100.0", "203.0.113.1"), POLICY_ALLOW);
	assert_int_equal(check(&p, "198.51.100.255", "2001:db8:ffff::1"), POLICY_ALLOW);
	assert_int_equal(check(&p, "2001:db8:1::7", "203.0.113.1"), POLICY_ALLOW);
	assert_int_equal(check(&p, "198.51.101.0", "203.0.113.1"), POLICY_CLIENT_UNKNOWN);
	assert_int_equal(check(&p, "2001:db8:2::7", "203.0.113.1"), POLICY_CLIENT_UNKNOWN);
}

/* An unknown client learns nothing of the other rules. */
static void test_the_client_is_asked_first(void **state)
{
	struct ip_addr own[] = { ip("192.0.2.1") };
	const struct policy p = { .own = own, .n_own = 1 };

	assert_int_equal(check(&p, "198.51.100.7", "192.0.2.1"), POLICY_CLIENT_UNKNOWN);
	assert_int_equal(check(&p, "198.51.100.7", "10.0.0.1"), POLICY_CLIENT_UNKNOWN);
}

/* The first and the last address of each range, and their neighbours outside. */
static void test_private_and_special_ranges(void **state)
{
	static const struct {
		const char *server;
		enum policy_verdict verdict;
	} cases[] = {
		{ "9.255.255.255", POLICY_ALLOW },
		{ "10.0.0.0", POLICY_PRIVATE },
		{ "10.255.255.255", POLICY_PRIVATE },
		{ "11.0.0.0", POLICY_ALLOW },
		{ "100.63.255.255", POLICY_ALLOW },
		{ "100.64.0.0", POLICY_PRIVATE },
		{ "100.127.255.255", POLICY_PRIVATE },
		{ "100.128.0.0", POLICY_ALLOW },
		{ "169.253.255.255", POLICY_ALLOW },
		{ "169.254.169.254", POLICY_PRIVATE }, /* clouds' metadata */
		{ "169.255.0.0", POLICY_ALLOW },
		{ "172.15.255.255", POLICY_ALLOW },
		{ "172.16.0.0", POLICY_PRIVATE },
		{ "172.31.255.255", POLICY_PRIVATE },
		{ "172.32.0.0", POLICY_ALLOW },
		{ "192.0.0.8", POLICY_PRIVATE },
		{ "192.167.255.255", POLICY_ALLOW },
		{ "192.168.0.0", POLICY_PRIVATE },
		{ "192.168.255.255", POLICY_PRIVATE },
		{ "192.169.0.0", POLICY_ALLOW },
		{ "198.18.0.0", POLICY_PRIVATE },
		{ "198.19.255.255", POLICY_PRIVATE },
		{ "198.20.0.0", POLICY_ALLOW },
		{ "240.0.0.1", POLICY_PRIVATE },
		{ "fbff::1", POLICY_ALLOW },
		{ "fc00::1", POLICY_PRIVATE },
		{ "fdff::1", POLICY_PRIVATE },
		{ "fe80::1", POLICY_PRIVATE },
		{ "fec0::1", POLICY_PRIVATE },
		/* ways to an IPv4 address, which may be a private one */
		{ "64:ff9b::a00:1", POLICY_PRIVATE },
		{ "64:ff9b:1::a00:1", POLICY_PRIVATE },
		{ "2002:a00:1::", POLICY_PRIVATE },
		{ "2001::1", POLICY_PRIVATE },
		{ "2001:1::1", POLICY_ALLOW },
		{ "2606:4700::1", POLICY_ALLOW },
	};
	struct prefix clients[] = { block("198.51.100.0/24") };
	const struct policy p = { .clients = clients, .n_clients = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const enum policy_verdict v = check(&p, "198.51.100.7", cases[i].server);
		if (v != cases[i].verdict)
			fail_msg("%s: %s", cases[i].server, policy_verdict_text(v));
	}
}

static void test_allow_to_opens_private_ranges(void **state)
{
	struct prefix clients[] = { block("0.0.0.0/0") }, allow[] = { block("10.1.0.0/16") };
	const struct policy p = { .clients = clients, .n_clients = 1, .allow_to = allow,
		.n_allow_to = 1 };

	assert_int_equal(check(&p, "198.51.100.7", "10.1.2.3"), POLICY_ALLOW);
	assert_int_equal(check(&p, "198.51.100.7", "10.2.2.3"), POLICY_PRIVATE);
	assert_int_equal(check(&p, "198.51.100.7", "203.0.113.1"), POLICY_ALLOW); /* no whitelist */
}

static void test_deny_to_outweighs_allow_to(void **state)
{
	struct prefix clients[] = { block("0.0.0.0/0") }, allow[] = { block("10.0.0.0/8") };
	struct prefix deny[] = { block("10.1.0.0/16"), block("203.0.113.0/24") };
	const struct policy p = { .clients = clients, .n_clients = 1, .allow_to = allow,
		.n_allow_to = 1, .deny_to = deny, .n_deny_to = 2 };

	assert_int_equal(check(&p, "198.51.100.7", "10.1.0.1"), POLICY_DENIED);
	assert_int_equal(check(&p, "198.51.100.7", "10.2.0.1"), POLICY_ALLOW);
	assert_int_equal(check(&p, "198.51.100.7", "203.0.113.9"), POLICY_DENIED);
}

/* The converter itself is no server, whatever the configuration allows. */
static void test_own_addresses_outweigh_all(void **state)
{
	struct prefix any[] = { block("0.0.0.0/0"), block("::/0") };
	struct ip_addr own[] = { ip("192.0.2.1"), ip("2001:db8::1") };
	const struct policy p = { .clients = any, .n_clients = 2, .allow_to = any, .n_allow_to = 2,
		.own = own, .n_own = 2 };

	assert_int_equal(check(&p, "198.51.100.7", "192.0.2.1"), POLICY_OWN);
	assert_int_equal(check(&p, "198.51.100.7", "::ffff:192.0.2.1"), POLICY_OWN);
	assert_int_equal(check(&p, "198.51.100.7", "2001:db8::1"), POLICY_OWN);
	assert_int_equal(check(&p, "198.51.100.7", "192.0.2.2"), POLICY_ALLOW);
}

static void test_own_addresses_are_read_from_the_system(void **state)
{
	struct prefix any[] = { block("0.0.0.0/0") };
	struct policy p = { .clients = any, .n_clients = 1, .allow_to = any, .n_allow_to = 1 };

	assert_int_equal(policy_read_own(&p), 0);
	assert_int_equal(policy_read_own(&p), 0); /* anew */
	assert_true(p.n_own > 0);
	for (size_t i = 0; i < p.n_own; i++) {
		const struct ip_addr client = ip("198.51.100.7");
		assert_int_equal(check_ip(&p, &client, &p.own[i]), POLICY_OWN);
	}
	policy_done(&p);
	assert_int_equal(p.n_own, 0);
}

static void test_texts_differ(void **state)
{
	for (enum policy_verdict a = POLICY_ALLOW; a <= POLICY_OWN; a++) {
		assert_string_not_equal(policy_verdict_text(a), "?");
		for (enum policy_verdict b = POLICY_ALLOW; b < a; b++)
			assert_string_not_equal(policy_verdict_text(a), policy_verdict_text(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_is_served_unless_said),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_the_client_is_asked_first),
		cmocka_unit_test(test_private_and_special_ranges),
		cmocka_unit_test(test_allow_to_opens_private_ranges),
		cmocka_unit_test(test_deny_to_outweighs_allow_to),
		cmocka_unit_test(test_own_addresses_outweigh_all),
		cmocka_unit_test(test_own_addresses_are_read_from_the_system),
		cmocka_unit_test(test_texts_differ),
	};
	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
