/* SPDX-License-Identifier: ISC */
#include <string.h>
#include <unistd.h>

#include "converter/session.h"

static json_t *session_json(const struct converter *c, const struct session *s)
{
	char client[ENDPOINT_TEXT], server[ENDPOINT_TEXT];

	return json_pack("{s:s, s:s, s:s, s:f, s:I, s:I}", "state", converter_state_text(s->state),
		"client", endpoint_text(&s->client, client), "server", endpoint_text(&s->server, server),
		"seconds", (double)mono_diff(c->loop.now, s->opened) / S_US,
		"bytes_up", (json_int_t)s->relay.way[RELAY_CLIENT].bytes,
		"bytes_down", (json_int_t)s->relay.way[RELAY_SERVER].bytes);
}

json_t *converter_answer_control(void *ctx, const char *command)
{
	struct converter *const c = ctx;

	if (!strcmp(command, "reload"))
		return converter_reload(c);
	if (!strcmp(command, "status"))
		return json_pack("{s:s, s:s, s:i, s:f, s:i, s:i, s:o}", "program", "plait-converter",
			"version", PLAIT_VERSION, "pid", (int)getpid(),
			"seconds", (double)mono_diff(c->loop.now, c->started) / S_US,
			"sessions", (int)c->sessions.used, "pending", (int)c->pending,
			"counters", converter_counters_json(&c->counters));
	if (!strcmp(command, "sessions")) {
		json_t *const list = json_array();
		uint32_t slot = 0;
		for (const struct session *s; (s = slots_next(&c->sessions, &slot)); slot++)
			json_array_append_new(list, session_json(c, s));
		return json_pack("{s:o}", "sessions", list);
	}
	return NULL;
}

void converter_metrics(void *ctx, FILE *out)
{
	const struct converter *const c = ctx;
	struct counter one;
	char name[64];

	metrics_head(out, "plait_converter_info", "gauge", "what this is");
	metrics_line(out, "plait_converter_info", "version", PLAIT_VERSION, 1);
	metrics_head(out, "plait_converter_sessions", "gauge", "connections that are open");
	metrics_line(out, "plait_converter_sessions", NULL, NULL, c->sessions.used);
	for (unsigned int i = 0; converter_counter(&c->counters, i, &one); i++) {
		snprintf(name, sizeof(name), "plait_converter_%s_total", one.name);
		metrics_head(out, name, "counter", one.help);
		metrics_line(out, name, NULL, NULL, (double)one.value);
	}
}
