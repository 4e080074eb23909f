/* SPDX-License-Identifier: ISC */
/*
 * What leads to a gate: rules that send SYNs and SYN/ACKs into a netfilter queue, by nftables where
 * the kernel has its queue statement, else by iptables with the NFQUEUE target. Without a program
 * at the queue they let everything pass.
 */
#ifndef GATE_RULES_H
#define GATE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct gate_rule {
	bool out;     /* what this host sends; else what arrives for it */
	bool syn_ack; /* SYN/ACKs; else SYNs */
	uint32_t mark;                     /* of the packet; 0: any */
	uint16_t sport, dport;             /* 0: any */
	const struct ip_addr *from, *to;   /* NULL: any */
	uint16_t queue;
};

/* Put the @n rules at @r into force, in place of those that @name (of letters and '_') had. Returns
 * 0 with a line in the log that says by which means, or -ENOTSUP where neither works. */
int rules_open(const char *name, const struct gate_rule *r, unsigned int n);
/* Put others into force in one step, so that no packet passes in between. Returns as rules_open(), with
 * the old ones in force when that failed. */
int rules_change(const char *name, const struct gate_rule *r, unsigned int n);
void rules_close(const char *name);

/* The text that nft gets, for tests; the caller frees it. NULL without memory. */
char *rules_nft(const char *name, const struct gate_rule *r, unsigned int n);

#endif
