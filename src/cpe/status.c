/* SPDX-License-Identifier: ISC */
#include <string.h>
#include <unistd.h>

#include "cpe/session.h"

static json_t *session_json(const struct cpe *c, const struct session *s)
{
	char lan_host[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:I, s:I}", "state", client_state_text(s->state),
		"lan_host", endpoint_text(&s->lan_host, lan_host),
		"server", endpoint_text(&s->server, server),
		"converter", s->converter ? s->converter->name : "",
		"seconds", (double)mono_diff(c->loop.now, s->opened) / S_US,
		"bytes_up", (json_int_t)s->early + (json_int_t)s->relay.way[RELAY_CLIENT].bytes,
		"bytes_down", (json_int_t)s->relay.way[RELAY_SERVER].bytes);
}

/* What each link lets through to @v. */
static json_t *carriage_json(const struct cpe *c, const struct converter *v)
{
	json_t *const links = json_object();

	for (unsigned int i = 0; i < c->paths.n; i++) {
		const struct carried *const l = &v->link[i];
		if (!*c->paths.wan[i].name)
			continue;
		const int64_t left = l->most == CARRY_ALL ? 0 : mono_diff(l->until, c->loop.now);
		json_object_set_new(links, c->paths.wan[i].name, json_pack("{s:s, s:f}",
			"carries", carriage_text(left > 0 ? l->most : CARRY_ALL),
			"seconds_left", (double)(left > 0 ? left : 0) / S_US));
	}
	return links;
}

static json_t *converter_json(const struct cpe *c, const struct converter *v)
{
	char at[ENDPOINT_TEXT];
	const int64_t left = v->trust == TRUST_USABLE ? 0 : mono_diff(v->until, c->loop.now);

	return json_pack("{s:s, s:s, s:o, s:s, s:f, s:f, s:I, s:I, s:I}", "name", v->name,
		"address", endpoint_text(&v->at, at), "links", carriage_json(c, v), "trust", trust_text(v->trust),
		"seconds_left", (double)(left > 0 ? left : 0) / S_US,
		"handshake_ms", (double)v->rtt / MS_US, "connections", (json_int_t)v->connections,
		"verified", (json_int_t)v->verified, "failed", (json_int_t)v->failed);
}

static json_t *wan_json(const struct wan *w)
{
	char v4[ENDPOINT_TEXT] = "", v6[ENDPOINT_TEXT] = "";

	if (w->has[FAMILY_4])
		ip_text(&w->addr[FAMILY_4], v4);
	if (w->has[FAMILY_6])
		ip_text(&w->addr[FAMILY_6], v6);
	return json_pack("{s:s, s:s, s:s, s:b, s:s, s:i, s:s, s:s}", "name", w->name, "interface", w->ifname,
		"mode", w->backup ? "backup" : "aggregate", "running", (int)w->running, "health",
		health_text(w->health.state), "silences", (int)w->health.silences, "ipv4", v4, "ipv6", v6);
}

json_t *cpe_answer_control(void *ctx, const char *command)
{
	static const char provision[] = "provision ";
	struct cpe *const c = ctx;

	if (!strncmp(command, provision, sizeof(provision) - 1))
		return cpe_provision(c, command + sizeof(provision) - 1);
	if (!strcmp(command, "reload"))
		return cpe_reload(c);
	json_t *const list = json_array();
	uint32_t slot = 0;

	if (!strcmp(command, "sessions")) {
		for (const struct session *s; (s = slots_next(&c->sessions, &slot)); slot++)
			json_array_append_new(list, session_json(c, s));
	} else if (!strcmp(command, "converters")) {
		for (const struct converter *v = NULL; (v = steer_next(&c->steer, v));)
			json_array_append_new(list, converter_json(c, v));
	} else if (!strcmp(command, "paths")) {
		for (const struct wan *w = NULL; (w = paths_next(&c->paths, w));)
			json_array_append_new(list, wan_json(w));
	} else {
		json_decref(list);
		if (strcmp(command, "status") != 0)
			return NULL;
		return json_pack("{s:s, s:s, s:i, s:f, s:i, s:o}", "program", "plait-cpe", "version",
			PLAIT_VERSION, "pid", (int)getpid(),
			"seconds", (double)mono_diff(c->loop.now, c->started) / S_US,
			"sessions", (int)c->sessions.used, "counters", client_counters_json(&c->counters));
	}
	return json_pack("{s:o}", command, list);
}
