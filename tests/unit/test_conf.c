/* SPDX-License-Identifier: ISC */
/* Both daemons' configuration: what stands in a file is in effect, and what is wrong is named with
 * file, line and what was expected. */
#include "capture.h"

#include "base/conf.h"
#include "converter/config.h"
#include "cpe/config.h"

static struct cpe_config cpe;
static struct converter_config converter;
static char file[] = "/tmp/plait-conf-XXXXXX";

static void write_file(const char *text)
{
	FILE *const f = fopen(file, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int set_up(void **state)
{
	const int fd = mkstemp(file);
	return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
	return unlink(file);
}

static int read_cpe(const char *text)
{
	write_file(text);
	return cpe_config_read(&cpe, file);
}

static int read_converter(const char *text)
{
	write_file(text);
	return converter_config_read(&converter, file);
}

static void test_a_cpe_s_file(void **state)
{
	assert_int_equal(read_cpe(
		"# comment\n"
		"lan { interfaces = {\"br-lan\", \"br-guest\"} }\n"
		"wan \"dsl\" { interface = \"eth1\" }\n"
		"wan \"lte\" { interface = \"wwan0\"  mode = backup }\n"
		"converter \"isp\" { address = \"198.51.100.10\" }\n"
		"converter \"other\" { address = \"2001:db8::5\"  port = 443 }\n"
		"handshake = early\n"
		"distrust_ttl = 60\n"
		"no_converter = refuse\n"
		"bypass = {\"192.0.2.0/24\", \"port 22\", \"2001:db8::/32\"}\n"
		"workers = 3\n"), 0);
	assert_int_equal(cpe.intercept.n_lan, 2);
	assert_string_equal(cpe.lan[1], "br-guest");
	assert_int_equal(cpe.n_wan, 2);
	assert_string_equal(cpe.wan[0].ifname, "eth1");
	assert_false(cpe.wan[0].backup);
	assert_true(cpe.wan[1].backup);
	assert_int_equal(cpe.n_converter, 2);
	assert_string_equal(cpe.converter[0].name, "isp");
	assert_int_equal(cpe.converter[0].at.port, 5124);
	assert_int_equal(cpe.converter[1].at.port, 443);
	assert_true(cpe.early && cpe.refuse);
	assert_int_equal(cpe.distrust_ttl, 60 * S_US);
	assert_int_equal(cpe.intercept.n_bypass, 2);
	assert_int_equal(cpe.intercept.n_bypass_port, 1);
	assert_int_equal(cpe.bypass_port[0], 22);
	assert_int_equal(cpe.workers, 3);
	cpe_config_done(&cpe);
}

static void test_a_cpe_s_defaults(void **state)
{
	assert_int_equal(read_cpe("lan { interfaces = {\"lan\"} }\n"), 0);
	assert_int_equal(cpe.n_wan + cpe.n_converter, 0);
	assert_false(cpe.early || cpe.refuse);
	assert_int_equal(cpe.distrust_ttl, 600 * S_US);
	assert_string_equal(cpe.control, "/run/plait/cpe.sock");
	assert_true(cpe.workers >= 1);
	cpe_config_done(&cpe);
}

static void test_a_converter_s_file(void **state)
{
	assert_int_equal(read_converter(
		"listen = {\"192.0.2.1\"}\n"
		"port = 6000\n"
		"clients = {\"198.51.100.0/24\", \"2001:db8::/32\"}\n"
		"deny_to = {\"203.0.113.0/24\"}\n"
		"allow_to = {\"10.0.0.0/8\"}\n"
		"cookie = required\n"), 0);
	assert_int_equal(converter.n_listen, 1);
	assert_int_equal(converter.listen[0].port, 6000);
	assert_int_equal(converter.n_clients, 2);
	assert_int_equal(converter.n_deny_to, 1);
	assert_int_equal(converter.n_allow_to, 1);
	assert_true(converter.cookie_required);
	converter_config_done(&converter);
}

static void test_a_converter_s_defaults(void **state)
{
	assert_int_equal(read_converter(""), 0);
	assert_int_equal(converter.n_listen, 2); /* both families */
	assert_int_equal(converter.listen[1].port, 5124);
	assert_int_equal(converter.n_clients, 0); /* nobody is served */
	assert_false(converter.cookie_required);
	converter_config_done(&converter);
}

/* What -n prints is a configuration, the same. */
static void test_what_is_printed_is_read_again(void **state)
{
	struct capture c;
	char first[sizeof(c.text)];

	assert_int_equal(read_cpe("lan { interfaces = {\"lan\"} }\n"
				  "wan \"a\" { interface = \"eth1\"  mode = backup }\n"
				  "converter \"c\" { address = \"2001:db8::1\" }\n"
				  "bypass = {\"port 22\"}\n"), 0);
	capture_start(&c, STDOUT_FILENO);
	cpe_config_print(&cpe);
	snprintf(first, sizeof(first), "%s", capture_end(&c));
	cpe_config_done(&cpe);
	assert_int_equal(read_cpe(first), 0);
	capture_start(&c, STDOUT_FILENO);
	cpe_config_print(&cpe);
	assert_string_equal(capture_end(&c), first);
	cpe_config_done(&cpe);

	assert_int_equal(read_converter("clients = {\"198.51.100.0/24\"}\ncookie = required\n"), 0);
	capture_start(&c, STDOUT_FILENO);
	converter_config_print(&converter);
	snprintf(first, sizeof(first), "%s", capture_end(&c));
	converter_config_done(&converter);
	assert_int_equal(read_converter(first), 0);
	capture_start(&c, STDOUT_FILENO);
	converter_config_print(&converter);
	assert_string_equal(capture_end(&c), first);
	converter_config_done(&converter);
}

/* Each has one defect; the complaint names the line and what was expected. */
struct defect {
	const char *text;
	int line; /* 0: none is named */
	const char *expected;
};

static void check_defects(const struct defect *d, size_t n, int (*reader)(const char *text))
{
	for (size_t i = 0; i < n; i++) {
		struct capture c;
		char where[64];

		capture_start(&c, STDERR_FILENO);
		const int result = reader(d[i].text);
		const char *const said = capture_end(&c);
		snprintf(where, sizeof(where), d[i].line ? "%s:%d: " : "%s", file, d[i].line);
		if (result != -1 || !strstr(said, where) || !strstr(said, d[i].expected))
			fail_msg("%s: returned %d and said \"%s\"; expected \"%s\" and \"%s\"", d[i].text,
				result, said, where, d[i].expected);
	}
}

#define LAN "lan { interfaces = {\"lan\"} }\n"

static void test_defects_of_a_cpe_s_file(void **state)
{
	static const struct defect defects[] = {
		{ "", 0, "expected a section lan" },
		{ "lan { interfaces = {} }\n", 1, "1 to 32" },
		{ "lan { interfaces = {\"\"} }\n", 1, "name of an interface" },
		{ "lan { interfaces = {\"a-name-much-too-long\"} }\n", 1, "name of an interface" },
		{ "lan { interfaces = {\"a\\\" b\"} }\n", 1, "name of an interface" },
		{ LAN "colour = blue\n", 2, "colour" },
		{ LAN "wan \"a\" { }\n", 2, "interface = \"NAME\"" },
		{ LAN "wan \"a\" { interface = \"e\"  mode = both }\n", 2, "aggregate or backup" },
		{ LAN "wan \"a\" { interface = \"e\" }\nwan \"a\" { interface = \"f\" }\n", 3, "duplicate title" },
		{ LAN "converter \"c\" { }\n", 2, "address = \"ADDRESS\"" },
		{ LAN "converter \"c\" { address = \"isp.example\" }\n", 2, "an IPv4 or IPv6 address" },
		{ LAN "converter \"c\" { address = \"192.0.2.1\"  port = 0 }\n", 2, "1 to 65535" },
		{ LAN "converter \"c\" { address = \"192.0.2.1\"  port = 65536 }\n", 2, "1 to 65535" },
		{ LAN "\n\nhandshake = fast\n", 4, "faithful or early" },
		{ LAN "no_converter = wait\n", 2, "direct or refuse" },
		{ LAN "distrust_ttl = 0\n", 2, "1 to 1000000000" },
		{ LAN "distrust_ttl = soon\n", 2, "distrust_ttl" },
		{ LAN "bypass = {\"192.0.2.1/24\"}\n", 2, "address block" },
		{ LAN "bypass = {\"port 0\"}\n", 2, "port 22" },
		{ LAN "bypass = {\"port 22x\"}\n", 2, "port 22" },
		{ LAN "bypass = {\"port \"}\n", 2, "port 22" },
	};
	check_defects(defects, ARRAY_SIZE(defects), read_cpe);
}

static void test_defects_of_a_converter_s_file(void **state)
{
	static const struct defect defects[] = {
		{ "listen = {\"everywhere\"}\n", 1, "an IPv4 or IPv6 address" },
		{ "\nport = -1\n", 2, "1 to 65535" },
		{ "clients = {\"198.51.100.0/33\"}\n", 1, "address block" },
		{ "clients = {\"198.51.100.1/24\"}\n", 1, "no bits behind" },
		{ "deny_to = {\"x\"}\n", 1, "address block" },
		{ "allow_to = {\"x\"}\n", 1, "address block" },
		{ "cookie = on\n", 1, "off or required" },
		{ "lan { interfaces = {\"lan\"} }\n", 1, "lan" },
		{ "listen = {\"192.0.2.1\"\n", 0, "" },
	};
	check_defects(defects, ARRAY_SIZE(defects), read_converter);
}

static void test_a_file_that_is_not_there(void **state)
{
	struct capture c;

	capture_start(&c, STDERR_FILENO);
	const int result = cpe_config_read(&cpe, "/nonexistent/cpe.conf");
	assert_string_equal(capture_end(&c), "/nonexistent/cpe.conf: No such file or directory\n");
	assert_int_equal(result, -1);
}

/* The examples that are installed are good ones. */
static void test_the_examples(void **state)
{
	assert_int_equal(cpe_config_read(&cpe, EXAMPLES "/cpe.conf"), 0);
	assert_true(cpe.n_wan >= 2 && cpe.n_converter >= 1);
	cpe_config_done(&cpe);
	assert_int_equal(converter_config_read(&converter, EXAMPLES "/converter.conf"), 0);
	assert_true(converter.n_clients >= 1);
	converter_config_done(&converter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_cpe_s_file),
		cmocka_unit_test(test_a_cpe_s_defaults),
		cmocka_unit_test(test_a_converter_s_file),
		cmocka_unit_test(test_a_converter_s_defaults),
		cmocka_unit_test(test_what_is_printed_is_read_again),
		cmocka_unit_test(test_defects_of_a_cpe_s_file),
		cmocka_unit_test(test_defects_of_a_converter_s_file),
		cmocka_unit_test(test_a_file_that_is_not_there),
		cmocka_unit_test(test_the_examples),
	};
	return cmocka_run_group_tests_name("conf", tests, set_up, tear_down);
}
