/* SPDX-License-Identifier: ISC */
#include "steer/cookie.h"

#include <sodium.h>
#include <string.h>

_Static_assert(COOKIE_KEY == crypto_generichash_KEYBYTES, "the key of libsodium's keyed hash");
_Static_assert(COOKIE_LEN >= crypto_generichash_BYTES_MIN, "a hash of libsodium");

void cookie_init(struct cookie_keys *k, mono_t now)
{
	randombytes_buf(k->key, sizeof(k->key));
	k->rotated = now;
}

static void rotate(struct cookie_keys *k, mono_t now)
{
	if (mono_diff(now, k->rotated) < COOKIE_PERIOD)
		return;
	if (mono_diff(now, k->rotated) >= 2 * COOKIE_PERIOD) {
		cookie_init(k, now); /* nobody came for a period: the key in use is old as well */
		return;
	}
	memcpy(k->key[1], k->key[0], COOKIE_KEY);
	randombytes_buf(k->key[0], COOKIE_KEY);
	k->rotated = now;
}

static void hash(const uint8_t key[COOKIE_KEY], const struct ip_addr *client, uint8_t out[COOKIE_LEN])
{
	crypto_generichash(out, COOKIE_LEN, client->b, sizeof(client->b), key, COOKIE_KEY);
}

void cookie_make(struct cookie_keys *k, const struct ip_addr *client, mono_t now, uint8_t out[COOKIE_LEN])
{
	rotate(k, now);
	hash(k->key[0], client, out);
}

bool cookie_valid(struct cookie_keys *k, const struct ip_addr *client, mono_t now, const uint8_t *cookie,
	size_t len)
{
	uint8_t want[COOKIE_LEN];

	if (len != COOKIE_LEN)
		return false;
	rotate(k, now);
	for (int i = 0; i < 2; i++) {
		hash(k->key[i], client, want);
		if (sodium_memcmp(want, cookie, COOKIE_LEN) == 0)
			return true;
	}
	return false;
}
