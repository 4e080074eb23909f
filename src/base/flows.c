/* SPDX-License-Identifier: ISC */
#include "base/flows.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 64u

_Static_assert(FLOWS_KEY == crypto_shorthash_KEYBYTES, "the key of SipHash");
_Static_assert(sizeof(struct flow) == 36, "hashed as bytes: no padding");

struct flows_entry {
	struct flow flow;
	struct slot_ref ref;
	bool used;
};

void flows_init(struct flows *f, const uint8_t key[FLOWS_KEY])
{
	*f = (struct flows){ 0 };
	memcpy(f->key, key, FLOWS_KEY);
}

void flows_done(struct flows *f)
{
	free(f->entry);
	f->entry = NULL;
	f->size = f->used = 0;
}

/* Where @flow would stand if nothing stood there. */
static size_t home(const struct flows *f, const struct flow *flow)
{
	uint8_t hash[crypto_shorthash_BYTES];
	size_t at;

	crypto_shorthash(hash, (const uint8_t *)flow, sizeof(*flow), f->key);
	memcpy(&at, hash, sizeof(at));
	return at & (f->size - 1);
}

/* Its entry, or the free one where the search for it ends. */
static struct flows_entry *find(const struct flows *f, const struct flow *flow)
{
	size_t at = home(f, flow);

	while (f->entry[at].used && memcmp(&f->entry[at].flow, flow, sizeof(*flow)) != 0)
		at = (at + 1) & (f->size - 1);
	return &f->entry[at];
}

static int grow(struct flows *f)
{
	struct flows more = { .size = f->size ? 2 * f->size : SIZE_FIRST, .used = f->used };

	more.entry = calloc(more.size, sizeof(*more.entry));
	if (!more.entry)
		return -ENOMEM;
	memcpy(more.key, f->key, FLOWS_KEY);
	for (size_t i = 0; i < f->size; i++) {
		if (f->entry[i].used)
			*find(&more, &f->entry[i].flow) = f->entry[i];
	}
	free(f->entry);
	*f = more;
	return 0;
}

int flows_put(struct flows *f, const struct flow *flow, struct slot_ref ref)
{
	if (2 * (f->used + 1) > f->size) {
		const int err = grow(f);
		if (err)
			return err;
	}
	struct flows_entry *const e = find(f, flow);
	f->used += !e->used;
	*e = (struct flows_entry){ .flow = *flow, .ref = ref, .used = true };
	return 0;
}

bool flows_get(const struct flows *f, const struct flow *flow, struct slot_ref *ref)
{
	if (!f->used)
		return false;
	const struct flows_entry *const e = find(f, flow);
	if (e->used)
		*ref = e->ref;
	return e->used;
}

/* Those behind it move up, so that no search ends too early. */
void flows_remove(struct flows *f, const struct flow *flow)
{
	if (!f->used)
		return;
	struct flows_entry *hole = find(f, flow);
	if (!hole->used)
		return;
	f->used--;
	const size_t mask = f->size - 1;
	for (size_t at = (size_t)(hole - f->entry);;) {
		at = (at + 1) & mask;
		struct flows_entry *const e = &f->entry[at];
		if (!e->used)
			break;
		/* It may move when its home is not between the hole and where it stands. */
		const size_t from_home = (at - home(f, &e->flow)) & mask;
		const size_t from_hole = (at - (size_t)(hole - f->entry)) & mask;
		if (from_home >= from_hole) {
			*hole = *e;
			hole = e;
		}
	}
	hole->used = false;
}
