/* SPDX-License-Identifier: ISC */
/*
 * Theory of operation
 *
 * A message is a fixed header and TLVs; one table says of each TLV who sends it and how its value
 * is read and written. Decoding has two passes: the first takes the message apart and finds what
 * breaks its form, the second asks whether what it says can be meant. So the connect options, which
 * the answer to an unsupported one lists, are known by the time they are judged.
 */
#include "wire/convert.h"

#include "base/cursor.h"

#define TLV_HEAD 2 /* bytes of Type and Length, RFC 8803 6.2.1 */

/* TCP option kinds */
enum {
	KIND_EOL = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WINDOW_SCALE = 3,
	KIND_SACK_PERMITTED = 4,
	KIND_SACK = 5,
	KIND_TIMESTAMP = 8,
	KIND_MPTCP = 30,
};

/* Names */

const char *convert_error_name(uint8_t code)
{
	switch ((enum convert_error)code) {
	case CONVERT_UNSUPPORTED_VERSION:
		return "Unsupported Version";
	case CONVERT_MALFORMED_MESSAGE:
		return "Malformed Message";
	case CONVERT_UNSUPPORTED_MESSAGE:
		return "Unsupported Message";
	case CONVERT_MISSING_COOKIE:
		return "Missing Cookie";
	case CONVERT_NOT_AUTHORIZED:
		return "Not Authorized";
	case CONVERT_UNSUPPORTED_TCP_OPTION:
		return "Unsupported TCP Option";
	case CONVERT_RESOURCE_EXCEEDED:
		return "Resource Exceeded";
	case CONVERT_NETWORK_FAILURE:
		return "Network Failure";
	case CONVERT_CONNECTION_RESET:
		return "Connection Reset";
	case CONVERT_DESTINATION_UNREACHABLE:
		return "Destination Unreachable";
	}
	return "unknown error";
}

static const struct {
	const char *text;
	int reaction;
} defects[] = {
	[CONVERT_FINE] = { "fine", CONVERT_REACT_RESET },
#define X(name, reaction, text) [CONVERT_DEFECT_##name] = { text, reaction },
	CONVERT_DEFECTS(X)
#undef X
};

const char *convert_defect_text(enum convert_defect d)
{
	return d < CONVERT_DEFECT_COUNT ? defects[d].text : "unknown defect";
}

int convert_defect_reaction(enum convert_defect d)
{
	return d < CONVERT_DEFECT_COUNT ? defects[d].reaction : CONVERT_REACT_RESET;
}

/* Spelled out, since the preprocessor has no lower case; the switch makes the list complete. */
const char *convert_defect_label(enum convert_defect d)
{
	switch (d) {
	case CONVERT_FINE:
		return "fine";
	case CONVERT_DEFECT_MAGIC_WRONG:
		return "magic_wrong";
	case CONVERT_DEFECT_VERSION_UNSUPPORTED:
		return "version_unsupported";
	case CONVERT_DEFECT_TOTAL_LENGTH_ZERO:
		return "total_length_zero";
	case CONVERT_DEFECT_NO_TLV:
		return "no_tlv";
	case CONVERT_DEFECT_TLV_LENGTH_ZERO:
		return "tlv_length_zero";
	case CONVERT_DEFECT_TLV_LENGTH_WRONG:
		return "tlv_length_wrong";
	case CONVERT_DEFECT_TLV_OVERRUN:
		return "tlv_overrun";
	case CONVERT_DEFECT_TLV_DUPLICATE:
		return "tlv_duplicate";
	case CONVERT_DEFECT_TLV_RESERVED:
		return "tlv_reserved";
	case CONVERT_DEFECT_TLV_UNKNOWN:
		return "tlv_unknown";
	case CONVERT_DEFECT_TLV_MISPLACED:
		return "tlv_misplaced";
	case CONVERT_DEFECT_NO_REQUEST:
		return "no_request";
	case CONVERT_DEFECT_CONNECT_ADDRESS:
		return "connect_address";
	case CONVERT_DEFECT_TCP_OPTION_MALFORMED:
		return "tcp_option_malformed";
	case CONVERT_DEFECT_TCP_OPTION_UNSUPPORTED:
		return "tcp_option_unsupported";
	case CONVERT_DEFECT_COUNT:
		break;
	}
	return "unknown_defect";
}

/* The values of the TLVs, without Type and Length. A decoder reads straight through, and its caller
 * asks whether the value was too short or too long. An encoder leaves the padding to its caller. */

static struct span rd_rest(struct rd *r)
{
	const size_t len = rd_left(r);
	return (struct span){ .p = rd_bytes(r, len), .len = len };
}

static void wr_span(struct wr *w, struct span s)
{
	wr_bytes(w, s.p, s.len);
}

/* RFC 8803 6.2.3. The Zero field, here and in the Cookie TLV, is not checked: the RFC names no
 * reaction to other values. */
static void info_decode(struct rd *body, struct convert_msg *m)
{
	rd_u16(body);
}

static void info_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u16(w, 0);
}

/* RFC 8803 6.2.4; Unassigned is ignored by the receiver */
static void supported_decode(struct rd *body, struct convert_msg *m)
{
	rd_u16(body);
	m->supported = rd_rest(body);
}

static void supported_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u16(w, 0);
	wr_span(w, m->supported);
}

/* RFC 8803 6.2.5 */
static void connect_decode(struct rd *body, struct convert_msg *m)
{
	/* The body is what follows Type and Length, which belong to an exact echo. */
	m->connect_raw = (struct span){ body->p - TLV_HEAD, TLV_HEAD + rd_left(body) };
	m->server.port = rd_u16(body);

	const uint8_t *const ip = rd_bytes(body, sizeof(m->server.ip.b));
	if (ip)
		memcpy(m->server.ip.b, ip, sizeof(m->server.ip.b));
	m->connect_options = rd_rest(body);
}

static void connect_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u16(w, m->server.port);
	wr_bytes(w, m->server.ip.b, sizeof(m->server.ip.b));
	wr_span(w, m->connect_options);
}

/* RFC 8803 6.2.6; Unassigned is ignored by the receiver */
static void extended_header_decode(struct rd *body, struct convert_msg *m)
{
	rd_u16(body);
	m->extended_header = rd_rest(body);
}

static void extended_header_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u16(w, 0);
	wr_span(w, m->extended_header);
}

/* RFC 8803 6.2.7 */
static void cookie_decode(struct rd *body, struct convert_msg *m)
{
	rd_u16(body);
	m->cookie = rd_rest(body);
}

static void cookie_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u16(w, 0);
	wr_span(w, m->cookie);
}

/* RFC 8803 6.2.8 */
static void error_decode(struct rd *body, struct convert_msg *m)
{
	m->error = rd_u8(body);
	m->error_value = rd_rest(body);
}

static void error_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u8(w, m->error);
	wr_span(w, m->error_value);
}

/* Private use, RFC 8803 10.2.2 */
static void echo_decode(struct rd *body, struct convert_msg *m)
{
	m->echo.flags = rd_u8(body);
	m->echo.patience = rd_u8(body);
	m->echo.nonce = rd_u64(body);
}

static void echo_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u8(w, m->echo.flags);
	wr_u8(w, m->echo.patience);
	wr_u64(w, m->echo.nonce);
}

/* Private use, RFC 8803 10.2.2; the byte behind the code is padding */
static void verdict_decode(struct rd *body, struct convert_msg *m)
{
	m->verdict = rd_u8(body);
	rd_u8(body);
}

static void verdict_encode(struct wr *w, const struct convert_msg *m)
{
	wr_u8(w, m->verdict);
}

/* All TLVs, in the order in which they are encoded. */

enum {
	CLIENT = 1 << CONVERT_FROM_CLIENT,
	CONVERTER = 1 << CONVERT_FROM_CONVERTER,
};

#define TLV(type, name, senders) \
	{ type, senders, offsetof(struct convert_msg, has_##name), name##_decode, name##_encode }

static const struct tlv {
	uint8_t type;
	uint8_t senders; /* who may send it */
	size_t has;      /* where its has_ flag is in a struct convert_msg */
	void (*decode)(struct rd *body, struct convert_msg *m);
	void (*encode)(struct wr *w, const struct convert_msg *m);
} tlvs[] = {
	TLV(CONVERT_ERROR, error, CONVERTER),
	TLV(CONVERT_CONNECT, connect, CLIENT | CONVERTER),
	TLV(CONVERT_ECHO, echo, CLIENT | CONVERTER),
	TLV(CONVERT_VERDICT, verdict, CONVERTER),
	TLV(CONVERT_INFO, info, CLIENT),
	TLV(CONVERT_COOKIE, cookie, CLIENT),
	TLV(CONVERT_SUPPORTED, supported, CONVERTER),
	TLV(CONVERT_EXTENDED_HEADER, extended_header, CONVERTER),
};

#define TLVS (sizeof(tlvs) / sizeof(tlvs[0]))

static const struct tlv *tlv_find(uint8_t type)
{
	for (size_t i = 0; i < TLVS; i++)
		if (tlvs[i].type == type)
			return &tlvs[i];
	return NULL;
}

static bool tlv_given(const struct tlv *t, const struct convert_msg *m)
{
	return *(const bool *)((const char *)m + t->has);
}

static void tlv_set_given(const struct tlv *t, struct convert_msg *m)
{
	*(bool *)((char *)m + t->has) = true;
}

/* What a message can ask for */

/* Addresses that no server has: RFC 8803 6.2.5 names multicast, broadcast and loopback. "This host"
 * leads to the converter itself on Linux, and what is IPv4 has to come in mapped form. */
static const struct prefix no_server[] = {
	{ .bits = 96 },                  /* unspecified, loopback, IPv4-compatible */
	{ .ip.b = { 0xff }, .bits = 8 }, /* multicast */
#define V4(w, x, y, z) .ip.b = { [10] = 0xff, 0xff, w, x, y, z }
	{ V4(0, 0, 0, 0), .bits = 96 + 8 },          /* this host */
	{ V4(127, 0, 0, 0), .bits = 96 + 8 },        /* loopback */
	{ V4(224, 0, 0, 0), .bits = 96 + 4 },        /* multicast */
	{ V4(255, 255, 255, 255), .bits = 96 + 32 }, /* broadcast */
#undef V4
};

bool convert_may_be_server(const struct endpoint *e)
{
	const size_t n = sizeof(no_server) / sizeof(no_server[0]);

	return e->port != 0 && !prefixes_have(no_server, n, &e->ip);
}

/* Whether a Connect TLV may have a TCP option of this kind. Without a value we pass a wish on to
 * our own stack, which gives it a value; options with a value given it could not send. */
static bool option_supported(uint8_t kind, bool has_value)
{
	switch (kind) {
	case KIND_MSS: /* these are the business of our own stack, and ignored: RFC 8803 7.1-7.3 */
	case KIND_WINDOW_SCALE:
	case KIND_SACK:
		return true;
	case KIND_SACK_PERMITTED:
	case KIND_TIMESTAMP:
	case KIND_MPTCP:
		return !has_value;
	default:
		return false;
	}
}

static bool all_zero(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] != 0)
			return false;
	return true;
}

/* Judge the TCP options of a Connect TLV (RFC 8803 6.2.5) and write each kind that is not supported
 * once to @unsupported, as many as fit there. */
static enum convert_defect check_options(struct span options, struct wr *unsupported)
{
	enum convert_defect d = CONVERT_FINE;
	struct rd r = rd_init(options.p, options.len);

	while (rd_left(&r) > 0) {
		const uint8_t kind = rd_u8(&r);
		if (kind == KIND_EOL)
			return all_zero(rd_rest(&r)) ? d : CONVERT_DEFECT_TCP_OPTION_MALFORMED;
		if (kind == KIND_NOP)
			continue;

		const uint8_t len = rd_u8(&r); /* kind and length included */
		if (len < 2 || !rd_bytes(&r, len - 2u))
			return CONVERT_DEFECT_TCP_OPTION_MALFORMED;
		if (option_supported(kind, len > 2))
			continue;
		d = CONVERT_DEFECT_TCP_OPTION_UNSUPPORTED;
		if (!memchr(unsupported->start, kind, wr_len(unsupported)))
			wr_u8(unsupported, kind);
	}
	return d;
}

static enum convert_defect check_request(
	const struct convert_msg *m, enum convert_sender sender, struct wr *unsupported)
{
	if (sender == CONVERT_FROM_CLIENT && !m->has_connect && !m->has_info)
		return CONVERT_DEFECT_NO_REQUEST;
	if (!m->has_connect)
		return CONVERT_FINE;
	if (!convert_may_be_server(&m->server))
		return CONVERT_DEFECT_CONNECT_ADDRESS;
	return check_options(m->connect_options, unsupported);
}

/* Decoding */

size_t convert_length(const uint8_t *header, enum convert_defect *d)
{
	struct rd r = rd_init(header, CONVERT_HEADER);
	const uint8_t version = rd_u8(&r);
	const uint8_t words = rd_u8(&r);
	const uint16_t magic = rd_u16(&r);

	if (magic != CONVERT_MAGIC)
		*d = CONVERT_DEFECT_MAGIC_WRONG;
	else if (version != CONVERT_VERSION)
		*d = CONVERT_DEFECT_VERSION_UNSUPPORTED;
	else if (words == 0)
		*d = CONVERT_DEFECT_TOTAL_LENGTH_ZERO;
	else
		*d = CONVERT_FINE;
	return *d == CONVERT_FINE ? words * 4u : 0;
}

static enum convert_defect decode_tlv(
	struct rd *r, enum convert_sender sender, struct convert_msg *m)
{
	const uint8_t type = rd_u8(r);
	const uint8_t words = rd_u8(r);

	if (type == 0) /* first: RFC 8803 6.2.2 asks for one reaction, whatever follows */
		return CONVERT_DEFECT_TLV_RESERVED;
	if (words == 0) /* would not advance */
		return CONVERT_DEFECT_TLV_LENGTH_ZERO;
	struct rd body = rd_sub(r, words * 4u - TLV_HEAD);
	if (body.failed)
		return CONVERT_DEFECT_TLV_OVERRUN;

	const struct tlv *const t = tlv_find(type);
	if (!t)
		return CONVERT_DEFECT_TLV_UNKNOWN;
	if (!(t->senders & 1u << sender))
		return CONVERT_DEFECT_TLV_MISPLACED;
	if (tlv_given(t, m))
		return CONVERT_DEFECT_TLV_DUPLICATE;

	tlv_set_given(t, m);
	t->decode(&body, m);
	return body.failed || rd_left(&body) > 0 ? CONVERT_DEFECT_TLV_LENGTH_WRONG : CONVERT_FINE;
}

static enum convert_defect decode_tlvs(
	struct rd *r, enum convert_sender sender, struct convert_msg *m)
{
	enum convert_defect d = CONVERT_FINE;

	while (d == CONVERT_FINE && rd_left(r) > 0)
		d = decode_tlv(r, sender, m);
	return d;
}

/* As convert_decode(), but @m is zero at first and is filled up to the defect, and @unsupported
 * gets the kinds of unsupported TCP options. */
static enum convert_defect decode(const uint8_t *buf, size_t len, enum convert_sender sender,
	struct convert_msg *m, struct wr *unsupported)
{
	enum convert_defect d;

	if (len < CONVERT_HEADER)
		return CONVERT_DEFECT_TLV_OVERRUN;
	const size_t total = convert_length(buf, &d);
	if (d != CONVERT_FINE)
		return d;
	if (total == CONVERT_HEADER)
		return CONVERT_DEFECT_NO_TLV;
	if (total > len)
		return CONVERT_DEFECT_TLV_OVERRUN;

	struct rd r = rd_init(buf + CONVERT_HEADER, total - CONVERT_HEADER);
	d = decode_tlvs(&r, sender, m);
	return d == CONVERT_FINE ? check_request(m, sender, unsupported) : d;
}

enum convert_defect convert_decode(
	const uint8_t *buf, size_t len, enum convert_sender sender, struct convert_msg *out)
{
	struct convert_msg m = { 0 };
	uint8_t kinds[1];
	struct wr nowhere = wr_init(kinds, 0);

	const enum convert_defect d = decode(buf, len, sender, &m, &nowhere);
	if (d == CONVERT_FINE)
		*out = m;
	return d;
}

/* Encoding */

/* Pad what was written since @start and note its length in words: in its second byte, in the fixed
 * header as in a TLV. */
static void close_words(struct wr *w, size_t start)
{
	while (!w->failed && wr_len(w) % 4 != 0)
		wr_u8(w, 0);
	if (!w->failed)
		w->start[start + 1] = (uint8_t)((wr_len(w) - start) / 4);
}

static void encode_tlv(struct wr *w, const struct tlv *t, const struct convert_msg *m)
{
	const size_t start = wr_len(w);

	wr_u8(w, t->type);
	wr_u8(w, 0); /* Length */
	t->encode(w, m);
	close_words(w, start);
}

size_t convert_encode(const struct convert_msg *m, uint8_t *buf, size_t size)
{
	uint8_t out[CONVERT_MAX];
	struct wr w = wr_init(out, sizeof(out));

	wr_u8(&w, CONVERT_VERSION);
	wr_u8(&w, 0); /* Total Length */
	wr_u16(&w, CONVERT_MAGIC);
	for (size_t i = 0; i < TLVS; i++)
		if (tlv_given(&tlvs[i], m))
			encode_tlv(&w, &tlvs[i], m);
	close_words(&w, 0);

	if (w.failed || wr_len(&w) > size)
		return 0;
	memcpy(buf, out, wr_len(&w));
	return wr_len(&w);
}

/* The kinds of the TCP options for which @bad was refused. */
static void list_unsupported(struct wr *w, const uint8_t *bad, size_t len)
{
	struct convert_msg m = { 0 };

	decode(bad, len, CONVERT_FROM_CLIENT, &m, w);
}

/* The Value that RFC 8803 6.2.8 asks for in an Error TLV with this code, as much as fits @w. */
static void write_error_value(struct wr *w, int error, const uint8_t *bad, size_t len)
{
	if (error == CONVERT_UNSUPPORTED_VERSION) {
		wr_u8(w, CONVERT_VERSION);
	} else if (error == CONVERT_UNSUPPORTED_TCP_OPTION) {
		list_unsupported(w, bad, len);
	} else {
		wr_u8(w, 0); /* figure 23: the echo keeps its alignment */
		const size_t room = (size_t)(w->end - w->p);
		wr_bytes(w, bad, len < room ? len : room);
	}
}

size_t convert_encode_defect(
	enum convert_defect d, const uint8_t *bad, size_t len, uint8_t *buf, size_t size)
{
	/* What stands before the Value: fixed header, Type and Length, Error Code. */
	const size_t before = CONVERT_HEADER + TLV_HEAD + 1;
	const size_t fits = (size < CONVERT_MAX ? size : CONVERT_MAX) & ~(size_t)3;
	const int error = convert_defect_reaction(d);

	if (error == CONVERT_REACT_RESET || fits < before)
		return 0;

	uint8_t value[CONVERT_MAX];
	struct wr w = wr_init(value, fits - before);
	write_error_value(&w, error, bad, len);

	const struct convert_msg answer = {
		.has_error = true,
		.error = (uint8_t)error,
		.error_value = { value, wr_len(&w) },
	};
	return convert_encode(&answer, buf, size);
}
