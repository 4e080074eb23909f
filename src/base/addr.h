/* SPDX-License-Identifier: ISC */
/*
 * Addresses. Everywhere inside plait an IPv4 address is its IPv4-mapped IPv6 form (RFC 4291
 * 2.5.5.2), which is also how the Connect TLV carries it (RFC 8803 6.2.5): one type for both
 * families. Ports are in host order.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct ip_addr {
	uint8_t b[16];
};

/* An address with a port. */
struct endpoint {
	struct ip_addr ip;
	uint16_t port;
};

/* An address block: the first @bits bits of @ip count. An IPv4 block has 96 bits more. */
struct prefix {
	struct ip_addr ip;
	uint8_t bits;
};

/* The longest text of an endpoint, "[v6]:port", with its end. */
#define ENDPOINT_TEXT 56

bool ip_is_v4(const struct ip_addr *ip);
bool ip_is_link_local(const struct ip_addr *ip); /* fe80::/10, RFC 4291 2.5.6 */
bool ip_equal(const struct ip_addr *a, const struct ip_addr *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* @v4 in network order. */
struct ip_addr ip_from_v4(uint32_t v4);

/* Reads "192.0.2.1" or "2001:db8::1". Returns 0, or -EINVAL with @out untouched. */
int ip_parse(const char *text, struct ip_addr *out);

/* Reads "192.0.2.1:80" or "[2001:db8::1]:80", with a port from 1 to 65535. Returns 0, or -EINVAL with
 * @out untouched. */
int endpoint_parse(const char *text, struct endpoint *out);

/* Reads "192.0.2.0/24", "2001:db8::/32" or a plain address. Returns 0, -EINVAL when it is none,
 * or -ERANGE when bits are set behind the prefix; @out is untouched on failure. */
int prefix_parse(const char *text, struct prefix *out);
bool prefix_has(const struct prefix *p, const struct ip_addr *ip);
/* Whether one of the @n prefixes at @p holds @ip. */
bool prefixes_have(const struct prefix *p, size_t n, const struct ip_addr *ip);

/* Text for people: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "192.0.2.0/24". @buf has
 * ENDPOINT_TEXT bytes; returns @buf. */
const char *ip_text(const struct ip_addr *ip, char *buf);
const char *endpoint_text(const struct endpoint *e, char *buf);
const char *prefix_text(const struct prefix *p, char *buf);

/* Fills @ss for a socket of @family: AF_INET6 takes either, IPv4 in mapped form; AF_INET takes
 * IPv4 only (-EAFNOSUPPORT otherwise). Returns the length for bind() and connect(). */
int endpoint_to_sockaddr(const struct endpoint *e, int family, struct sockaddr_storage *ss);
/* Returns 0, or -EAFNOSUPPORT with @out untouched. */
int endpoint_from_sockaddr(const struct sockaddr_storage *ss, struct endpoint *out);

#endif
