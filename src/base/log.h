/* SPDX-License-Identifier: ISC */
/*
 * Log lines on standard error, one a message: "plait-cpe: warning: text".
 *
 * What a peer can trigger goes through log_peer(), which lets a few lines a call site through in
 * each interval and then counts the rest, so that nobody fills a disk from outside.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log_limit {
	int64_t window_start; /* us */
	unsigned int passed, held;
};

/* @program stands before each line and must stay; lines above @level are dropped. */
void log_init(const char *program, enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_write_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...)   log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)

#define log_peer(level, ...) \
	do { \
		static struct log_limit log_limit_here; \
		log_write_limited(&log_limit_here, level, __VA_ARGS__); \
	} while (0)

#endif
