/* SPDX-License-Identifier: ISC */
/*
 * The window in the SYNs that come to the converter.
 *
 * The window in a SYN is not scaled (RFC 7323 2.2). Linux takes it as scaled for the MPTCP level of
 * a connection that it accepts on the SYN: 64240 becomes some 65 MB with the usual scale of 10. So
 * the converter sends far beyond what its client has room for, the client drops that ("NoDSSInWindow"
 * in nstat), and MPTCP's own, slow re-transmission fills the holes: a download over two links falls
 * from hundreds of Mbit/s to one or two. (mptcp_sk_clone_init() copies a window that
 * tcp_create_openreq_child() has shifted; for TCP, tcp_fastopen_create_child() corrects it, later.)
 *
 * An nft table of our own therefore writes a window into them that is right when it is shifted, and
 * small for any scale. Nothing is lost: nothing is sent before the third ACK, which brings the true
 * window.
 */
#ifndef INTERCEPT_WINDOW_H
#define INTERCEPT_WINDOW_H

#include <stdint.h>

/* Install the table for the listener's @port, in place of what an earlier run left. Returns 0, or
 * -errno with a line in the log. */
int window_open(uint16_t port);
void window_close(uint16_t port);

#endif
