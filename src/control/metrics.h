/* SPDX-License-Identifier: ISC */
/*
 * The metrics, as text that Prometheus reads, over HTTP: GET /metrics at the address of the key `metrics`.
 *
 * The server is libmicrohttpd's, run by the daemon's own loop; connections, their memory and their time
 * are bounded.
 */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include <stdio.h>

#include "os/loop.h"

struct metrics;

/* Writes all metrics, as metrics_head() and metrics_line() have them. */
typedef void metrics_fn(void *ctx, FILE *out);

/* Serve at @at ("127.0.0.1:9801"; empty: not at all, *@out is NULL). Events and timers of @kind are
 * metrics_serve() and metrics_on_timer(). Returns 0, or -errno with a line in the log. */
int metrics_open(struct metrics **out, const char *at, struct loop *loop, uint8_t kind, metrics_fn *fn, void *ctx);
void metrics_close(struct metrics *m);
void metrics_serve(struct metrics *m);
void metrics_on_timer(struct metrics *m);

/* A metric begins: its name, whether it only grows ("counter") or not ("gauge"), what it is. */
void metrics_head(FILE *out, const char *name, const char *type, const char *help);
/* One value of it; @label and @of NULL: there is only this one. */
void metrics_line(FILE *out, const char *name, const char *label, const char *of, double value);

#endif
