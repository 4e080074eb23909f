/* SPDX-License-Identifier: ISC */
/*
 * The CPE's WAN links, and what the kernel needs to use all of them for one connection.
 *
 * For each WAN address: an MPTCP endpoint (RFC 8684: the address of an additional subflow), and a
 * rule that sends what comes from it into a routing table of the link's own, which holds the
 * link's networks and its default route. The default route is taken from the main table, where
 * DHCP clients and the like put it.
 *
 * Theory of operation: paths_sync() reads links, addresses, routes and what plait made before,
 * works out what should be there, and makes the difference. It is run at the start and after every
 * change that the kernel reports; what others configured is never touched.
 */
#ifndef PATHS_PATHS_H
#define PATHS_PATHS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/mono.h"
#include "os/netlink.h"
#include "os/restore.h"
#include "paths/health.h"

#define PATHS_MAX 8 /* the kernel's path manager takes 8 endpoints */

struct wan {
	char name[32]; /* of the configuration; empty: the slot is free */
	char ifname[IF_NAMESIZE];
	bool backup;
	unsigned int rank; /* in the configuration */

	/* As last seen. */
	bool seen;        /* at all: the first look is told whatever it finds */
	uint32_t ifindex; /* 0: no such interface */
	bool running;
	bool has[2];             /* by enum family_index: address and default route are there */
	struct ip_addr addr[2];

	struct health health;
	bool renewed; /* its endpoints are left out once, see paths_renew() */
};

enum family_index { FAMILY_4, FAMILY_6 };

static inline enum family_index family_index(const struct ip_addr *ip)
{
	return ip_is_v4(ip) ? FAMILY_4 : FAMILY_6;
}

/* A link keeps its slot as long as it is configured: its routing table goes by that. */
struct paths {
	struct netlink *nl;
	struct restore *restore;
	struct wan wan[PATHS_MAX];
	unsigned int n; /* slots up to the last one in use */
	bool to[2];     /* by enum family_index: there are converters of this family; the caller's */
};

/* Take the @n links at @wan, of which name, ifname and backup count, in their order. Those that are
 * there already go on; paths_sync() makes it so. */
void paths_configure(struct paths *p, const struct wan *wan, unsigned int n);
/* The link behind @w in their order, the first one for NULL; NULL at the end. */
const struct wan *paths_next(const struct paths *p, const struct wan *w);
/* How many there are. */
unsigned int paths_links(const struct paths *p);

/* Bring the kernel in step with the links. Returns 0 or the first -errno; the rest is done all the
 * same. */
int paths_sync(struct paths *p);
/* Remove all rules and routes with plait's mark; the endpoints go with restore_undo(). Also what a
 * killed daemon left. */
void paths_clear(struct netlink *nl);

/* The link for the first subflow to @to: in the order of the configuration, backup links last, one
 * that is up and has an address of this family; silent and dead ones only when there is no other; never
 * one whose bit is set in @avoid (bit 0: the first). NULL when there is none: the
 * routing table decides. */
struct wan *paths_first(struct paths *p, const struct ip_addr *to, uint32_t avoid);
/* The source address that makes a connection to @to begin on @w. */
const struct ip_addr *paths_address(const struct wan *w, const struct ip_addr *to);
/* How many links paths_first() can choose from. */
unsigned int paths_count(const struct paths *p, const struct ip_addr *to, uint32_t avoid);

/* Whether a link other than @w has nothing against it. */
bool paths_spare(const struct paths *p, const struct wan *w);
/* Give running connections new subflows on @w, in place of those that waited out its silence: a kernel
 * repeats their segments ever more rarely. Returns as paths_sync(). */
int paths_renew(struct paths *p, struct wan *w);

#endif
