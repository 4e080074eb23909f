/* SPDX-License-Identifier: ISC */
#include "os/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

/*
 * The file: { "sysctl": { KEY: { "was": N, "is": N } },
 *             "limits": { "was": [N, N], "is": [N, N] },     subflows, accepted addresses
 *             "endpoints": { ADDRESS: ID } }
 */
struct restore {
	struct netlink *nl;
	json_t *doc;
	char path[PATH_MAX];
};

/* ---- the file ---- */

static json_t *member(struct restore *r, const char *name)
{
	json_t *o = json_object_get(r->doc, name);

	if (!json_is_object(o)) {
		o = json_object();
		json_object_set_new(r->doc, name, o);
	}
	return o;
}

int restore_write(const char *path, const json_t *doc)
{
	char tmp[PATH_MAX + 8];

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	errno = 0;
	if (json_dump_file(doc, tmp, JSON_INDENT(1)) == 0 && rename(tmp, path) == 0)
		return 0;
	return errno ? -errno : -EIO;
}

static int save(struct restore *r)
{
	const int err = restore_write(r->path, r->doc);

	if (!err)
		return 0;
	log_error("%s: cannot be written: %s", r->path, strerror(-err));
	return -EIO;
}

/* The folders above @path. */
static void make_folders(const char *path)
{
	char part[PATH_MAX];

	for (size_t i = 1; i < sizeof(part) && path[i]; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		mkdir(part, 0755);
	}
}

/* ---- sysctl ---- */

static int sysctl_path(const char *key, char *path, size_t size)
{
	const int n = snprintf(path, size, "/proc/sys/%.*s", (int)strcspn(key, ":"), key);
	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	for (char *p = path + strlen("/proc/sys/"); *p; p++) {
		if (*p == '.')
			*p = '/';
	}
	return 0;
}

/* All numbers of a setting, as text. */
static int sysctl_text(const char *key, char *text, size_t size)
{
	char path[256];
	const int err = sysctl_path(key, path, sizeof(path));
	if (err)
		return err;

	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	const ssize_t n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	text[n] = '\0';
	return 0;
}

/* Where in @text the number is that @key names: the first one, or the one behind its colon. */
static char *number_in(const char *key, char *text)
{
	const char *const colon = strchr(key, ':');
	char *at = text;

	for (long skip = colon ? strtol(colon + 1, NULL, 10) : 0; skip > 0; skip--) {
		at += strspn(at, " \t");
		at += strcspn(at, " \t\n");
	}
	return at + strspn(at, " \t");
}

static int sysctl_read(const char *key, long *value)
{
	char text[128];
	const int err = sysctl_text(key, text, sizeof(text));

	if (!err)
		*value = strtol(number_in(key, text), NULL, 10);
	return err;
}

static int sysctl_write(const char *key, long value)
{
	char path[256], text[128], new[256];
	int err = sysctl_path(key, path, sizeof(path));
	if (!err)
		err = sysctl_text(key, text, sizeof(text));
	if (err)
		return err;

	char *const at = number_in(key, text);
	const int n = snprintf(new, sizeof(new), "%.*s%ld%s", (int)(at - text), text, value,
		at + strcspn(at, " \t\n"));
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write(fd, new, (size_t)n) == n ? 0 : -errno;
	close(fd);
	return err;
}

int restore_sysctl(struct restore *r, const char *key, long value)
{
	long was = 0;
	int err = sysctl_read(key, &was);

	if (err || was == value)
		return err;
	json_object_set_new(member(r, "sysctl"), key,
		json_pack("{s:I, s:I}", "was", (json_int_t)was, "is", (json_int_t)value));
	err = save(r);
	if (err)
		return err;
	err = sysctl_write(key, value);
	if (err)
		return err;
	log_info("%s: %ld -> %ld, until the end", key, was, value);
	return 0;
}

int restore_sysctl_bits(struct restore *r, const char *key, long bits)
{
	long was = 0;
	const int err = sysctl_read(key, &was);

	return err ? err : restore_sysctl(r, key, was | bits);
}

int restore_sysctl_least(struct restore *r, const char *key, long least)
{
	long was = 0;
	const int err = sysctl_read(key, &was);

	return err || was >= least ? err : restore_sysctl(r, key, least);
}

static void undo_sysctl(const char *key, long was, long is)
{
	long now = 0;

	if (sysctl_read(key, &now) < 0 || now == was)
		return;
	if (now != is) {
		log_warning("%s: is %ld by now, somebody else's choice: left as it is", key, now);
		return;
	}
	if (sysctl_write(key, was) == 0)
		log_info("%s: %ld -> %ld, as before", key, now, was);
}

/* ---- MPTCP ---- */

static uint32_t at_least(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

int restore_limits(struct restore *r, uint32_t subflows, uint32_t add_addrs)
{
	uint32_t now_subflows, now_add_addrs;
	int err = netlink_limits(r->nl, &now_subflows, &now_add_addrs);
	if (err)
		return err;

	json_int_t was[2] = { now_subflows, now_add_addrs };
	json_t *const l = member(r, "limits");
	json_unpack(l, "{s:[I, I]}", "was", &was[0], &was[1]);
	subflows = at_least(subflows, (uint32_t)was[0]);
	add_addrs = at_least(add_addrs, (uint32_t)was[1]);
	if (subflows == now_subflows && add_addrs == now_add_addrs)
		return 0;

	json_object_set_new(l, "was", json_pack("[I, I]", was[0], was[1]));
	json_object_set_new(l, "is", json_pack("[i, i]", (int)subflows, (int)add_addrs));
	err = save(r);
	if (!err)
		err = netlink_set_limits(r->nl, subflows, add_addrs);
	if (!err)
		log_info("MPTCP limits: subflows %u -> %u, accepted addresses %u -> %u, until the end",
			now_subflows, subflows, now_add_addrs, add_addrs);
	return err;
}

static void undo_limits(struct restore *r)
{
	json_int_t was[2], is[2];
	uint32_t subflows, add_addrs;

	if (json_unpack(r->doc, "{s:{s:[I, I], s:[I, I]}}", "limits", "was", &was[0], &was[1], "is",
		    &is[0], &is[1]) < 0)
		return;
	if (netlink_limits(r->nl, &subflows, &add_addrs) < 0)
		return;
	if (subflows != (uint32_t)is[0] || add_addrs != (uint32_t)is[1]) {
		log_warning("MPTCP limits: changed by somebody else: left as they are");
		return;
	}
	if (netlink_set_limits(r->nl, (uint32_t)was[0], (uint32_t)was[1]) == 0)
		log_info("MPTCP limits: subflows %u -> %d, accepted addresses %u -> %d, as before",
			subflows, (int)was[0], add_addrs, (int)was[1]);
}

/* The kernel counts identifiers from 1; from here on there are hardly any in use. */
#define ENDPOINT_ID_FIRST 192u
#define ENDPOINTS_MAX     64

int restore_endpoint_add(struct restore *r, const struct nl_endpoint *e)
{
	struct nl_endpoint there[ENDPOINTS_MAX], new = *e;
	bool used[256] = { false };
	char text[ENDPOINT_TEXT];

	const int n = netlink_endpoints(r->nl, there, ENDPOINTS_MAX);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		if (ip_equal(&there[i].ip, &e->ip))
			return 0;
		used[there[i].id] = true;
	}
	unsigned int id = ENDPOINT_ID_FIRST;
	while (id < 255 && used[id])
		id++;
	new.id = (uint8_t)id;
	json_object_set_new(member(r, "endpoints"), ip_text(&e->ip, text), json_integer(new.id));
	const int err = save(r);
	return err ? err : netlink_endpoint(r->nl, true, &new);
}

bool restore_endpoint_ours(const struct restore *r, const struct nl_endpoint *e)
{
	char text[ENDPOINT_TEXT];
	const json_t *const id =
		json_object_get(json_object_get(r->doc, "endpoints"), ip_text(&e->ip, text));

	return id && json_integer_value(id) == e->id;
}

int restore_endpoint_del(struct restore *r, const struct nl_endpoint *e)
{
	char text[ENDPOINT_TEXT];
	const int err = netlink_endpoint(r->nl, false, e);

	json_object_del(member(r, "endpoints"), ip_text(&e->ip, text));
	return err ? err : save(r);
}

/* ---- open and undo ---- */

static void undo_all(struct restore *r)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach(member(r, "sysctl"), key, value) {
		json_int_t was, is;
		if (json_unpack(value, "{s:I, s:I}", "was", &was, "is", &is) == 0)
			undo_sysctl(key, (long)was, (long)is);
	}
	undo_limits(r);
	json_object_foreach_safe(member(r, "endpoints"), next, key, value) {
		struct nl_endpoint e = { .id = (uint8_t)json_integer_value(value) };
		if (ip_parse(key, &e.ip) == 0)
			netlink_endpoint(r->nl, false, &e);
	}
	json_object_clear(r->doc);
}

int restore_open(struct restore **out, const char *path, struct netlink *nl)
{
	struct restore *const r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->nl = nl;
	snprintf(r->path, sizeof(r->path), "%s", path);
	make_folders(path);
	r->doc = json_load_file(path, 0, NULL);
	if (json_is_object(r->doc)) {
		log_warning("%s: an earlier run ended without putting its settings back: doing that now",
			path);
		undo_all(r);
	} else {
		json_decref(r->doc);
		r->doc = json_object();
	}
	const int err = r->doc ? save(r) : -ENOMEM;
	if (err) {
		json_decref(r->doc);
		free(r);
		return err;
	}
	*out = r;
	return 0;
}

void restore_undo(struct restore *r)
{
	if (!r)
		return;
	undo_all(r);
	unlink(r->path);
	json_decref(r->doc);
	free(r);
}
