/* SPDX-License-Identifier: ISC */
/*
 * Which converters there are, while connections run: those of the configuration, and those that are
 * learnt (`plait provision`). What is learnt is kept in a file, so that it outlives the daemon.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cpe/session.h"
#include "wire/convert.h"

#define ADDRS_MAX      512
#define LIFETIME_MAX   (366LL * 24 * 3600) /* s */
#define OPTION_MAX     (16 * LEASE_CONVERTERS)

/* ---- the list of converters ---- */

/* Slots that somebody still refers to. */
static uint32_t referred(const struct cpe *c)
{
	uint32_t mask = 0, slot = 0;

	for (const struct session *s; (s = slots_next(&c->sessions, &slot)); slot++)
		mask |= s->converter ? steer_bit(&c->steer, s->converter) : 0;
	for (unsigned int i = 0; i < STEER_SLOTS; i++)
		mask |= (uint32_t)(c->probe[i] != NULL) << i;
	return mask;
}

static void end_probes_of_unlisted(struct cpe *c)
{
	for (uint32_t i = 0; i < STEER_SLOTS; i++) {
		if (c->probe[i] && !c->steer.converter[i].listed)
			cpe_end_probe(c, i, false);
	}
}

void cpe_list_converters(struct cpe *c)
{
	struct steer_entry e[STEER_CONVERTERS + LEASES_MAX * LEASE_CONVERTERS];
	const unsigned int max = sizeof(e) / sizeof(e[0]);

	memcpy(e, c->config->converter, c->config->n_converter * sizeof(e[0]));
	const unsigned int n = leases_list(&c->leases, e, c->config->n_converter, max);
	const unsigned int without = steer_list(&c->steer, e, n, referred(c));
	c->paths.to[FAMILY_4] = c->paths.to[FAMILY_6] = false;
	for (struct converter *v = NULL; (v = steer_next(&c->steer, v));)
		c->paths.to[family_index(&v->at.ip)] = true;
	end_probes_of_unlisted(c);
	if (without)
		log_warning("%u converters are known, %u of them are used: at most %u are", n, n - without,
			(unsigned int)STEER_CONVERTERS);
}

unsigned int cpe_converters_at(struct cpe *c, struct endpoint at[STEER_CONVERTERS])
{
	unsigned int n = 0;

	for (struct converter *v = NULL; (v = steer_next(&c->steer, v));)
		at[n++] = v->at;
	return n;
}

void cpe_follow_list(struct cpe *c)
{
	struct endpoint at[STEER_CONVERTERS];
	const unsigned int n = cpe_converters_at(c, at);

	paths_sync(&c->paths);
	cpe_gate_change(c);
	intercept_change(&c->intercept, &c->config->intercept, at, n);
	cpe_consider_taking(c);
}

/* ---- leases, as JSON ---- */

static json_t *lease_json(const struct cpe *c, const struct lease *l, int64_t epoch)
{
	char text[ENDPOINT_TEXT];
	json_t *const at = json_array();

	for (unsigned int i = 0; i < l->n; i++)
		json_array_append_new(at, json_pack("{s:s, s:i}", "address", ip_text(&l->at[i].ip, text), "port",
			(int)l->at[i].port));
	return json_pack("{s:s, s:s, s:b, s:i, s:I, s:o}", "source", l->source, "interface", l->ifname, "only",
		(int)l->only, "order", (int)l->order, "until",
		(json_int_t)(l->expires.us ? epoch + mono_diff(l->expires, c->loop.now) / S_US : 0), "converters", at);
}

static void save_leases(const struct cpe *c)
{
	json_t *const list = json_array();

	for (unsigned int i = 0; i < c->leases.n; i++)
		json_array_append_new(list, lease_json(c, &c->leases.lease[i], time(NULL)));
	const int err = restore_write(c->leases_path, list);
	if (err)
		log_warning("%s: cannot be written (%s): what is learnt will be forgotten at the end",
			c->leases_path, strerror(-err));
	json_decref(list);
}

/* "a name", of what fits file names and logs. */
static bool is_name(const char *text, size_t size)
{
	return text && *text && strlen(text) < size &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:@") == strlen(text);
}

static bool of_this_host(const struct cpe *c, const struct ip_addr *ip)
{
	struct nl_addr *const a = calloc(ADDRS_MAX, sizeof(*a));
	const int n = a ? netlink_addrs(c->paths.nl, a, ADDRS_MAX) : 0;
	bool ours = false;

	for (int i = 0; i < n; i++)
		ours = ours || ip_equal(&a[i].ip, ip);
	free(a);
	return ours;
}

/* Why @at cannot be a converter, or NULL. */
static const char *unfit(const struct cpe *c, const struct endpoint *at)
{
	if (!convert_may_be_server(at))
		return "no host has it";
	if (ip_is_link_local(&at->ip))
		return "it is link-local";
	return of_this_host(c, &at->ip) ? "it is this host's own" : NULL;
}

static bool add_address(const struct cpe *c, struct lease *l, const struct endpoint *at, char *why, size_t size)
{
	const char *const reason = unfit(c, at);

	if (reason) {
		char text[ENDPOINT_TEXT];
		snprintf(why, size, "%s cannot be a converter: %s", endpoint_text(at, text), reason);
	} else if (l->n == LEASE_CONVERTERS) {
		snprintf(why, size, "expected at most %d converters", LEASE_CONVERTERS);
	} else {
		l->at[l->n++] = *at;
	}
	return !*why;
}

/* The content of a DHCP option: addresses of @width bytes. */
static bool add_option(const struct cpe *c, struct lease *l, const char *hex, size_t width, uint16_t port, char *why,
	size_t size)
{
	uint8_t bytes[OPTION_MAX + 16];
	size_t len = 0;
	const char *end = hex;

	if (sodium_hex2bin(bytes, sizeof(bytes), hex, strlen(hex), ": ", &len, &end) < 0 || *end) {
		snprintf(why, size, "expected an option of at most %d bytes in hexadecimal digits", OPTION_MAX);
		return false;
	}
	if (!len || len % width) {
		snprintf(why, size, "an option of %zu bytes: expected addresses of %zu", len, width);
		return false;
	}
	for (size_t i = 0; i < len && !*why; i += width) {
		struct endpoint at = { .port = port };
		uint32_t v4;
		memcpy(&v4, bytes + i, sizeof(v4));
		if (width == 4)
			at.ip = ip_from_v4(v4);
		else
			memcpy(at.ip.b, bytes + i, width);
		add_address(c, l, &at, why, size);
	}
	return !*why;
}

static bool add_list(const struct cpe *c, struct lease *l, const json_t *list, int port, char *why, size_t size)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) {
		struct endpoint at = { .port = (uint16_t)port };
		const json_t *const own_port = json_object_get(v, "port");
		const char *const text = json_string_value(json_is_object(v) ? json_object_get(v, "address") : v);
		if (own_port)
			at.port = (uint16_t)json_integer_value(own_port);
		if (!text || ip_parse(text, &at.ip) < 0)
			snprintf(why, size, "expected an IPv4 or IPv6 address, found \"%s\"", text ? text : "");
		else
			add_address(c, l, &at, why, size);
		if (*why)
			return false;
	}
	return true;
}

/* What @o asks for, into @l; false with the reason in @why. */
static bool read_lease(const struct cpe *c, const json_t *o, struct lease *l, char *why, size_t size)
{
	const char *source = NULL, *ifname = NULL, *option4 = NULL, *option6 = NULL;
	const json_t *list = NULL;
	json_int_t lifetime = 0;
	int only = false, order = LEASE_ORDER, port = CONVERT_PORT;
	json_error_t error;

	*why = '\0';
	*l = (struct lease){ 0 };
	if (json_unpack_ex((json_t *)o, &error, JSON_STRICT, "{s:s, s:s, s?I, s?b, s?i, s?i, s?o, s?s, s?s}", "source", &source,
		    "interface", &ifname, "lifetime", &lifetime, "only", &only, "order", &order, "port", &port,
		    "converters", &list, "option4", &option4, "option6", &option6) < 0)
		snprintf(why, size, "%s", error.text);
	else if (!is_name(source, sizeof(l->source)) || !is_name(ifname, sizeof(l->ifname)))
		snprintf(why, size, "expected a source and an interface, names of 1 to %d letters, digits and ._-:@",
			LEASE_SOURCE - 1);
	else if (lifetime < 0 || lifetime > LIFETIME_MAX)
		snprintf(why, size, "lifetime: expected seconds, at most %lld; 0: for ever", LIFETIME_MAX);
	else if (port < 1 || port > 65535)
		snprintf(why, size, "port: expected 1 to 65535");
	else if (order < 0)
		snprintf(why, size, "order: expected a number from 0 on");
	if (*why)
		return false;
	snprintf(l->source, sizeof(l->source), "%s", source);
	snprintf(l->ifname, sizeof(l->ifname), "%s", ifname);
	l->only = only;
	l->order = (unsigned int)order;
	l->expires = lifetime ? mono_add(c->loop.now, lifetime * S_US) : (mono_t){ 0 };
	return add_list(c, l, list, port, why, size) &&
	       (!option4 || add_option(c, l, option4, 4, (uint16_t)port, why, size)) &&
	       (!option6 || add_option(c, l, option6, 16, (uint16_t)port, why, size));
}

static void say_lease(const struct cpe *c, const struct lease *l)
{
	char text[ENDPOINT_TEXT], all[LEASE_CONVERTERS * (ENDPOINT_TEXT + 2)] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < l->n; i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", endpoint_text(&l->at[i], text));
	if (!l->n)
		log_info("converters from %s on %s: none any more", l->source, l->ifname);
	else if (l->expires.us)
		log_info("converters from %s on %s: %s, for %lld s", l->source, l->ifname, all,
			(long long)(mono_diff(l->expires, c->loop.now) / S_US));
	else
		log_info("converters from %s on %s: %s", l->source, l->ifname, all);
}

/* Most leases are renewals that name the same ones: then no rule needs a change. */
static void leases_changed(struct cpe *c)
{
	struct endpoint was[STEER_CONVERTERS], is[STEER_CONVERTERS];
	const unsigned int n_was = cpe_converters_at(c, was);

	save_leases(c);
	cpe_list_converters(c);
	const unsigned int n_is = cpe_converters_at(c, is);
	bool same = n_is == n_was;
	for (unsigned int i = 0; same && i < n_is; i++)
		same = endpoint_equal(&is[i], &was[i]);
	if (same)
		cpe_consider_taking(c);
	else
		cpe_follow_list(c);
}

json_t *cpe_provision(struct cpe *c, const char *text)
{
	char why[256];
	struct lease l;
	json_error_t error;
	json_t *const o = json_loads(text, 0, &error);

	if (!o)
		snprintf(why, sizeof(why), "expected a JSON object: %s", error.text);
	const bool good = o && read_lease(c, o, &l, why, sizeof(why));
	json_decref(o);
	if (good && leases_put(&c->leases, &l) < 0)
		snprintf(why, sizeof(why), "expected at most %d sources of converters", LEASES_MAX);
	if (*why) {
		log_peer(LOG_WARNING, "provisioning is refused, and nothing is changed: %s", why);
		return control_refusal(why);
	}
	say_lease(c, &l);
	leases_changed(c);
	return json_pack("{s:i}", "converters", (int)l.n);
}

void cpe_expire_leases(struct cpe *c)
{
	if (!leases_expire(&c->leases, c->loop.now))
		return;
	log_info("converters: a lease has expired");
	leases_changed(c);
}

void cpe_load_leases(struct cpe *c)
{
	char why[256];
	size_t i;
	json_t *o;

	snprintf(c->leases_path, sizeof(c->leases_path), "%s.leases", c->config->state);
	json_t *const list = json_load_file(c->leases_path, 0, NULL);
	json_array_foreach(list, i, o) {
		const json_int_t until = json_integer_value(json_object_get(o, "until"));
		const json_int_t left = until ? until - time(NULL) : 0;
		struct lease l;
		json_object_del(o, "until");
		json_object_set_new(o, "lifetime", json_integer(left));
		if ((until && left <= 0) || !read_lease(c, o, &l, why, sizeof(why)) || leases_put(&c->leases, &l) < 0)
			continue;
		say_lease(c, &l);
	}
	json_decref(list);
}
