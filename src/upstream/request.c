/* SPDX-License-Identifier: ISC */
#include "upstream/request.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define DEFAULT_DELAY 30    /* seconds, RFC 8803 6.2.8 */
#define DEFAULT_PATIENCE 50 /* 10 ms; what a converter takes for "not known" */

int request_make(struct request *r, const struct endpoint *server, const struct request_terms *terms)
{
	/* Patience is never 0, which an answer has: so a peer that repeats whatever it gets is told apart. */
	const struct convert_msg m = {
		.has_connect = true, .server = *server,
		.has_echo = !terms->bare,
		.echo = { .flags = terms->in_syn_ack ? CONVERT_ECHO_SYNACK_PAYLOAD : 0,
			.patience = terms->patience ? terms->patience : DEFAULT_PATIENCE, .nonce = terms->nonce },
		.has_cookie = terms->cookie.len > 0, .cookie = terms->cookie,
	};

	const size_t len = convert_encode(&m, r->bytes, sizeof(r->bytes));
	if (!len)
		return -EMSGSIZE;
	r->len = len;
	r->nonce = terms->nonce;
	r->bare = terms->bare;
	r->in_syn_ack = terms->in_syn_ack;
	/* Of our TLVs the Connect TLV is the first: 5 words, no options. */
	r->connect = (struct span){ .p = r->bytes + CONVERT_HEADER, .len = CONVERT_CONNECT_BASE };
	return 0;
}

static enum answer judge_error(const struct convert_msg *m, bool bare)
{
	switch (m->error) {
	case CONVERT_CONNECTION_RESET:
	case CONVERT_DESTINATION_UNREACHABLE:
		return ANSWER_REFUSED;
	case CONVERT_RESOURCE_EXCEEDED:
	case CONVERT_NETWORK_FAILURE:
		return ANSWER_UNAVAILABLE;
	case CONVERT_NOT_AUTHORIZED:
	case CONVERT_UNSUPPORTED_TCP_OPTION:
		return ANSWER_UNAUTHORIZED;
	case CONVERT_MISSING_COOKIE:
		return m->error_value.len > 1 && m->error_value.len - 1 <= CONVERT_COOKIE_SYN
			       ? ANSWER_COOKIE : ANSWER_WRONG;
	case CONVERT_UNSUPPORTED_MESSAGE:
		return bare ? ANSWER_WRONG : ANSWER_UNSUPPORTED;
	default:
		return ANSWER_WRONG;
	}
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

enum answer request_judge(const struct request *r, const struct convert_msg *m)
{
	/* A wrong nonce is wrong wherever it stands; an Error TLV may come without any. */
	if (m->has_echo && m->echo.nonce != r->nonce)
		return ANSWER_WRONG;
	if (m->has_error)
		return judge_error(m, r->bare);
	if (r->bare)
		return m->has_echo || m->has_connect ? ANSWER_WRONG : ANSWER_ACCEPTED;
	if (!m->has_echo || m->echo.patience || !m->has_connect || !same(m->connect_raw, r->connect))
		return ANSWER_WRONG;
	return m->echo.flags & CONVERT_ECHO_PENDING ? ANSWER_PENDING : ANSWER_ACCEPTED;
}

enum answer request_judge_verdict(const struct convert_msg *m)
{
	if (m->has_error)
		return judge_error(m, true);
	return m->has_verdict && m->verdict == 0 ? ANSWER_ACCEPTED : ANSWER_WRONG;
}

unsigned int request_delay(const struct convert_msg *m)
{
	struct rd r = rd_init(m->error_value.p, m->error_value.len);
	const uint8_t delay = rd_u8(&r);

	return delay ? delay : DEFAULT_DELAY;
}
