/* SPDX-License-Identifier: ISC */
/*
 * The LAN side of the CPE: takes the TCP connections of LAN hosts to any server.
 *
 * An nft table of our own sends the SYNs of the LAN interfaces to listeners on the loopback
 * addresses (TPROXY), and later packets to whatever socket they belong to. What is left alone, and
 * so goes the kernel's usual way: anything but TCP, MPTCP connections, destinations that are ours,
 * multicast, another LAN, or in the bypass list. Without its listeners (a daemon that was killed)
 * the table does nothing at all: the tproxy statement finds no socket, and the packet goes on.
 */
#ifndef INTERCEPT_TPROXY_H
#define INTERCEPT_TPROXY_H

#include "base/addr.h"
#include "os/netlink.h"

#define INTERCEPT_TABLE "plait" /* nft list table inet plait */
#define INTERCEPT_MARK  0x706du /* what we send to LAN hosts bears this mark, SYN/ACKs among it */

struct intercept_config {
	const char *const *lan; /* names of interfaces */
	unsigned int n_lan;
	const struct prefix *bypass;
	unsigned int n_bypass;
	const uint16_t *bypass_port;
	unsigned int n_bypass_port;
};

struct intercept {
	int listener[2]; /* IPv4, IPv6 */
	uint16_t port[2];
	bool taking;
	struct netlink *nl;
};

/* Open the listeners and install rules and routes, in place of what an earlier run left. LAN hosts may
 * speak to the @n_converter converters at @converter themselves. Returns 0, or -errno with a line in the
 * log and nothing left behind. */
int intercept_open(struct intercept *i, const struct intercept_config *config,
	const struct endpoint *converter, unsigned int n_converter, struct netlink *nl);
/* The same rules for another configuration, in one step. Returns 0, or -errno with the old ones in force. */
int intercept_change(struct intercept *i, const struct intercept_config *config,
	const struct endpoint *converter, unsigned int n_converter);
void intercept_close(struct intercept *i);
/* Whether new connections are taken, or left to the kernel's forwarding; those that were taken
 * go on. At first they are. */
void intercept_take(struct intercept *i, bool on);

/* The next connection: its fd, the LAN host, and the server that it asked for; or -errno. */
int intercept_accept(const struct intercept *i, int which, struct endpoint *lan_host,
	struct endpoint *server);

#endif
