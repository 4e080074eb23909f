/* SPDX-License-Identifier: ISC */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define V4_BITS 96 /* bits before the IPv4 address in a mapped one, ::ffff:0:0/96 */

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

bool ip_is_v4(const struct ip_addr *ip)
{
	return memcmp(ip->b, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool ip_is_link_local(const struct ip_addr *ip)
{
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

struct ip_addr ip_from_v4(uint32_t v4)
{
	struct ip_addr ip;
	memcpy(ip.b, v4_mapped, sizeof(v4_mapped));
	memcpy(ip.b + sizeof(v4_mapped), &v4, sizeof(v4));
	return ip;
}

int ip_parse(const char *text, struct ip_addr *out)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = ip_from_v4(v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return -EINVAL;
	memcpy(out->b, &v6, sizeof(out->b));
	return 0;
}

/* Reads a number of at most @max: digits alone, for strtoul() takes signs and blanks too.
 * Returns it, or -EINVAL. */
static int parse_number(const char *text, int max)
{
	int number = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		number = number * 10 + (*text - '0');
		if (number > max)
			return -EINVAL;
	}
	return number;
}

int endpoint_parse(const char *text, struct endpoint *out)
{
	const char *const colon = strrchr(text, ':');
	const bool brackets = *text == '[' && colon && colon > text && colon[-1] == ']';
	const char *const from = text + brackets;
	const size_t len = colon ? (size_t)(colon - from) - brackets : 0;
	char address[INET6_ADDRSTRLEN];
	struct endpoint e;

	if (!len || len >= sizeof(address))
		return -EINVAL;
	memcpy(address, from, len);
	address[len] = '\0';
	const int port = parse_number(colon + 1, UINT16_MAX);
	if (port <= 0 || ip_parse(address, &e.ip) < 0 || brackets != (strchr(address, ':') != NULL))
		return -EINVAL;
	e.port = (uint16_t)port;
	*out = e;
	return 0;
}

/* The bits of byte @i that belong to a prefix of @bits bits. */
static uint8_t byte_mask(uint8_t bits, unsigned int i)
{
	const unsigned int before = i * 8;

	if (bits >= before + 8)
		return 0xff;
	return bits <= before ? 0 : (uint8_t)(0xff00 >> (bits - before));
}

static bool has_bits_behind(const struct prefix *p)
{
	for (unsigned int i = 0; i < sizeof(p->ip.b); i++)
		if (p->ip.b[i] & ~byte_mask(p->bits, i))
			return true;
	return false;
}

int prefix_parse(const char *text, struct prefix *out)
{
	const char *const slash = strchr(text, '/');
	const size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	struct prefix p;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (ip_parse(address, &p.ip) < 0)
		return -EINVAL;

	/* The notation decides, not the address: "::ffff:0:0/96" counts from the first bit. */
	const int outside = strchr(address, ':') ? 0 : V4_BITS;
	const int bits = slash ? parse_number(slash + 1, 128 - outside) : 128 - outside;
	if (bits < 0)
		return -EINVAL;
	p.bits = (uint8_t)(bits + outside);
	if (has_bits_behind(&p))
		return -ERANGE;
	*out = p;
	return 0;
}

bool prefix_has(const struct prefix *p, const struct ip_addr *ip)
{
	for (unsigned int i = 0; i < sizeof(ip->b); i++)
		if ((p->ip.b[i] ^ ip->b[i]) & byte_mask(p->bits, i))
			return false;
	return true;
}

bool prefixes_have(const struct prefix *p, size_t n, const struct ip_addr *ip)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_has(&p[i], ip))
			return true;
	return false;
}

const char *ip_text(const struct ip_addr *ip, char *buf)
{
	/* Cannot fail: both families are known and every address fits ENDPOINT_TEXT. */
	if (ip_is_v4(ip))
		return inet_ntop(AF_INET, ip->b + sizeof(v4_mapped), buf, ENDPOINT_TEXT);
	return inet_ntop(AF_INET6, ip->b, buf, ENDPOINT_TEXT);
}

const char *endpoint_text(const struct endpoint *e, char *buf)
{
	const char *const format = ip_is_v4(&e->ip) ? "%s:%u" : "[%s]:%u";
	char ip[ENDPOINT_TEXT];

	snprintf(buf, ENDPOINT_TEXT, format, ip_text(&e->ip, ip), e->port);
	return buf;
}

const char *prefix_text(const struct prefix *p, char *buf)
{
	const int outside = ip_is_v4(&p->ip) ? V4_BITS : 0;
	char ip[ENDPOINT_TEXT];

	snprintf(buf, ENDPOINT_TEXT, "%s/%d", ip_text(&p->ip, ip), p->bits - outside);
	return buf;
}

int endpoint_to_sockaddr(const struct endpoint *e, int family, struct sockaddr_storage *ss)
{
	if (family == AF_INET6) {
		struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };
		memcpy(&sin6.sin6_addr, e->ip.b, sizeof(e->ip.b));
		memcpy(ss, &sin6, sizeof(sin6));
		return sizeof(sin6);
	}
	if (family != AF_INET || !ip_is_v4(&e->ip))
		return -EAFNOSUPPORT;

	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(e->port) };
	memcpy(&sin.sin_addr, e->ip.b + sizeof(v4_mapped), sizeof(sin.sin_addr));
	memcpy(ss, &sin, sizeof(sin));
	return sizeof(sin);
}

int endpoint_from_sockaddr(const struct sockaddr_storage *ss, struct endpoint *out)
{
	if (ss->ss_family == AF_INET) {
		struct sockaddr_in sin;
		memcpy(&sin, ss, sizeof(sin));
		*out = (struct endpoint){
			.ip = ip_from_v4(sin.sin_addr.s_addr),
			.port = ntohs(sin.sin_port),
		};
		return 0;
	}
	if (ss->ss_family != AF_INET6)
		return -EAFNOSUPPORT;

	struct sockaddr_in6 sin6;
	memcpy(&sin6, ss, sizeof(sin6));
	*out = (struct endpoint){ .port = ntohs(sin6.sin6_port) };
	memcpy(out->ip.b, &sin6.sin6_addr, sizeof(out->ip.b));
	return 0;
}
