/* SPDX-License-Identifier: ISC */
/*
 * The CPE: the way of a connection, from the LAN host's SYN through a converter to the server.
 */
#ifndef CPE_PIPELINE_H
#define CPE_PIPELINE_H

#include <limits.h>

#include "account/counters.h"
#include "base/flows.h"
#include "control/control.h"
#include "control/metrics.h"
#include "cpe/config.h"
#include "gate/queue.h"
#include "intercept/tproxy.h"
#include "os/loop.h"
#include "os/restore.h"
#include "os/sock.h"
#include "paths/figures.h"
#include "paths/paths.h"
#include "relay/relay.h"
#include "steer/leases.h"
#include "steer/steer.h"

struct probe;

#define LINK_PROBES 6 /* at once through one link: each waits some seconds for its answer */

/* A handshake that asks whether a link works. */
struct link_probe {
	int fd; /* -1: none */
	mono_t sent;
};

struct cpe {
	struct cpe_config *config;
	struct loop loop;
	struct slots sessions;
	struct relay_pool *relays;
	int relay_ended, links, signals;
	bool listening, links_changed;
	struct intercept intercept;
	struct queue *lan_gate, *up_gate; /* NULL: none */
	struct flows lan_flows, up_flows; /* to sessions; near ends: the server's, our socket's */
	char congestion[SOCK_CONGESTION]; /* of connections to converters */
	struct steer steer;
	struct leases leases;
	char leases_path[PATH_MAX];
	struct paths paths;
	struct probe *probe[STEER_SLOTS]; /* heap; NULL: none under way */
	struct link_probe link_probe[PATHS_MAX][LINK_PROBES];
	mono_t links_due; /* when the links are looked at again */
	struct figures figures;
	bool looking; /* at all subflows, by parts */
	int subflows; /* the kernel's events of them; -1: this kernel has none */
	struct control *control;
	struct metrics *metrics; /* NULL: not asked for */
	struct client_counters counters;
	mono_t started;
};

/* Open relays and the control socket, bring the paths up, then intercept. @nl and @restore must
 * stay until cpe_close(). Returns 0, or -errno with a line in the log; call cpe_close() in both
 * cases. */
int cpe_open(struct cpe *c, struct cpe_config *config, struct netlink *nl, struct restore *restore);
/* Serve until loop.stop. Returns 0 or -errno. */
int cpe_run(struct cpe *c);
void cpe_close(struct cpe *c);

#endif
