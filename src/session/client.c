/* SPDX-License-Identifier: ISC */
#include "session/client.h"

static struct client_next next(enum client_state state, enum client_do what)
{
	return (struct client_next){ state, what };
}

static struct client_next step_arrived(enum client_event event)
{
	switch (event) {
	case CLIENT_STEERED_CONVERTER:
		return next(CLIENT_CONVERTING, CLIENT_DO_CONNECT);
	case CLIENT_STEERED_DIRECT:
		return next(CLIENT_DIRECT, CLIENT_DO_DIRECT);
	case CLIENT_STEERED_NOWHERE:
		return next(CLIENT_ENDED, CLIENT_DO_RESET);
	case CLIENT_LAN_GONE:
		return next(CLIENT_ENDED, CLIENT_DO_CLOSE);
	case CLIENT_CONNECTED:
	case CLIENT_ACCEPTED:
	case CLIENT_UNDECIDED:
	case CLIENT_SERVER_REFUSED:
	case CLIENT_CONVERTER_FAILED:
	case CLIENT_FAILED:
	case CLIENT_ADMITTED:
	case CLIENT_RELAY_ENDED:
		break;
	}
	return next(CLIENT_ARRIVED, CLIENT_DO_REFUSED);
}

static struct client_next step_converting(enum client_event event)
{
	switch (event) {
	case CLIENT_CONNECTED:
		return next(CLIENT_ANSWERING, CLIENT_DO_AWAIT);
	case CLIENT_SERVER_REFUSED:
		return next(CLIENT_ENDED, CLIENT_DO_RESET);
	case CLIENT_CONVERTER_FAILED:
		return next(CLIENT_ARRIVED, CLIENT_DO_STEER);
	case CLIENT_LAN_GONE:
		return next(CLIENT_ENDED, CLIENT_DO_CLOSE);
	case CLIENT_STEERED_CONVERTER:
	case CLIENT_STEERED_DIRECT:
	case CLIENT_STEERED_NOWHERE:
	case CLIENT_ACCEPTED:
	case CLIENT_UNDECIDED:
	case CLIENT_FAILED:
	case CLIENT_ADMITTED:
	case CLIENT_RELAY_ENDED:
		break;
	}
	return next(CLIENT_CONVERTING, CLIENT_DO_REFUSED);
}

static struct client_next step_answering(enum client_event event)
{
	switch (event) {
	case CLIENT_ACCEPTED:
		return next(CLIENT_ADMITTING, CLIENT_DO_ADMIT);
	case CLIENT_UNDECIDED:
		return next(CLIENT_PENDING, CLIENT_DO_NOTHING);
	case CLIENT_SERVER_REFUSED:
		return next(CLIENT_ENDED, CLIENT_DO_RESET);
	case CLIENT_CONVERTER_FAILED:
		return next(CLIENT_ARRIVED, CLIENT_DO_STEER);
	case CLIENT_LAN_GONE:
		return next(CLIENT_ENDED, CLIENT_DO_CLOSE);
	case CLIENT_STEERED_CONVERTER:
	case CLIENT_STEERED_DIRECT:
	case CLIENT_STEERED_NOWHERE:
	case CLIENT_CONNECTED:
	case CLIENT_FAILED:
	case CLIENT_ADMITTED:
	case CLIENT_RELAY_ENDED:
		break;
	}
	return next(CLIENT_ANSWERING, CLIENT_DO_REFUSED);
}

static struct client_next step_pending(enum client_event event)
{
	switch (event) {
	case CLIENT_ACCEPTED:
		return next(CLIENT_ADMITTING, CLIENT_DO_ADMIT);
	case CLIENT_SERVER_REFUSED:
	/* The converter went away while the server was silent. To start again elsewhere would give
	 * a server that did accept a second connection with the same first bytes. */
	case CLIENT_CONVERTER_FAILED:
		return next(CLIENT_ENDED, CLIENT_DO_RESET);
	case CLIENT_LAN_GONE:
		return next(CLIENT_ENDED, CLIENT_DO_CLOSE);
	case CLIENT_STEERED_CONVERTER:
	case CLIENT_STEERED_DIRECT:
	case CLIENT_STEERED_NOWHERE:
	case CLIENT_CONNECTED:
	case CLIENT_UNDECIDED:
	case CLIENT_FAILED:
	case CLIENT_ADMITTED:
	case CLIENT_RELAY_ENDED:
		break;
	}
	return next(CLIENT_PENDING, CLIENT_DO_REFUSED);
}

static struct client_next step_direct(enum client_event event)
{
	switch (event) {
	case CLIENT_CONNECTED:
		return next(CLIENT_ADMITTING, CLIENT_DO_ADMIT);
	case CLIENT_FAILED:
		return next(CLIENT_ENDED, CLIENT_DO_RESET);
	case CLIENT_LAN_GONE:
		return next(CLIENT_ENDED, CLIENT_DO_CLOSE);
	case CLIENT_STEERED_CONVERTER:
	case CLIENT_STEERED_DIRECT:
	case CLIENT_STEERED_NOWHERE:
	case CLIENT_ACCEPTED:
	case CLIENT_UNDECIDED:
	case CLIENT_SERVER_REFUSED:
	case CLIENT_CONVERTER_FAILED:
	case CLIENT_ADMITTED:
	case CLIENT_RELAY_ENDED:
		break;
	}
	return next(CLIENT_DIRECT, CLIENT_DO_REFUSED);
}

static struct client_next step_admitting(enum client_event event)
{
	switch (event) {
	case CLIENT_ADMITTED:
		return next(CLIENT_RELAYING, CLIENT_DO_RELAY);
	case CLIENT_LAN_GONE:
		return next(CLIENT_ENDED, CLIENT_DO_CLOSE);
	case CLIENT_STEERED_CONVERTER:
	case CLIENT_STEERED_DIRECT:
	case CLIENT_STEERED_NOWHERE:
	case CLIENT_CONNECTED:
	case CLIENT_ACCEPTED:
	case CLIENT_UNDECIDED:
	case CLIENT_SERVER_REFUSED:
	case CLIENT_CONVERTER_FAILED:
	case CLIENT_FAILED:
	case CLIENT_RELAY_ENDED:
		break;
	}
	return next(CLIENT_ADMITTING, CLIENT_DO_REFUSED);
}

struct client_next client_step(enum client_state state, enum client_event event)
{
	switch (state) {
	case CLIENT_ARRIVED:
		return step_arrived(event);
	case CLIENT_CONVERTING:
		return step_converting(event);
	case CLIENT_ANSWERING:
		return step_answering(event);
	case CLIENT_PENDING:
		return step_pending(event);
	case CLIENT_DIRECT:
		return step_direct(event);
	case CLIENT_ADMITTING:
		return step_admitting(event);
	case CLIENT_RELAYING:
		if (event == CLIENT_RELAY_ENDED)
			return next(CLIENT_ENDED, CLIENT_DO_NOTHING);
		break;
	case CLIENT_ENDED:
		break;
	}
	return next(state, CLIENT_DO_REFUSED);
}

const char *client_state_text(enum client_state state)
{
	switch (state) {
	case CLIENT_ARRIVED:
		return "arrived";
	case CLIENT_CONVERTING:
		return "converting";
	case CLIENT_ANSWERING:
		return "answering";
	case CLIENT_PENDING:
		return "pending";
	case CLIENT_DIRECT:
		return "direct";
	case CLIENT_ADMITTING:
		return "admitting";
	case CLIENT_RELAYING:
		return "relaying";
	case CLIENT_ENDED:
		return "ended";
	}
	return "?";
}
