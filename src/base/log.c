/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mono.h"

#define LIMIT_WINDOW (10 * S_US)
#define LIMIT_LINES  5 /* a site in a window: enough to see what goes on, too few to fill a disk */

static const char *log_program = "plait";
static enum log_level log_level = LOG_INFO;

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_level = level;
}

static void write_line(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const names[] = { "error: ", "warning: ", "", "debug: " };
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	/* One write a line: lines of several threads do not mix. */
	fprintf(stderr, "%s: %s%s\n", log_program, names[level], text);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	if (level > log_level)
		return;

	va_list ap;
	va_start(ap, fmt);
	write_line(level, fmt, ap);
	va_end(ap);
}

void log_write_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
{
	if (level > log_level)
		return;

	const int64_t now = mono_now().us;
	if (!limit->window_start || now - limit->window_start > LIMIT_WINDOW) {
		if (limit->held)
			log_write(level, "%u more messages like the next one were left out", limit->held);
		*limit = (struct log_limit){ .window_start = now };
	}
	if (limit->passed == LIMIT_LINES) {
		limit->held++;
		return;
	}
	limit->passed++;

	va_list ap;
	va_start(ap, fmt);
	write_line(level, fmt, ap);
	va_end(ap);
}
