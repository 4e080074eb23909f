/* SPDX-License-Identifier: ISC */
#include "control/metrics.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/log.h"

#define CLIENTS_MAX 16   /* scrapers and people */
#define PATIENCE    3u   /* s without a byte */
#define MEMORY_EACH (16u << 10)
#define TURNS       16   /* libmicrohttpd may have more to do at once */

struct metrics {
	struct MHD_Daemon *http;
	struct loop *loop;
	uint8_t kind;
	metrics_fn *fn;
	void *ctx;
};

/* ---- the text ---- */

void metrics_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label(FILE *out, const char *label, const char *of)
{
	fprintf(out, "{%s=\"", label);
	for (; *of; of++) {
		if (*of == '"' || *of == '\\')
			fputc('\\', out);
		fputs(*of == '\n' ? "\\n" : (char[]){ *of, 0 }, out);
	}
	fputs("\"}", out);
}

void metrics_line(FILE *out, const char *name, const char *label, const char *of, double value)
{
	fputs(name, out);
	if (label)
		put_label(out, label, of);
	fprintf(out, " %.15g\n", value);
}

/* ---- HTTP ---- */

static enum MHD_Result answer(struct MHD_Connection *to, unsigned int status, const char *type, char *text, size_t len)
{
	struct MHD_Response *const r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_COPY);

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	const enum MHD_Result result = MHD_queue_response(to, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result answer_metrics(struct metrics *m, struct MHD_Connection *to)
{
	char *text = NULL;
	size_t len = 0;
	FILE *const out = open_memstream(&text, &len);

	if (!out)
		return MHD_NO;
	m->fn(m->ctx, out);
	if (fclose(out) != 0) {
		free(text);
		return MHD_NO;
	}
	const enum MHD_Result result = answer(to, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, len);
	free(text);
	return result;
}

/* Called first with the head of a request, and then for each part of its body. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *to, const char *url, const char *method,
	const char *version, const char *body, size_t *body_len, void **mine)
{
	static char only_get[] = "expected GET\n";

	(void)version;
	(void)body;
	if (!*mine) {
		*mine = only_get; /* any mark */
		return MHD_YES;
	}
	if (*body_len) {
		*body_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer(to, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", only_get, sizeof(only_get) - 1);
	if (strcmp(url, "/metrics") != 0) {
		static char not_found[] = "not found: the metrics are at /metrics\n";
		return answer(to, MHD_HTTP_NOT_FOUND, "text/plain", not_found, sizeof(not_found) - 1);
	}
	return answer_metrics(ctx, to);
}

/* It runs while there is something to do, a bounded number of times. */
void metrics_serve(struct metrics *m)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	for (int i = 0; i < TURNS && m; i++) {
		MHD_run(m->http);
		if (MHD_get_timeout(m->http, &ms) != MHD_YES || ms)
			return;
	}
}

/* Connections whose time is over end. */
void metrics_on_timer(struct metrics *m)
{
	metrics_serve(m);
	loop_after(m->loop, S_US, (struct loop_tag){ .kind = m->kind });
}

static void on_error(void *ctx, const char *format, va_list args)
{
	char text[256];

	(void)ctx;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("metrics: %s", text);
}

static struct MHD_Daemon *serve_at(struct metrics *m, const struct endpoint *at)
{
	struct sockaddr_storage ss;
	const bool v4 = ip_is_v4(&at->ip);

	endpoint_to_sockaddr(at, v4 ? AF_INET : AF_INET6, &ss);
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (v4 ? 0u : (unsigned int)MHD_USE_IPv6), at->port, NULL, NULL,
		on_request, m, MHD_OPTION_EXTERNAL_LOGGER, on_error, NULL, MHD_OPTION_SOCK_ADDR, &ss,
		MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, PATIENCE, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_EACH,
		MHD_OPTION_END);
}

int metrics_open(struct metrics **out, const char *at, struct loop *loop, uint8_t kind, metrics_fn *fn, void *ctx)
{
	struct endpoint where;

	*out = NULL;
	if (!*at)
		return 0;
	int err = endpoint_parse(at, &where);
	struct metrics *const m = err ? NULL : calloc(1, sizeof(*m));
	if (!m)
		return err ? err : -ENOMEM;
	*m = (struct metrics){ .loop = loop, .kind = kind, .fn = fn, .ctx = ctx };
	errno = 0;
	m->http = serve_at(m, &where);
	if (!m->http) {
		err = errno ? -errno : -EIO;
		log_error("metrics at %s: %s", at, strerror(-err));
		free(m);
		return err;
	}
	const union MHD_DaemonInfo *const info = MHD_get_daemon_info(m->http, MHD_DAEMON_INFO_EPOLL_FD);
	err = info ? loop_add(loop, info->epoll_fd, EPOLLIN, (struct loop_tag){ .kind = kind }) : -EIO;
	if (!err)
		err = loop_after(loop, S_US, (struct loop_tag){ .kind = kind });
	if (err) {
		metrics_close(m);
		return err;
	}
	*out = m;
	return 0;
}

void metrics_close(struct metrics *m)
{
	if (!m)
		return;
	MHD_stop_daemon(m->http);
	free(m);
}
