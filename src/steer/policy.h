/* SPDX-License-Identifier: ISC */
/*
 * Who may use the converter, and to reach what. An open proxy is a defect, and so is a way into
 * the operator's own networks. Pure but for the set of the converter's own addresses.
 */
#ifndef STEER_POLICY_H
#define STEER_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

struct policy {
	struct prefix *clients, *deny_to, *allow_to; /* owned by the configuration */
	size_t n_clients, n_deny_to, n_allow_to;
	struct ip_addr *own; /* heap */
	size_t n_own;
};

enum policy_verdict {
	POLICY_ALLOW,
	POLICY_CLIENT_UNKNOWN,
	POLICY_DENIED,  /* by deny_to */
	POLICY_PRIVATE, /* a private or special range, not in allow_to */
	POLICY_OWN,     /* the converter's own address */
};
const char *policy_verdict_text(enum policy_verdict v);

/* May @client use the converter? */
enum policy_verdict policy_client(const struct policy *p, const struct ip_addr *client);
/* May one who does have a connection to @server? deny_to outweighs allow_to. */
enum policy_verdict policy_server(const struct policy *p, const struct ip_addr *server);

/* Read this machine's addresses anew. Returns 0 or -errno with the old ones kept. */
int policy_read_own(struct policy *p);
void policy_done(struct policy *p);

#endif
