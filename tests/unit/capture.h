/* SPDX-License-Identifier: ISC */
/* What the code under test writes to standard error or standard output. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stdio.h>
#include <unistd.h>

#include "testing.h"

struct capture {
	int fd, saved, from;
	char text[8192];
};

/* From here on what is written to @fd goes into a pipe, up to 8 KiB. Do not assert before
 * capture_end(): cmocka's own lines would go there too. */
static inline void capture_start(struct capture *c, int fd)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	fflush(stderr);
	c->fd = fd;
	c->saved = dup(fd);
	c->from = ends[0];
	dup2(ends[1], fd);
	close(ends[1]);
}

/* Puts @fd back; returns what was written. */
static inline const char *capture_end(struct capture *c)
{
	size_t len = 0;
	ssize_t n;

	fflush(stdout);
	fflush(stderr);
	dup2(c->saved, c->fd);
	close(c->saved);
	while (len < sizeof(c->text) - 1 &&
		(n = read(c->from, c->text + len, sizeof(c->text) - 1 - len)) > 0)
		len += (size_t)n;
	close(c->from);
	c->text[len] = '\0';
	return c->text;
}

static inline unsigned int count_lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

#endif
