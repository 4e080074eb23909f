/* SPDX-License-Identifier: ISC */
#include <string.h>
#include <unistd.h>

#include "cpe/session.h"

/* What the subflows of one link carry for one session. */
struct share {
	unsigned int subflows, stale;
	uint64_t up, down, resent, disordered;
	int64_t rtt;
};

static json_t *share_json(const struct share *h)
{
	return json_pack("{s:i, s:i, s:f, s:I, s:I, s:I, s:I}", "subflows", (int)h->subflows, "stale", (int)h->stale,
		"rtt_ms", (double)h->rtt / h->subflows / MS_US, "bytes_up", (json_int_t)h->up,
		"bytes_down", (json_int_t)h->down, "resent", (json_int_t)h->resent,
		"disordered", (json_int_t)h->disordered);
}

/* By the links' names, of those that have a subflow. */
static json_t *shares_json(const struct cpe *c, const struct session *s)
{
	struct share share[FIGURES_LINKS] = { { 0 } };
	json_t *const links = json_object();

	for (const struct subflow *sub = LIST_FIRST(&s->figures.subflows); sub; sub = LIST_NEXT(sub, of_session)) {
		struct share *const h = &share[sub->link];
		h->subflows++;
		h->stale += sub->last.stale;
		h->up += sub->last.acked;
		h->down += sub->last.received;
		h->resent += sub->last.resent;
		h->disordered += sub->last.disordered;
		h->rtt += sub->last.rtt;
	}
	for (const struct wan *w = NULL; (w = paths_next(&c->paths, w));) {
		const struct share *const h = &share[w - c->paths.wan];
		if (h->subflows)
			json_object_set_new(links, w->name, share_json(h));
	}
	return links;
}

static json_t *session_json(const struct cpe *c, const struct session *s)
{
	char lan_host[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:o}", "state", client_state_text(s->state),
		"lan_host", endpoint_text(&s->lan_host, lan_host),
		"server", endpoint_text(&s->server, server),
		"converter", s->converter ? s->converter->name : "",
		"seconds", (double)mono_diff(c->loop.now, s->opened) / S_US,
		"bytes_up", (json_int_t)s->early + (json_int_t)s->relay.way[RELAY_CLIENT].bytes,
		"bytes_down", (json_int_t)s->relay.way[RELAY_SERVER].bytes, "links", shares_json(c, s));
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
	const struct lease *const lease = leases_named(&c->leases, v->name);
	const int64_t lease_left = lease && lease->expires.us ? mono_diff(lease->expires, c->loop.now) : 0;

	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:s, s:f, s:I, s:f, s:I, s:I, s:I}", "name", v->name,
		"address", endpoint_text(&v->at, at), "source", lease ? lease->source : "configuration",
		"interface", lease ? lease->ifname : "", "order", lease ? (int)lease->order : 0,
		"links", carriage_json(c, v), "trust", trust_text(v->trust),
		"seconds_left", (double)(left > 0 ? left : 0) / S_US, "lease_left", (json_int_t)(lease_left / S_US),
		"handshake_ms", (double)v->rtt / MS_US, "connections", (json_int_t)v->connections,
		"verified", (json_int_t)v->verified, "failed", (json_int_t)v->failed);
}

static json_t *wan_json(const struct cpe *c, const struct wan *w)
{
	const struct link_figures *const f = &c->figures.link[w - c->paths.wan];
	char v4[ENDPOINT_TEXT] = "", v6[ENDPOINT_TEXT] = "";

	if (w->has[FAMILY_4])
		ip_text(&w->addr[FAMILY_4], v4);
	if (w->has[FAMILY_6])
		ip_text(&w->addr[FAMILY_6], v6);
	json_t *const o = json_pack("{s:s, s:s, s:s, s:b, s:s, s:i, s:s, s:s}", "name", w->name, "interface", w->ifname,
		"mode", w->backup ? "backup" : "aggregate", "running", (int)w->running, "health",
		health_text(w->health.state), "silences", (int)w->health.silences, "ipv4", v4, "ipv6", v6);
	json_t *const carried = json_pack("{s:f, s:i, s:i, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"rtt_ms", (double)f->rtt / MS_US, "subflows", (int)f->subflows, "stale", (int)f->stale,
		"mbit_up", (double)f->up_rate / 1e6, "mbit_down", (double)f->down_rate / 1e6,
		"bytes_up", (json_int_t)f->up, "bytes_down", (json_int_t)f->down, "resent", (json_int_t)f->resent,
		"disordered", (json_int_t)f->disordered,
		"joined", (json_int_t)f->joined, "joins_failed", (json_int_t)f->joins_failed,
		"lost", (json_int_t)f->lost);
	json_object_update(o, carried);
	json_decref(carried);
	return o;
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

	cpe_figures_look(c);
	if (!strcmp(command, "sessions")) {
		for (const struct session *s; (s = slots_next(&c->sessions, &slot)); slot++)
			json_array_append_new(list, session_json(c, s));
	} else if (!strcmp(command, "converters")) {
		for (const struct converter *v = NULL; (v = steer_next(&c->steer, v));)
			json_array_append_new(list, converter_json(c, v));
	} else if (!strcmp(command, "paths")) {
		for (const struct wan *w = NULL; (w = paths_next(&c->paths, w));)
			json_array_append_new(list, wan_json(c, w));
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

/* ---- metrics ---- */

/* How a figure of a link is read. */
typedef double link_value_fn(const struct wan *w, const struct link_figures *f);

static double is_running(const struct wan *w, const struct link_figures *f) { return w->running; }
static double works(const struct wan *w, const struct link_figures *f) { return w->running && w->health.state < HEALTH_SILENT; }
static double silences(const struct wan *w, const struct link_figures *f) { return w->health.silences; }
static double rtt(const struct wan *w, const struct link_figures *f) { return (double)f->rtt / S_US; }
static double subflows(const struct wan *w, const struct link_figures *f) { return f->subflows; }
static double stale(const struct wan *w, const struct link_figures *f) { return f->stale; }
static double bytes_up(const struct wan *w, const struct link_figures *f) { return (double)f->up; }
static double bytes_down(const struct wan *w, const struct link_figures *f) { return (double)f->down; }
static double resent(const struct wan *w, const struct link_figures *f) { return (double)f->resent; }
static double disordered(const struct wan *w, const struct link_figures *f) { return (double)f->disordered; }
static double joined(const struct wan *w, const struct link_figures *f) { return (double)f->joined; }
static double joins_failed(const struct wan *w, const struct link_figures *f) { return (double)f->joins_failed; }
static double lost(const struct wan *w, const struct link_figures *f) { return (double)f->lost; }

static const struct {
	const char *name, *type, *help;
	link_value_fn *value;
} of_links[] = {
	{ "plait_link_running", "gauge", "whether the interface is up and has a carrier", is_running },
	{ "plait_link_works", "gauge", "whether it is running, and answers when it is asked", works },
	{ "plait_link_silences_total", "counter", "how often it fell silent with its carrier up", silences },
	{ "plait_link_rtt_seconds", "gauge", "round-trip time, the mean of its subflows; 0: not known", rtt },
	{ "plait_link_subflows", "gauge", "subflows on it", subflows },
	{ "plait_link_stale_subflows", "gauge", "subflows with data under way and no acknowledgement for a second", stale },
	{ "plait_link_up_bytes_total", "counter", "bytes that converters acknowledged", bytes_up },
	{ "plait_link_down_bytes_total", "counter", "bytes received from converters", bytes_down },
	{ "plait_link_resent_bytes_total", "counter", "bytes sent to converters once more", resent },
	{ "plait_link_disordered_segments_total", "counter", "segments that came before an earlier one, which was lost or slower", disordered },
	{ "plait_link_joins_total", "counter", "subflows that joined a connection", joined },
	{ "plait_link_joins_failed_total", "counter", "subflows that should have, and never came to be", joins_failed },
	{ "plait_link_lost_subflows_total", "counter", "subflows that ended before their connection", lost },
};

static void put_links(const struct cpe *c, FILE *out)
{
	for (size_t i = 0; i < sizeof(of_links) / sizeof(of_links[0]); i++) {
		metrics_head(out, of_links[i].name, of_links[i].type, of_links[i].help);
		for (const struct wan *w = NULL; (w = paths_next(&c->paths, w));)
			metrics_line(out, of_links[i].name, "link", w->name,
				of_links[i].value(w, &c->figures.link[w - c->paths.wan]));
	}
}

/* ... and of a converter. */
typedef double converter_value_fn(const struct converter *v);

static double is_usable(const struct converter *v) { return v->trust == TRUST_USABLE; }
static double handshake(const struct converter *v) { return (double)v->rtt / S_US; }
static double connections(const struct converter *v) { return (double)v->connections; }
static double verified(const struct converter *v) { return (double)v->verified; }
static double failures(const struct converter *v) { return (double)v->failed; }

static const struct {
	const char *name, *type, *help;
	converter_value_fn *value;
} of_converters[] = {
	{ "plait_cpe_converter_usable", "gauge", "whether connections may go through it", is_usable },
	{ "plait_cpe_converter_handshake_seconds", "gauge", "time of its handshakes", handshake },
	{ "plait_cpe_converter_connections_total", "counter", "handshakes begun with it", connections },
	{ "plait_cpe_converter_verified_total", "counter", "answers that echoed our request", verified },
	{ "plait_cpe_converter_failures_total", "counter", "handshakes that failed through its fault", failures },
};

static void put_converters(struct cpe *c, FILE *out)
{
	for (size_t i = 0; i < sizeof(of_converters) / sizeof(of_converters[0]); i++) {
		metrics_head(out, of_converters[i].name, of_converters[i].type, of_converters[i].help);
		for (const struct converter *v = NULL; (v = steer_next(&c->steer, v));)
			metrics_line(out, of_converters[i].name, "converter", v->name, of_converters[i].value(v));
	}
}

void cpe_metrics(void *ctx, FILE *out)
{
	struct cpe *const c = ctx;
	struct counter one;
	char name[64];

	cpe_figures_look(c);
	metrics_head(out, "plait_cpe_info", "gauge", "what this is");
	metrics_line(out, "plait_cpe_info", "version", PLAIT_VERSION, 1);
	metrics_head(out, "plait_cpe_sessions", "gauge", "connections that are open");
	metrics_line(out, "plait_cpe_sessions", NULL, NULL, c->sessions.used);
	put_links(c, out);
	put_converters(c, out);
	for (unsigned int i = 0; client_counter(&c->counters, i, &one); i++) {
		snprintf(name, sizeof(name), "plait_cpe_%s_total", one.name);
		metrics_head(out, name, "counter", one.help);
		metrics_line(out, name, NULL, NULL, (double)one.value);
	}
}
