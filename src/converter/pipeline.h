/* SPDX-License-Identifier: ISC */
/*
 * The converter: the way of a connection, from the client's SYN to the server and back.
 */
#ifndef CONVERTER_PIPELINE_H
#define CONVERTER_PIPELINE_H

#include <jansson.h>

#include "account/counters.h"
#include "base/flows.h"
#include "base/slots.h"
#include "control/control.h"
#include "control/metrics.h"
#include "converter/config.h"
#include "gate/queue.h"
#include "os/loop.h"
#include "os/restore.h"
#include "relay/relay.h"
#include "steer/cookie.h"
#include "steer/policy.h"
#include "steer/replay.h"

struct converter {
	struct converter_config *config;
	struct loop loop;
	struct slots sessions;
	unsigned int pending, unacked; /* sessions that are not relayed yet; without third ACK */
	struct relay_pool *relays;
	int relay_ended, listener[CONVERTER_LISTEN_MAX], addresses, signals;
	bool listening;
	uint16_t window_port; /* see intercept/window.h; 0: not installed */
	struct queue *gate; /* NULL: none */
	struct flows flows; /* to sessions that are not relayed yet; our end is near */
	struct orphan *orphan; /* SYN/ACKs before their session; a list */
	unsigned int n_orphans;
	struct policy policy;
	struct cookie_keys cookies;
	struct replay replay;
	struct control *control;
	struct metrics *metrics; /* NULL: not asked for */
	struct converter_counters counters;
	mono_t started;
};

/* Open listeners, relays and the control socket. Returns 0, or -errno with a line in the log; call
 * converter_close() in both cases. */
int converter_open(struct converter *c, struct converter_config *config);
/* Serve until loop.stop. Returns 0 or -errno. */
int converter_run(struct converter *c);
void converter_close(struct converter *c);

#endif
