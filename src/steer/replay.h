/* SPDX-License-Identifier: ISC */
/*
 * The nonces of the last minutes, on the converter: a SYN that the network repeats later must not
 * bring its early data to the server once more.
 *
 * Bounded: when more come than there is room for, the oldest are forgotten early.
 */
#ifndef STEER_REPLAY_H
#define STEER_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/mono.h"

#define REPLAY_TIME (120 * S_US) /* at least; at most twice that */
#define REPLAY_KEY  16

/* Two sets of hashes, that of now and that of before. */
struct replay {
	uint8_t key[REPLAY_KEY];
	struct replay_set {
		uint64_t *hash; /* 0: free */
		size_t size, used;
	} now, before;
	mono_t since; /* of now */
};

/* @key: random bytes. */
void replay_init(struct replay *r, const uint8_t key[REPLAY_KEY], mono_t now);
void replay_done(struct replay *r);
/* Whether @client has said @nonce before; it is remembered from now on. */
bool replay_is(struct replay *r, const struct ip_addr *client, uint64_t nonce, mono_t now);

#endif
