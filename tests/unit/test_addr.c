/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/addr.h"

static struct ip_addr ip(const char *text)
{
	struct ip_addr a;
	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;
	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static void test_v4_is_mapped(void **state)
{
	static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 192, 0, 2, 1 };
	const struct ip_addr parsed = ip("192.0.2.1");
	const struct ip_addr converted = ip_from_v4(htonl(0xc0000201));

	assert_memory_equal(parsed.b, mapped, sizeof(mapped));
	assert_memory_equal(converted.b, mapped, sizeof(mapped));
}

static void test_ip_is_v4(void **state)
{
	static const struct {
		const char *text;
		bool v4;
	} cases[] = {
		{ "0.0.0.0", true },
		{ "::ffff:192.0.2.1", true },
		{ "::192.0.2.1", false },
		{ "::fffe:192.0.2.1", false },
		{ "1::ffff:192.0.2.1", false },
		{ "2001:db8::1", false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ip_addr a = ip(cases[i].text);
		assert_int_equal(ip_is_v4(&a), cases[i].v4);
	}
}

static void test_equal(void **state)
{
	const struct endpoint a = { ip("192.0.2.1"), 80 };
	const struct endpoint same = { ip("::ffff:c000:201"), 80 };
	const struct endpoint port = { ip("192.0.2.1"), 81 };
	const struct endpoint host = { ip("192.0.2.2"), 80 };
	const struct endpoint first = { ip("8000::ffff:c000:201"), 80 };

	assert_true(ip_equal(&a.ip, &same.ip));
	assert_false(ip_equal(&a.ip, &host.ip));
	assert_false(ip_equal(&a.ip, &first.ip));
	assert_true(endpoint_equal(&a, &same));
	assert_false(endpoint_equal(&a, &port));
	assert_false(endpoint_equal(&a, &host));
}

static void test_ip_parse_refuses(void **state)
{
	static const char *const bad[] = { "", " ", "192.0.2", "192.0.2.256", "192.0.2.1 ",
		" 192.0.2.1", "192.0.2.1:80", "192.0.2.1/32", "1:2", ":::", "2001:db8::1%eth0",
		"[2001:db8::1]", "localhost" };
	struct ip_addr out, before;

	memset(&out, 0xa5, sizeof(out));
	before = out;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ip_parse(bad[i], &out), -EINVAL);
		assert_memory_equal(&out, &before, sizeof(out));
	}
}

static void test_ip_text(void **state)
{
	static const char *const texts[] = { "0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1",
		"2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" };
	char buf[ENDPOINT_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct ip_addr a = ip(texts[i]);
		assert_ptr_equal(ip_text(&a, buf), buf);
		assert_string_equal(buf, texts[i]);
	}
}

static void test_endpoint_text(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		const char *text;
	} cases[] = {
		{ "192.0.2.1", 80, "192.0.2.1:80" },
		{ "255.255.255.255", 65535, "255.255.255.255:65535" },
		{ "2001:db8::1", 0, "[2001:db8::1]:0" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	};
	char buf[ENDPOINT_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct endpoint e = { ip(cases[i].ip), cases[i].port };
		assert_ptr_equal(endpoint_text(&e, buf), buf);
		assert_string_equal(buf, cases[i].text);
	}
}

static void test_prefix_parse_and_text(void **state)
{
	static const struct {
		const char *text;
		uint8_t bits;
		const char *canonical;
	} cases[] = {
		{ "192.0.2.0/24", 120, "192.0.2.0/24" },
		{ "192.0.2.128/25", 121, "192.0.2.128/25" },
		{ "0.0.0.0/0", 96, "0.0.0.0/0" },
		{ "192.0.2.1", 128, "192.0.2.1/32" },
		{ "::ffff:192.0.2.0/120", 120, "192.0.2.0/24" },
		{ "::/0", 0, "::/0" },
		{ "2001:db8::/32", 32, "2001:db8::/32" },
		{ "2001:db8::1", 128, "2001:db8::1/128" },
		{ "2001:db8::1/128", 128, "2001:db8::1/128" },
	};
	char buf[ENDPOINT_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct prefix p = prefix(cases[i].text);
		assert_int_equal(p.bits, cases[i].bits);
		assert_ptr_equal(prefix_text(&p, buf), buf);
		assert_string_equal(buf, cases[i].canonical);
	}
}

static void test_prefix_parse_refuses(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ "", -EINVAL },
		{ "/24", -EINVAL },
		{ "192.0.2.0/", -EINVAL },
		{ "192.0.2.0/33", -EINVAL },
		{ "192.0.2.0/-1", -EINVAL },
		{ "192.0.2.0/+24", -EINVAL },
		{ "192.0.2.0/ 24", -EINVAL },
		{ "192.0.2.0/24 ", -EINVAL },
		{ "192.0.2.0/24/24", -EINVAL },
		{ "192.0.2.0/4294967320", -EINVAL },
		{ "2001:db8::/129", -EINVAL },
		{ "2001:db8::/0x20", -EINVAL },
		{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1", -EINVAL },
		{ "lan/24", -EINVAL },
		{ "192.0.2.1/24", -ERANGE },
		{ "192.0.2.128/24", -ERANGE },
		{ "1.0.0.0/0", -ERANGE },
		{ "2001:db8::1/127", -ERANGE },
		{ "::1/0", -ERANGE },
	};
	struct prefix out, before;

	memset(&out, 0xa5, sizeof(out));
	before = out;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(prefix_parse(cases[i].text, &out), cases[i].error);
		assert_memory_equal(&out, &before, sizeof(out));
	}
}

static void test_prefix_has(void **state)
{
	static const struct {
		const char *prefix, *inside, *outside;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.0/23", "192.0.3.255", "192.0.4.0" },
		{ "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.0" },
		{ "0.0.0.0/0", "255.255.255.255", "::" },
		{ "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::" },
		{ "2001:db8::/29", "2001:dbf::", "2001:dc0::" },
		{ "2001:db8::1", "2001:db8::1", "2001:db8::2" },
		{ "8000::/1", "ffff::", "7fff::" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct prefix p = prefix(cases[i].prefix);
		const struct ip_addr inside = ip(cases[i].inside), outside = ip(cases[i].outside);
		assert_true(prefix_has(&p, &inside));
		assert_false(prefix_has(&p, &outside));
	}
}

static void test_everything_prefix_has_both_families(void **state)
{
	const struct prefix all = prefix("::/0");
	const struct ip_addr v4 = ip("192.0.2.1"), v6 = ip("ffff::1");

	assert_true(prefix_has(&all, &v4));
	assert_true(prefix_has(&all, &v6));
}

static void test_prefixes_have(void **state)
{
	const struct prefix p[] = { prefix("192.0.2.0/24"), prefix("2001:db8::/32") };
	const struct ip_addr first = ip("192.0.2.9"), last = ip("2001:db8::9");
	const struct ip_addr none = ip("10.0.0.1");

	assert_true(prefixes_have(p, 2, &first));
	assert_true(prefixes_have(p, 2, &last));
	assert_false(prefixes_have(p, 1, &last));
	assert_false(prefixes_have(p, 2, &none));
	assert_false(prefixes_have(NULL, 0, &first));
}

static void test_sockaddr_v4(void **state)
{
	const struct endpoint e = { ip("192.0.2.1"), 0x1234 };
	struct sockaddr_storage ss;
	struct sockaddr_in sin;
	struct endpoint back;

	assert_int_equal(endpoint_to_sockaddr(&e, AF_INET, &ss), sizeof(sin));
	memcpy(&sin, &ss, sizeof(sin));
	assert_int_equal(sin.sin_family, AF_INET);
	assert_int_equal(sin.sin_port, htons(0x1234));
	assert_int_equal(sin.sin_addr.s_addr, htonl(0xc0000201));
	assert_int_equal(endpoint_from_sockaddr(&ss, &back), 0);
	assert_true(endpoint_equal(&e, &back));
}

static void test_sockaddr_v6_takes_both(void **state)
{
	static const char *const ips[] = { "2001:db8::1", "192.0.2.1" };

	for (size_t i = 0; i < ARRAY_SIZE(ips); i++) {
		const struct endpoint e = { ip(ips[i]), 0x1234 };
		struct sockaddr_storage ss;
		struct sockaddr_in6 sin6;
		struct endpoint back;

		memset(&ss, 0xa5, sizeof(ss));
		assert_int_equal(endpoint_to_sockaddr(&e, AF_INET6, &ss), sizeof(sin6));
		memcpy(&sin6, &ss, sizeof(sin6));
		assert_int_equal(sin6.sin6_family, AF_INET6);
		assert_int_equal(sin6.sin6_port, htons(0x1234));
		assert_int_equal(sin6.sin6_scope_id, 0);
		assert_memory_equal(&sin6.sin6_addr, e.ip.b, sizeof(e.ip.b));
		assert_int_equal(endpoint_from_sockaddr(&ss, &back), 0);
		assert_true(endpoint_equal(&e, &back));
	}
}

static void test_sockaddr_refuses_and_leaves_output(void **state)
{
	const struct endpoint v6 = { ip("2001:db8::1"), 80 }, v4 = { ip("192.0.2.1"), 80 };
	struct sockaddr_storage ss, ss_before;
	struct endpoint out, out_before;

	memset(&ss, 0xa5, sizeof(ss));
	ss_before = ss;
	assert_int_equal(endpoint_to_sockaddr(&v6, AF_INET, &ss), -EAFNOSUPPORT);
	assert_int_equal(endpoint_to_sockaddr(&v4, AF_UNIX, &ss), -EAFNOSUPPORT);
	assert_memory_equal(&ss, &ss_before, sizeof(ss));

	memset(&out, 0xa5, sizeof(out));
	out_before = out;
	ss.ss_family = AF_UNIX;
	assert_int_equal(endpoint_from_sockaddr(&ss, &out), -EAFNOSUPPORT);
	assert_memory_equal(&out, &out_before, sizeof(out));
}

static void test_endpoint_parse(void **state)
{
	static const char *const good[] = { "192.0.2.1:80", "[2001:db8::1]:65535", "[::]:1" };
	static const char *const bad[] = { "", ":", ":80", "80", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
		"192.0.2.1:+80", "[192.0.2.1]:80", "2001:db8::1:80", "[2001:db8::1]", "[2001:db8::1:80", "[]:80", "host:80",
		"[2001:db8:0000:0000:0000:0000:0000:0000:0000:0001]:80" };
	char text[ENDPOINT_TEXT];
	struct endpoint e;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(endpoint_parse(good[i], &e), 0);
		assert_string_equal(endpoint_text(&e, text), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct endpoint before = e;
		assert_int_equal(endpoint_parse(bad[i], &e), -EINVAL);
		assert_memory_equal(&e, &before, sizeof(e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4_is_mapped),
		cmocka_unit_test(test_ip_is_v4),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_ip_parse_refuses),
		cmocka_unit_test(test_ip_text),
		cmocka_unit_test(test_endpoint_text),
		cmocka_unit_test(test_endpoint_parse),
		cmocka_unit_test(test_prefix_parse_and_text),
		cmocka_unit_test(test_prefix_parse_refuses),
		cmocka_unit_test(test_prefix_has),
		cmocka_unit_test(test_everything_prefix_has_both_families),
		cmocka_unit_test(test_prefixes_have),
		cmocka_unit_test(test_sockaddr_v4),
		cmocka_unit_test(test_sockaddr_v6_takes_both),
		cmocka_unit_test(test_sockaddr_refuses_and_leaves_output),
	};
	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
