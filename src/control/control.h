/* SPDX-License-Identifier: ISC */
/*
 * The control socket: a local stream socket. A request is one line, a command's name and what it
 * needs to know; the answer is one JSON object, and the connection closes.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <jansson.h>

#include "base/slots.h"
#include "os/loop.h"

/* Answers @command with a new object, or NULL when there is no such command. */
typedef json_t *control_answer_fn(void *ctx, const char *command);

struct control;

/* What is answered to one who asks for a change that is refused: @why, or that there is no memory. */
json_t *control_refusal(const char *why);
/* Of reading the configuration again: NULL when @err is 0, else the refusal, with a line in the log.
 * @why, the complaint (conf_heard()), is freed. */
json_t *control_judge_reload(int err, char *why);

/* Listen at @path, with mode 0660, in place of what a killed daemon left there. Events carry
 * @listener_kind and @client_kind. Returns 0, or -errno with a line in the log. */
int control_open(struct control **out, const char *path, struct loop *loop, uint8_t listener_kind,
	uint8_t client_kind, control_answer_fn *answer, void *ctx);
void control_close(struct control *c);

/* The events of these kinds, and timers of @client_kind. */
void control_on_listener(struct control *c);
void control_on_client(struct control *c, struct slot_ref ref);
void control_on_timer(struct control *c, struct slot_ref ref);

#endif
