/* SPDX-License-Identifier: ISC */
/* The CPE's configuration; its keys and defaults stand in config.c, in one table. */
#ifndef CPE_CONFIG_H
#define CPE_CONFIG_H

#include <confuse.h>
#include <stdbool.h>

#include "intercept/tproxy.h"
#include "paths/paths.h"
#include "steer/steer.h"

#define CPE_LAN_MAX    32
#define CPE_BYPASS_MAX 4096

struct cpe_config {
	cfg_t *cfg; /* what the strings below belong to */
	const char *lan[CPE_LAN_MAX];
	struct prefix bypass[CPE_BYPASS_MAX];
	uint16_t bypass_port[CPE_BYPASS_MAX];
	struct intercept_config intercept; /* points at the arrays above */

	struct wan wan[PATHS_MAX]; /* name, ifname and backup */
	unsigned int n_wan;
	struct steer_entry converter[STEER_CONVERTERS];
	unsigned int n_converter;

	int64_t distrust_ttl; /* us */
	bool early;           /* handshake = early */
	bool refuse;          /* no_converter = refuse */
	bool gate;            /* gate = auto */
	const char *control, *state, *metrics, *congestion, *path; /* path: of the file itself */
	unsigned int workers;
	size_t relay_buffer;
};

/* Returns 0, or -1 after a complaint on standard error. */
int cpe_config_read(struct cpe_config *c, const char *path);
/* The configuration in effect, in its own syntax, on standard output. */
void cpe_config_print(const struct cpe_config *c);
/* Put what @from holds in place of what @to holds; @from is empty then. */
void cpe_config_move(struct cpe_config *to, struct cpe_config *from);
void cpe_config_done(struct cpe_config *c);

#endif
