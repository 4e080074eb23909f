/* SPDX-License-Identifier: ISC */
/*
 * The 0-RTT TCP Convert Protocol (RFC 8803), and plait's two private TLVs: bytes in, bytes out.
 *
 * Pure: no system call, no allocation, no clock, no randomness. Decoded messages point into the
 * caller's buffer and live as long as it does. All integers are in network order on the wire and
 * in host order here.
 */
#ifndef WIRE_CONVERT_H
#define WIRE_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define CONVERT_PORT    5124    /* what the protocol's published tools use; none is registered */
#define CONVERT_VERSION 1       /* RFC 8803 6.1 */
#define CONVERT_MAGIC   0x2263  /* RFC 8803 6.1 */
#define CONVERT_HEADER  4       /* bytes of the fixed header */
#define CONVERT_MAX     1020    /* bytes of the longest message: 255 words */
#define CONVERT_COOKIE_MAX 1012 /* bytes of the longest cookie: CONVERT_MAX less header and TLV head */
#define CONVERT_CONNECT_BASE 20 /* bytes of a Base Connect TLV (RFC 8803 6.2.5) */
/* The longest cookie that plait sends: beside the other TLVs it fits the SYN on any IPv6 path. */
#define CONVERT_COOKIE_SYN 512

/* RFC 8803 table 1; 192-255 are for private use. */
enum convert_tlv {
	CONVERT_INFO = 0x01,
	CONVERT_CONNECT = 0x0a,
	CONVERT_EXTENDED_HEADER = 0x14,
	CONVERT_SUPPORTED = 0x15,
	CONVERT_COOKIE = 0x16,
	CONVERT_ERROR = 0x1e,
	CONVERT_ECHO = 0xc0,
	CONVERT_VERDICT = 0xc1,
};

/* RFC 8803 table 2. */
enum convert_error {
	CONVERT_UNSUPPORTED_VERSION = 0,
	CONVERT_MALFORMED_MESSAGE = 1,
	CONVERT_UNSUPPORTED_MESSAGE = 2,
	CONVERT_MISSING_COOKIE = 3,
	CONVERT_NOT_AUTHORIZED = 32,
	CONVERT_UNSUPPORTED_TCP_OPTION = 33,
	CONVERT_RESOURCE_EXCEEDED = 64,
	CONVERT_NETWORK_FAILURE = 65,
	CONVERT_CONNECTION_RESET = 96,
	CONVERT_DESTINATION_UNREACHABLE = 97,
};

/* In the Value of Destination Unreachable: no ICMP message came, only silence. No ICMP code is that
 * large. */
#define CONVERT_NO_ICMP 255

/* The error's name as in RFC 8803 table 2, or "unknown error". */
const char *convert_error_name(uint8_t code);

enum {
	CONVERT_ECHO_SYNACK_PAYLOAD = 0x01, /* client: "I take the answer out of the SYN/ACK" */
	CONVERT_ECHO_PENDING = 0x02,        /* converter: the server is silent so far */
};

/* Who sent a message; decides which TLVs may stand in it. */
enum convert_sender { CONVERT_FROM_CLIENT, CONVERT_FROM_CONVERTER };

/* What can be wrong with a message, with the reaction that RFC 8803 prescribes to a converter. A
 * client resets the connection on each (RFC 8803 6.2.1). One table: the enum, the names for logs
 * and metrics, the reactions and the tests come from it.
 *   X(name, reaction, text for people) */
#define CONVERT_DEFECTS(X) \
	X(MAGIC_WRONG, CONVERT_REACT_RESET, "no Convert message: wrong magic number") \
	X(VERSION_UNSUPPORTED, CONVERT_UNSUPPORTED_VERSION, "unsupported version") \
	X(TOTAL_LENGTH_ZERO, CONVERT_REACT_RESET, "Total Length of zero") \
	X(NO_TLV, CONVERT_MALFORMED_MESSAGE, "no TLV behind the header") \
	X(TLV_LENGTH_ZERO, CONVERT_MALFORMED_MESSAGE, "TLV with a length of zero") \
	X(TLV_LENGTH_WRONG, CONVERT_MALFORMED_MESSAGE, "TLV with a length that its type does not have") \
	X(TLV_OVERRUN, CONVERT_MALFORMED_MESSAGE, "TLV beyond the Total Length") \
	X(TLV_DUPLICATE, CONVERT_MALFORMED_MESSAGE, "TLV given twice") \
	X(TLV_RESERVED, CONVERT_UNSUPPORTED_MESSAGE, "TLV of the reserved type 0") \
	X(TLV_UNKNOWN, CONVERT_UNSUPPORTED_MESSAGE, "TLV of an unknown type") \
	X(TLV_MISPLACED, CONVERT_UNSUPPORTED_MESSAGE, "TLV that only the other side sends") \
	X(NO_REQUEST, CONVERT_UNSUPPORTED_MESSAGE, "neither Connect nor Info TLV") \
	X(CONNECT_ADDRESS, CONVERT_MALFORMED_MESSAGE, "Connect TLV with an address that no server has") \
	X(TCP_OPTION_MALFORMED, CONVERT_MALFORMED_MESSAGE, "Connect TLV with a malformed TCP option") \
	X(TCP_OPTION_UNSUPPORTED, CONVERT_UNSUPPORTED_TCP_OPTION, "TCP option that is not supported")

/* The reaction to a defect that gets no Error TLV: the connection is reset. */
#define CONVERT_REACT_RESET (-1)

enum convert_defect {
	CONVERT_FINE,
#define X(name, reaction, text) CONVERT_DEFECT_##name,
	CONVERT_DEFECTS(X)
#undef X
	CONVERT_DEFECT_COUNT
};

/* Text for people; "fine" for CONVERT_FINE. */
const char *convert_defect_text(enum convert_defect d);
/* Label for metrics, lower case with underscores, as "tlv_overrun". */
const char *convert_defect_label(enum convert_defect d);
/* The code of the Error TLV that answers @d, or CONVERT_REACT_RESET. */
int convert_defect_reaction(enum convert_defect d);

/* A span of the caller's bytes. */
struct span {
	const uint8_t *p;
	size_t len;
};

struct convert_echo {
	uint8_t flags;
	uint8_t patience; /* 10 ms; 0: not known */
	uint64_t nonce;
};

/* A message. has_X says whether the TLV is there; its fields count only then. */
struct convert_msg {
	bool has_info, has_connect, has_extended_header, has_supported, has_cookie, has_error,
		has_echo, has_verdict;

	struct endpoint server;      /* Connect: Remote Peer */
	struct span connect_options; /* Connect: TCP options, with their padding; empty in a Base Connect TLV */
	struct span connect_raw;     /* decoded only: the whole Connect TLV, for an exact echo */
	struct span extended_header; /* Extended TCP Header: the server's TCP options */
	struct span supported;       /* Supported TCP Extensions: kinds, with their padding */
	struct span cookie;          /* opaque; padded to a multiple of 4 by the sender */
	uint8_t error;               /* enum convert_error, or one that is not known here */
	struct span error_value;     /* Error: from the first byte of Value on */
	struct convert_echo echo;
	uint8_t verdict;             /* code */
};

/* The length in bytes of the message whose first CONVERT_HEADER bytes stand at @header, header
 * included, and CONVERT_FINE in @d; or 0 with the defect in @d. Lets a reader take exactly the
 * message out of a stream. */
size_t convert_length(const uint8_t *header, enum convert_defect *d);

/*
 * Decode the message in the first bytes of @buf, which must hold at least all that
 * convert_length() says of it (a shorter @len is TLV_OVERRUN). Bytes behind the message are
 * ignored: they are user data. Unknown TLVs, and those that @sender does not send, are defects.
 * Client messages have a Connect TLV or an Info TLV. TCP options of kinds 2, 3 and 5 in a Connect
 * TLV are ignored (RFC 8803 7.1-7.3); kinds 4, 8 and 30 without a value are taken; any other, and
 * these with a value, is unsupported. Kind 0 starts the padding, which is zeros to the end; kind 1 is skipped.
 * Returns CONVERT_FINE with @out filled, or the first defect with @out untouched.
 */
enum convert_defect convert_decode(
	const uint8_t *buf, size_t len, enum convert_sender sender, struct convert_msg *out);

/* Encode @m, fixed header first, TLVs in the order Error, Connect, Echo, Verdict, Info, Cookie,
 * Supported, Extended Header; values are padded with zeros to 4 bytes. Returns the length in
 * bytes, or 0 with @buf untouched when @m does not fit @size or CONVERT_MAX. */
size_t convert_encode(const struct convert_msg *m, uint8_t *buf, size_t size);

/* Encode the answer to the message at @bad (of @len bytes, cut to what fits) that had defect @d:
 * an Error TLV with the Value that RFC 8803 6.2.8 asks for (versions; the message echoed; the
 * unsupported kinds), cut to @size and CONVERT_MAX. Returns the length in bytes, or 0 with @buf
 * untouched when the reaction to @d is a reset or @size has no room for an Error TLV (8 bytes). */
size_t convert_encode_defect(
	enum convert_defect d, const uint8_t *bad, size_t len, uint8_t *buf, size_t size);

/* Whether a host may have this address, and a service this port (RFC 8803 6.2.5). */
bool convert_may_be_server(const struct endpoint *e);

#endif
