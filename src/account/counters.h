/* SPDX-License-Identifier: ISC */
/*
 * What the daemons count. One table each: the names that status and metrics show, in the code's
 * own order.
 */
#ifndef ACCOUNT_COUNTERS_H
#define ACCOUNT_COUNTERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* X(name, help) */
#define CLIENT_COUNTERS(X) \
	X(accepted, "connections of LAN hosts taken") \
	X(converted, "connections that a converter took to their server") \
	X(direct, "connections made without a converter") \
	X(refused_by_server, "connections that the server refused or that could not reach it") \
	X(refused, "connections refused because no converter was usable, or for lack of room") \
	X(answer_wrong, "answers that were none of a converter to our request") \
	X(answer_missing, "handshakes with a converter that got no answer") \
	X(syn_refused, "SYN/ACKs of peers that took no data from our SYN") \
	X(converter_unreachable, "converter connections without a handshake") \
	X(converter_busy, "requests that a converter could not serve for now") \
	X(unauthorized, "requests that a converter did not want to serve") \
	X(tcp_fallback, "converted connections that lost their MPTCP") \
	X(lan_gone, "LAN hosts gone before their server accepted") \
	X(probes, "probes sent to unreachable converters") \
	X(link_probes, "probes sent through links that were doubted") \
	X(ended_finished, "connections that ended with a FIN both ways") \
	X(ended_reset, "connections that ended with a RST") \
	X(bytes_up, "bytes from LAN hosts, of ended connections") \
	X(bytes_down, "bytes to LAN hosts, of ended connections")

#define CONVERTER_COUNTERS(X) \
	X(accepted, "connections of clients taken") \
	X(on_syn, "connections whose Convert message came in the SYN") \
	X(in_syn_ack, "answers that went in the SYN/ACK") \
	X(converted, "connections made to a server") \
	X(pending, "answers that had to say PENDING") \
	X(refused_by_server, "servers that refused or could not be reached") \
	X(not_authorized, "requests refused by policy") \
	X(no_cookie, "requests without the cookie that is required") \
	X(replayed, "requests with a nonce that was said before") \
	X(defective, "messages with a defect, answered or reset") \
	X(info, "Info TLVs answered") \
	X(overload, "requests refused for lack of room") \
	X(client_gone, "clients gone before their server answered") \
	X(too_late, "connections whose message or third ACK never came") \
	X(tcp_clients, "converted connections of clients without MPTCP") \
	X(ended_finished, "connections that ended with a FIN both ways") \
	X(ended_reset, "connections that ended with a RST") \
	X(bytes_up, "bytes from clients, of ended connections") \
	X(bytes_down, "bytes to clients, of ended connections")

/* One of them, for who goes through them all. */
struct counter {
	const char *name, *help;
	uint64_t value;
};

#define X(name, help) uint64_t name;
struct client_counters {
	CLIENT_COUNTERS(X)
};
struct converter_counters {
	CONVERTER_COUNTERS(X)
};
#undef X

/* A new JSON object with every counter; the caller owns it. NULL without memory. */
json_t *client_counters_json(const struct client_counters *c);
json_t *converter_counters_json(const struct converter_counters *c);
/* The counter with the number @i, from 0 on; false behind the last one. */
bool client_counter(const struct client_counters *c, unsigned int i, struct counter *out);
bool converter_counter(const struct converter_counters *c, unsigned int i, struct counter *out);

#endif
