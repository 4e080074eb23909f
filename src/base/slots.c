/* SPDX-License-Identifier: ISC */
#include "base/slots.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK    64u /* things allocated at once */
#define NO_SLOT  UINT32_MAX
#define GEN_MASK 0xffffffu

struct slot_head {
	uint32_t gen, next_free;
	bool in_use;
};

int slots_init(struct slots *s, size_t size, uint32_t max)
{
	*s = (struct slots){ .size = size, .max = max, .first_free = NO_SLOT };
	s->chunks = calloc(max / CHUNK + 1, sizeof(*s->chunks));
	s->heads = calloc(max, sizeof(*s->heads));
	if (!s->chunks || !s->heads) {
		slots_done(s);
		return -ENOMEM;
	}
	return 0;
}

void slots_done(struct slots *s)
{
	for (uint32_t i = 0; s->chunks && i <= s->max / CHUNK; i++)
		free(s->chunks[i]);
	free(s->chunks);
	free(s->heads);
	*s = (struct slots){ 0 };
}

static void *thing(const struct slots *s, uint32_t slot)
{
	return (char *)s->chunks[slot / CHUNK] + s->size * (slot % CHUNK);
}

void *slots_take(struct slots *s, struct slot_ref *ref)
{
	uint32_t slot = s->first_free;

	if (slot != NO_SLOT) {
		s->first_free = s->heads[slot].next_free;
	} else {
		slot = s->known;
		if (slot == s->max)
			return NULL;
		void **const chunk = &s->chunks[slot / CHUNK];
		if (!*chunk && !(*chunk = calloc(CHUNK, s->size)))
			return NULL;
		s->known++;
	}
	s->heads[slot].in_use = true;
	s->used++;
	*ref = (struct slot_ref){ .slot = slot, .gen = s->heads[slot].gen };
	return memset(thing(s, slot), 0, s->size);
}

void *slots_at(const struct slots *s, struct slot_ref ref)
{
	if (ref.slot >= s->known)
		return NULL;
	const struct slot_head *const h = &s->heads[ref.slot];
	return h->in_use && h->gen == ref.gen ? thing(s, ref.slot) : NULL;
}

void slots_give(struct slots *s, struct slot_ref ref)
{
	if (!slots_at(s, ref))
		return;
	struct slot_head *const h = &s->heads[ref.slot];
	h->in_use = false;
	h->gen = (h->gen + 1) & GEN_MASK;
	h->next_free = s->first_free;
	s->first_free = ref.slot;
	s->used--;
}

void *slots_next(const struct slots *s, uint32_t *slot)
{
	for (; *slot < s->known; (*slot)++) {
		if (s->heads[*slot].in_use)
			return thing(s, *slot);
	}
	return NULL;
}
