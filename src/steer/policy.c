/* SPDX-License-Identifier: ISC */
#include "steer/policy.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

/* Refused unless allow_to says otherwise: the special-purpose registries (RFC 6890) less what the
 * codec refuses in any case, and the IPv6 ranges that lead to an IPv4 address. */
#define V4(a, b, c, bits) { { { [10] = 0xff, 0xff, a, b, c } }, 96 + (bits) }

static const struct prefix special[] = {
	V4(10, 0, 0, 8), V4(100, 64, 0, 10), V4(169, 254, 0, 16), V4(172, 16, 0, 12), V4(192, 0, 0, 24),
	V4(192, 168, 0, 16), V4(198, 18, 0, 15), V4(240, 0, 0, 4),
	{ { { 0xfc } }, 7 },                         /* fc00::/7 */
	{ { { 0xfe, 0x80 } }, 10 },                  /* fe80::/10 */
	{ { { 0xfe, 0xc0 } }, 10 },                  /* fec0::/10 */
	{ { { 0, 0x64, 0xff, 0x9b } }, 96 },         /* 64:ff9b::/96 */
	{ { { 0, 0x64, 0xff, 0x9b, 0, 1 } }, 48 },   /* 64:ff9b:1::/48 */
	{ { { 0x20, 0x02 } }, 16 },                  /* 2002::/16 */
	{ { { 0x20, 0x01 } }, 32 },                  /* 2001::/32 */
};

const char *policy_verdict_text(enum policy_verdict v)
{
	switch (v) {
	case POLICY_ALLOW:
		return "allowed";
	case POLICY_CLIENT_UNKNOWN:
		return "the client is not in clients";
	case POLICY_DENIED:
		return "the server is in deny_to";
	case POLICY_PRIVATE:
		return "the server is in a private range and not in allow_to";
	case POLICY_OWN:
		return "the server is this machine";
	}
	return "?";
}

static bool is_own(const struct policy *p, const struct ip_addr *ip)
{
	for (size_t i = 0; i < p->n_own; i++) {
		if (ip_equal(&p->own[i], ip))
			return true;
	}
	return false;
}

enum policy_verdict policy_client(const struct policy *p, const struct ip_addr *client)
{
	return prefixes_have(p->clients, p->n_clients, client) ? POLICY_ALLOW : POLICY_CLIENT_UNKNOWN;
}

enum policy_verdict policy_server(const struct policy *p, const struct ip_addr *server)
{
	if (is_own(p, server))
		return POLICY_OWN;
	if (prefixes_have(p->deny_to, p->n_deny_to, server))
		return POLICY_DENIED;
	if (prefixes_have(p->allow_to, p->n_allow_to, server))
		return POLICY_ALLOW;
	return prefixes_have(special, sizeof(special) / sizeof(special[0]), server) ? POLICY_PRIVATE
										     : POLICY_ALLOW;
}

int policy_read_own(struct policy *p)
{
	struct ifaddrs *list;
	size_t n = 0;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		n++;
	struct ip_addr *const own = calloc(n ? n : 1, sizeof(*own));
	if (!own) {
		freeifaddrs(list);
		return -ENOMEM;
	}
	n = 0;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct sockaddr_storage ss = { 0 };
		struct endpoint e;
		if (!i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			memcpy(&ss, i->ifa_addr, sizeof(struct sockaddr_in));
		else if (i->ifa_addr->sa_family == AF_INET6)
			memcpy(&ss, i->ifa_addr, sizeof(struct sockaddr_in6));
		if (endpoint_from_sockaddr(&ss, &e) == 0)
			own[n++] = e.ip;
	}
	freeifaddrs(list);
	free(p->own);
	p->own = own;
	p->n_own = n;
	return 0;
}

void policy_done(struct policy *p)
{
	free(p->own);
	p->own = NULL;
	p->n_own = 0;
}
