/* SPDX-License-Identifier: ISC */
/*
 * plait: asks the daemons of this machine what they do, over their control sockets, and prints it
 * for people or, with --json, as it came.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MAX 32
#define TEXT_MAX    512
#define EXIT_USAGE  2

static const char *const sockets[] = { "/run/plait/cpe.sock", "/run/plait/converter.sock" };

static const struct {
	const char *name, *help;
} commands[] = {
	{ "status", "what a daemon is, and its counters" },
	{ "sessions", "the connections that it carries now" },
	{ "paths", "the WAN links of the CPE, whether they work, and what they carry" },
	{ "converters", "the converters of the CPE, and whether they are trusted" },
	{ "reload", "read the configuration again; what is wrong with it changes nothing" },
	{ "provision", "tell the CPE the converters that a link's DHCP server names; see below" },
};

static int usage(FILE *to)
{
	fprintf(to, "usage: plait COMMAND [--json] [--watch] [--socket PATH]\n"
		    "       plait lab ...\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-12s%s\n", commands[i].name, commands[i].help);
	fprintf(to, "  %-12s%s\n", "lab", "a network of namespaces to try plait in; see plait lab --help");
	fprintf(to, "\nplait provision --interface NAME --source NAME [OPTION]... [ADDRESS]...\n"
		    "  These converters, in place of those that this source named for this interface before;\n"
		    "  none: they are withdrawn.\n"
		    "  --lifetime S  for so many seconds (0: for ever)   --order N  100; less comes first\n"
		    "  --port N      5124                                 --only     reached over this link only\n"
		    "  --option4 HEX, --option6 HEX  the content of a DHCP option in place of addresses\n");
	fprintf(to, "\nTables leave out columns that say nothing; --json has all. --watch repeats it every second.\n");
	fprintf(to, "\nWithout --socket, the daemons at %s and %s are asked.\n", sockets[0], sockets[1]);
	return to == stdout ? 0 : EXIT_USAGE;
}

/* ---- asking ---- */

/* A connection to the daemon at @path, or -errno. */
static int reach(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 5 };

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		const int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static size_t on_read(void *buffer, size_t len, void *ctx)
{
	const ssize_t n = read(*(int *)ctx, buffer, len);
	return n < 0 ? (size_t)-1 : (size_t)n;
}

/* The daemon's answer to @command, which the caller owns; NULL after a complaint. @what: JSON that goes
 * with the command, or NULL. */
static json_t *ask(int fd, const char *path, const char *command, const char *what)
{
	char line[4096];
	const int len = snprintf(line, sizeof(line), "%s%s%s\n", command, what ? " " : "", what ? what : "");
	json_error_t why;

	if (len >= (int)sizeof(line)) {
		fprintf(stderr, "plait: expected less than %zu bytes, found %d\n", sizeof(line), len);
		return NULL;
	}
	if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len) {
		fprintf(stderr, "plait: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	json_t *const answer = json_load_callback(on_read, &fd, 0, &why);
	if (!answer)
		fprintf(stderr, "plait: %s: expected a JSON object, found: %s\n", path, why.text);
	return answer;
}

/* ---- printing ---- */

static void value_text(const char *key, const json_t *v, char *text, size_t size);

/* Whether a value says nothing: 0, no text, no members. */
static bool is_nothing(const json_t *v)
{
	return (json_is_number(v) && json_number_value(v) == 0) || (json_is_string(v) && !*json_string_value(v)) ||
	       (json_is_object(v) && !json_object_size(v));
}

/* "dsl all, lte nothing seconds_left 28.4": the members of an object that say something; numbers with
 * their names. */
static void members_text(const json_t *o, char *text, size_t size)
{
	const char *key;
	json_t *v;
	size_t len = 0;

	*text = 0;
	json_object_foreach((json_t *)o, key, v) {
		char inner[TEXT_MAX];
		if (is_nothing(v))
			continue;
		value_text(key, v, inner, sizeof(inner));
		const char *const gap = text[0] == '\0' ? "" : json_is_object(v) ? ", " : " ";
		const int n = json_is_string(v) ? snprintf(text + len, size - len, "%s%s", gap, inner)
						: snprintf(text + len, size - len, "%s%s %s", gap, key, inner);
		len += n > 0 ? (size_t)n : 0;
		if (len >= size)
			return;
	}
}

/* "12.3 MB" */
static void bytes_text(double n, char *text, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	for (; n >= 1000 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		n /= 1000;
	snprintf(text, size, i ? "%.1f %s" : "%.0f %s", n, units[i]);
}

static void value_text(const char *key, const json_t *v, char *text, size_t size)
{
	if (json_is_object(v))
		members_text(v, text, size);
	else if (json_is_string(v))
		snprintf(text, size, "%s", *json_string_value(v) ? json_string_value(v) : "-");
	else if (json_is_integer(v) && (!strncmp(key, "bytes_", 6) || !strcmp(key, "resent")))
		bytes_text(json_number_value(v), text, size);
	else if (json_is_integer(v))
		snprintf(text, size, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(text, size, "%.1f", json_real_value(v));
	else
		snprintf(text, size, "%s", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "?");
}

struct column {
	const char *key;
	int width;
};

/* The columns of a table in which any row says something; returns how many. */
static int plan_columns(const json_t *list, struct column column[COLUMNS_MAX])
{
	char text[TEXT_MAX];
	int columns = 0;
	const char *key;
	json_t *v, *row;
	size_t i;

	json_object_foreach(json_array_get(list, 0), key, v) {
		struct column c = { .key = key, .width = (int)strlen(key) };
		bool says = false;
		json_array_foreach(list, i, row) {
			v = json_object_get(row, key);
			value_text(key, v, text, sizeof(text));
			c.width = c.width < (int)strlen(text) ? (int)strlen(text) : c.width;
			says = says || !is_nothing(v);
		}
		if (says && columns < COLUMNS_MAX)
			column[columns++] = c;
	}
	return columns;
}

/* Objects with the same keys, as a table whose columns are as wide as they must be. */
static void print_table(const json_t *list)
{
	struct column column[COLUMNS_MAX];
	const int columns = plan_columns(list, column);
	char text[TEXT_MAX];
	const json_t *row;
	size_t i;

	if (!columns) {
		printf("none\n");
		return;
	}
	for (int c = 0; c < columns; c++)
		printf("%s%-*s", c ? "  " : "", c + 1 < columns ? column[c].width : 0, column[c].key);
	printf("\n");
	json_array_foreach(list, i, row) {
		for (int c = 0; c < columns; c++) {
			value_text(column[c].key, json_object_get(row, column[c].key), text, sizeof(text));
			printf("%s%-*s", c ? "  " : "", c + 1 < columns ? column[c].width : 0, text);
		}
		printf("\n");
	}
}

static void print_object(const json_t *o, int indent)
{
	char text[TEXT_MAX];
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v) {
		if (json_is_object(v)) {
			printf("%*s%s\n", indent, "", key);
			print_object(v, indent + 2);
		} else {
			value_text(key, v, text, sizeof(text));
			printf("%*s%-*s %s\n", indent, "", 24 - indent, key, text);
		}
	}
}

static int print_answer(const json_t *answer, const char *command, bool as_json)
{
	const json_t *const error = json_object_get(answer, "error");
	const json_t *const list = json_object_get(answer, command);

	if (error) {
		fprintf(stderr, "plait: %s\n", json_string_value(error));
		return 1;
	}
	if (as_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (json_is_array(list)) {
		print_table(list);
	} else {
		print_object(answer, 0);
	}
	return 0;
}

/* ---- commands ---- */

static int ask_one(const char *path, const char *command, const char *what, bool as_json)
{
	const int fd = reach(path);

	if (fd < 0) {
		fprintf(stderr, "plait: %s: %s: expected the control socket of a running daemon\n", path,
			strerror(-fd));
		return 1;
	}
	json_t *const answer = ask(fd, path, command, what);
	const int result = answer ? print_answer(answer, command, as_json) : 1;
	json_decref(answer);
	close(fd);
	return result;
}

static int ask_all(const char *command, const char *what, bool as_json)
{
	int result = 1;

	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		/* Links and converters are the CPE's alone. */
		if (i && (!strcmp(command, "paths") || !strcmp(command, "converters") || what))
			break;
		if (access(sockets[i], F_OK) == 0)
			result = ask_one(sockets[i], command, what, as_json);
	}
	if (result && access(sockets[0], F_OK) != 0 && access(sockets[1], F_OK) != 0)
		fprintf(stderr, "plait: no daemon runs here: expected %s or %s, or --socket PATH\n", sockets[0],
			sockets[1]);
	return result;
}

/* The answer again every second, on a clean screen where there is one, until something fails. */
static int watch(const char *path, const char *command, bool as_json)
{
	const struct timespec second = { .tv_sec = 1 };

	for (;;) {
		if (isatty(STDOUT_FILENO) && !as_json)
			printf("\033[H\033[2J");
		const int result = path ? ask_one(path, command, NULL, as_json) : ask_all(command, NULL, as_json);
		if (fflush(stdout) != 0 || result)
			return 1;
		nanosleep(&second, NULL);
	}
}

static int run_lab(char **argv)
{
	const char *const given = getenv("PLAIT_LAB");
	const char *const lab = given ? given : PLAIT_LAB;

	execv(lab, argv);
	fprintf(stderr, "plait: %s: %s: expected the lab's program there, or in $PLAIT_LAB\n", lab,
		strerror(errno));
	return 1;
}

static bool known(const char *command)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(command, commands[i].name))
			return true;
	}
	return false;
}

/* ---- provisioning ---- */

/* What an option of provision says: they bear the names of the request's members. */
enum { OPT_TEXT = 256, OPT_NUMBER, OPT_FLAG };

/* Take the option --@key into @o; false after a complaint. */
static bool take_option(json_t *o, int kind, const char *key, const char *arg)
{
	char *end;

	switch (kind) {
	case OPT_TEXT:
		return json_object_set_new(o, key, json_string(arg)) == 0;
	case OPT_FLAG:
		return json_object_set_new(o, key, json_true()) == 0;
	case OPT_NUMBER:
		json_object_set_new(o, key, json_integer(strtoll(arg, &end, 10)));
		if (*arg && !*end)
			return true;
		fprintf(stderr, "plait: --%s: expected a number, found \"%s\"\n", key, arg);
		return false;
	default:
		return false;
	}
}

static int provision(json_t *o, char *const *addresses, const char *path, bool as_json)
{
	json_t *const list = json_array();

	if (!json_object_get(o, "interface") || !json_object_get(o, "source")) {
		fprintf(stderr, "plait: provision: expected --interface NAME and --source NAME\n");
		json_decref(list);
		return EXIT_USAGE;
	}
	for (; *addresses; addresses++)
		json_array_append_new(list, json_string(*addresses));
	json_object_set_new(o, "converters", list);
	char *const what = json_dumps(o, JSON_COMPACT);
	const int result = path ? ask_one(path, "provision", what, as_json) : ask_all("provision", what, as_json);
	free(what);
	return result;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' },
		{ "watch", no_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "interface", required_argument, NULL, OPT_TEXT },
		{ "source", required_argument, NULL, OPT_TEXT },
		{ "lifetime", required_argument, NULL, OPT_NUMBER },
		{ "order", required_argument, NULL, OPT_NUMBER },
		{ "port", required_argument, NULL, OPT_NUMBER },
		{ "only", no_argument, NULL, OPT_FLAG },
		{ "option4", required_argument, NULL, OPT_TEXT },
		{ "option6", required_argument, NULL, OPT_TEXT },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	bool as_json = false, watches = false;
	int o, which = 0, result;

	if (argc > 1 && !strcmp(argv[1], "lab"))
		return run_lab(argv + 1);
	json_t *const given = json_object(); /* for provision */
	while ((o = getopt_long(argc, argv, "js:whV", longs, &which)) != -1) {
		switch (o) {
		case 'j':
			as_json = true;
			break;
		case 's':
			path = optarg;
			break;
		case 'w':
			watches = true;
			break;
		case 'h':
			json_decref(given);
			return usage(stdout);
		case 'V':
			printf("plait " PLAIT_VERSION "\n");
			json_decref(given);
			return 0;
		default:
			if (!take_option(given, o, longs[which].name, optarg)) {
				json_decref(given);
				return usage(stderr);
			}
		}
	}
	const char *const command = argv[optind];
	const bool provisions = command && !strcmp(command, "provision");
	const bool changes = provisions || (command && !strcmp(command, "reload"));
	if (!command || !known(command) || (watches && changes) || (!provisions && (optind + 1 != argc || json_object_size(given))))
		result = usage(stderr);
	else if (provisions)
		result = provision(given, argv + optind + 1, path, as_json);
	else if (watches)
		result = watch(path, command, as_json);
	else
		result = path ? ask_one(path, command, NULL, as_json) : ask_all(command, NULL, as_json);
	json_decref(given);
	return result;
}
