/* SPDX-License-Identifier: ISC */
/*
 * Converters that were learnt and not configured: each lease is what one source said of one link, the
 * DHCPv4 server of the cellular link, say. It lasts for a time, and a new one takes its place.
 *
 * Pure: the clock is passed in.
 */
#ifndef STEER_LEASES_H
#define STEER_LEASES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mono.h"
#include "steer/steer.h"

#define LEASES_MAX       16 /* 8 links, two families */
#define LEASE_CONVERTERS 8
#define LEASE_SOURCE     16
#define LEASE_ORDER      100 /* unless said otherwise; those of the configuration come first */

struct lease {
	char source[LEASE_SOURCE], ifname[STEER_LINK]; /* together they name it */
	bool only;          /* its converters are reached through this link only */
	unsigned int order; /* less: before those of other leases */
	mono_t expires;     /* 0: never */
	struct endpoint at[LEASE_CONVERTERS];
	unsigned int n;
};

/* In their order. */
struct leases {
	struct lease lease[LEASES_MAX];
	unsigned int n;
};

/* Take @new in place of what its source said of its link before; without converters it only ends that.
 * Returns 0, or -ENOSPC with nothing changed. */
int leases_put(struct leases *l, const struct lease *new);
/* Drop those whose time is over; returns whether there were any. */
bool leases_expire(struct leases *l, mono_t now);
/* Their converters in order, behind the @n entries that @e holds already, of @max, those left out that
 * are there. Returns the new @n. */
unsigned int leases_list(const struct leases *l, struct steer_entry *e, unsigned int n, unsigned int max);
/* That whose converters have this name in such a list, or NULL. */
const struct lease *leases_named(const struct leases *l, const char *name);

#endif
