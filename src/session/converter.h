/* SPDX-License-Identifier: ISC */
/*
 * A session on the converter (RFC 8803: Transport Converter): the life of one client's connection.
 *
 *   MESSAGE --> CONNECTING --> [PENDING] --> ACCEPTING --> RELAYING --> ENDED
 *      '-------------'-------------'-------> REFUSING ---> DRAINING ------^
 *
 * ACCEPTING and REFUSING wait for the third ACK: an MPTCP connection that was accepted on its SYN
 * loses what is written to it before. Pure: events are facts, results are actions.
 */
#ifndef SESSION_CONVERTER_H
#define SESSION_CONVERTER_H

enum converter_state {
	CONVERTER_MESSAGE,    /* the Convert message is not complete */
	CONVERTER_CONNECTING, /* downstream SYN sent, nothing said upstream */
	CONVERTER_PENDING,    /* PENDING said upstream, the server is still silent */
	CONVERTER_ACCEPTING,  /* the server accepted, the third ACK upstream is missing */
	CONVERTER_REFUSING,   /* an Error TLV is ready, the third ACK upstream is missing */
	CONVERTER_DRAINING,   /* Error TLV sent; the client closes, a RST would overtake the TLV */
	CONVERTER_RELAYING,
	CONVERTER_ENDED,
};

enum converter_event {
	CONVERTER_REQUESTED,    /* a well-formed message asks for a server that may be reached */
	CONVERTER_ANSWERABLE,   /* a defect, a refusal by policy or an Info TLV: answered at once */
	CONVERTER_ALIEN,        /* what came is no Convert message: reset */
	CONVERTER_SERVER_UP,    /* downstream handshake over */
	CONVERTER_SERVER_DOWN,  /* downstream refused, unreachable or silent for too long */
	CONVERTER_IMPATIENT,    /* the client's patience is over, and the third ACK is there */
	CONVERTER_ESTABLISHED,  /* the third ACK is there */
	CONVERTER_CLIENT_GONE,  /* upstream reset, or closed before its time */
	CONVERTER_DEADLINE,     /* this state took too long */
	CONVERTER_RELAY_ENDED,
};

enum converter_do {
	CONVERTER_DO_NOTHING,
	CONVERTER_DO_CONNECT, /* open the downstream connection */
	CONVERTER_DO_PENDING, /* say PENDING */
	CONVERTER_DO_RELAY,   /* say success (or the verdict), hand both sockets to the relay */
	CONVERTER_DO_REFUSE,  /* say what is ready, FIN, and drain */
	CONVERTER_DO_RESET,   /* RST upstream, close all */
	CONVERTER_DO_CLOSE,   /* close all */
	CONVERTER_DO_REFUSED, /* this event cannot happen in this state */
};

struct converter_next {
	enum converter_state state;
	enum converter_do what;
};

struct converter_next converter_step(enum converter_state state, enum converter_event event);
const char *converter_state_text(enum converter_state state);

#endif
