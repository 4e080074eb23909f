/* SPDX-License-Identifier: ISC */
/* What the files of the converter share: a session, and what may happen to it. */
#ifndef CONVERTER_SESSION_H
#define CONVERTER_SESSION_H

#include <jansson.h>

#include "converter/pipeline.h"
#include "gate/hold.h"
#include "os/loop.h"
#include "session/converter.h"
#include "upstream/message.h"

enum kind {
	KIND_LISTENER, /* slot: which */
	KIND_CLIENT,   /* upstream socket */
	KIND_SERVER,   /* downstream socket */
	KIND_DEADLINE,
	KIND_PATIENCE,
	KIND_GATE,
	KIND_ORPHANS,
	KIND_RELAYS,
	KIND_ADDRESSES,
	KIND_SIGNALS,
	KIND_CONTROL,
	KIND_CONTROL_CLIENT,
	KIND_METRICS,
};

#define SESSIONS_MAX RELAY_MAX

/* What is needed until the relay begins. */
struct handshake {
	struct hold syn_ack;
	bool released;                 /* the SYN/ACK went without an answer, and does so again */
	uint8_t in_syn_ack[CONVERT_MAX]; /* or with this one */
	size_t in_syn_ack_len;

	struct message in;
	uint8_t out[CONVERT_MAX]; /* the answer */
	size_t out_len;
	bool said;
	uint8_t connect[CONVERT_MAX]; /* the Connect TLV, for the echo */
	size_t connect_len;
	bool has_echo, impatient, pending_said;
	struct convert_echo echo;
};

struct session {
	struct slot_ref ref;
	enum converter_state state;
	bool established; /* third ACK seen */
	int up, down;     /* -1: none, or the relay's */
	struct endpoint client, server;
	struct endpoint near; /* port not 0: in c->flows */
	struct handshake *hs;
	uint64_t early; /* bytes that went downstream before the relay */
	mono_t opened, deadline;
	struct relay relay;
};

/* Take what a listener has. */
void converter_accept(struct converter *c, unsigned int which);

/* gate.c: open the gate, or say why not; close it. */
void converter_gate_open(struct converter *c);
void converter_gate_close(struct converter *c);
void converter_gate_read(struct converter *c);
/* SYN/ACKs without a session have waited long enough for one. */
void converter_gate_orphans(struct converter *c);
/* Have @s found by its SYN/ACKs, also by one that came before it. */
void converter_gate_watch(struct converter *c, struct session *s);
void converter_gate_forget(struct converter *c, struct session *s);
/* Whether what there is to say can go in the SYN/ACK. */
bool converter_gate_can_answer(const struct session *s);
/* Let the SYN/ACK go: with the answer where the client takes it there, which is said then. */
void converter_gate_answer(struct converter *c, struct session *s);
/* Let it go without. */
void converter_gate_release(struct converter *c, struct session *s);

/* reload.c: returns the answer, which the caller owns. */
json_t *converter_reload(struct converter *c);
/* Who may use it, by the configuration. */
void converter_take_policy(struct converter *c);

/* status.c: what the control socket tells, and the metrics. */
json_t *converter_answer_control(void *ctx, const char *command);
void converter_metrics(void *ctx, FILE *out);

#endif
