/* SPDX-License-Identifier: ISC */
#include "gate/syn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "os/nft.h"
#include "wire/packet.h"

#define BUFFER      (64u << 10)
#define MESSAGE     4096  /* ours to the kernel: a SYN without payload, or less */
#define READ_BATCH  64    /* packets in one turn, so that others are not starved */
#define QUEUE_LEN   8192  /* SYNs that wait for us; more pass as they are (fail open) */
#define NFT_TABLE   "plait_gate"
#define COMMENT     "plait-converter"

struct gate {
	struct mnl_socket *nl;
	uint16_t port; /* also the queue's number */
	gate_syn_fn *on_syn;
	void *ctx;
	uint8_t buf[BUFFER];
};

/* ---- rules ---- */

static int nft_rule(uint16_t port)
{
	char text[512];

	snprintf(text, sizeof(text),
		"table inet " NFT_TABLE " {}\ndelete table inet " NFT_TABLE "\n"
		"table inet " NFT_TABLE " {\n chain input {\n"
		"  type filter hook input priority mangle; policy accept;\n"
		"  tcp dport %u tcp flags & (fin | syn | rst | ack) == syn queue flags bypass to %u\n }\n}\n",
		port, port);
	return nft_run(text, true);
}

/* Add (-A), look for (-C) or remove (-D) the rule of iptables or ip6tables. */
static int iptables_rule(const char *program, const char *op, uint16_t port)
{
	char number[8];

	snprintf(number, sizeof(number), "%u", port);
	return program_run((const char *const[]){ program, "-w", "5", "-t", "mangle", op, "INPUT", "-p",
		"tcp", "--dport", number, "--syn", "-m", "comment", "--comment", COMMENT, "-j", "NFQUEUE",
		"--queue-num", number, "--queue-bypass", NULL });
}

static const char *const iptables[] = { "iptables", "ip6tables" };

static void remove_rules(uint16_t port)
{
	nft_run("table inet " NFT_TABLE " {}\ndelete table inet " NFT_TABLE "\n", true);
	for (int i = 0; i < 2; i++) {
		while (iptables_rule(iptables[i], "-D", port) == 0)
			; /* all that killed runs left */
	}
}

static int add_rules(uint16_t port)
{
	remove_rules(port);
	if (nft_rule(port) == 0) {
		log_info("SYNs pass the gate by nftables, queue %u", port);
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		if (iptables_rule(iptables[i], "-A", port) != 0)
			return -ENOTSUP;
	}
	log_info("SYNs pass the gate by iptables, queue %u: this kernel has no nft queue", port);
	return 0;
}

/* ---- packets ---- */

static void give_verdict(struct gate *g, uint32_t id, const struct packet *changed)
{
	char buf[MESSAGE];
	struct nlmsghdr *const h = nfq_nlmsg_put(buf, NFQNL_MSG_VERDICT, g->port);

	nfq_nlmsg_verdict_put(h, (int)id, NF_ACCEPT);
	if (changed)
		nfq_nlmsg_verdict_put_pkt(h, changed->buf, (uint32_t)changed->len);
	mnl_socket_sendto(g->nl, h, h->nlmsg_len);
}

/* Returns whether @p was changed. */
static bool judge(struct gate *g, struct packet *p)
{
	if ((p->flags & (PACKET_FIN | PACKET_SYN | PACKET_RST | PACKET_ACK)) != PACKET_SYN ||
		p->dst.port != g->port)
		return false;
	const struct gate_syn syn = { .client = p->src, .converter = p->dst, .isn = p->seq,
		.payload = p->buf + p->payload, .len = packet_payload_len(p) };
	const uint32_t shift = g->on_syn(g->ctx, &syn);
	if (shift)
		packet_strip(p, shift);
	return shift != 0;
}

static int on_packet(const struct nlmsghdr *h, void *ctx)
{
	struct gate *const g = ctx;
	struct nlattr *attr[NFQA_MAX + 1] = { NULL };
	struct packet p;

	if (nfq_nlmsg_parse(h, attr) < 0 || !attr[NFQA_PACKET_HDR])
		return MNL_CB_OK;
	const struct nfqnl_msg_packet_hdr *const ph = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	const bool changed = attr[NFQA_PAYLOAD] &&
			     packet_parse(mnl_attr_get_payload(attr[NFQA_PAYLOAD]),
				     mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]), &p) &&
			     judge(g, &p);
	give_verdict(g, ntohl(ph->packet_id), changed ? &p : NULL);
	return MNL_CB_OK;
}

void gate_read(struct gate *g)
{
	for (int i = 0; i < READ_BATCH; i++) {
		const ssize_t n = recv(mnl_socket_get_fd(g->nl), g->buf, sizeof(g->buf), MSG_DONTWAIT);
		if (n > 0)
			mnl_cb_run(g->buf, (size_t)n, 0, mnl_socket_get_portid(g->nl), on_packet, g);
		else if (errno != ENOBUFS) /* some were lost to us, and passed */
			return;
	}
}

/* ---- open and close ---- */

static int configure(struct gate *g)
{
	char buf[MESSAGE];
	struct nlmsghdr *h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, g->port);

	nfq_nlmsg_cfg_put_cmd(h, AF_INET, NFQNL_CFG_CMD_BIND);
	h->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(g->nl, h, h->nlmsg_len) < 0)
		return -errno;
	ssize_t n = mnl_socket_recvfrom(g->nl, g->buf, sizeof(g->buf));
	if (n < 0 || mnl_cb_run(g->buf, (size_t)n, 0, 0, NULL, NULL) < 0)
		return -errno;

	h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, g->port);
	nfq_nlmsg_cfg_put_params(h, NFQNL_COPY_PACKET, 0xffff);
	mnl_attr_put_u32(h, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(h, NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(h, NFQA_CFG_QUEUE_MAXLEN, htonl(QUEUE_LEN));
	h->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(g->nl, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(g->nl, g->buf, sizeof(g->buf));
	return n < 0 || mnl_cb_run(g->buf, (size_t)n, 0, 0, NULL, NULL) < 0 ? -errno : 0;
}

int gate_open(struct gate **out, uint16_t port, gate_syn_fn *on_syn, void *ctx)
{
	struct gate *const g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;

	*g = (struct gate){ .port = port, .on_syn = on_syn, .ctx = ctx };
	g->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int err = g->nl && mnl_socket_bind(g->nl, 0, MNL_SOCKET_AUTOPID) == 0 ? configure(g) : -errno;
	if (!err)
		err = add_rules(port);
	if (err) {
		log_warning("no gate (%s): this needs CAP_NET_ADMIN, and nft's queue statement or iptables "
			    "with NFQUEUE; going on with Fast Open alone, where transfers over several links "
			    "may stall", strerror(-err));
		gate_close(g);
		return err;
	}
	*out = g;
	return 0;
}

void gate_close(struct gate *g)
{
	if (!g)
		return;
	remove_rules(g->port);
	if (g->nl)
		mnl_socket_close(g->nl);
	free(g);
}

int gate_fd(const struct gate *g)
{
	return mnl_socket_get_fd(g->nl);
}
