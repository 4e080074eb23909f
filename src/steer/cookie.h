/* SPDX-License-Identifier: ISC */
/*
 * The converter's cookies (RFC 8803 6.2.7): proof that a client receives what is sent to its
 * address. Stateless: a keyed hash of the address. The keys rotate; cookies of the previous key
 * stay good for one more period.
 */
#ifndef STEER_COOKIE_H
#define STEER_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/mono.h"

#define COOKIE_LEN    16
#define COOKIE_KEY    32
#define COOKIE_PERIOD (3600 * S_US)

struct cookie_keys {
	uint8_t key[2][COOKIE_KEY]; /* in use, and the one before */
	mono_t rotated;
};

void cookie_init(struct cookie_keys *k, mono_t now);
void cookie_make(struct cookie_keys *k, const struct ip_addr *client, mono_t now, uint8_t out[COOKIE_LEN]);
bool cookie_valid(struct cookie_keys *k, const struct ip_addr *client, mono_t now, const uint8_t *cookie,
	size_t len);

#endif
