/* SPDX-License-Identifier: ISC */
#include "intercept/tproxy.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "os/nft.h"
#include "os/sock.h"

#define MARK     0x706cu  /* "pl": a packet for one of our sockets */
#define TABLE    0x70000u /* the routing table that delivers marked packets */
#define PRIORITY 16999u   /* the rule that leads there */

#define LOOPBACK_IFINDEX 1 /* of every network namespace */

/* ---- the rules ---- */

static void put_prefixes(FILE *f, const struct intercept_config *c, bool v4)
{
	char text[ENDPOINT_TEXT];
	const char *sep = "";

	for (unsigned int i = 0; i < c->n_bypass; i++) {
		if (ip_is_v4(&c->bypass[i].ip) != v4)
			continue;
		if (!*sep)
			fprintf(f, "  ip%s daddr {", v4 ? "" : "6");
		fprintf(f, "%s %s", sep, prefix_text(&c->bypass[i], text));
		sep = ",";
	}
	if (*sep)
		fprintf(f, " } return\n");
}

static void put_chain(FILE *f, const struct intercept_config *c, const struct endpoint *converter,
	unsigned int n_converter)
{
	char text[ENDPOINT_TEXT];

	fprintf(f, "  type filter hook prerouting priority mangle; policy accept;\n"
		   "  meta l4proto != tcp return\n"
		   "  socket transparent 1 meta mark set %#x accept\n", MARK);
	fprintf(f, "  iifname != {");
	for (unsigned int i = 0; i < c->n_lan; i++)
		fprintf(f, "%s \"%s\"", i ? "," : "", c->lan[i]);
	/* Not "fib daddr type != unicast": that is what IPv6 says of a destination without a route,
	 * and the converter may have one over a WAN of the other family. */
	fprintf(f, " } return\n"
		   "  tcp flags & (fin | syn | rst | ack) != syn return\n"
		   "  tcp option mptcp exists return\n"
		   "  fib daddr type { local, broadcast, multicast, anycast } return\n");
	for (unsigned int i = 0; i < c->n_lan; i++)
		fprintf(f, "  fib daddr oifname \"%s\" return\n", c->lan[i]);
	put_prefixes(f, c, true);
	put_prefixes(f, c, false);
	for (unsigned int i = 0; i < c->n_bypass_port; i++)
		fprintf(f, "  tcp dport %u return\n", c->bypass_port[i]);
	for (unsigned int i = 0; i < n_converter; i++)
		fprintf(f, "  ip%s daddr %s tcp dport %u return\n", ip_is_v4(&converter[i].ip) ? "" : "6",
			ip_text(&converter[i].ip, text), converter[i].port);
	fprintf(f, "  jump take\n");
}

/* The chain that decides whether anything is taken at all. Without it the rest does nothing. */
static void put_take(FILE *f, const struct intercept *i)
{
	static const char rule[] = "add rule inet " INTERCEPT_TABLE " take meta nfproto %s meta l4proto tcp "
				   "tproxy %s to %s:%u meta mark set %#x accept\n";

	fprintf(f, "flush chain inet " INTERCEPT_TABLE " take\n");
	if (!i->taking)
		return;
	fprintf(f, rule, "ipv4", "ip", "127.0.0.1", i->port[0], MARK);
	fprintf(f, rule, "ipv6", "ip6", "[::1]", i->port[1], MARK);
}

/* The caller frees the text. */
static char *rules_text(const struct intercept *i, const struct intercept_config *c,
	const struct endpoint *converter, unsigned int n_converter)
{
	char *text = NULL;
	size_t len;
	FILE *const f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "table inet " INTERCEPT_TABLE " {}\n"
		   "delete table inet " INTERCEPT_TABLE "\n"
		   "table inet " INTERCEPT_TABLE " {\n chain take {}\n chain prerouting {\n");
	put_chain(f, c, converter, n_converter);
	fprintf(f, " }\n}\n");
	put_take(f, i);
	fclose(f);
	return text;
}

/* ---- routing: what is marked is delivered here, whatever its destination ---- */

static int route_marked(struct netlink *nl, bool add)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (unsigned int i = 0; i < 2; i++) {
		const struct nl_rule rule = { .family = families[i], .priority = PRIORITY,
			.table = TABLE, .mark = MARK };
		const struct nl_route route = { .family = families[i], .table = TABLE,
			.ifindex = LOOPBACK_IFINDEX, .local = true };
		int err = netlink_route(nl, add, &route);
		if (!err)
			err = netlink_rule(nl, add, &rule);
		if (err && add) {
			log_error("cannot add the route for intercepted connections: %s", strerror(-err));
			return err;
		}
	}
	return 0;
}

/* ---- the stage ---- */

static int listen_on(const char *loopback, uint16_t *port)
{
	struct endpoint at = { 0 };

	ip_parse(loopback, &at.ip);
	const int fd = sock_listen_tproxy(&at, INTERCEPT_MARK);
	if (fd < 0) {
		log_error("cannot listen for intercepted connections on %s: %s", loopback, strerror(-fd));
		return fd;
	}
	const int err = sock_name(fd, &at);
	if (err) {
		close(fd);
		return err;
	}
	*port = at.port;
	return fd;
}

int intercept_change(struct intercept *i, const struct intercept_config *config,
	const struct endpoint *converter, unsigned int n_converter)
{
	char *const rules = rules_text(i, config, converter, n_converter);
	const int err = rules ? nft_run(rules) : -ENOMEM;

	free(rules);
	return err;
}

int intercept_open(struct intercept *i, const struct intercept_config *config,
	const struct endpoint *converter, unsigned int n_converter, struct netlink *nl)
{
	*i = (struct intercept){ .listener = { -1, -1 }, .taking = true, .nl = nl };
	i->listener[0] = listen_on("127.0.0.1", &i->port[0]);
	if (i->listener[0] < 0)
		return i->listener[0];
	i->listener[1] = listen_on("::1", &i->port[1]);
	int err = i->listener[1] < 0 ? i->listener[1] : route_marked(nl, true);
	if (!err)
		err = intercept_change(i, config, converter, n_converter);
	if (err)
		intercept_close(i);
	return err;
}

void intercept_close(struct intercept *i)
{
	nft_run("table inet " INTERCEPT_TABLE " {}\ndelete table inet " INTERCEPT_TABLE "\n");
	route_marked(i->nl, false);
	for (int k = 0; k < 2; k++) {
		if (i->listener[k] >= 0)
			close(i->listener[k]);
		i->listener[k] = -1;
	}
}

void intercept_take(struct intercept *i, bool on)
{
	char *text = NULL;
	size_t len;

	if (i->taking == on)
		return;
	i->taking = on;
	FILE *const f = open_memstream(&text, &len);
	if (!f)
		return;
	put_take(f, i);
	fclose(f);
	nft_run(text);
	free(text);
}

int intercept_accept(const struct intercept *i, int which, struct endpoint *lan_host,
	struct endpoint *server)
{
	const int fd = sock_accept(i->listener[which], lan_host);

	if (fd < 0)
		return fd;
	const int err = sock_name(fd, server);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
