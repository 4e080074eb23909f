/* SPDX-License-Identifier: ISC */
/* What every unit test starts with: cmocka, bytes from text, and seeds for the fuzzers. */
#ifndef TESTING_H
#define TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Bytes in a heap block of exactly their length, so that AddressSanitizer sees a read beyond. */
struct bytes {
	uint8_t *p;
	size_t len;
};

static inline struct bytes bytes_copy(const void *p, size_t len)
{
	struct bytes b = { .p = malloc(len > 0 ? len : 1), .len = len };
	assert_non_null(b.p);
	memcpy(b.p, p, len);
	return b;
}

static inline uint8_t hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *const found = strchr(digits, c);
	assert_non_null(found);
	return (uint8_t)(found - digits);
}

/* Bytes from "0a05 01bb", blanks where one likes them between bytes. */
static inline struct bytes bytes_hex(const char *text)
{
	uint8_t buf[2048];
	size_t len = 0;

	while (*text != '\0') {
		if (*text == ' ') {
			text++;
			continue;
		}
		assert_true(len < sizeof(buf));
		buf[len++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		text += 2;
	}
	return bytes_copy(buf, len);
}

/* Write the bytes to the file DIR/NAME. Returns 0, or 1 when that failed, said on stderr. */
static inline int seed_write(const char *dir, const char *name, const char *hex)
{
	char where[4096];
	snprintf(where, sizeof(where), "%s/%s", dir, name);
	FILE *const f = fopen(where, "wb");
	if (!f) {
		perror(where);
		return 1;
	}
	const struct bytes b = bytes_hex(hex);
	const bool written = fwrite(b.p, 1, b.len, f) == b.len;
	free(b.p);
	if (fclose(f) != 0 || !written) {
		perror(where);
		return 1;
	}
	return 0;
}

#endif
