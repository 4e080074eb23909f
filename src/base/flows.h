/* SPDX-License-Identifier: ISC */
/*
 * From the two ends of a TCP connection to what it belongs to: a hash table of slot references.
 *
 * The hash is keyed (SipHash), since others choose the ports.
 */
#ifndef BASE_FLOWS_H
#define BASE_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slots.h"

#define FLOWS_KEY 16

/* Our end first, or the end that we speak for. */
struct flow {
	struct endpoint near, far;
};

struct flows {
	struct flows_entry *entry; /* NULL: empty */
	size_t size, used;         /* size: a power of two, or 0 */
	uint8_t key[FLOWS_KEY];
};

/* @key: random bytes. */
void flows_init(struct flows *f, const uint8_t key[FLOWS_KEY]);
void flows_done(struct flows *f);

/* Take @flow in, in place of what it led to. Returns 0, or -ENOMEM with nothing changed. */
int flows_put(struct flows *f, const struct flow *flow, struct slot_ref ref);
/* Whether @flow is known; only then *@ref is written. */
bool flows_get(const struct flows *f, const struct flow *flow, struct slot_ref *ref);
void flows_remove(struct flows *f, const struct flow *flow);

#endif
