/* SPDX-License-Identifier: ISC */
/*
 * A session on the CPE (RFC 8803: client): the life of one LAN connection.
 *
 *                 .----------- next converter, or direct ----------.
 *                 v                                                 |
 *   ARRIVED --> CONVERTING --> ANSWERING --> [PENDING] --> ADMITTING |
 *      |            '---------------'------------------------------>'
 *      '------> DIRECT -------------> ADMITTING --> RELAYING --> ENDED
 *
 * Pure: events are facts, the results are the next state and what is to be done. What is not listed
 * for a state is refused (CLIENT_DO_REFUSED), which is a defect of the caller.
 */
#ifndef SESSION_CLIENT_H
#define SESSION_CLIENT_H

enum client_state {
	CLIENT_ARRIVED,    /* the LAN host's connection is there, nothing is started */
	CLIENT_CONVERTING, /* SYN with the Convert message sent */
	CLIENT_ANSWERING,  /* handshake over, the converter's answer is awaited */
	CLIENT_PENDING,    /* the converter is verified, the server has not answered yet */
	CLIENT_DIRECT,     /* connecting to the server without a converter */
	CLIENT_ADMITTING,  /* the server accepted; the LAN host's handshake, held back so far, goes on */
	CLIENT_RELAYING,
	CLIENT_ENDED,
};

enum client_event {
	CLIENT_STEERED_CONVERTER, /* a usable converter was found */
	CLIENT_STEERED_DIRECT,    /* none is, and policy says direct */
	CLIENT_STEERED_NOWHERE,   /* none is, and policy says refuse; or nothing is left to try */
	CLIENT_CONNECTED,         /* the upstream (or direct) handshake is over */
	CLIENT_ACCEPTED,          /* verified answer: the server accepted */
	CLIENT_UNDECIDED,         /* verified answer: PENDING */
	CLIENT_SERVER_REFUSED,    /* verified answer: the server refused or is unreachable */
	CLIENT_CONVERTER_FAILED,  /* unreachable, wrong answer, none in time, or it cannot serve us */
	CLIENT_FAILED,            /* the direct connection could not be made */
	CLIENT_ADMITTED,          /* the LAN host's handshake is over */
	CLIENT_LAN_GONE,          /* the LAN host reset the connection, or never ended its handshake */
	CLIENT_RELAY_ENDED,
};

enum client_do {
	CLIENT_DO_NOTHING,
	CLIENT_DO_CONNECT,  /* open the upstream connection with the Convert message */
	CLIENT_DO_DIRECT,   /* open a direct connection */
	CLIENT_DO_AWAIT,    /* send what the LAN host said already, wait for the answer */
	CLIENT_DO_ADMIT,    /* let the LAN host's handshake go on */
	CLIENT_DO_RELAY,    /* hand both sockets to the relay */
	CLIENT_DO_STEER,    /* close upstream, choose again */
	CLIENT_DO_RESET,    /* refuse the LAN host as the server did, close all */
	CLIENT_DO_CLOSE,    /* close all */
	CLIENT_DO_REFUSED,  /* this event cannot happen in this state */
};

struct client_next {
	enum client_state state;
	enum client_do what;
};

struct client_next client_step(enum client_state state, enum client_event event);
const char *client_state_text(enum client_state state);

#endif
