/* SPDX-License-Identifier: ISC */
/*
 * Kernel settings that a daemon changes for as long as it runs, and what they were before.
 *
 * The old values stand in a file from before the change until they are put back. A daemon that was
 * killed leaves the file; the next one finds it, puts the old values back, and starts from there.
 * A setting that somebody else changed meanwhile is left as it is.
 */
#ifndef OS_RESTORE_H
#define OS_RESTORE_H

#include <jansson.h>

#include "os/netlink.h"

struct restore;

/* Write @doc to a file beside @path and rename it: a crash leaves the old or the new one. Returns 0 or
 * -errno. */
int restore_write(const char *path, const json_t *doc);

/* Remember in the file at @path. What a killed daemon left there is put back first. Returns 0 or
 * -errno. @nl must stay until restore_undo(). */
int restore_open(struct restore **out, const char *path, struct netlink *nl);

/* Set net sysctl @key ("net.mptcp.enabled"; "net.ipv4.tcp_rmem:1" is the second of its numbers) to @value,
 * logging both values. Returns 0, or -errno (-ENOENT: this kernel has no such setting) with nothing
 * changed. */
int restore_sysctl(struct restore *r, const char *key, long value);
/* As restore_sysctl(), with @bits set in addition to those that are. */
int restore_sysctl_bits(struct restore *r, const char *key, long bits);
/* As restore_sysctl(), unless it is as large already. */
int restore_sysctl_least(struct restore *r, const char *key, long least);
/* Set the limits of MPTCP's path manager to these, but not below what they were before the first
 * call. Returns 0 or -errno. */
int restore_limits(struct restore *r, uint32_t subflows, uint32_t add_addrs);
/* Add an MPTCP endpoint, under an identifier that is free; one with this address that somebody else
 * added serves as well. Returns 0 or -errno. */
int restore_endpoint_add(struct restore *r, const struct nl_endpoint *e);
/* Whether @e was added here; and to remove such a one. Returns 0 or -errno. */
bool restore_endpoint_ours(const struct restore *r, const struct nl_endpoint *e);
int restore_endpoint_del(struct restore *r, const struct nl_endpoint *e);

/* Put all back, remove the file, free @r. */
void restore_undo(struct restore *r);

#endif
