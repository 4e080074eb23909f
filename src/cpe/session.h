/* SPDX-License-Identifier: ISC */
/* What the files of the CPE share: a session, and what may happen to it. */
#ifndef CPE_SESSION_H
#define CPE_SESSION_H

#include <jansson.h>
#include <stdio.h>

#include "base/flows.h"
#include "cpe/pipeline.h"
#include "gate/hold.h"
#include "os/loop.h"
#include "session/client.h"
#include "upstream/message.h"
#include "upstream/request.h"

enum kind {
	KIND_LISTENER, /* slot: which */
	KIND_LAN,      /* the LAN host's socket */
	KIND_UP,       /* towards converter or server */
	KIND_DEADLINE,
	KIND_GATE,     /* slot: enum cpe_gate */
	KIND_PROBE,    /* slot: the converter */
	KIND_PROBES,
	KIND_RELAYS,
	KIND_LINKS,
	KIND_LINKS_LOOK,
	KIND_LINK_PROBE, /* slot: link * LINK_PROBES + its number */
	KIND_SUBFLOWS,
	KIND_FIGURES,
	KIND_SIGNALS,
	KIND_CONTROL,
	KIND_CONTROL_CLIENT,
	KIND_METRICS,
};

#define SESSIONS_MAX RELAY_MAX

/* The last attempt at a handshake gets the time of the kernel's own repetitions, at 1 s and 3 s. */
#define HANDSHAKE_TIME (3500 * MS_US)

/* What a SYN may carry beside its headers on any path: IPv6's least MTU less 40 + 60 bytes. */
#define SYN_ROOM 1180

/* How a LAN host is refused that was promised nothing yet: as the server did, by RST, by ICMP with
 * this code, or by silence. */
enum { REFUSE_RESET = -1, REFUSE_SILENT = -2 };

/* For what a handshake waits: an answer; one, or an answer to the probes that tell whether the link is
 * to blame; for as long as it takes. */
enum wait { WAIT_ANSWER, WAIT_PROBES, WAIT_ALL };

/* What is needed until the relay begins. */
struct handshake {
	struct hold lan;        /* the SYN/ACK for the LAN host */
	int refusal;            /* REFUSE_ or an ICMP code */

	struct request request;
	uint8_t out[SYN_ROOM];  /* what the SYN carries: the message, and early data */
	size_t out_len;
	struct message in;
	enum carriage carriage; /* of this attempt */
	bool syn_seen;          /* by the gate, which put the message in */
	uint32_t isn;           /* only then: of the kernel's SYN */
	bool answered;          /* the SYN/ACK bore a good answer: */
	enum answer answer;

	uint32_t tried; /* converters, by steer_bit() */
	size_t early;   /* bytes of the LAN host sent upstream, still in its socket */
	struct wan *wan;   /* where this attempt began; NULL: the routing table's choice */
	unsigned int link; /* its number in the converter's memory */
	uint32_t links_tried; /* with this converter, as a mask for paths_first() */
	enum wait wait;
	unsigned int attempts; /* handshakes with this converter that nobody answered */
	unsigned int asked_again; /* with another cookie, or without Echo TLV */
	mono_t started; /* of this attempt */
};

struct session {
	struct slot_ref ref;
	enum client_state state;
	int lan, up; /* -1: none, or the relay's */
	bool lan_watched;
	struct endpoint lan_host, server;
	struct endpoint up_near; /* port not 0: in c->up_flows */
	struct converter *converter; /* NULL: direct */
	struct handshake *hs;
	uint64_t early; /* bytes that went upstream before the relay */
	mono_t opened, deadline;
	struct session_figures figures;
	struct relay relay;
};

/* A connection that asks an unreachable converter whether it is back (RFC 8803 6.2.3). */
struct probe {
	int fd;
	struct endpoint near; /* port not 0: in c->up_flows */
	uint8_t out[SYN_ROOM];
	size_t out_len;
	uint32_t isn;
	struct message in;
	mono_t deadline;
};

/* In c->up_flows slots from here on are probes. */
#define PROBE_SLOT SESSIONS_MAX

static inline struct loop_tag cpe_tag(enum kind kind, uint32_t slot)
{
	return (struct loop_tag){ .kind = kind, .ref.slot = slot };
}

/* A LAN host asks for @server: by the connection @fd, or by the SYN/ACK @held that would accept it. */
void cpe_open_session(struct cpe *c, int fd, struct queued *held, const struct endpoint *lan_host,
	const struct endpoint *server);
/* A well-formed message from the converter, for a session that waits for one. */
void cpe_on_answer(struct cpe *c, struct session *s, const struct convert_msg *m);
/* What came instead of one. */
void cpe_on_defect(struct cpe *c, struct session *s, enum convert_defect d);
/* The SYN's data were not taken: no converter, or a middlebox on the way. */
void cpe_on_syn_refused(struct cpe *c, struct session *s);

/* The links through which @v is not reached, as a mask for paths_first(). */
uint32_t cpe_links_beside(const struct cpe *c, const struct converter *v);

/* Take connections from the kernel's forwarding, or leave them there, as converters can be used. */
void cpe_consider_taking(struct cpe *c);

/* gate.c: open the gates, or say why not; close them. */
void cpe_gate_open(struct cpe *c);
/* The list of converters is another one. */
void cpe_gate_change(struct cpe *c);
void cpe_gate_close(struct cpe *c);
void cpe_gate_read(struct cpe *c, uint32_t gate);
/* The SYN of the connection @fd to @v carries what @ref, a session or a probe, has to say. Its near
 * end goes to @near. Returns 0 or -errno. */
int cpe_gate_watch(struct cpe *c, int fd, const struct converter *v, struct slot_ref ref,
	struct endpoint *near);
void cpe_gate_unwatch(struct cpe *c, const struct converter *v, struct endpoint *near);
/* Refuse the LAN host whose handshake is not over. */
void cpe_gate_refuse(struct cpe *c, struct session *s, int refusal);
/* The LAN host's packets find @s no more. */
void cpe_gate_forget(struct cpe *c, struct session *s);
/* The session of an accepted connection whose SYN/ACK was held, or NULL. */
struct session *cpe_gate_find(struct cpe *c, const struct endpoint *lan_host, const struct endpoint *server);

/* probe.c: connections that ask unreachable converters whether they are back (RFC 8803 6.2.3). */
void cpe_probe_all(struct cpe *c); /* start those that are due, once a second */
void cpe_on_probe(struct cpe *c, uint32_t i); /* of the converter with this number */
void cpe_end_probe(struct cpe *c, uint32_t i, bool reached);
void cpe_probe_close(struct cpe *c);

/* provision.c: what is listed: the configured converters and those that are learnt. */
void cpe_load_leases(struct cpe *c);
void cpe_expire_leases(struct cpe *c);
/* @text: a JSON object. Returns the answer, which the caller owns. */
json_t *cpe_provision(struct cpe *c, const char *text);
/* Their list, and then what goes by it: links, gate, interception. */
void cpe_list_converters(struct cpe *c);
void cpe_follow_list(struct cpe *c);
/* Their addresses; returns how many. */
unsigned int cpe_converters_at(struct cpe *c, struct endpoint at[STEER_CONVERTERS]);

/* reload.c: returns the answer, which the caller owns. */
json_t *cpe_reload(struct cpe *c);

/* links.c: whether the links work. */
void cpe_links_open(struct cpe *c);
void cpe_links_close(struct cpe *c);
void cpe_link_forget(struct cpe *c, unsigned int i); /* its slot is free, or another's */
void cpe_links_look(struct cpe *c);              /* by its own timer */
void cpe_on_link_probe(struct cpe *c, uint32_t slot);
void cpe_link_doubt(struct cpe *c, struct wan *w);  /* no answer for a while */
void cpe_link_silent(struct cpe *c, struct wan *w); /* nor to probes */
void cpe_link_heard(struct cpe *c, struct wan *w, int64_t rtt); /* an answer, after @rtt us */

/* figures.c: what the links carry. */
int cpe_figures_open(struct cpe *c); /* 0 or -errno */
void cpe_figures_close(struct cpe *c);
void cpe_figures_look(struct cpe *c);          /* unless it was done just now */
void cpe_figures_read(struct cpe *c);
void cpe_figures_on_timer(struct cpe *c);
void cpe_on_subflows(struct cpe *c);           /* the kernel tells of some */
/* The session's socket is about to be the relay's. Returns whether it is an MPTCP connection. */
bool cpe_figures_begin(struct cpe *c, struct session *s);
void cpe_figures_end(struct cpe *c, struct session *s); /* its relay has ended */

/* status.c: what the control socket tells, and the metrics. */
json_t *cpe_answer_control(void *ctx, const char *command);
void cpe_metrics(void *ctx, FILE *out);

#endif
