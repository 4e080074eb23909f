/* SPDX-License-Identifier: ISC */
#include "base/conf.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static FILE *complaints; /* NULL: standard error */
static char *heard;
static size_t heard_len;
static bool complained; /* libconfuse fails without a word on some things, as a NUL */

void conf_hear(void)
{
	complaints = open_memstream(&heard, &heard_len);
}

char *conf_heard(void)
{
	if (!complaints)
		return NULL;
	fclose(complaints);
	complaints = NULL;
	heard[strcspn(heard, "\n")] = '\0';
	return heard;
}

__attribute__((format(printf, 2, 0), nonnull(2)))
static void complain(cfg_t *cfg, const char *fmt, va_list ap)
{
	FILE *const f = complaints ? complaints : stderr;

	if (cfg && cfg->filename && cfg->line)
		fprintf(f, "%s:%d: ", cfg->filename, cfg->line);
	vfprintf(f, fmt, ap);
	fputc('\n', f);
	complained = true;
}

void conf_complain(const char *path, const char *what)
{
	fprintf(complaints ? complaints : stderr, "%s: %s\n", path, what);
	complained = true;
}

cfg_t *conf_parse(const char *path, cfg_opt_t *opts, const struct conf_check *checks)
{
	FILE *const f = fopen(path, "re");
	if (!f) {
		conf_complain(path, strerror(errno));
		return NULL;
	}

	cfg_t *const cfg = cfg_init(opts, CFGF_NONE);
	if (cfg) {
		cfg_set_error_function(cfg, complain);
		cfg->filename = strdup(path); /* freed by cfg_free() */
		for (; checks->name; checks++)
			cfg_set_validate_func(cfg, checks->name, checks->check);
	}
	complained = false;
	const int result = cfg ? cfg_parse_fp(cfg, f) : CFG_FILE_ERROR;
	fclose(f);
	if (result == CFG_SUCCESS)
		return cfg;
	if (cfg && !complained)
		cfg_error(cfg, "expected a key or a section");
	if (cfg)
		cfg_free(cfg);
	return NULL;
}

int conf_expected(cfg_t *cfg, const cfg_opt_t *opt, const char *expected, const char *found)
{
	cfg_error(cfg, "%s: expected %s, found \"%s\"", opt->name, expected, found);
	return -1;
}

static int check_range(cfg_t *cfg, cfg_opt_t *opt, long last, const char *expected)
{
	const long v = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);
	char text[32];

	if (v >= 1 && v <= last)
		return 0;
	snprintf(text, sizeof(text), "%ld", v);
	return conf_expected(cfg, opt, expected, text);
}

int conf_check_port(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 65535, "a port, 1 to 65535");
}

int conf_check_positive(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1000000000, "a number, 1 to 1000000000");
}

int conf_check_gate(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const v = cfg_opt_getnstr(opt, 0);

	if (!strcmp(v, "auto") || !strcmp(v, "off"))
		return 0;
	return conf_expected(cfg, opt, "auto or off", v);
}

int conf_check_prefixes(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct prefix p;

	switch (prefix_parse(text, &p)) {
	case 0:
		return 0;
	case -ERANGE:
		return conf_expected(cfg, opt, "no bits behind the prefix's length", text);
	default:
		return conf_expected(cfg, opt, "an address block like 192.0.2.0/24 or 2001:db8::/32", text);
	}
}

int conf_check_address(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct ip_addr ip;

	if (ip_parse(text, &ip) == 0)
		return 0;
	return conf_expected(cfg, opt, "an IPv4 or IPv6 address", text);
}

int conf_check_endpoint(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const text = cfg_opt_getnstr(opt, 0);
	struct endpoint e;

	if (!*text || endpoint_parse(text, &e) == 0)
		return 0;
	return conf_expected(cfg, opt, "ADDRESS:PORT, as \"127.0.0.1:9801\" or \"[::1]:9801\"", text);
}

void conf_keep(const char *key, bool same)
{
	if (!same)
		log_warning("%s: a change takes effect when the daemon is started anew", key);
}

struct prefix *conf_prefixes(cfg_t *cfg, const char *name, size_t *n)
{
	const unsigned int count = cfg_size(cfg, name);
	struct prefix *const p = calloc(count ? count : 1, sizeof(*p));

	*n = 0;
	for (unsigned int i = 0; p && i < count; i++) {
		if (prefix_parse(cfg_getnstr(cfg, name, i), &p[*n]) == 0)
			(*n)++;
	}
	return p;
}

unsigned int conf_workers(cfg_t *cfg)
{
	const long n = cfg_getint(cfg, "workers");
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return (unsigned int)(n > 0 ? n : cores > 0 ? cores : 1);
}

void conf_print_list(cfg_t *cfg, const char *name)
{
	printf("%s = {", name);
	for (unsigned int i = 0; i < cfg_size(cfg, name); i++)
		printf("%s\"%s\"", i ? ", " : "", cfg_getnstr(cfg, name, i));
	printf("}\n");
}

int conf_args(int argc, char **argv, const char *program, const char *what, struct conf_args *out)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	*out = (struct conf_args){ 0 };
	while ((o = getopt_long(argc, argv, "c:nvhV", longs, NULL)) != -1) {
		switch (o) {
		case 'c':
			out->file = optarg;
			break;
		case 'n':
			out->check_only = true;
			break;
		case 'v':
			out->verbose = true;
			break;
		case 'V':
			printf("%s " PLAIT_VERSION "\n", program);
			return 1;
		case 'h':
			printf("%s: %s\n\n"
			       "usage: %s -c FILE [-n] [-v]\n"
			       "  -c FILE    configuration\n"
			       "  -n         check the configuration, print it in effect, and end\n"
			       "  -v         more log\n"
			       "  --version, --help\n", program, what, program);
			return 1;
		default:
			fprintf(stderr, "usage: %s -c FILE [-n] [-v]\n", program);
			return 2;
		}
	}
	if (!out->file || optind != argc) {
		fprintf(stderr, "%s: expected -c FILE%s\n", program,
			out->file ? " and nothing behind the options" : "");
		return 2;
	}
	return 0;
}
