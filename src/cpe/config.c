/* SPDX-License-Identifier: ISC */
#include "cpe/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"

static int check_mode(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const v = cfg_opt_getnstr(opt, 0);

	if (!strcmp(v, "aggregate") || !strcmp(v, "backup"))
		return 0;
	return conf_expected(cfg, opt, "aggregate or backup", v);
}

static int check_handshake(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const v = cfg_opt_getnstr(opt, 0);

	if (!strcmp(v, "faithful") || !strcmp(v, "early"))
		return 0;
	return conf_expected(cfg, opt, "faithful or early", v);
}

static int check_no_converter(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const v = cfg_opt_getnstr(opt, 0);

	if (!strcmp(v, "direct") || !strcmp(v, "refuse"))
		return 0;
	return conf_expected(cfg, opt, "direct or refuse", v);
}

static int check_interface(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const v = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (*v && strlen(v) < IF_NAMESIZE && !strpbrk(v, "\"\\/ \t{}"))
		return 0;
	return conf_expected(cfg, opt, "the name of an interface", v);
}

/* "port 22" -> 22; 0 when it is none. */
static unsigned int bypass_port(const char *text)
{
	char *end;

	if (strncmp(text, "port ", 5) != 0)
		return 0;
	const unsigned long v = strtoul(text + 5, &end, 10);
	return *end || v < 1 || v > 65535 ? 0 : (unsigned int)v;
}

static int check_bypass(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *const v = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct prefix p;

	if (cfg_opt_size(opt) > CPE_BYPASS_MAX)
		return conf_expected(cfg, opt, "at most 4096 entries", v);
	if (bypass_port(v) || prefix_parse(v, &p) == 0)
		return 0;
	return conf_expected(cfg, opt, "an address block like 192.0.2.0/24, or \"port 22\"", v);
}

/* The section itself must hold what has no default. */
static int check_wan(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *const sec = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	if (cfg_opt_size(opt) > PATHS_MAX)
		return conf_expected(cfg, opt, "at most 8 sections", cfg_title(sec));
	if (!*cfg_getstr(sec, "interface"))
		return conf_expected(cfg, opt, "interface = \"NAME\" in each section", cfg_title(sec));
	return 0;
}

static int check_converter(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *const sec = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	if (cfg_opt_size(opt) > STEER_CONVERTERS)
		return conf_expected(cfg, opt, "at most 16 sections", cfg_title(sec));
	if (!*cfg_getstr(sec, "address"))
		return conf_expected(cfg, opt, "address = \"ADDRESS\" in each section", cfg_title(sec));
	return 0;
}

static int check_lan(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *const sec = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	const unsigned int n = cfg_size(sec, "interfaces");

	if (n >= 1 && n <= CPE_LAN_MAX)
		return 0;
	return conf_expected(cfg, opt, "interfaces = {\"NAME\", ...}, 1 to 32 of them", n ? "more" : "none");
}

static void take_bypass(struct cpe_config *c)
{
	for (unsigned int i = 0; i < cfg_size(c->cfg, "bypass"); i++) {
		const char *const text = cfg_getnstr(c->cfg, "bypass", i);
		const unsigned int port = bypass_port(text);
		if (port)
			c->bypass_port[c->intercept.n_bypass_port++] = (uint16_t)port;
		else
			prefix_parse(text, &c->bypass[c->intercept.n_bypass++]);
	}
}

static void take_lan(struct cpe_config *c)
{
	cfg_t *const sec = cfg_getsec(c->cfg, "lan");

	c->intercept.n_lan = cfg_size(sec, "interfaces");
	for (unsigned int i = 0; i < c->intercept.n_lan; i++)
		c->lan[i] = cfg_getnstr(sec, "interfaces", i);
}

static void point_inside(struct cpe_config *c)
{
	c->intercept.lan = c->lan;
	c->intercept.bypass = c->bypass;
	c->intercept.bypass_port = c->bypass_port;
}

static void take_wans(struct cpe_config *c)
{
	c->n_wan = cfg_size(c->cfg, "wan");
	for (unsigned int i = 0; i < c->n_wan; i++) {
		cfg_t *const sec = cfg_getnsec(c->cfg, "wan", i);
		struct wan *const w = &c->wan[i];
		snprintf(w->name, sizeof(w->name), "%s", cfg_title(sec));
		snprintf(w->ifname, sizeof(w->ifname), "%s", cfg_getstr(sec, "interface"));
		w->backup = !strcmp(cfg_getstr(sec, "mode"), "backup");
	}
}

static void take_converters(struct cpe_config *c)
{
	c->n_converter = cfg_size(c->cfg, "converter");
	for (unsigned int i = 0; i < c->n_converter; i++) {
		cfg_t *const sec = cfg_getnsec(c->cfg, "converter", i);
		struct steer_entry *const e = &c->converter[i];
		snprintf(e->name, sizeof(e->name), "%s", cfg_title(sec));
		ip_parse(cfg_getstr(sec, "address"), &e->at.ip);
		e->at.port = (uint16_t)cfg_getint(sec, "port");
	}
}

int cpe_config_read(struct cpe_config *c, const char *path)
{
	static char empty[] = "", none[] = "{}", aggregate[] = "aggregate", faithful[] = "faithful";
	static char direct[] = "direct", automatic[] = "auto", control[] = "/run/plait/cpe.sock", state[] = "/run/plait/cpe.state";
	cfg_opt_t lan[] = { CFG_STR_LIST("interfaces", none, CFGF_NONE), CFG_END() };
	cfg_opt_t wan[] = {
		CFG_STR("interface", empty, CFGF_NONE),
		CFG_STR("mode", aggregate, CFGF_NONE),
		CFG_END(),
	};
	cfg_opt_t converter[] = {
		CFG_STR("address", empty, CFGF_NONE),
		CFG_INT("port", 5124, CFGF_NONE),
		CFG_END(),
	};
	cfg_opt_t opts[] = {
		CFG_SEC("lan", lan, CFGF_NODEFAULT),
		CFG_SEC("wan", wan, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_SEC("converter", converter, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_STR("handshake", faithful, CFGF_NONE),
		CFG_INT("distrust_ttl", 600, CFGF_NONE),
		CFG_STR("no_converter", direct, CFGF_NONE),
		CFG_STR("gate", automatic, CFGF_NONE),
		CFG_STR_LIST("bypass", none, CFGF_NONE),
		CFG_STR("control", control, CFGF_NONE),
		CFG_STR("state", state, CFGF_NONE),
		CFG_STR("metrics", empty, CFGF_NONE),
		CFG_STR("congestion", automatic, CFGF_NONE),
		CFG_INT("workers", 0, CFGF_NONE),
		CFG_INT("relay_buffer", 1 << 20, CFGF_NONE),
		CFG_END(),
	};

	*c = (struct cpe_config){ .path = path };
	c->cfg = conf_parse(path, opts, (struct conf_check[]){
		{ "lan", check_lan }, { "lan|interfaces", check_interface },
		{ "wan", check_wan }, { "wan|interface", check_interface }, { "wan|mode", check_mode },
		{ "converter", check_converter }, { "converter|address", conf_check_address },
		{ "converter|port", conf_check_port }, { "handshake", check_handshake },
		{ "distrust_ttl", conf_check_positive }, { "no_converter", check_no_converter },
		{ "gate", conf_check_gate }, { "metrics", conf_check_endpoint }, { "bypass", check_bypass }, { "relay_buffer", conf_check_positive }, { NULL, NULL } });
	if (!c->cfg)
		return -1;
	if (!cfg_size(c->cfg, "lan")) {
		conf_complain(path, "expected a section lan { interfaces = {\"NAME\"} }, found none");
		cpe_config_done(c);
		return -1;
	}
	take_lan(c);
	take_bypass(c);
	take_wans(c);
	take_converters(c);
	point_inside(c);
	c->distrust_ttl = cfg_getint(c->cfg, "distrust_ttl") * S_US;
	c->early = !strcmp(cfg_getstr(c->cfg, "handshake"), "early");
	c->refuse = !strcmp(cfg_getstr(c->cfg, "no_converter"), "refuse");
	c->gate = !strcmp(cfg_getstr(c->cfg, "gate"), "auto");
	c->control = cfg_getstr(c->cfg, "control");
	c->state = cfg_getstr(c->cfg, "state");
	c->metrics = cfg_getstr(c->cfg, "metrics");
	c->congestion = cfg_getstr(c->cfg, "congestion");
	c->workers = conf_workers(c->cfg);
	c->relay_buffer = (size_t)cfg_getint(c->cfg, "relay_buffer");
	return 0;
}

void cpe_config_print(const struct cpe_config *c)
{
	char text[ENDPOINT_TEXT];

	printf("lan { ");
	conf_print_list(cfg_getsec(c->cfg, "lan"), "interfaces");
	printf("}\n");
	for (unsigned int i = 0; i < c->n_wan; i++)
		printf("wan \"%s\" { interface = \"%s\"  mode = %s }\n", c->wan[i].name,
			c->wan[i].ifname, c->wan[i].backup ? "backup" : "aggregate");
	for (unsigned int i = 0; i < c->n_converter; i++)
		printf("converter \"%s\" { address = \"%s\"  port = %u }\n", c->converter[i].name,
			ip_text(&c->converter[i].at.ip, text), c->converter[i].at.port);
	printf("handshake = %s\n", c->early ? "early" : "faithful");
	printf("distrust_ttl = %lld\n", (long long)(c->distrust_ttl / S_US));
	printf("no_converter = %s\n", c->refuse ? "refuse" : "direct");
	printf("gate = %s\n", c->gate ? "auto" : "off");
	conf_print_list(c->cfg, "bypass");
	printf("control = \"%s\"\n", c->control);
	printf("state = \"%s\"\n", c->state);
	printf("metrics = \"%s\"\n", c->metrics);
	printf("congestion = %s\n", c->congestion);
	printf("workers = %u\n", c->workers);
	printf("relay_buffer = %zu\n", c->relay_buffer);
}

void cpe_config_move(struct cpe_config *to, struct cpe_config *from)
{
	cpe_config_done(to);
	*to = *from;
	point_inside(to);
	from->cfg = NULL;
}

void cpe_config_done(struct cpe_config *c)
{
	if (c->cfg)
		cfg_free(c->cfg);
	c->cfg = NULL;
}
