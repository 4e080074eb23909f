/* SPDX-License-Identifier: ISC */
/* The configuration, read again while connections run: all that can change under them does. */
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "cpe/session.h"

/* What the slots of links that are gone, or are others now, leave behind. */
static void forget_links(struct cpe *c, const struct wan *was)
{
	for (unsigned int i = 0; i < PATHS_MAX; i++) {
		if (!strcmp(was[i].name, c->paths.wan[i].name) && !strcmp(was[i].ifname, c->paths.wan[i].ifname))
			continue;
		cpe_link_forget(c, i);
		figures_forget_link(&c->figures, i);
		for (unsigned int k = 0; k < STEER_SLOTS; k++)
			steer_carries_all(&c->steer.converter[k], i);
	}
}

json_t *cpe_reload(struct cpe *c)
{
	static struct cpe_config new;
	const struct cpe_config *const old = c->config;
	struct wan was[PATHS_MAX];

	conf_hear();
	const int err = cpe_config_read(&new, old->path);
	json_t *const refusal = control_judge_reload(err, conf_heard());
	if (refusal)
		return refusal;
	conf_keep("control", !strcmp(old->control, new.control));
	conf_keep("state", !strcmp(old->state, new.state));
	conf_keep("metrics", !strcmp(old->metrics, new.metrics));
	conf_keep("gate", old->gate == new.gate);
	conf_keep("workers", old->workers == new.workers);
	conf_keep("relay_buffer", old->relay_buffer == new.relay_buffer);
	new.gate = old->gate;
	cpe_config_move(c->config, &new);

	sock_choose_congestion(c->config->congestion, c->congestion);
	c->steer.distrust_ttl = c->config->distrust_ttl;
	memcpy(was, c->paths.wan, sizeof(was));
	paths_configure(&c->paths, c->config->wan, c->config->n_wan);
	forget_links(c, was);
	cpe_list_converters(c);
	cpe_follow_list(c);
	log_info("the configuration is read again: %u links, %u converters", c->config->n_wan,
		c->config->n_converter);
	return json_pack("{s:b}", "reloaded", 1);
}
