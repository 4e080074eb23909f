/* SPDX-License-Identifier: ISC */
#include "os/sock.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/mptcp.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mono.h"

#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* For clean-up labels: closes @fd and passes the error on. */
static int fail(int fd, int err)
{
	close(fd);
	return err;
}

static int open_tcp(int family, int protocol)
{
	const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return -errno;
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static int family_of(const struct ip_addr *ip)
{
	return ip_is_v4(ip) ? AF_INET : AF_INET6;
}

static int bind_listen(int fd, int family, const struct endpoint *at)
{
	struct sockaddr_storage ss;
	const int len = endpoint_to_sockaddr(at, family, &ss);

	if (len < 0)
		return len;
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(fd, (struct sockaddr *)&ss, (socklen_t)len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int sock_listen_convert(const struct endpoint *at, int fastopen_queue)
{
	const int family = family_of(&at->ip);
	const int fd = open_tcp(family, IPPROTO_MPTCP);
	if (fd < 0)
		return fd;

	int err = set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, fastopen_queue);
	if (!err)
		err = set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1);
	if (!err)
		err = bind_listen(fd, family, at);
	return err ? fail(fd, err) : fd;
}

static int set_transparent(int fd, int family)
{
	return family == AF_INET6 ? set_int(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
				  : set_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
}

int sock_listen_tproxy(const struct endpoint *at, uint32_t mark)
{
	const int family = family_of(&at->ip);
	const int fd = open_tcp(family, IPPROTO_TCP);
	if (fd < 0)
		return fd;

	int err = set_transparent(fd, family);
	if (!err)
		err = set_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
	if (!err)
		err = bind_listen(fd, family, at);
	return err ? fail(fd, err) : fd;
}

int sock_accept(int listener, struct endpoint *peer)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	const int fd =
		accept4(listener, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	const int err = endpoint_from_sockaddr(&ss, peer);
	if (err)
		return fail(fd, err);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static int bind_source(int fd, int family, const struct ip_addr *from)
{
	struct sockaddr_storage ss;
	const int len = endpoint_to_sockaddr(&(struct endpoint){ .ip = *from }, family, &ss);

	if (len < 0)
		return len;
	set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	return bind(fd, (struct sockaddr *)&ss, (socklen_t)len) < 0 ? -errno : 0;
}

static int start_connect(int fd, int family, const struct endpoint *to, const void *msg, size_t len)
{
	struct sockaddr_storage ss;
	const int ss_len = endpoint_to_sockaddr(to, family, &ss);
	if (ss_len < 0)
		return ss_len;

	const ssize_t r = len ? sendto(fd, msg, len, MSG_FASTOPEN | MSG_NOSIGNAL,
				       (struct sockaddr *)&ss, (socklen_t)ss_len)
			      : connect(fd, (struct sockaddr *)&ss, (socklen_t)ss_len);
	return r < 0 && errno != EINPROGRESS ? -errno : 0;
}

int sock_connect_converter(
	const struct endpoint *to, const struct ip_addr *from, const void *msg, size_t len)
{
	/* An IPv6 socket takes subflows of both families, an IPv4 one of its own alone. */
	int family = AF_INET6;
	int fd = open_tcp(family, IPPROTO_MPTCP);
	if (fd == -EAFNOSUPPORT) {
		family = AF_INET;
		fd = open_tcp(family, IPPROTO_MPTCP);
	}
	if (fd < 0)
		return fd;

	int err = len ? set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1) : 0;
	if (!err && from)
		err = bind_source(fd, family, from);
	if (!err)
		err = start_connect(fd, family, to, msg, len);
	return err ? fail(fd, err) : fd;
}

int sock_connect_from(const struct endpoint *to, const struct ip_addr *from)
{
	const int family = family_of(&to->ip);
	const int fd = open_tcp(family, IPPROTO_TCP);
	if (fd < 0)
		return fd;

	int err = bind_source(fd, family, from);
	if (!err)
		err = start_connect(fd, family, to, NULL, 0);
	return err ? fail(fd, err) : fd;
}

int sock_connect(const struct endpoint *to, bool mptcp)
{
	const int family = family_of(&to->ip);
	const int fd = open_tcp(family, mptcp ? IPPROTO_MPTCP : IPPROTO_TCP);
	if (fd < 0)
		return fd;

	/* Queue the ICMP message that ends the attempt, for sock_icmp_code(). MPTCP has no such queue. */
	if (family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	else
		set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	const int err = start_connect(fd, family, to, NULL, 0);
	return err ? fail(fd, err) : fd;
}

int sock_connect_transparent(const struct endpoint *to, const struct ip_addr *from)
{
	const int family = family_of(&to->ip);
	const int fd = open_tcp(family, IPPROTO_MPTCP);
	if (fd < 0)
		return fd;

	int err = set_transparent(fd, family);
	if (!err)
		err = bind_source(fd, family, from);
	if (!err)
		err = start_connect(fd, family, to, NULL, 0);
	return err ? fail(fd, err) : fd;
}

/* @from: NULL, or the source address. */
static int send_raw(int protocol, const struct ip_addr *from, const struct ip_addr *to, const void *msg, size_t len)
{
	const int family = family_of(to);
	struct sockaddr_storage ss;
	const int ss_len = endpoint_to_sockaddr(&(struct endpoint){ .ip = *to }, family, &ss);
	const int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return -errno;
	int err = from ? bind_source(fd, family, from) : 0;
	if (!err && sendto(fd, msg, len, MSG_DONTWAIT, (struct sockaddr *)&ss, (socklen_t)ss_len) < 0)
		err = -errno;
	close(fd);
	return err;
}

int sock_send_icmp(const struct ip_addr *to, const void *msg, size_t len)
{
	return send_raw(ip_is_v4(to) ? IPPROTO_ICMP : IPPROTO_ICMPV6, NULL, to, msg, len);
}

int sock_send_tcp(const struct ip_addr *from, const struct ip_addr *to, const void *segment, size_t len)
{
	return send_raw(IPPROTO_TCP, from, to, segment, len);
}

void sock_choose_congestion(const char *wanted, char name[SOCK_CONGESTION])
{
	const bool any = !strcmp(wanted, "auto");
	const char *const try = any ? "bbr" : wanted;
	char own[SOCK_CONGESTION] = "";
	socklen_t len = sizeof(own) - 1;
	const int fd = open_tcp(AF_INET, IPPROTO_MPTCP);

	*name = '\0';
	if (fd < 0)
		return;
	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, own, &len);
	/* The kernel loads its module, if there is one. */
	if (strlen(try) >= SOCK_CONGESTION || setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, try, (socklen_t)strlen(try)) < 0)
		log_warning("this kernel has no congestion control \"%s\": going on with %s%s", try, own,
			any ? ", which does badly on links that lose packets (modprobe tcp_bbr, or set `congestion`)" : "");
	else if (strcmp(own, try) != 0)
		snprintf(name, SOCK_CONGESTION, "%s", try);
	close(fd);
}

void sock_set_congestion(int fd, const char *name)
{
	if (*name)
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

int sock_name(int fd, struct endpoint *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return endpoint_from_sockaddr(&ss, out);
}

int sock_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

bool sock_no_room(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

int sock_icmp_code(int fd)
{
	uint8_t control[512];
	uint8_t data[64];
	struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct sock_extended_err ee;

		if (c->cmsg_len < CMSG_LEN(sizeof(ee)))
			continue;
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
			memcpy(&ee, CMSG_DATA(c), sizeof(ee));
			if (ee.ee_origin == SO_EE_ORIGIN_ICMP || ee.ee_origin == SO_EE_ORIGIN_ICMP6)
				return ee.ee_code;
		}
	}
	return -1;
}

bool sock_established(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return true; /* gone: the next read or write tells why */
	return info.tcpi_state != 2 /* TCP_SYN_SENT */ && info.tcpi_state != 3 /* TCP_SYN_RECV */;
}

bool sock_is_mptcp(int fd)
{
	int is = 0;
	socklen_t len = sizeof(is);

	return getsockopt(fd, IPPROTO_TCP, TCP_IS_MPTCP, &is, &len) == 0 && is;
}

bool sock_syn_data_taken(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       (info.tcpi_options & TCPI_OPT_SYN_DATA);
}

size_t sock_syn_options(int fd, uint8_t *buf, size_t size)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	uint8_t opt[16] = { 0 };
	size_t n = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	if (info.tcpi_options & TCPI_OPT_SACK) {
		opt[n++] = 4;
		opt[n++] = 2;
	}
	if (info.tcpi_options & TCPI_OPT_WSCALE) {
		opt[n++] = 3;
		opt[n++] = 3;
		opt[n++] = info.tcpi_snd_wscale;
	}
	if (sock_is_mptcp(fd)) {
		opt[n++] = 30;
		opt[n++] = 2;
	}
	n = (n + 3) & ~(size_t)3;
	if (n > size)
		return 0;
	memcpy(buf, opt, n);
	return n;
}

/* Segments in the wrong order take more memory than the window that was announced for them, when
 * they are small; hardly four times as much. The window does not grow with the buffer any more. */
#define RCVBUF_MAX (16u << 20)

/* What a socket's receive queues take, and may take, of the kernel's memory. */
static bool receive_memory(int fd, uint32_t *used, uint32_t *size)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
		return false;
	*used = mem[SK_MEMINFO_RMEM_ALLOC];
	*size = mem[SK_MEMINFO_RCVBUF];
	return true;
}

bool sock_make_room(int fd)
{
	uint32_t used, size;

	if (!receive_memory(fd, &used, &size) || !size || used < size || size >= RCVBUF_MAX)
		return false;
	/* The kernel doubles what it is given. */
	return set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)size) == 0;
}

bool sock_waits_for_earlier(int fd)
{
	uint32_t used, size;

	return receive_memory(fd, &used, &size) && used;
}

/* Whether it is an MPTCP connection that did not fall back. */
static bool mptcp_info(int fd, struct mptcp_info *info)
{
	socklen_t len = sizeof(*info);

	*info = (struct mptcp_info){ 0 };
	return getsockopt(fd, SOL_MPTCP, MPTCP_INFO, info, &len) == 0 && !(info->mptcpi_flags & MPTCP_INFO_FLAG_FALLBACK);
}

uint64_t sock_mptcp_unacked(int fd)
{
	struct mptcp_info info;

	return mptcp_info(fd, &info) ? info.mptcpi_write_seq - info.mptcpi_snd_una : 0;
}

bool sock_mptcp_alone(int fd)
{
	struct mptcp_subflow_data head = { .size_subflow_data = sizeof(head), .size_user = sizeof(struct mptcp_subflow_addrs) };
	socklen_t len = sizeof(head);
	struct mptcp_info info;

	return mptcp_info(fd, &info) && getsockopt(fd, SOL_MPTCP, MPTCP_SUBFLOW_ADDRS, &head, &len) == 0 &&
	       head.num_subflows == 0;
}

/* The kernel's addresses of a subflow, taken for the flow that it is; false for a family unknown. */
static bool flow_of(const struct mptcp_subflow_addrs *a, struct flow *out)
{
	struct sockaddr_storage local, remote;

	memcpy(&local, &a->ss_local, sizeof(local));
	memcpy(&remote, &a->ss_remote, sizeof(remote));
	return endpoint_from_sockaddr(&local, &out->near) == 0 && endpoint_from_sockaddr(&remote, &out->far) == 0;
}

unsigned int sock_subflow(int fd, struct endpoint *near, struct endpoint *far)
{
	struct {
		struct mptcp_subflow_data head;
		struct mptcp_subflow_addrs subflow;
	} list = { .head = { .size_subflow_data = sizeof(list.head), .size_user = sizeof(list.subflow) } };
	socklen_t len = sizeof(list);
	struct flow flow;

	if (getsockopt(fd, SOL_MPTCP, MPTCP_SUBFLOW_ADDRS, &list, &len) < 0 || !list.head.num_subflows ||
		!flow_of(&list.subflow, &flow))
		return 0;
	*near = flow.near;
	*far = flow.far;
	return list.head.num_subflows;
}

/* What the kernel tells of each subflow. */
struct tcpinfos {
	struct mptcp_subflow_data head;
	struct tcp_info subflow[SUBFLOWS_MAX];
};

static bool get_tcpinfos(int fd, struct tcpinfos *out)
{
	socklen_t len = sizeof(*out);

	out->head = (struct mptcp_subflow_data){ .size_subflow_data = sizeof(out->head),
		.size_user = sizeof(out->subflow[0]) };
	return getsockopt(fd, SOL_MPTCP, MPTCP_TCPINFO, out, &len) == 0;
}

/* Of one of them. A kernel that tells less puts them closer together. */
static struct tcp_info tcpinfo_of(const struct tcpinfos *t, unsigned int i)
{
	const size_t size = t->head.size_kernel < sizeof(t->subflow[0]) ? t->head.size_kernel : sizeof(t->subflow[0]);
	struct tcp_info info = { 0 };

	memcpy(&info, (const uint8_t *)t->subflow + i * size, size);
	return info;
}

static unsigned int tcpinfos_count(const struct tcpinfos *t)
{
	return t->head.num_subflows < SUBFLOWS_MAX ? t->head.num_subflows : SUBFLOWS_MAX;
}

unsigned int sock_subflows(int fd, struct subflow_info *out, unsigned int max)
{
	struct {
		struct mptcp_subflow_data head;
		struct mptcp_subflow_addrs subflow[SUBFLOWS_MAX];
	} addrs = { .head = { .size_subflow_data = sizeof(addrs.head), .size_user = sizeof(addrs.subflow[0]) } };
	socklen_t len = sizeof(addrs);
	struct tcpinfos infos;
	unsigned int n = 0;

	/* Two looks: should one have come or gone between them, which is which is not known. */
	if (!get_tcpinfos(fd, &infos) || getsockopt(fd, SOL_MPTCP, MPTCP_SUBFLOW_ADDRS, &addrs, &len) < 0 ||
		infos.head.num_subflows != addrs.head.num_subflows)
		return 0;
	for (unsigned int i = 0; i < tcpinfos_count(&infos) && n < max; i++) {
		const struct tcp_info info = tcpinfo_of(&infos, i);
		out[n] = (struct subflow_info){ 0 };
		subflow_take(&out[n], &info, sizeof(info));
		n += flow_of(&addrs.subflow[i], &out[n].flow);
	}
	return n;
}

/* While a subflow has something that is not acknowledged, that may yet be the DATA_FIN. */
bool sock_fin_unheard(int fd)
{
	struct tcpinfos infos;

	if (sock_mptcp_unacked(fd) != 1 || !get_tcpinfos(fd, &infos))
		return false;
	for (unsigned int i = 0; i < tcpinfos_count(&infos); i++) {
		const struct tcp_info info = tcpinfo_of(&infos, i);
		if (info.tcpi_unacked || info.tcpi_notsent_bytes)
			return false;
	}
	return true;
}

#define STATE_ESTABLISHED 1           /* as the kernel numbers TCP's states */
#define STATE_CLOSE_WAIT  8
#define RATE_MOST         (1ull << 40) /* bytes/s; what more is, is no rate: "not known yet" is all ones */
#define HOLD_MOST         (16u << 20) /* bytes, halved; what more could fill is no link's */

int sock_subflow_loads(int fd, struct subflow_load *out, unsigned int max)
{
	struct tcpinfos infos;
	unsigned int n = 0;

	if (!get_tcpinfos(fd, &infos))
		return -EOPNOTSUPP;
	for (unsigned int i = 0; i < tcpinfos_count(&infos) && n < max; i++) {
		const struct tcp_info info = tcpinfo_of(&infos, i);
		if (info.tcpi_state == STATE_ESTABLISHED || info.tcpi_state == STATE_CLOSE_WAIT)
			out[n++] = (struct subflow_load){ .unsent = info.tcpi_notsent_bytes,
				.rate = info.tcpi_pacing_rate < RATE_MOST ? info.tcpi_pacing_rate : 0, .rtt = info.tcpi_rtt,
				.unheard = info.tcpi_unacked ? info.tcpi_last_ack_recv * MS_US : 0 };
	}
	return (int)n;
}

uint64_t sock_held(int fd)
{
	int bytes = 0;
	socklen_t len = sizeof(bytes);

	return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

void sock_hold(int fd, uint64_t bytes)
{
	const uint64_t half = bytes / 2; /* the kernel doubles it */

	set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, half > HOLD_MOST ? (int)HOLD_MOST : (int)half);
}

uint32_t sock_mptcp_token(int fd)
{
	struct mptcp_info info;

	return mptcp_info(fd, &info) ? info.mptcpi_token : 0;
}

void sock_keepalive(int fd, int idle)
{
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 60);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 5);
}

void sock_keepalive_now(int fd)
{
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
}

void sock_close_by_reset(int fd, bool reset)
{
	const struct linger at_once = { .l_onoff = reset, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void sock_reset(int fd)
{
	sock_close_by_reset(fd, true);
	close(fd);
}
