/* SPDX-License-Identifier: ISC */
#include "paths/paths.h"

#include <errno.h>
#include <linux/mptcp.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"

#define TABLE    0x70100u /* the first link's table; the others follow */
#define PRIORITY 17000u   /* behind what an administrator puts first, before main (32766) */

#define LINKS_MAX  256
#define ADDRS_MAX  512
#define ROUTES_MAX 4096 /* of the main table; a router that holds more has no use for plait's WANs */
#define OURS_MAX   2048 /* rules and routes of plait's own, of all links */

struct picture {
	struct nl_link link[LINKS_MAX];
	struct nl_addr addr[ADDRS_MAX];
	struct nl_route route[ROUTES_MAX];
	struct nl_rule rule[OURS_MAX];
	struct nl_endpoint endpoint[64];
	int links, addrs, routes, rules, endpoints;
};

/* What should be there. */
struct plan {
	struct nl_rule rule[OURS_MAX];
	struct nl_route route[OURS_MAX];
	struct nl_endpoint endpoint[PATHS_MAX];
	int rules, routes, endpoints;
};

static bool of_paths(uint32_t table)
{
	return table >= TABLE && table < TABLE + PATHS_MAX;
}

static int family_of(const struct ip_addr *ip)
{
	return ip_is_v4(ip) ? AF_INET : AF_INET6;
}

static bool rule_equal(const struct nl_rule *a, const struct nl_rule *b)
{
	return a->family == b->family && a->priority == b->priority && a->table == b->table &&
	       a->mark == b->mark && a->from_bits == b->from_bits && ip_equal(&a->from, &b->from);
}

static bool route_equal(const struct nl_route *a, const struct nl_route *b)
{
	return a->family == b->family && a->table == b->table && a->ifindex == b->ifindex &&
	       a->to_bits == b->to_bits && ip_equal(&a->to, &b->to) && a->has_via == b->has_via &&
	       ip_equal(&a->via, &b->via);
}

/* ---- look ---- */

static int look(struct netlink *nl, struct picture *now)
{
	now->links = netlink_links(nl, now->link, LINKS_MAX);
	now->addrs = netlink_addrs(nl, now->addr, ADDRS_MAX);
	now->routes = netlink_routes(nl, now->route, ROUTES_MAX);
	now->rules = netlink_rules(nl, now->rule, OURS_MAX);
	now->endpoints = netlink_endpoints(nl, now->endpoint, 64);
	const int counts[] = { now->links, now->addrs, now->routes, now->rules, now->endpoints };
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (counts[i] < 0)
			return counts[i];
	}
	return 0;
}

static const struct nl_link *find_link(const struct picture *now, const char *name)
{
	for (int i = 0; i < now->links; i++) {
		if (!strcmp(now->link[i].name, name))
			return &now->link[i];
	}
	return NULL;
}

/* The default route of an interface with the lowest metric. */
static const struct nl_route *default_route(const struct picture *now, int family, uint32_t ifindex)
{
	const struct nl_route *best = NULL;

	for (int i = 0; i < now->routes; i++) {
		const struct nl_route *const r = &now->route[i];
		if (r->table == RT_TABLE_MAIN && r->family == family && !r->to_bits &&
			r->ifindex == ifindex && (!best || r->metric < best->metric))
			best = r;
	}
	return best;
}

/* ---- plan ---- */

static struct ip_addr network_of(const struct nl_addr *a)
{
	struct ip_addr net = a->ip;
	unsigned int bits = a->bits + (ip_is_v4(&a->ip) ? 96u : 0);

	for (unsigned int i = 0; i < sizeof(net.b); i++, bits -= bits < 8 ? bits : 8)
		net.b[i] = bits >= 8 ? net.b[i] : (uint8_t)(net.b[i] & ~(0xff >> bits));
	return net;
}

static void plan_rule(struct plan *plan, const struct nl_addr *a, uint32_t table)
{
	if (plan->rules == OURS_MAX)
		return;
	plan->rule[plan->rules++] = (struct nl_rule){
		.family = family_of(&a->ip), .priority = PRIORITY, .table = table, .from = a->ip,
		.from_bits = ip_is_v4(&a->ip) ? 32 : 128,
	};
}

static void plan_route(struct plan *plan, struct nl_route route, uint32_t table)
{
	if (plan->routes == OURS_MAX)
		return;
	route.table = table;
	plan->route[plan->routes++] = route;
}

/* Whether connections may begin with a converter of a family that a link does not have. Once the
 * converter announces an address of its family, the link may be joined all the same. */
static bool foreign(const struct paths *p, const struct wan *w)
{
	return w->has[FAMILY_4] != w->has[FAMILY_6] && p->to[w->has[FAMILY_4] ? FAMILY_6 : FAMILY_4];
}

/* To be joined to an announced address takes the fullmesh flag. Other links are better without: the
 * kernel gives a connection whose first subflow came from such an endpoint, and ended, no other one
 * from there. */
static void plan_endpoint(
	struct plan *plan, const struct wan *w, const struct ip_addr *ip, bool fullmesh)
{
	if (plan->endpoints == PATHS_MAX)
		return;
	plan->endpoint[plan->endpoints++] = (struct nl_endpoint){
		.ip = *ip, .ifindex = (int32_t)w->ifindex,
		.flags = MPTCP_PM_ADDR_FLAG_SUBFLOW | (w->backup ? MPTCP_PM_ADDR_FLAG_BACKUP : 0) |
			 (fullmesh ? MPTCP_PM_ADDR_FLAG_FULLMESH : 0),
	};
}

/* LAN hosts speak to a WAN's address as well: what the main table reaches by other interfaces than
 * the WANs is reached by them from everywhere. */
static void plan_inside(struct plan *plan, const struct paths *p, uint32_t table, const struct picture *now)
{
	for (int i = 0; i < now->routes; i++) {
		struct nl_route route = now->route[i];
		bool outside = route.table != RT_TABLE_MAIN || !route.to_bits || ip_is_link_local(&route.to);

		for (unsigned int k = 0; k < p->n; k++)
			outside = outside || route.ifindex == p->wan[k].ifindex;
		route.metric = 0;
		if (!outside)
			plan_route(plan, route, table);
	}
}

static void see_wan(struct wan *w, const struct picture *now)
{
	const struct nl_link *const link = *w->name ? find_link(now, w->ifname) : NULL;

	w->ifindex = link ? link->ifindex : 0;
	w->running = link && link->running;
	w->has[FAMILY_4] = w->has[FAMILY_6] = false;
}

static void plan_wan(struct plan *plan, const struct paths *p, struct wan *w, uint32_t table, const struct picture *now)
{
	if (!w->running)
		return;

	for (int i = 0; i < now->addrs; i++) {
		const struct nl_addr *const a = &now->addr[i];
		const enum family_index f = family_index(&a->ip);
		const int family = family_of(&a->ip);

		if (a->ifindex != w->ifindex || !a->usable)
			continue;
		const struct nl_route *const route = default_route(now, family, w->ifindex);
		if (!route)
			continue;
		plan_rule(plan, a, table);
		plan_route(plan, (struct nl_route){ .family = family, .ifindex = w->ifindex,
					 .to = network_of(a), .to_bits = a->bits }, table);
		if (w->has[f])
			continue;
		w->has[f] = true;
		w->addr[f] = a->ip;
		plan_route(plan, (struct nl_route){ .family = family, .ifindex = w->ifindex,
					 .has_via = route->has_via, .via = route->via }, table);
	}
	if (w->health.state == HEALTH_DEAD || w->renewed)
		return;
	for (int f = 0; f < 2; f++) {
		if (w->has[f])
			plan_endpoint(plan, w, &w->addr[f], foreign(p, w));
	}
}

/* ---- make the difference ---- */

static void note(int *first, int err, const char *what)
{
	if (!err)
		return;
	log_peer(LOG_WARNING, "%s: %s", what, strerror(-err));
	if (!*first)
		*first = err;
}

static void apply_rules(struct netlink *nl, const struct plan *plan, const struct picture *now, int *err)
{
	for (int i = 0; i < now->rules; i++) {
		bool wanted = !of_paths(now->rule[i].table);
		for (int k = 0; !wanted && k < plan->rules; k++)
			wanted = rule_equal(&now->rule[i], &plan->rule[k]);
		if (!wanted)
			note(err, netlink_rule(nl, false, &now->rule[i]), "cannot remove a routing rule");
	}
	for (int k = 0; k < plan->rules; k++) {
		bool there = false;
		for (int i = 0; !there && i < now->rules; i++)
			there = rule_equal(&now->rule[i], &plan->rule[k]);
		if (!there)
			note(err, netlink_rule(nl, true, &plan->rule[k]), "cannot add a routing rule");
	}
}

static void apply_routes(struct netlink *nl, const struct plan *plan, const struct picture *now, int *err)
{
	for (int i = 0; i < now->routes; i++) {
		bool wanted = !of_paths(now->route[i].table);
		for (int k = 0; !wanted && k < plan->routes; k++)
			wanted = route_equal(&now->route[i], &plan->route[k]);
		if (!wanted)
			note(err, netlink_route(nl, false, &now->route[i]), "cannot remove a route");
	}
	for (int k = 0; k < plan->routes; k++) {
		bool there = false;
		for (int i = 0; !there && i < now->routes; i++)
			there = route_equal(&now->route[i], &plan->route[k]);
		if (!there)
			note(err, netlink_route(nl, true, &plan->route[k]), "cannot add a route");
	}
}

static bool endpoint_same(const struct nl_endpoint *a, const struct nl_endpoint *b)
{
	return ip_equal(&a->ip, &b->ip) && a->ifindex == b->ifindex &&
	       !((a->flags ^ b->flags) & MPTCP_PM_ADDR_FLAG_FULLMESH);
}

/* A link that became a backup, or one no more: running connections tell their peers (MP_PRIO). */
static void apply_backup(struct netlink *nl, const struct nl_endpoint *now, const struct nl_endpoint *plan, int *err)
{
	struct nl_endpoint e = *now;

	if (!((now->flags ^ plan->flags) & MPTCP_PM_ADDR_FLAG_BACKUP))
		return;
	e.flags = plan->flags & MPTCP_PM_ADDR_FLAG_BACKUP;
	note(err, netlink_endpoint_backup(nl, &e), "cannot change the priority of an MPTCP endpoint");
}

static void apply_endpoints(
	struct paths *p, const struct plan *plan, const struct picture *now, int *err)
{
	for (int i = 0; i < now->endpoints; i++) {
		const struct nl_endpoint *const e = &now->endpoint[i];
		bool wanted = !restore_endpoint_ours(p->restore, e);
		for (int k = 0; !wanted && k < plan->endpoints; k++) {
			wanted = endpoint_same(e, &plan->endpoint[k]);
			if (wanted)
				apply_backup(p->nl, e, &plan->endpoint[k], err);
		}
		if (!wanted)
			note(err, restore_endpoint_del(p->restore, e), "cannot remove an MPTCP endpoint");
	}
	for (int k = 0; k < plan->endpoints; k++)
		note(err, restore_endpoint_add(p->restore, &plan->endpoint[k]), "cannot add an MPTCP endpoint");
}

/* A subflow on each link; and as many addresses of the converter, where a link needs them. Else they would
 * only double subflows. */
static int apply_limits(const struct paths *p)
{
	bool some = false;

	for (unsigned int i = 0; i < p->n; i++)
		some = some || foreign(p, &p->wan[i]);
	const unsigned int n = paths_links(p);
	return restore_limits(p->restore, n, some ? n : 0);
}

/* ---- the configuration ---- */

static struct wan *find_wan(struct paths *p, const struct wan *like)
{
	for (unsigned int i = 0; i < PATHS_MAX; i++) {
		if (!strcmp(p->wan[i].name, like->name) && !strcmp(p->wan[i].ifname, like->ifname))
			return &p->wan[i];
	}
	return NULL;
}

static struct wan *free_slot(struct paths *p)
{
	for (unsigned int i = 0; i < PATHS_MAX; i++) {
		if (!*p->wan[i].name)
			return &p->wan[i];
	}
	return NULL;
}

void paths_configure(struct paths *p, const struct wan *wan, unsigned int n)
{
	bool kept[PATHS_MAX] = { false };

	for (unsigned int i = 0; i < n; i++) {
		const struct wan *const w = find_wan(p, &wan[i]);
		if (w)
			kept[w - p->wan] = true;
	}
	for (unsigned int i = 0; i < PATHS_MAX; i++) {
		if (!kept[i])
			p->wan[i] = (struct wan){ 0 };
	}
	for (unsigned int i = 0; i < n; i++) {
		struct wan *w = find_wan(p, &wan[i]);
		if (!w) {
			w = free_slot(p); /* there are as many as links may be configured */
			*w = wan[i];
		}
		w->backup = wan[i].backup;
		w->rank = i;
	}
	p->n = PATHS_MAX;
	while (p->n && !*p->wan[p->n - 1].name)
		p->n--;
}

const struct wan *paths_next(const struct paths *p, const struct wan *w)
{
	const struct wan *next = NULL;

	for (unsigned int i = 0; i < p->n; i++) {
		const struct wan *const o = &p->wan[i];
		if (*o->name && (!w || o->rank > w->rank) && (!next || o->rank < next->rank))
			next = o;
	}
	return next;
}

unsigned int paths_links(const struct paths *p)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < p->n; i++)
		n += *p->wan[i].name != 0;
	return n;
}

/* ---- the stage ---- */

static bool same(const struct wan *was, const struct wan *is)
{
	return was->seen && was->ifindex == is->ifindex && was->running == is->running &&
	       !memcmp(was->has, is->has, sizeof(was->has)) &&
	       (!is->has[0] || ip_equal(&was->addr[0], &is->addr[0])) &&
	       (!is->has[1] || ip_equal(&was->addr[1], &is->addr[1]));
}

static void say_changes(const struct wan *is)
{
	char v4[ENDPOINT_TEXT] = "no IPv4", v6[ENDPOINT_TEXT] = "no IPv6";

	if (!is->ifindex) {
		log_warning("wan \"%s\": there is no interface %s: going on without it", is->name, is->ifname);
		return;
	}
	if (is->has[FAMILY_4])
		ip_text(&is->addr[FAMILY_4], v4);
	if (is->has[FAMILY_6])
		ip_text(&is->addr[FAMILY_6], v6);
	log_info("wan \"%s\": %s is %s, %s, %s", is->name, is->ifname,
		is->running ? "up" : "down", v4, v6);
}

int paths_sync(struct paths *p)
{
	struct picture *const now = calloc(1, sizeof(*now));
	struct plan *const plan = calloc(1, sizeof(*plan));
	int err = now && plan ? 0 : -ENOMEM;

	if (!err)
		err = look(p->nl, now);
	if (!err) {
		struct wan was[PATHS_MAX];
		memcpy(was, p->wan, sizeof(was));
		for (unsigned int i = 0; i < p->n; i++)
			see_wan(&p->wan[i], now);
		for (unsigned int i = 0; i < p->n; i++) {
			plan_wan(plan, p, &p->wan[i], TABLE + i, now);
			if (p->wan[i].has[FAMILY_4] || p->wan[i].has[FAMILY_6])
				plan_inside(plan, p, TABLE + i, now);
			if (*p->wan[i].name && !same(&was[i], &p->wan[i])) {
				say_changes(&p->wan[i]);
				p->wan[i].health.state = HEALTH_GOOD; /* it is another one */
			}
			p->wan[i].seen = true;
		}
		apply_routes(p->nl, plan, now, &err);
		apply_rules(p->nl, plan, now, &err);
		apply_endpoints(p, plan, now, &err);
		note(&err, apply_limits(p), "cannot set the limits of MPTCP's path manager");
	}
	free(now);
	free(plan);
	return err;
}

void paths_clear(struct netlink *nl)
{
	struct picture *const now = calloc(1, sizeof(*now));

	if (now && look(nl, now) == 0) {
		for (int i = 0; i < now->rules; i++)
			netlink_rule(nl, false, &now->rule[i]);
		for (int i = 0; i < now->routes; i++) {
			if (now->route[i].protocol == NETLINK_PROTOCOL)
				netlink_route(nl, false, &now->route[i]);
		}
	}
	free(now);
}

/* ---- which link first ---- */

static bool usable(const struct wan *w, const struct ip_addr *to)
{
	return w->running && w->has[family_index(to)];
}

/* Silent links come last, backup links behind the others, then the configuration decides. */
static bool before(const struct wan *a, const struct wan *b)
{
	const bool silent[] = { a->health.state >= HEALTH_SILENT, b->health.state >= HEALTH_SILENT };

	if (silent[0] != silent[1])
		return !silent[0];
	return a->backup != b->backup ? !a->backup : a->rank < b->rank;
}

struct wan *paths_first(struct paths *p, const struct ip_addr *to, uint32_t avoid)
{
	struct wan *best = NULL;

	for (unsigned int i = 0; i < p->n; i++) {
		struct wan *const w = &p->wan[i];
		if (usable(w, to) && !(avoid >> i & 1) && (!best || before(w, best)))
			best = w;
	}
	return best;
}

const struct ip_addr *paths_address(const struct wan *w, const struct ip_addr *to)
{
	return w ? &w->addr[family_index(to)] : NULL;
}

unsigned int paths_count(const struct paths *p, const struct ip_addr *to, uint32_t avoid)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < p->n; i++)
		n += usable(&p->wan[i], to) && !(avoid >> i & 1);
	return n;
}

bool paths_spare(const struct paths *p, const struct wan *w)
{
	for (unsigned int i = 0; i < p->n; i++) {
		const struct wan *const o = &p->wan[i];
		if (o != w && o->health.state == HEALTH_GOOD && o->running && (o->has[0] || o->has[1]))
			return true;
	}
	return false;
}

int paths_renew(struct paths *p, struct wan *w)
{
	w->renewed = true;
	const int err = paths_sync(p);
	w->renewed = false;
	const int again = paths_sync(p);
	return err ? err : again;
}
