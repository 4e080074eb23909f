/* SPDX-License-Identifier: ISC */
#include "converter/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"

static int check_cookie(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const v = cfg_opt_getnstr(opt, 0);

	if (!strcmp(v, "off") || !strcmp(v, "required"))
		return 0;
	return conf_expected(cfg, opt, "off or required", v);
}

static int check_announce(cfg_t *cfg, cfg_opt_t *opt)
{
	if (cfg_opt_size(opt) > CONVERTER_ANNOUNCE_MAX)
		return conf_expected(cfg, opt, "at most 4 addresses", "more");
	return conf_check_address(cfg, opt);
}

static void take_listen(struct converter_config *c)
{
	const unsigned int n = cfg_size(c->cfg, "listen");

	for (unsigned int i = 0; i < n && c->n_listen < CONVERTER_LISTEN_MAX; i++) {
		struct endpoint *const e = &c->listen[c->n_listen++];
		ip_parse(cfg_getnstr(c->cfg, "listen", i), &e->ip);
		e->port = (uint16_t)cfg_getint(c->cfg, "port");
	}
}

int converter_config_read(struct converter_config *c, const char *path)
{
	static char any[] = "{0.0.0.0, ::}", none[] = "{}", off[] = "off", empty[] = "", automatic[] = "auto";
	static char control[] = "/run/plait/converter.sock", state[] = "/run/plait/converter.state";
	cfg_opt_t opts[] = {
		CFG_STR_LIST("listen", any, CFGF_NONE),
		CFG_INT("port", 5124, CFGF_NONE),
		CFG_STR_LIST("announce", none, CFGF_NONE),
		CFG_STR_LIST("clients", none, CFGF_NONE),
		CFG_STR_LIST("deny_to", none, CFGF_NONE),
		CFG_STR_LIST("allow_to", none, CFGF_NONE),
		CFG_STR("cookie", off, CFGF_NONE),
		CFG_STR("gate", automatic, CFGF_NONE),
		CFG_STR("control", control, CFGF_NONE),
		CFG_STR("state", state, CFGF_NONE),
		CFG_STR("metrics", empty, CFGF_NONE),
		CFG_STR("congestion", automatic, CFGF_NONE),
		CFG_INT("workers", 0, CFGF_NONE),
		CFG_INT("relay_buffer", 1 << 20, CFGF_NONE),
		CFG_END(),
	};

	*c = (struct converter_config){ .path = path };
	c->cfg = conf_parse(path, opts, (struct conf_check[]){
		{ "listen", conf_check_address }, { "port", conf_check_port },
		{ "announce", check_announce }, { "clients", conf_check_prefixes }, { "deny_to", conf_check_prefixes },
		{ "allow_to", conf_check_prefixes }, { "cookie", check_cookie }, { "gate", conf_check_gate }, { "metrics", conf_check_endpoint },
		{ "relay_buffer", conf_check_positive }, { NULL, NULL } });
	if (!c->cfg)
		return -1;
	take_listen(c);
	c->n_announce = cfg_size(c->cfg, "announce");
	for (unsigned int i = 0; i < c->n_announce; i++)
		ip_parse(cfg_getnstr(c->cfg, "announce", i), &c->announce[i]);
	c->clients = conf_prefixes(c->cfg, "clients", &c->n_clients);
	c->deny_to = conf_prefixes(c->cfg, "deny_to", &c->n_deny_to);
	c->allow_to = conf_prefixes(c->cfg, "allow_to", &c->n_allow_to);
	c->cookie_required = !strcmp(cfg_getstr(c->cfg, "cookie"), "required");
	c->gate = !strcmp(cfg_getstr(c->cfg, "gate"), "auto");
	c->control = cfg_getstr(c->cfg, "control");
	c->state = cfg_getstr(c->cfg, "state");
	c->metrics = cfg_getstr(c->cfg, "metrics");
	c->congestion = cfg_getstr(c->cfg, "congestion");
	c->workers = conf_workers(c->cfg);
	c->relay_buffer = (size_t)cfg_getint(c->cfg, "relay_buffer");
	return 0;
}

void converter_config_print(const struct converter_config *c)
{
	conf_print_list(c->cfg, "listen");
	printf("port = %ld\n", cfg_getint(c->cfg, "port"));
	conf_print_list(c->cfg, "announce");
	conf_print_list(c->cfg, "clients");
	conf_print_list(c->cfg, "deny_to");
	conf_print_list(c->cfg, "allow_to");
	printf("cookie = %s\n", c->cookie_required ? "required" : "off");
	printf("gate = %s\n", c->gate ? "auto" : "off");
	printf("control = \"%s\"\n", c->control);
	printf("state = \"%s\"\n", c->state);
	printf("metrics = \"%s\"\n", c->metrics);
	printf("congestion = %s\n", c->congestion);
	printf("workers = %u\n", c->workers);
	printf("relay_buffer = %zu\n", c->relay_buffer);
}

void converter_config_move(struct converter_config *to, struct converter_config *from)
{
	converter_config_done(to);
	*to = *from;
	*from = (struct converter_config){ 0 };
}

void converter_config_done(struct converter_config *c)
{
	free(c->clients);
	free(c->deny_to);
	free(c->allow_to);
	if (c->cfg)
		cfg_free(c->cfg);
	*c = (struct converter_config){ 0 };
}
