/* SPDX-License-Identifier: ISC */
/*
 * The sockets that plait needs, one call each. All are non-blocking and close-on-exec. Functions
 * that return an fd return -errno on failure, with nothing left open.
 */
#ifndef OS_SOCK_H
#define OS_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "os/subflow.h"

/* TCP options with numbers that older C libraries do not name. */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* The Convert listener: MPTCP, accepts on the SYN without a Fast Open cookie (RFC 8803 4.2). At
 * most @fastopen_queue connections wait for their third ACK. */
int sock_listen_convert(const struct endpoint *at, int fastopen_queue);
/* A listener that takes connections to any address from nft's tproxy. With port 0 in @at the
 * kernel chooses one: see sock_name(). What it and its connections send bears @mark. */
int sock_listen_tproxy(const struct endpoint *at, uint32_t mark);
/* The next connection of a listener, with the address of its peer; -EAGAIN when there is none. */
int sock_accept(int listener, struct endpoint *peer);

/* A connection to a converter: MPTCP, with @msg in the SYN by Fast Open if @len is not 0. @from,
 * when not NULL, is the source address, which chooses the link. */
int sock_connect_converter(
	const struct endpoint *to, const struct ip_addr *from, const void *msg, size_t len);
/* A plain TCP connection from an address, which chooses the link. */
int sock_connect_from(const struct endpoint *to, const struct ip_addr *from);
/* A plain TCP connection to a server (converter, downstream), MPTCP when @mptcp. */
int sock_connect(const struct endpoint *to, bool mptcp);
/* An MPTCP connection to a server from an address that is not ours: the LAN host's. */
int sock_connect_transparent(const struct endpoint *to, const struct ip_addr *from);

/* Send an ICMP or, to an IPv6 host, ICMPv6 message. Returns 0 or -errno. */
int sock_send_icmp(const struct ip_addr *to, const void *msg, size_t len);

/* Bytes of receive buffer that a subflow should begin with (net.ipv4.tcp_rmem, second number). Linux
 * lets the buffers of a connection's subflows grow together, and not those that join later: with the
 * default, a connection that has lost all its first ones has a window of 64 KiB for the rest of its life. */
#define SOCK_SUBFLOW_BUFFER (1l << 20)

/* The congestion control that connections between client and converter are to have. Loss-based ones give
 * away most of a link that loses packets at random, as radio links do. @wanted: a name, or "auto", which is
 * "bbr" where the kernel has it. Its name goes to @name, which is empty for what sockets have by themselves;
 * they keep that, and the log says so, when the kernel does not have what is wanted. */
#define SOCK_CONGESTION 16
void sock_choose_congestion(const char *wanted, char name[SOCK_CONGESTION]);
/* Give a connection, or those of a listener, this one; nothing is done for an empty name. */
void sock_set_congestion(int fd, const char *name);

/* Send a TCP segment, with its checksum, between two addresses. Returns 0 or -errno. */
int sock_send_tcp(const struct ip_addr *from, const struct ip_addr *to, const void *segment, size_t len);

int sock_name(int fd, struct endpoint *out); /* 0 or -errno */
/* The error that a connection ended with, as a positive errno; 0 while there is none. Reading
 * clears it. */
int sock_error(int fd);
/* Whether a call failed, by this positive errno, because files or memory are used up. */
bool sock_no_room(int err);
/* The ICMP code that ended a connection attempt of sock_connect(), or -1. */
int sock_icmp_code(int fd);
/* Whether the handshake is over. A Fast Open child is readable before that, but an MPTCP one must
 * not be written to: what is written before the third ACK is never sent. */
bool sock_established(int fd);
bool sock_is_mptcp(int fd);
/* Whether the peer took the data that the SYN carried by Fast Open. */
bool sock_syn_data_taken(int fd);
/* The options of the SYN/ACK that the connection got, as far as the kernel tells them, in wire
 * format, padded with zeros to 4 bytes; at most @size bytes. Returns the length. */
size_t sock_syn_options(int fd, uint8_t *buf, size_t size);

/* To be called for a connection with nothing to read. MPTCP stalls for ever when segments that wait
 * for an earlier one fill its receive buffer: the earlier one is there, in a subflow's queue, and
 * finds no room. If that is so, make room; bounded. Returns whether it was: read again then. */
bool sock_make_room(int fd);
/* To be called likewise: whether segments are there that wait for an earlier one. */
bool sock_waits_for_earlier(int fd);
/* What the subflows of an MPTCP connection that can carry data have to send, of at most @max. Returns how many,
 * or -EOPNOTSUPP for other sockets. */
int sock_subflow_loads(int fd, struct subflow_load *out, unsigned int max);
/* How many bytes a connection may hold that are not acknowledged; and to have it hold so many, and not what
 * the kernel thinks. */
uint64_t sock_held(int fd);
void sock_hold(int fd, uint64_t bytes);
/* Of an MPTCP connection, the bytes that its peer has not acknowledged, the DATA_FIN among them; 0 for
 * any other. */
uint64_t sock_mptcp_unacked(int fd);
/* Whether an MPTCP connection has no subflow at all. */
bool sock_mptcp_alone(int fd);
/* To be called for a connection that was shut down for writing, and is quiet. Whether the peer has
 * acknowledged all data, on every subflow, and not the DATA_FIN behind them (RFC 8684 3.3.3). */
bool sock_fin_unheard(int fd);
/* How many subflows the connection has (0: it is plain TCP), and the ends of one of them. */
unsigned int sock_subflow(int fd, struct endpoint *near, struct endpoint *far);
/* All subflows of an MPTCP connection, at most @max; their token is not told. Returns how many. */
unsigned int sock_subflows(int fd, struct subflow_info *out, unsigned int max);
/* Our token of an MPTCP connection (RFC 8684 3.2), or 0. */
uint32_t sock_mptcp_token(int fd);
/* Probe for a peer that vanished: after @idle seconds without traffic, then every minute. */
void sock_keepalive(int fd, int idle);
/* The same at once, and every second until sock_keepalive() is called. */
void sock_keepalive_now(int fd);
/* Whether a close, also that of a killed process, is a RST and not a FIN. */
void sock_close_by_reset(int fd, bool reset);
/* Close with a RST (MPTCP: MP_FASTCLOSE), dropping what is queued. */
void sock_reset(int fd);

#endif
