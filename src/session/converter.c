/* SPDX-License-Identifier: ISC */
#include "session/converter.h"

static struct converter_next next(enum converter_state state, enum converter_do what)
{
	return (struct converter_next){ state, what };
}

static struct converter_next step_message(enum converter_event event)
{
	switch (event) {
	case CONVERTER_REQUESTED:
		return next(CONVERTER_CONNECTING, CONVERTER_DO_CONNECT);
	case CONVERTER_ANSWERABLE:
		return next(CONVERTER_REFUSING, CONVERTER_DO_NOTHING);
	case CONVERTER_ALIEN:
	case CONVERTER_DEADLINE:
		return next(CONVERTER_ENDED, CONVERTER_DO_RESET);
	case CONVERTER_CLIENT_GONE:
		return next(CONVERTER_ENDED, CONVERTER_DO_CLOSE);
	case CONVERTER_ESTABLISHED:
		return next(CONVERTER_MESSAGE, CONVERTER_DO_NOTHING);
	case CONVERTER_SERVER_UP:
	case CONVERTER_SERVER_DOWN:
	case CONVERTER_IMPATIENT:
	case CONVERTER_RELAY_ENDED:
		break;
	}
	return next(CONVERTER_MESSAGE, CONVERTER_DO_REFUSED);
}

/* CONNECTING and PENDING: the server has not answered. */
static struct converter_next step_connecting(enum converter_state state, enum converter_event event)
{
	switch (event) {
	case CONVERTER_SERVER_UP:
		return next(CONVERTER_ACCEPTING, CONVERTER_DO_NOTHING);
	case CONVERTER_SERVER_DOWN:
		return next(CONVERTER_REFUSING, CONVERTER_DO_NOTHING);
	case CONVERTER_IMPATIENT:
		if (state == CONVERTER_PENDING)
			break;
		return next(CONVERTER_PENDING, CONVERTER_DO_PENDING);
	case CONVERTER_ESTABLISHED:
		return next(state, CONVERTER_DO_NOTHING);
	case CONVERTER_CLIENT_GONE:
		return next(CONVERTER_ENDED, CONVERTER_DO_CLOSE);
	case CONVERTER_REQUESTED:
	case CONVERTER_ANSWERABLE:
	case CONVERTER_ALIEN:
	case CONVERTER_DEADLINE:
	case CONVERTER_RELAY_ENDED:
		break;
	}
	return next(state, CONVERTER_DO_REFUSED);
}

/* ACCEPTING and REFUSING: the third ACK is missing. */
static struct converter_next step_answering(enum converter_state state, enum converter_event event)
{
	switch (event) {
	case CONVERTER_ESTABLISHED:
		if (state == CONVERTER_ACCEPTING)
			return next(CONVERTER_RELAYING, CONVERTER_DO_RELAY);
		return next(CONVERTER_DRAINING, CONVERTER_DO_REFUSE);
	case CONVERTER_CLIENT_GONE:
		return next(CONVERTER_ENDED, CONVERTER_DO_CLOSE);
	case CONVERTER_DEADLINE:
		return next(CONVERTER_ENDED, CONVERTER_DO_RESET);
	case CONVERTER_REQUESTED:
	case CONVERTER_ANSWERABLE:
	case CONVERTER_ALIEN:
	case CONVERTER_SERVER_UP:
	case CONVERTER_SERVER_DOWN:
	case CONVERTER_IMPATIENT:
	case CONVERTER_RELAY_ENDED:
		break;
	}
	return next(state, CONVERTER_DO_REFUSED);
}

struct converter_next converter_step(enum converter_state state, enum converter_event event)
{
	switch (state) {
	case CONVERTER_MESSAGE:
		return step_message(event);
	case CONVERTER_CONNECTING:
	case CONVERTER_PENDING:
		return step_connecting(state, event);
	case CONVERTER_ACCEPTING:
	case CONVERTER_REFUSING:
		return step_answering(state, event);
	case CONVERTER_DRAINING:
		if (event == CONVERTER_CLIENT_GONE || event == CONVERTER_DEADLINE)
			return next(CONVERTER_ENDED, CONVERTER_DO_CLOSE);
		break;
	case CONVERTER_RELAYING:
		if (event == CONVERTER_RELAY_ENDED)
			return next(CONVERTER_ENDED, CONVERTER_DO_NOTHING);
		break;
	case CONVERTER_ENDED:
		break;
	}
	return next(state, CONVERTER_DO_REFUSED);
}

const char *converter_state_text(enum converter_state state)
{
	switch (state) {
	case CONVERTER_MESSAGE:
		return "message";
	case CONVERTER_CONNECTING:
		return "connecting";
	case CONVERTER_PENDING:
		return "pending";
	case CONVERTER_ACCEPTING:
		return "accepting";
	case CONVERTER_REFUSING:
		return "refusing";
	case CONVERTER_DRAINING:
		return "draining";
	case CONVERTER_RELAYING:
		return "relaying";
	case CONVERTER_ENDED:
		return "ended";
	}
	return "?";
}
