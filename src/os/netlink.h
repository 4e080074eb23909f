/* SPDX-License-Identifier: ISC */
/*
 * Requests to the kernel over netlink, one at a time, and the two families that plait speaks:
 * routing (rules, routes, addresses, links) and MPTCP's path manager (endpoints, limits).
 *
 * Rules and routes that plait makes carry its protocol number, so that what is left of a daemon
 * that was killed is known for what it is; nothing else is ever changed or removed.
 */
#ifndef OS_NETLINK_H
#define OS_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "os/subflow.h"

#define NETLINK_PROTOCOL 0x70 /* 'p', as in `ip route show proto 112`; unassigned in rt_protos */

struct netlink;

/* The connections to the kernel. Returns 0, or -errno with a line in the log; -EPROTONOSUPPORT without
 * MPTCP. */
int netlink_open(struct netlink **out);
void netlink_close(struct netlink *nl);

/* A routing rule: packets with @mark (when not 0), or from @from (when @from_bits is not 0), look
 * into @table. */
struct nl_rule {
	int family;
	uint32_t priority, table, mark;
	struct ip_addr from;
	uint8_t from_bits;
};

/* A route of @table to @to (0 bits: default), by @via when it has one, out of @ifindex. */
struct nl_route {
	int family;
	uint32_t table, ifindex;
	bool local, has_via;
	struct ip_addr to, via;
	uint8_t to_bits;
	uint32_t metric;
	uint8_t protocol;
};

struct nl_link {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	bool running; /* up, with a carrier */
};

struct nl_addr {
	uint32_t ifindex;
	struct ip_addr ip;
	uint8_t bits;
	bool usable; /* of global scope, neither tentative nor deprecated */
};

/* An MPTCP endpoint (`ip mptcp endpoint`); @flags as MPTCP_PM_ADDR_FLAG_*. */
struct nl_endpoint {
	struct ip_addr ip;
	uint32_t flags;
	int32_t ifindex;
	uint8_t id;
};

/* Each returns 0 or -errno. To add what is there already, or remove what is not, is no error. */
int netlink_rule(struct netlink *nl, bool add, const struct nl_rule *rule);
int netlink_route(struct netlink *nl, bool add, const struct nl_route *route);
int netlink_endpoint(struct netlink *nl, bool add, const struct nl_endpoint *e);
/* Give the endpoint @e, and the subflows that come from it, the flag MPTCP_PM_ADDR_FLAG_BACKUP or take it
 * away, as @e->flags has it. */
int netlink_endpoint_backup(struct netlink *nl, const struct nl_endpoint *e);
int netlink_limits(struct netlink *nl, uint32_t *subflows, uint32_t *add_addrs);
int netlink_set_limits(struct netlink *nl, uint32_t subflows, uint32_t add_addrs);

/* End a TCP connection or subflow of this host: @near is our end. One whose handshake is not over is
 * forgotten without a word, others are reset. Returns 0, -ENOENT when there is none, -EOPNOTSUPP where
 * the kernel cannot (CONFIG_INET_DIAG_DESTROY). */
int netlink_abort(struct netlink *nl, const struct endpoint *near, const struct endpoint *far);

/* A look at all subflows of this host's MPTCP connections with the far port @port (0: any), by parts, since
 * there may be many: ask, and then take until there are no more; the fd (-1: this kernel has none) is
 * readable meanwhile. @fn is called for each; it is gone after the call. Without CAP_NET_ADMIN there are
 * none. To ask returns 0 or -errno; to take 1 when there are more, 0 when not, or -errno. */
typedef void netlink_subflow_fn(void *ctx, const struct subflow_info *s);
int netlink_subflows_fd(const struct netlink *nl);
int netlink_subflows_ask(struct netlink *nl, uint16_t port);
int netlink_subflows_take(struct netlink *nl, netlink_subflow_fn *fn, void *ctx);

/* What happens to a subflow behind the first one, or to any that ends before its connection. */
struct nl_event {
	struct flow flow;
	uint32_t token;   /* ours, of its connection */
	bool established; /* else it is closed, */
	int error;        /* ... with this positive errno, or 0 */
};

/* An fd that becomes readable when there are such events, or -errno. */
int netlink_watch_subflows(struct netlink *nl);
/* Take one event from it; false when there is none. */
bool netlink_event(int fd, struct nl_event *out);

/* Dumps: fill up to @max elements and return how many there are (at most @max), or -errno. Rules
 * are plait's own; routes those of the main table, and plait's own in the others. */
int netlink_rules(struct netlink *nl, struct nl_rule *out, int max);
int netlink_routes(struct netlink *nl, struct nl_route *out, int max);
int netlink_links(struct netlink *nl, struct nl_link *out, int max);
int netlink_addrs(struct netlink *nl, struct nl_addr *out, int max);
int netlink_endpoints(struct netlink *nl, struct nl_endpoint *out, int max);

/* How many packets an interface has received. Returns 0 or -errno. */
int netlink_received(struct netlink *nl, uint32_t ifindex, uint64_t *packets);

/* An fd that becomes readable when links, addresses, routes or rules change; netlink_changed()
 * empties it. Returns -errno on failure. */
int netlink_watch(void);
void netlink_changed(int fd);

#endif
