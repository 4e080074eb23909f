/* SPDX-License-Identifier: ISC */
/* The configuration, read again while connections run: who may use the converter, to reach what. */
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "converter/session.h"

void converter_take_policy(struct converter *c)
{
	const struct converter_config *const config = c->config;

	c->policy.clients = config->clients;
	c->policy.n_clients = config->n_clients;
	c->policy.deny_to = config->deny_to;
	c->policy.n_deny_to = config->n_deny_to;
	c->policy.allow_to = config->allow_to;
	c->policy.n_allow_to = config->n_allow_to;
}

static bool same_sockets(const struct converter_config *a, const struct converter_config *b)
{
	if (a->n_listen != b->n_listen || a->n_announce != b->n_announce)
		return false;
	for (unsigned int i = 0; i < a->n_listen; i++) {
		if (!endpoint_equal(&a->listen[i], &b->listen[i]))
			return false;
	}
	for (unsigned int i = 0; i < a->n_announce; i++) {
		if (!ip_equal(&a->announce[i], &b->announce[i]))
			return false;
	}
	return true;
}

/* What was opened at the start stays as it is. */
static void keep_opened(struct converter_config *new, const struct converter_config *old)
{
	conf_keep("listen, port or announce", same_sockets(old, new));
	conf_keep("control", !strcmp(old->control, new->control));
	conf_keep("congestion", !strcmp(old->congestion, new->congestion));
	conf_keep("metrics", !strcmp(old->metrics, new->metrics));
	conf_keep("state", !strcmp(old->state, new->state));
	conf_keep("gate", old->gate == new->gate);
	conf_keep("workers", old->workers == new->workers);
	conf_keep("relay_buffer", old->relay_buffer == new->relay_buffer);
	memcpy(new->listen, old->listen, sizeof(new->listen));
	memcpy(new->announce, old->announce, sizeof(new->announce));
	new->n_listen = old->n_listen;
	new->n_announce = old->n_announce;
	new->gate = old->gate;
}

json_t *converter_reload(struct converter *c)
{
	struct converter_config new;

	conf_hear();
	const int err = converter_config_read(&new, c->config->path);
	json_t *const refusal = control_judge_reload(err, conf_heard());
	if (refusal)
		return refusal;
	keep_opened(&new, c->config);
	converter_config_move(c->config, &new);
	converter_take_policy(c);
	log_info("the configuration is read again: %zu client prefixes", c->config->n_clients);
	return json_pack("{s:b}", "reloaded", 1);
}
