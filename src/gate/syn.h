/* SPDX-License-Identifier: ISC */
/*
 * The gate before the converter's listener: takes the Convert message out of the SYN before the
 * kernel sees it.
 *
 * Theory of operation. Linux accepts a connection on the SYN's data by TCP Fast Open, but an MPTCP
 * connection that was accepted so is a broken one: what is written before the third ACK is never
 * sent, and with more than one subflow the sender overruns the receiver's window, which costs
 * stalls of seconds to minutes (docs/design.md). So SYNs to our port pass a netfilter queue. A SYN
 * with a whole Convert message is shown to the role, which begins to connect to the server; then
 * the payload, of n bytes, is taken out and n is added to the sequence number. The kernel sees a
 * SYN without data, and its SYN/ACK acknowledges just what the client sent: the data in the SYN
 * was taken. Not a byte of any later packet changes.
 *
 * A repeated SYN gets the same shift, with or without data, so that the kernel knows it again. All
 * other SYNs pass as they are. Where there is no queue (no such kernel feature, a full queue, or
 * no daemon) every SYN passes, and the listener's own Fast Open takes the data.
 */
#ifndef GATE_SYN_H
#define GATE_SYN_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct gate_syn {
	struct endpoint client, converter; /* source and destination */
	uint32_t isn;
	const uint8_t *payload; /* lives as long as the call */
	size_t len;
};

/* Returns by how much the sequence number is shifted, with the payload taken out; 0 lets the SYN
 * pass as it is. */
typedef uint32_t gate_syn_fn(void *ctx, const struct gate_syn *syn);

struct gate;

/* Queue the SYNs to TCP port @port, through nftables where the kernel can do that, else iptables;
 * a line in the log says which. Returns 0 or -errno, with a line in the log that says what goes on. */
int gate_open(struct gate **out, uint16_t port, gate_syn_fn *on_syn, void *ctx);
void gate_close(struct gate *g);
/* Readable when packets wait, for gate_read(). */
int gate_fd(const struct gate *g);
void gate_read(struct gate *g);

#endif
