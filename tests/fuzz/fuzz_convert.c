/* SPDX-License-Identifier: ISC */
/*
 * The Convert codec with any bytes, as a client's message and as a converter's. What has to hold:
 *
 *  - nothing is read outside the bytes given (AddressSanitizer; the input is copied to a block of
 *    exactly its length by libFuzzer);
 *  - a refused message leaves the output alone;
 *  - a decoded message has the length that convert_length() says, is the same with and without what
 *    follows it, and encodes to a message that decodes to the same;
 *  - the answer to a defect is a message that a client can decode, or a reset.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/convert.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same bytes, wherever they stand. */
static bool span_same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool inside(struct span s, const uint8_t *data, size_t len)
{
	return s.len == 0 || (s.p >= data && s.p + s.len <= data + len);
}

static bool flags_same(const struct convert_msg *a, const struct convert_msg *b)
{
	return a->has_info == b->has_info && a->has_connect == b->has_connect &&
	       a->has_extended_header == b->has_extended_header &&
	       a->has_supported == b->has_supported && a->has_cookie == b->has_cookie &&
	       a->has_error == b->has_error && a->has_echo == b->has_echo &&
	       a->has_verdict == b->has_verdict;
}

static bool values_same(const struct convert_msg *a, const struct convert_msg *b)
{
	return endpoint_equal(&a->server, &b->server) &&
	       span_same(a->connect_options, b->connect_options) &&
	       span_same(a->connect_raw, b->connect_raw) &&
	       span_same(a->extended_header, b->extended_header) &&
	       span_same(a->supported, b->supported) && span_same(a->cookie, b->cookie) &&
	       a->error == b->error && span_same(a->error_value, b->error_value) &&
	       a->echo.flags == b->echo.flags && a->echo.patience == b->echo.patience &&
	       a->echo.nonce == b->echo.nonce && a->verdict == b->verdict;
}

static bool same(const struct convert_msg *a, const struct convert_msg *b)
{
	return flags_same(a, b) && values_same(a, b);
}

static void check_fine(
	const struct convert_msg *m, const uint8_t *data, size_t size, enum convert_sender sender)
{
	enum convert_defect d = CONVERT_DEFECT_COUNT;
	const size_t len = convert_length(data, &d);
	CHECK(d == CONVERT_FINE && len > CONVERT_HEADER && len <= size);
	CHECK(inside(m->connect_options, data, len) && inside(m->connect_raw, data, len));
	CHECK(inside(m->extended_header, data, len) && inside(m->supported, data, len));
	CHECK(inside(m->cookie, data, len) && inside(m->error_value, data, len));

	struct convert_msg alone;
	CHECK(convert_decode(data, len, sender, &alone) == CONVERT_FINE && same(m, &alone));
	CHECK(convert_decode(data, len - 1, sender, &alone) == CONVERT_DEFECT_TLV_OVERRUN);

	uint8_t buf[CONVERT_MAX];
	struct convert_msg again;
	CHECK(convert_encode(m, buf, len - 1) == 0);
	CHECK(convert_encode(m, buf, len) == len);
	CHECK(convert_decode(buf, len, sender, &again) == CONVERT_FINE && same(m, &again));
}

static void check_answer(enum convert_defect d, const uint8_t *data, size_t size)
{
	uint8_t buf[CONVERT_MAX];
	const int reaction = convert_defect_reaction(d);
	const size_t len = convert_encode_defect(d, data, size, buf, sizeof(buf));
	struct convert_msg m;

	if (reaction == CONVERT_REACT_RESET) {
		CHECK(len == 0);
		return;
	}
	CHECK(convert_decode(buf, len, CONVERT_FROM_CONVERTER, &m) == CONVERT_FINE);
	CHECK(m.has_error && m.error == reaction);
	if (reaction == CONVERT_UNSUPPORTED_TCP_OPTION)
		CHECK(m.error_value.p[0] != 0); /* a list that names none would help nobody */
}

static void check(const uint8_t *data, size_t size, enum convert_sender sender)
{
	const struct convert_msg nothing = { 0 };
	struct convert_msg m = nothing;

	const enum convert_defect d = convert_decode(data, size, sender, &m);
	CHECK(d < CONVERT_DEFECT_COUNT);
	if (d == CONVERT_FINE)
		check_fine(&m, data, size, sender);
	else
		CHECK(same(&m, &nothing));
	if (d != CONVERT_FINE && sender == CONVERT_FROM_CLIENT)
		check_answer(d, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(data, size, CONVERT_FROM_CLIENT);
	check(data, size, CONVERT_FROM_CONVERTER);
	return 0;
}
