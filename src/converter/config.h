/* SPDX-License-Identifier: ISC */
/* The converter's configuration; its keys and defaults stand in config.c, in one table. */
#ifndef CONVERTER_CONFIG_H
#define CONVERTER_CONFIG_H

#include <confuse.h>
#include <stdbool.h>

#include "base/addr.h"

#define CONVERTER_LISTEN_MAX   16
#define CONVERTER_ANNOUNCE_MAX 4 /* one of each family, and some to spare */

struct converter_config {
	cfg_t *cfg; /* what the strings below belong to */
	struct endpoint listen[CONVERTER_LISTEN_MAX];
	unsigned int n_listen;
	struct ip_addr announce[CONVERTER_ANNOUNCE_MAX]; /* for subflows of the other family */
	unsigned int n_announce;
	struct prefix *clients, *deny_to, *allow_to;
	size_t n_clients, n_deny_to, n_allow_to;
	bool cookie_required;
	bool gate; /* gate = auto */
	const char *control, *state, *metrics, *congestion, *path; /* path: of the file itself */
	unsigned int workers;
	size_t relay_buffer;
};

/* Returns 0, or -1 after a complaint on standard error. */
int converter_config_read(struct converter_config *c, const char *path);
/* The configuration in effect, in its own syntax, on standard output. */
void converter_config_print(const struct converter_config *c);
/* Put what @from holds in place of what @to holds; @from is empty then. */
void converter_config_move(struct converter_config *to, struct converter_config *from);
void converter_config_done(struct converter_config *c);

#endif
