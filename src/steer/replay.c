/* SPDX-License-Identifier: ISC */
#include "steer/replay.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 1024u
#define SIZE_LAST  (1u << 21) /* 16 MiB; half of it is used */

_Static_assert(REPLAY_KEY == crypto_shorthash_KEYBYTES, "the key of SipHash");

void replay_init(struct replay *r, const uint8_t key[REPLAY_KEY], mono_t now)
{
	*r = (struct replay){ .since = now };
	memcpy(r->key, key, REPLAY_KEY);
}

void replay_done(struct replay *r)
{
	free(r->now.hash);
	free(r->before.hash);
	r->now = r->before = (struct replay_set){ 0 };
}

/* The place of @hash, or the free one where the search for it ends. */
static uint64_t *place(const struct replay_set *s, uint64_t hash)
{
	size_t at = hash & (s->size - 1);

	while (s->hash[at] && s->hash[at] != hash)
		at = (at + 1) & (s->size - 1);
	return &s->hash[at];
}

static bool has(const struct replay_set *s, uint64_t hash)
{
	return s->size && *place(s, hash) == hash;
}

static bool grow(struct replay_set *s)
{
	struct replay_set more = { .size = s->size ? 2 * s->size : SIZE_FIRST, .used = s->used };

	if (more.size > SIZE_LAST)
		return false;
	more.hash = calloc(more.size, sizeof(*more.hash));
	if (!more.hash)
		return false;
	for (size_t i = 0; i < s->size; i++) {
		if (s->hash[i])
			*place(&more, s->hash[i]) = s->hash[i];
	}
	free(s->hash);
	*s = more;
	return true;
}

static void turn(struct replay *r, mono_t now)
{
	free(r->before.hash);
	r->before = r->now;
	r->now = (struct replay_set){ 0 };
	r->since = now;
}

static void add(struct replay *r, uint64_t hash, mono_t now)
{
	if (2 * (r->now.used + 1) > r->now.size && !grow(&r->now)) {
		turn(r, now);
		if (!grow(&r->now))
			return; /* no memory at all */
	}
	*place(&r->now, hash) = hash;
	r->now.used++;
}

bool replay_is(struct replay *r, const struct ip_addr *client, uint64_t nonce, mono_t now)
{
	uint8_t said[sizeof(client->b) + sizeof(nonce)], out[crypto_shorthash_BYTES];
	uint64_t hash;

	memcpy(said, client->b, sizeof(client->b));
	memcpy(said + sizeof(client->b), &nonce, sizeof(nonce));
	crypto_shorthash(out, said, sizeof(said), r->key);
	memcpy(&hash, out, sizeof(hash));
	hash |= !hash;
	const int64_t age = mono_diff(now, r->since);
	if (age >= 2 * REPLAY_TIME)
		turn(r, now); /* both sets are too old */
	if (age >= REPLAY_TIME)
		turn(r, now);
	if (has(&r->now, hash) || has(&r->before, hash))
		return true;
	add(r, hash, now);
	return false;
}
