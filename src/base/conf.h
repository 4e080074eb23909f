/* SPDX-License-Identifier: ISC */
/*
 * Reading a configuration file with libconfuse: what both daemons share. Every complaint names the
 * file, the line, what was found and what was expected.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <confuse.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

/* A function that checks the values of the option @name ("section|option") as they are read. */
struct conf_check {
	const char *name;
	cfg_validate_callback_t check;
};

/* Parse @path with @opts and @checks (ended by a NULL name). Returns the result, which the caller frees,
 * or NULL with the complaint written, or kept (conf_hear()). */
cfg_t *conf_parse(const char *path, cfg_opt_t *opts, const struct conf_check *checks);

/* Complaints are kept from now on, in place of being written. */
void conf_hear(void);
/* ... and now the first of them, on the heap, or NULL; from now on they are written again. */
char *conf_heard(void);
/* A complaint about the file as a whole. */
void conf_complain(const char *path, const char *what);

/* Complain about the value that is being read: "FILE:LINE: NAME: expected EXPECTED, found FOUND".
 * Returns -1, for validating functions to return. */
int conf_expected(cfg_t *cfg, const cfg_opt_t *opt, const char *expected, const char *found);

int conf_check_port(cfg_t *cfg, cfg_opt_t *opt);        /* 1-65535 */
int conf_check_prefixes(cfg_t *cfg, cfg_opt_t *opt);    /* of a list of strings, the last one */
int conf_check_address(cfg_t *cfg, cfg_opt_t *opt);     /* an address, or a list of them */
int conf_check_endpoint(cfg_t *cfg, cfg_opt_t *opt);    /* ADDRESS:PORT, or nothing */
int conf_check_positive(cfg_t *cfg, cfg_opt_t *opt);
int conf_check_gate(cfg_t *cfg, cfg_opt_t *opt);        /* auto or off */

/* Say that a key of a configuration that is read again cannot take effect, unless it is @same. */
void conf_keep(const char *key, bool same);

/* The prefixes of the checked list @name, on the heap (NULL for none), their number in @n. */
struct prefix *conf_prefixes(cfg_t *cfg, const char *name, size_t *n);
/* The value of "workers"; 0 there means one a core. */
unsigned int conf_workers(cfg_t *cfg);
/* Print a list of strings as the file has it. */
void conf_print_list(cfg_t *cfg, const char *name);

/* The command line that both daemons have. */
struct conf_args {
	const char *file;
	bool check_only, verbose;
};
/* Returns 0, or 2 after a complaint, or 1 after --help or --version was answered (exit with 0). */
int conf_args(int argc, char **argv, const char *program, const char *what, struct conf_args *out);

#endif
