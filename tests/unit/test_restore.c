/* SPDX-License-Identifier: ISC */
/* What of restoring needs neither root nor a change of the system: the file, and settings that are
 * as they should be. The rest is seen end to end. */
#include "capture.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "os/restore.h"

/* Every system has it, and nobody here writes it. */
#define KEY  "kernel.pid_max"
#define MANY "net.ipv4.tcp_rmem"
#define NONE "net.plait.none"

#define TEMPLATE "/tmp/plait-restore-XXXXXX"
static char directory[sizeof(TEMPLATE)];
static char path[sizeof(directory) + 32];

static int set_up(void **state)
{
	snprintf(directory, sizeof(directory), TEMPLATE);
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/state", directory);
	return 0;
}

static int tear_down(void **state)
{
	unlink(path);
	return rmdir(directory); /* nothing else is left there */
}

static bool exists(const char *file)
{
	struct stat s;
	return stat(file, &s) == 0;
}

static void write_state(const char *text)
{
	FILE *const f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static long setting(void)
{
	FILE *const f = fopen("/proc/sys/kernel/pid_max", "re");
	char text[32] = "";
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	return strtol(text, NULL, 10);
}

/* Opens and ends; returns what was logged. */
static const char *run_once(struct capture *c, int *err)
{
	struct restore *r = NULL;

	capture_start(c, STDERR_FILENO);
	*err = restore_open(&r, path, NULL);
	restore_undo(r);
	return capture_end(c);
}

static void test_the_file_is_there_while_it_runs(void **state)
{
	struct restore *r;

	assert_int_equal(restore_open(&r, path, NULL), 0);
	assert_true(exists(path));
	restore_undo(r);
	assert_false(exists(path));
	restore_undo(NULL);
}

static void test_folders_are_made(void **state)
{
	struct restore *r;
	char deep[sizeof(path) + 32], folder[sizeof(path)];

	snprintf(folder, sizeof(folder), "%s/run", directory);
	snprintf(deep, sizeof(deep), "%s/run/state", directory);
	assert_int_equal(restore_open(&r, deep, NULL), 0);
	assert_true(exists(deep));
	restore_undo(r);
	assert_int_equal(rmdir(folder), 0);
}

static void test_a_file_that_cannot_be_written(void **state)
{
	struct restore *r = NULL;
	struct capture c;

	capture_start(&c, STDERR_FILENO);
	const int err = restore_open(&r, "/proc/plait/state", NULL);
	const char *const said = capture_end(&c);
	assert_true(err < 0);
	assert_null(r);
	assert_non_null(strstr(said, "/proc/plait/state"));
}

static void test_a_setting_that_is_right_is_left_alone(void **state)
{
	struct restore *r;
	struct capture c;
	const long was = setting();

	assert_int_equal(restore_open(&r, path, NULL), 0);
	capture_start(&c, STDERR_FILENO);
	const int plain = restore_sysctl(r, KEY, was), bits = restore_sysctl_bits(r, KEY, was);
	restore_undo(r);
	assert_string_equal(capture_end(&c), "");
	assert_int_equal(plain, 0);
	assert_int_equal(bits, 0);
	assert_int_equal(setting(), was);
}

/* A setting of three numbers. Each of them is right, and so is anything below. */
static void test_one_of_some_numbers(void **state)
{
	static const char *const keys[] = { MANY ":0", MANY ":1", MANY ":2" };
	long was[3];
	struct restore *r;
	struct capture c;

	char text[128] = "", *at = text;
	FILE *const f = fopen("/proc/sys/net/ipv4/tcp_rmem", "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	for (size_t i = 0; i < 3; i++)
		was[i] = strtol(at, &at, 10);
	assert_int_equal(restore_open(&r, path, NULL), 0);
	capture_start(&c, STDERR_FILENO);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(restore_sysctl(r, keys[i], was[i]), 0);
		assert_int_equal(restore_sysctl_least(r, keys[i], was[i]), 0);
		assert_int_equal(restore_sysctl_least(r, keys[i], was[i] - 1), 0);
	}
	restore_undo(r);
	assert_string_equal(capture_end(&c), "");
}

static void test_a_setting_that_the_kernel_has_not(void **state)
{
	struct restore *r;

	assert_int_equal(restore_open(&r, path, NULL), 0);
	assert_int_equal(restore_sysctl(r, NONE, 1), -ENOENT);
	assert_int_equal(restore_sysctl_bits(r, NONE, 1), -ENOENT);
	restore_undo(r);
}

/* Somebody else changed it after the daemon was killed: it stays. */
static void test_somebody_else_s_choice_stays(void **state)
{
	const long was = setting();
	char text[200];
	struct capture c;
	int err;

	snprintf(text, sizeof(text), "{\"sysctl\": {\"" KEY "\": {\"was\": %ld, \"is\": %ld}}}", was + 1,
		was + 2);
	write_state(text);
	const char *const said = run_once(&c, &err);
	assert_int_equal(err, 0);
	assert_non_null(strstr(said, "somebody else's choice"));
	assert_int_equal(setting(), was);
}

/* It was put back already: nothing to do. */
static void test_what_is_back_already_stays(void **state)
{
	const long was = setting();
	char text[200];
	struct capture c;
	int err;

	snprintf(text, sizeof(text), "{\"sysctl\": {\"" KEY "\": {\"was\": %ld, \"is\": %ld}}}", was,
		was + 2);
	write_state(text);
	assert_int_equal(count_lines(run_once(&c, &err)), 1); /* that an earlier run was killed */
	assert_int_equal(err, 0);
	assert_int_equal(setting(), was);
}

/* A file cut off by a crash, or somebody else's: no reason not to start. */
static void test_files_that_are_none_of_ours(void **state)
{
	static const char *const texts[] = {
		"", "{\"sysctl\": {", "[]", "7", "{\"sysctl\": 7}", "{\"sysctl\": {\"" KEY "\": 1}}",
		"{\"sysctl\": {\"" KEY "\": {\"was\": \"x\", \"is\": []}}}", "{\"limits\": {\"was\": [1]}}",
		"{\"sysctl\": {\"../../etc/passwd\": {\"was\": 1, \"is\": 2}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct capture c;
		int err;
		write_state(texts[i]);
		run_once(&c, &err);
		assert_int_equal(err, 0);
		assert_false(exists(path));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_file_is_there_while_it_runs),
		TEST(folders_are_made),
		TEST(a_file_that_cannot_be_written),
		TEST(a_setting_that_is_right_is_left_alone),
		TEST(one_of_some_numbers),
		TEST(a_setting_that_the_kernel_has_not),
		TEST(somebody_else_s_choice_stays),
		TEST(what_is_back_already_stays),
		TEST(files_that_are_none_of_ours),
	};
	return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
