/* SPDX-License-Identifier: ISC */
#include "gate/queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER     8192 /* a packet of QUEUE_PACKET bytes, and what the kernel says of it */
#define COPY       2048u /* bytes of a packet that we are shown: no SYN has more */
#define READ_BATCH 64    /* packets in one turn, so that others are not starved */
#define SOCKET_BUF (4 << 20) /* bytes on their way to us; what does not fit fails open */

struct queue {
	struct mnl_socket *nl;
	uint16_t number;
	queue_fn *fn;
	void *ctx;
	uint8_t packet[QUEUE_PACKET];
	char in[BUFFER], out[BUFFER];
};

/* ---- verdicts ---- */

static void give_verdict(struct queue *q, uint32_t id, uint32_t verdict, const struct packet *changed)
{
	struct nlmsghdr *const h = nfq_nlmsg_put(q->out, NFQNL_MSG_VERDICT, q->number);

	nfq_nlmsg_verdict_put(h, (int)id, (int)verdict);
	if (changed)
		nfq_nlmsg_verdict_put_pkt(h, changed->buf, (uint32_t)changed->len);
	mnl_socket_sendto(q->nl, h, h->nlmsg_len);
}

void queue_pass(struct queue *q, uint32_t id)
{
	give_verdict(q, id, NF_ACCEPT, NULL);
}

void queue_pass_changed(struct queue *q, uint32_t id, const struct packet *p)
{
	give_verdict(q, id, NF_ACCEPT, p);
}

void queue_drop(struct queue *q, uint32_t id)
{
	give_verdict(q, id, NF_DROP, NULL);
}

/* ---- packets ---- */

static int on_message(const struct nlmsghdr *h, void *ctx)
{
	struct queue *const q = ctx;
	struct nlattr *attr[NFQA_MAX + 1] = { NULL };
	struct queued packet;

	if (nfq_nlmsg_parse(h, attr) < 0 || !attr[NFQA_PACKET_HDR])
		return MNL_CB_OK;
	const struct nfqnl_msg_packet_hdr *const ph = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	packet.id = ntohl(ph->packet_id);
	packet.out = ph->hook == NF_INET_LOCAL_OUT;
	const size_t len = attr[NFQA_PAYLOAD] ? mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]) : 0;
	if (len && len <= sizeof(q->packet)) {
		memcpy(q->packet, mnl_attr_get_payload(attr[NFQA_PAYLOAD]), len);
		if (packet_parse(q->packet, len, &packet.p)) {
			q->fn(q->ctx, &packet);
			return MNL_CB_OK;
		}
	}
	give_verdict(q, packet.id, packet.out ? NF_ACCEPT : NF_DROP, NULL);
	return MNL_CB_OK;
}

void queue_read(struct queue *q)
{
	for (int i = 0; i < READ_BATCH; i++) {
		const ssize_t n = recv(mnl_socket_get_fd(q->nl), q->in, sizeof(q->in), MSG_DONTWAIT);
		if (n > 0)
			mnl_cb_run(q->in, (size_t)n, 0, mnl_socket_get_portid(q->nl), on_message, q);
		else if (errno != ENOBUFS) /* some were lost to us, and passed */
			return;
	}
}

int queue_fd(const struct queue *q)
{
	return mnl_socket_get_fd(q->nl);
}

/* ---- open and close ---- */

static int talk(struct queue *q, struct nlmsghdr *h)
{
	h->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(q->nl, h, h->nlmsg_len) < 0)
		return -errno;
	const ssize_t n = mnl_socket_recvfrom(q->nl, q->in, sizeof(q->in));
	return n < 0 || mnl_cb_run(q->in, (size_t)n, 0, 0, NULL, NULL) < 0 ? -errno : 0;
}

static int configure(struct queue *q, uint32_t len)
{
	const int size = SOCKET_BUF;
	struct nlmsghdr *h = nfq_nlmsg_put(q->out, NFQNL_MSG_CONFIG, q->number);

	nfq_nlmsg_cfg_put_cmd(h, AF_INET, NFQNL_CFG_CMD_BIND);
	const int err = talk(q, h);
	if (err)
		return err;
	h = nfq_nlmsg_put(q->out, NFQNL_MSG_CONFIG, q->number);
	nfq_nlmsg_cfg_put_params(h, NFQNL_COPY_PACKET, COPY);
	mnl_attr_put_u32(h, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(h, NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(h, NFQA_CFG_QUEUE_MAXLEN, htonl(len));
	setsockopt(mnl_socket_get_fd(q->nl), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return talk(q, h);
}

int queue_open(struct queue **out, uint16_t number, uint32_t len, queue_fn *fn, void *ctx)
{
	struct queue *const q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;

	q->number = number;
	q->fn = fn;
	q->ctx = ctx;
	q->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	const int err = q->nl && mnl_socket_bind(q->nl, 0, MNL_SOCKET_AUTOPID) == 0 ? configure(q, len)
										    : -errno;
	if (err) {
		queue_close(q);
		return err;
	}
	*out = q;
	return 0;
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	if (q->nl)
		mnl_socket_close(q->nl);
	free(q);
}
