/* SPDX-License-Identifier: ISC */
/*
 * What the CPE says to a converter, and what it makes of the answer. Pure.
 */
#ifndef UPSTREAM_REQUEST_H
#define UPSTREAM_REQUEST_H

#include <stdint.h>

#include "wire/convert.h"

#define REQUEST_MAX (CONVERT_HEADER + CONVERT_CONNECT_BASE + 12 + 4 + CONVERT_COOKIE_SYN)

struct request {
	uint8_t bytes[REQUEST_MAX];
	size_t len;
	struct span connect; /* the Connect TLV within bytes */
	uint64_t nonce;
	bool bare, in_syn_ack;
};

struct request_terms {
	uint64_t nonce;
	uint8_t patience;   /* 10 ms; 0: not known */
	bool in_syn_ack;    /* the answer may come in the SYN/ACK: the gate takes it out */
	bool bare;          /* without Echo TLV, for a converter of another make */
	struct span cookie; /* may be empty */
};

/* Fill @r with the Convert message that asks for @server. Returns 0, or -EMSGSIZE. */
int request_make(struct request *r, const struct endpoint *server, const struct request_terms *terms);

/* What an answer means for the connection that asked. */
enum answer {
	ANSWER_ACCEPTED,      /* echo verified, the server accepted */
	ANSWER_PENDING,       /* echo verified, the server is silent so far */
	ANSWER_REFUSED,       /* the server refused, or cannot be reached */
	ANSWER_UNAVAILABLE,   /* the converter cannot serve now: back off */
	ANSWER_UNAUTHORIZED,  /* the converter may not or will not serve this request */
	ANSWER_COOKIE,        /* the converter wants the cookie in the answer */
	ANSWER_UNSUPPORTED,   /* the converter does not know the Echo TLV */
	ANSWER_WRONG,         /* no answer of a converter to this request */
};

/* Judge the first answer to @r (RFC 8803 6.2; the echo is compared bit for bit). To a bare request
 * any answer without an error is one. */
enum answer request_judge(const struct request *r, const struct convert_msg *m);
/* Judge what follows a pending answer. */
enum answer request_judge_verdict(const struct convert_msg *m);
/* The delay in seconds that an ANSWER_UNAVAILABLE asks for (RFC 8803 6.2.8). */
unsigned int request_delay(const struct convert_msg *m);

#endif
