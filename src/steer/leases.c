/* SPDX-License-Identifier: ISC */
#include "steer/leases.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool same(const struct lease *a, const struct lease *b)
{
	return !strcmp(a->source, b->source) && !strcmp(a->ifname, b->ifname);
}

static void drop(struct leases *l, unsigned int i)
{
	memmove(&l->lease[i], &l->lease[i + 1], (l->n - i - 1) * sizeof(l->lease[0]));
	l->n--;
}

int leases_put(struct leases *l, const struct lease *new)
{
	unsigned int old = 0, at = 0;

	while (old < l->n && !same(&l->lease[old], new))
		old++;
	if (new->n && old == l->n && l->n == LEASES_MAX)
		return -ENOSPC;
	/* A renewal keeps its place. */
	if (old < l->n && new->n && l->lease[old].order == new->order) {
		l->lease[old] = *new;
		return 0;
	}
	if (old < l->n)
		drop(l, old);
	if (!new->n)
		return 0;
	while (at < l->n && l->lease[at].order <= new->order)
		at++;
	memmove(&l->lease[at + 1], &l->lease[at], (l->n - at) * sizeof(l->lease[0]));
	l->lease[at] = *new;
	l->n++;
	return 0;
}

bool leases_expire(struct leases *l, mono_t now)
{
	const unsigned int before = l->n;

	for (unsigned int i = l->n; i-- > 0;) {
		if (l->lease[i].expires.us && mono_diff(now, l->lease[i].expires) >= 0)
			drop(l, i);
	}
	return l->n != before;
}

static bool has(const struct steer_entry *e, unsigned int n, const struct endpoint *at)
{
	for (unsigned int i = 0; i < n; i++) {
		if (endpoint_equal(&e[i].at, at))
			return true;
	}
	return false;
}

static void set_name(char name[STEER_NAME], const struct lease *l)
{
	snprintf(name, STEER_NAME, "%s.%s", l->ifname, l->source);
}

const struct lease *leases_named(const struct leases *l, const char *name)
{
	for (unsigned int i = 0; i < l->n; i++) {
		char its[STEER_NAME];
		set_name(its, &l->lease[i]);
		if (!strcmp(its, name))
			return &l->lease[i];
	}
	return NULL;
}

unsigned int leases_list(const struct leases *l, struct steer_entry *e, unsigned int n, unsigned int max)
{
	for (unsigned int i = 0; i < l->n; i++) {
		const struct lease *const lease = &l->lease[i];
		for (unsigned int k = 0; k < lease->n && n < max; k++) {
			if (has(e, n, &lease->at[k]))
				continue;
			e[n] = (struct steer_entry){ .at = lease->at[k] };
			set_name(e[n].name, lease);
			if (lease->only)
				memcpy(e[n].only, lease->ifname, sizeof(e[n].only));
			n++;
		}
	}
	return n;
}
