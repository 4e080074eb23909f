/* SPDX-License-Identifier: ISC */
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define CLIENTS_MAX 16 /* people and scrapers on this machine */
#define PATIENCE    (5 * S_US)
#define REQUEST_MAX 4096

struct control {
	int listener;
	struct loop *loop;
	uint8_t listener_kind, client_kind;
	control_answer_fn *answer;
	void *ctx;
	struct slots clients;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct client {
	int fd;
	char line[REQUEST_MAX];
	size_t have;
	char *out; /* heap: the answer */
	size_t out_len, out_sent;
};

static struct loop_tag tag(const struct control *c, struct slot_ref ref)
{
	return (struct loop_tag){ .kind = c->client_kind, .ref = ref };
}

static void hang_up(struct control *c, struct slot_ref ref, struct client *client)
{
	close(client->fd);
	free(client->out);
	slots_give(&c->clients, ref);
}

static int listen_at(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	const mode_t was = umask(0117);
	const int failed = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, CLIENTS_MAX) < 0;
	const int err = failed ? -errno : 0;
	umask(was);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int control_open(struct control **out, const char *path, struct loop *loop, uint8_t listener_kind,
	uint8_t client_kind, control_answer_fn *answer, void *ctx)
{
	struct control *const c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;

	*c = (struct control){ .listener = -1, .loop = loop, .listener_kind = listener_kind,
		.client_kind = client_kind, .answer = answer, .ctx = ctx };
	snprintf(c->path, sizeof(c->path), "%s", path);
	int err = slots_init(&c->clients, sizeof(struct client), CLIENTS_MAX);
	if (!err) {
		c->listener = listen_at(c->path);
		err = c->listener < 0 ? c->listener : 0;
	}
	if (!err)
		err = loop_add(loop, c->listener, EPOLLIN, (struct loop_tag){ .kind = listener_kind });
	if (err) {
		log_error("control socket %s: %s", path, strerror(-err));
		control_close(c);
		return err;
	}
	*out = c;
	return 0;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	if (c->listener >= 0) {
		close(c->listener);
		unlink(c->path);
	}
	uint32_t slot = 0;
	for (struct client *client; (client = slots_next(&c->clients, &slot)); slot++) {
		close(client->fd);
		free(client->out);
	}
	slots_done(&c->clients);
	free(c);
}

void control_on_listener(struct control *c)
{
	const int fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct slot_ref ref;

	if (fd < 0)
		return;
	struct client *const client = slots_take(&c->clients, &ref);
	if (!client) {
		close(fd);
		return;
	}
	client->fd = fd;
	if (loop_add(c->loop, fd, EPOLLIN, tag(c, ref)) < 0 || loop_after(c->loop, PATIENCE, tag(c, ref)) < 0)
		hang_up(c, ref, client);
}

json_t *control_refusal(const char *why)
{
	return json_pack("{s:s}", "error", why ? why : "no memory");
}

json_t *control_judge_reload(int err, char *why)
{
	json_t *const refusal = err ? control_refusal(why) : NULL;

	if (err)
		log_error("going on with the configuration as it was: %s", why ? why : "no memory");
	free(why);
	return refusal;
}

static char *answer_text(struct control *c, const char *command)
{
	json_t *o = c->answer(c->ctx, command);

	if (!o)
		o = control_refusal("unknown command; expected status, sessions or reload; of a CPE paths, "
				    "converters or provision, too");
	char *const text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

/* Returns false when the client is to be hung up on. */
static bool serve(struct control *c, struct slot_ref ref, struct client *client)
{
	if (!client->out) {
		const ssize_t n = read(client->fd, client->line + client->have,
			sizeof(client->line) - 1 - client->have);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		client->have += (size_t)n;
		client->line[client->have] = '\0';
		char *const eol = strchr(client->line, '\n');
		if (!eol)
			return client->have < sizeof(client->line) - 1;
		*eol = '\0';
		client->out = answer_text(c, client->line);
		if (!client->out)
			return false;
		client->out_len = strlen(client->out);
		loop_mod(c->loop, client->fd, EPOLLOUT, tag(c, ref));
	}
	const ssize_t n = send(client->fd, client->out + client->out_sent,
		client->out_len - client->out_sent, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->out_sent += (size_t)n;
	return client->out_sent < client->out_len;
}

void control_on_client(struct control *c, struct slot_ref ref)
{
	struct client *const client = slots_at(&c->clients, ref);

	if (client && !serve(c, ref, client))
		hang_up(c, ref, client);
}

void control_on_timer(struct control *c, struct slot_ref ref)
{
	struct client *const client = slots_at(&c->clients, ref);

	if (client)
		hang_up(c, ref, client);
}
