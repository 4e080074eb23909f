/* SPDX-License-Identifier: ISC */
#include "os/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/genetlink.h>
#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define BUFFER 32768 /* the kernel's largest dump message */

struct netlink {
	struct mnl_socket *route, *generic;
	struct mnl_socket *diag, *look; /* NULL: this kernel has none */
	uint8_t look_family; /* of the look at all subflows, ... */
	uint16_t look_port;  /* ... and what is asked for */
	uint32_t look_seq;
	uint16_t mptcp; /* family number of "mptcp_pm" */
	uint32_t events; /* its multicast group; 0: this kernel has none */
	uint32_t seq;
	char buf[BUFFER];
};

/* ---- requests ---- */

static struct nlmsghdr *begin(struct netlink *nl, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *const h = mnl_nlmsg_put_header(nl->buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++nl->seq;
	return h;
}

/* Send @h and run @cb over the answers until the acknowledgement or the end of the dump. */
static int talk(struct netlink *nl, struct mnl_socket *sk, struct nlmsghdr *h, mnl_cb_t cb, void *ctx)
{
	const unsigned int port = mnl_socket_get_portid(sk);
	const uint32_t seq = h->nlmsg_seq;

	if (mnl_socket_sendto(sk, h, h->nlmsg_len) < 0)
		return -errno;
	for (int more = 1; more > 0;) {
		const ssize_t n = mnl_socket_recvfrom(sk, nl->buf, sizeof(nl->buf));
		if (n < 0)
			return -errno;
		more = mnl_cb_run(nl->buf, (size_t)n, seq, port, cb, ctx);
		if (more < 0)
			return -errno;
	}
	return 0;
}

/* A change: what is there already, or gone already, is what was wanted. */
static int change(struct netlink *nl, struct mnl_socket *sk, struct nlmsghdr *h, bool add)
{
	const int err = talk(nl, sk, h, NULL, NULL);

	if (add)
		return err == -EEXIST ? 0 : err;
	return err == -ENOENT || err == -ESRCH || err == -EADDRNOTAVAIL || err == -EINVAL ? 0 : err;
}

static void put_ip(struct nlmsghdr *h, uint16_t type, int family, const struct ip_addr *ip)
{
	if (family == AF_INET)
		mnl_attr_put(h, type, 4, ip->b + 12);
	else
		mnl_attr_put(h, type, 16, ip->b);
}

static struct ip_addr get_ip(const struct nlattr *a)
{
	struct ip_addr ip = { 0 };

	if (mnl_attr_get_payload_len(a) == 4) {
		uint32_t v4;
		memcpy(&v4, mnl_attr_get_payload(a), 4);
		return ip_from_v4(v4);
	}
	if (mnl_attr_get_payload_len(a) == 16)
		memcpy(ip.b, mnl_attr_get_payload(a), 16);
	return ip;
}

int netlink_rule(struct netlink *nl, bool add, const struct nl_rule *rule)
{
	struct nlmsghdr *const h = begin(nl, add ? RTM_NEWRULE : RTM_DELRULE,
		NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0));
	struct fib_rule_hdr *const f = mnl_nlmsg_put_extra_header(h, sizeof(*f));

	f->family = (uint8_t)rule->family;
	f->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(h, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(h, FRA_TABLE, rule->table);
	mnl_attr_put_u8(h, FRA_PROTOCOL, NETLINK_PROTOCOL);
	if (rule->mark) {
		mnl_attr_put_u32(h, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(h, FRA_FWMASK, UINT32_MAX);
	}
	if (rule->from_bits) {
		f->src_len = rule->from_bits;
		put_ip(h, FRA_SRC, rule->family, &rule->from);
	}
	return change(nl, nl->route, h, add);
}

int netlink_route(struct netlink *nl, bool add, const struct nl_route *route)
{
	struct nlmsghdr *const h = begin(nl, add ? RTM_NEWROUTE : RTM_DELROUTE,
		NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0));
	struct rtmsg *const r = mnl_nlmsg_put_extra_header(h, sizeof(*r));

	r->rtm_family = (uint8_t)route->family;
	r->rtm_dst_len = route->to_bits;
	r->rtm_protocol = NETLINK_PROTOCOL;
	r->rtm_type = route->local ? RTN_LOCAL : RTN_UNICAST;
	r->rtm_scope = route->local ? RT_SCOPE_HOST : route->has_via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	if (route->has_via)
		r->rtm_flags = RTNH_F_ONLINK; /* the table has no other route that leads to the gateway */
	mnl_attr_put_u32(h, RTA_TABLE, route->table);
	mnl_attr_put_u32(h, RTA_OIF, route->ifindex);
	if (route->to_bits)
		put_ip(h, RTA_DST, route->family, &route->to);
	if (route->has_via)
		put_ip(h, RTA_GATEWAY, route->family, &route->via);
	return change(nl, nl->route, h, add);
}

/* ---- sockets ---- */

int netlink_abort(struct netlink *nl, const struct endpoint *near, const struct endpoint *far)
{
	const bool v4 = ip_is_v4(&near->ip);
	const size_t skip = v4 ? 12 : 0;

	if (!nl->diag)
		return -EOPNOTSUPP;
	struct nlmsghdr *const h = begin(nl, SOCK_DESTROY, NLM_F_ACK);
	struct inet_diag_req_v2 *const r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->sdiag_family = v4 ? AF_INET : AF_INET6;
	r->sdiag_protocol = IPPROTO_TCP;
	r->idiag_states = UINT32_MAX;
	r->id.idiag_sport = htons(near->port);
	r->id.idiag_dport = htons(far->port);
	memcpy(r->id.idiag_src, near->ip.b + skip, 16 - skip);
	memcpy(r->id.idiag_dst, far->ip.b + skip, 16 - skip);
	r->id.idiag_cookie[0] = r->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return talk(nl, nl->diag, h, NULL, NULL);
}

struct subflow_sink {
	netlink_subflow_fn *fn;
	void *ctx;
};

/* The attribute @type among those of @nest, or NULL. */
static const struct nlattr *nested(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) {
		if (mnl_attr_get_type(a) == type)
			return a;
	}
	return NULL;
}

/* Our token of the connection to which a socket belongs as a subflow, or 0. */
static uint32_t token_of(const struct nlattr *ulp)
{
	const struct nlattr *const mptcp = nested(ulp, INET_ULP_INFO_MPTCP);
	const struct nlattr *const token = mptcp ? nested(mptcp, MPTCP_SUBFLOW_ATTR_TOKEN_LOC) : NULL;

	return token && mnl_attr_get_payload_len(token) == 4 ? mnl_attr_get_u32(token) : 0;
}

static struct endpoint diag_end(uint8_t family, const void *ip, uint16_t port)
{
	struct endpoint e = { .port = ntohs(port) };
	uint32_t v4;

	if (family == AF_INET) {
		memcpy(&v4, ip, 4);
		e.ip = ip_from_v4(v4);
	} else {
		memcpy(e.ip.b, ip, 16);
	}
	return e;
}

static int on_socket(const struct nlmsghdr *h, void *ctx)
{
	const struct inet_diag_msg *const d = mnl_nlmsg_get_payload(h);
	const struct subflow_sink *const sink = ctx;
	const struct nlattr *a, *info = NULL;
	struct subflow_info s = { 0 };

	mnl_attr_for_each(a, h, sizeof(*d)) {
		if (mnl_attr_get_type(a) == INET_DIAG_INFO)
			info = a;
		else if (mnl_attr_get_type(a) == INET_DIAG_ULP_INFO)
			s.token = token_of(a);
	}
	if (!s.token || !info)
		return MNL_CB_OK;
	s.flow.near = diag_end(d->idiag_family, d->id.idiag_src, d->id.idiag_sport);
	s.flow.far = diag_end(d->idiag_family, d->id.idiag_dst, d->id.idiag_dport);
	subflow_take(&s, mnl_attr_get_payload(info), mnl_attr_get_payload_len(info));
	sink->fn(sink->ctx, &s);
	return MNL_CB_OK;
}

/* All states of TCP with two ends that have something to say: not SYN_RECV, TIME_WAIT, CLOSE, LISTEN. */
#define STATES_OF_INTEREST (1u << 1 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 9 | 1u << 11)

int netlink_subflows_fd(const struct netlink *nl)
{
	return nl->look ? mnl_socket_get_fd(nl->look) : -1;
}

static int ask_family(struct netlink *nl)
{
	struct nlmsghdr *const h = begin(nl, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
	struct inet_diag_req_v2 *const r = mnl_nlmsg_put_extra_header(h, sizeof(*r));

	r->sdiag_family = nl->look_family;
	r->sdiag_protocol = IPPROTO_TCP;
	r->idiag_ext = 1u << (INET_DIAG_INFO - 1);
	r->idiag_states = STATES_OF_INTEREST;
	r->id.idiag_dport = htons(nl->look_port);
	nl->look_seq = h->nlmsg_seq;
	return mnl_socket_sendto(nl->look, h, h->nlmsg_len) < 0 ? -errno : 0;
}

int netlink_subflows_ask(struct netlink *nl, uint16_t port)
{
	if (!nl->look)
		return -EOPNOTSUPP;
	nl->look_port = port;
	nl->look_family = AF_INET;
	return ask_family(nl);
}

int netlink_subflows_take(struct netlink *nl, netlink_subflow_fn *fn, void *ctx)
{
	struct subflow_sink sink = { .fn = fn, .ctx = ctx };
	const ssize_t n = mnl_socket_recvfrom(nl->look, nl->buf, sizeof(nl->buf));

	if (n < 0)
		return -errno;
	const int more = mnl_cb_run(nl->buf, (size_t)n, nl->look_seq, mnl_socket_get_portid(nl->look), on_socket, &sink);
	if (more)
		return more < 0 ? -errno : 1;
	if (nl->look_family == AF_INET6)
		return 0;
	nl->look_family = AF_INET6;
	const int err = ask_family(nl);
	return err ? err : 1;
}

/* ---- MPTCP's path manager ---- */

static struct nlmsghdr *begin_mptcp(struct netlink *nl, uint8_t command, uint16_t flags)
{
	struct nlmsghdr *const h = begin(nl, nl->mptcp, flags);
	struct genlmsghdr *const g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->cmd = command;
	g->version = MPTCP_PM_VER;
	return h;
}

static void put_endpoint(struct nlmsghdr *h, const struct nl_endpoint *e, bool with_flags, bool with_interface)
{
	const int family = ip_is_v4(&e->ip) ? AF_INET : AF_INET6;
	struct nlattr *const nest = mnl_attr_nest_start(h, MPTCP_PM_ATTR_ADDR);

	mnl_attr_put_u16(h, MPTCP_PM_ADDR_ATTR_FAMILY, (uint16_t)family);
	mnl_attr_put_u8(h, MPTCP_PM_ADDR_ATTR_ID, e->id);
	put_ip(h, family == AF_INET ? MPTCP_PM_ADDR_ATTR_ADDR4 : MPTCP_PM_ADDR_ATTR_ADDR6, family, &e->ip);
	if (with_flags)
		mnl_attr_put_u32(h, MPTCP_PM_ADDR_ATTR_FLAGS, e->flags);
	if (with_interface)
		mnl_attr_put_u32(h, MPTCP_PM_ADDR_ATTR_IF_IDX, (uint32_t)e->ifindex);
	mnl_attr_nest_end(h, nest);
}

int netlink_endpoint(struct netlink *nl, bool add, const struct nl_endpoint *e)
{
	struct nlmsghdr *const h =
		begin_mptcp(nl, add ? MPTCP_PM_CMD_ADD_ADDR : MPTCP_PM_CMD_DEL_ADDR, NLM_F_ACK);

	put_endpoint(h, e, add, add);
	return change(nl, nl->generic, h, add);
}

int netlink_endpoint_backup(struct netlink *nl, const struct nl_endpoint *e)
{
	struct nlmsghdr *const h = begin_mptcp(nl, MPTCP_PM_CMD_SET_FLAGS, NLM_F_ACK);

	put_endpoint(h, e, true, false);
	return change(nl, nl->generic, h, true);
}

int netlink_set_limits(struct netlink *nl, uint32_t subflows, uint32_t add_addrs)
{
	struct nlmsghdr *const h = begin_mptcp(nl, MPTCP_PM_CMD_SET_LIMITS, NLM_F_ACK);

	mnl_attr_put_u32(h, MPTCP_PM_ATTR_SUBFLOWS, subflows);
	mnl_attr_put_u32(h, MPTCP_PM_ATTR_RCV_ADD_ADDRS, add_addrs);
	return talk(nl, nl->generic, h, NULL, NULL);
}

struct limits {
	uint32_t subflows, add_addrs;
};

static int on_limits(const struct nlmsghdr *h, void *ctx)
{
	struct limits *const out = ctx;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == MPTCP_PM_ATTR_SUBFLOWS)
			out->subflows = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == MPTCP_PM_ATTR_RCV_ADD_ADDRS)
			out->add_addrs = mnl_attr_get_u32(a);
	}
	return MNL_CB_OK;
}

int netlink_limits(struct netlink *nl, uint32_t *subflows, uint32_t *add_addrs)
{
	struct limits l = { 0 };
	const int err = talk(nl, nl->generic,
		begin_mptcp(nl, MPTCP_PM_CMD_GET_LIMITS, NLM_F_ACK), on_limits, &l);

	if (err)
		return err;
	*subflows = l.subflows;
	*add_addrs = l.add_addrs;
	return 0;
}

/* ---- dumps ---- */

/* Where a dump's callback puts its elements. */
struct list {
	void *out;
	size_t size;
	int n, max;
};

/* Room for one more element, zeroed; NULL when the list is full. */
static void *list_add(struct list *l)
{
	if (l->n == l->max)
		return NULL;
	return memset((char *)l->out + l->size * (size_t)l->n++, 0, l->size);
}

static int dump(struct netlink *nl, struct mnl_socket *sk, struct nlmsghdr *h, mnl_cb_t cb, struct list *l)
{
	const int err = talk(nl, sk, h, cb, l);
	return err ? err : l->n;
}

static int dump_route(struct netlink *nl, uint16_t type, size_t extra, mnl_cb_t cb, struct list *l)
{
	struct nlmsghdr *const h = begin(nl, type, NLM_F_DUMP);
	mnl_nlmsg_put_extra_header(h, extra); /* zeros: every family */
	return dump(nl, nl->route, h, cb, l);
}

static int on_rule(const struct nlmsghdr *h, void *ctx)
{
	const struct fib_rule_hdr *const f = mnl_nlmsg_get_payload(h);
	struct nl_rule rule = { .family = f->family, .from_bits = f->src_len };
	bool ours = false;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(*f)) {
		switch (mnl_attr_get_type(a)) {
		case FRA_PROTOCOL:
			ours = mnl_attr_get_u8(a) == NETLINK_PROTOCOL;
			break;
		case FRA_PRIORITY:
			rule.priority = mnl_attr_get_u32(a);
			break;
		case FRA_TABLE:
			rule.table = mnl_attr_get_u32(a);
			break;
		case FRA_FWMARK:
			rule.mark = mnl_attr_get_u32(a);
			break;
		case FRA_SRC:
			rule.from = get_ip(a);
			break;
		}
	}
	struct nl_rule *const out = ours ? list_add(ctx) : NULL;
	if (out)
		*out = rule;
	return MNL_CB_OK;
}

int netlink_rules(struct netlink *nl, struct nl_rule *out, int max)
{
	struct list l = { .out = out, .size = sizeof(*out), .max = max };
	return dump_route(nl, RTM_GETRULE, sizeof(struct fib_rule_hdr), on_rule, &l);
}

static int on_route(const struct nlmsghdr *h, void *ctx)
{
	const struct rtmsg *const r = mnl_nlmsg_get_payload(h);
	struct nl_route route = { .family = r->rtm_family, .to_bits = r->rtm_dst_len,
		.local = r->rtm_type == RTN_LOCAL, .protocol = r->rtm_protocol, .table = r->rtm_table };
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(*r)) {
		switch (mnl_attr_get_type(a)) {
		case RTA_TABLE:
			route.table = mnl_attr_get_u32(a);
			break;
		case RTA_DST:
			route.to = get_ip(a);
			break;
		case RTA_GATEWAY:
			route.has_via = true;
			route.via = get_ip(a);
			break;
		case RTA_OIF:
			route.ifindex = mnl_attr_get_u32(a);
			break;
		case RTA_PRIORITY:
			route.metric = mnl_attr_get_u32(a);
			break;
		}
	}
	if (route.table != RT_TABLE_MAIN && r->rtm_protocol != NETLINK_PROTOCOL)
		return MNL_CB_OK;
	if (r->rtm_type != RTN_UNICAST && r->rtm_type != RTN_LOCAL)
		return MNL_CB_OK;
	struct nl_route *const to = list_add(ctx);
	if (to)
		*to = route;
	return MNL_CB_OK;
}

int netlink_routes(struct netlink *nl, struct nl_route *out, int max)
{
	struct list l = { .out = out, .size = sizeof(*out), .max = max };
	return dump_route(nl, RTM_GETROUTE, sizeof(struct rtmsg), on_route, &l);
}

static int on_link(const struct nlmsghdr *h, void *ctx)
{
	const struct ifinfomsg *const i = mnl_nlmsg_get_payload(h);
	struct nl_link *const out = list_add(ctx);
	const struct nlattr *a;

	if (!out)
		return MNL_CB_OK;
	out->ifindex = (uint32_t)i->ifi_index;
	out->running = (i->ifi_flags & IFF_UP) && (i->ifi_flags & IFF_RUNNING);
	mnl_attr_for_each(a, h, sizeof(*i)) {
		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			strncpy(out->name, mnl_attr_get_str(a), sizeof(out->name) - 1);
	}
	return MNL_CB_OK;
}

int netlink_links(struct netlink *nl, struct nl_link *out, int max)
{
	struct list l = { .out = out, .size = sizeof(*out), .max = max };
	return dump_route(nl, RTM_GETLINK, sizeof(struct ifinfomsg), on_link, &l);
}

static int on_stats(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) == IFLA_STATS64 && mnl_attr_get_payload_len(a) >= sizeof(uint64_t))
			memcpy(ctx, mnl_attr_get_payload(a), sizeof(uint64_t)); /* rx_packets is the first */
	}
	return MNL_CB_OK;
}

int netlink_received(struct netlink *nl, uint32_t ifindex, uint64_t *packets)
{
	struct nlmsghdr *const h = begin(nl, RTM_GETLINK, NLM_F_ACK);
	struct ifinfomsg *const i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

	i->ifi_index = (int)ifindex;
	*packets = 0;
	return talk(nl, nl->route, h, on_stats, packets);
}

static int on_addr(const struct nlmsghdr *h, void *ctx)
{
	const struct ifaddrmsg *const i = mnl_nlmsg_get_payload(h);
	struct nl_addr addr = { .ifindex = i->ifa_index, .bits = i->ifa_prefixlen };
	uint32_t flags = i->ifa_flags;
	bool has_local = false;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(*i)) {
		switch (mnl_attr_get_type(a)) {
		case IFA_LOCAL: /* on a point-to-point link, IFA_ADDRESS is the other end's */
			addr.ip = get_ip(a);
			has_local = true;
			break;
		case IFA_ADDRESS:
			if (!has_local)
				addr.ip = get_ip(a);
			break;
		case IFA_FLAGS:
			flags = mnl_attr_get_u32(a);
			break;
		}
	}
	addr.usable = i->ifa_scope == RT_SCOPE_UNIVERSE &&
		      !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED));
	struct nl_addr *const out = list_add(ctx);
	if (out)
		*out = addr;
	return MNL_CB_OK;
}

int netlink_addrs(struct netlink *nl, struct nl_addr *out, int max)
{
	struct list l = { .out = out, .size = sizeof(*out), .max = max };
	return dump_route(nl, RTM_GETADDR, sizeof(struct ifaddrmsg), on_addr, &l);
}

static int on_endpoint(const struct nlmsghdr *h, void *ctx)
{
	struct nl_endpoint *const out = list_add(ctx);
	const struct nlattr *outer, *a;

	if (!out)
		return MNL_CB_OK;
	mnl_attr_for_each(outer, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(outer) != MPTCP_PM_ATTR_ADDR)
			continue;
		mnl_attr_for_each_nested(a, outer) {
			switch (mnl_attr_get_type(a)) {
			case MPTCP_PM_ADDR_ATTR_ID:
				out->id = mnl_attr_get_u8(a);
				break;
			case MPTCP_PM_ADDR_ATTR_FLAGS:
				out->flags = mnl_attr_get_u32(a);
				break;
			case MPTCP_PM_ADDR_ATTR_IF_IDX:
				out->ifindex = (int32_t)mnl_attr_get_u32(a);
				break;
			case MPTCP_PM_ADDR_ATTR_ADDR4:
			case MPTCP_PM_ADDR_ATTR_ADDR6:
				out->ip = get_ip(a);
				break;
			}
		}
	}
	return MNL_CB_OK;
}

int netlink_endpoints(struct netlink *nl, struct nl_endpoint *out, int max)
{
	struct list l = { .out = out, .size = sizeof(*out), .max = max };
	return dump(nl, nl->generic, begin_mptcp(nl, MPTCP_PM_CMD_GET_ADDR, NLM_F_DUMP), on_endpoint, &l);
}

/* ---- open and close ---- */

static int on_family(const struct nlmsghdr *h, void *ctx)
{
	struct netlink *const nl = ctx;
	const struct nlattr *a, *group;

	mnl_attr_for_each(a, h, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			nl->mptcp = mnl_attr_get_u16(a);
		if (mnl_attr_get_type(a) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		mnl_attr_for_each_nested(group, a) {
			const struct nlattr *const name = nested(group, CTRL_ATTR_MCAST_GRP_NAME);
			const struct nlattr *const id = nested(group, CTRL_ATTR_MCAST_GRP_ID);
			if (name && id && !strcmp(mnl_attr_get_str(name), MPTCP_PM_EV_GRP_NAME))
				nl->events = mnl_attr_get_u32(id);
		}
	}
	return MNL_CB_OK;
}

static int find_mptcp(struct netlink *nl)
{
	struct nlmsghdr *const h = begin(nl, GENL_ID_CTRL, NLM_F_ACK);
	struct genlmsghdr *const g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->cmd = CTRL_CMD_GETFAMILY;
	g->version = 1;
	mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, MPTCP_PM_NAME);
	const int err = talk(nl, nl->generic, h, on_family, nl);
	return err == -ENOENT ? -EPROTONOSUPPORT : err;
}

static struct mnl_socket *open_bus(int bus)
{
	struct mnl_socket *const sk = mnl_socket_open2(bus, SOCK_CLOEXEC);

	if (sk && mnl_socket_bind(sk, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(sk);
		return NULL;
	}
	return sk;
}

int netlink_open(struct netlink **out)
{
	struct netlink *const nl = calloc(1, sizeof(*nl));
	if (!nl)
		return -ENOMEM;

	int err = 0;
	nl->seq = (uint32_t)time(NULL);
	nl->route = open_bus(NETLINK_ROUTE);
	nl->generic = nl->route ? open_bus(NETLINK_GENERIC) : NULL;
	nl->diag = nl->generic ? open_bus(NETLINK_SOCK_DIAG) : NULL;
	nl->look = nl->diag ? open_bus(NETLINK_SOCK_DIAG) : NULL;
	if (!nl->generic)
		err = -errno;
	else
		err = find_mptcp(nl);
	if (err) {
		log_error("cannot speak to the kernel over netlink: %s", strerror(-err));
		netlink_close(nl);
		return err;
	}
	*out = nl;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (!nl)
		return;
	if (nl->route)
		mnl_socket_close(nl->route);
	if (nl->generic)
		mnl_socket_close(nl->generic);
	if (nl->diag)
		mnl_socket_close(nl->diag);
	if (nl->look)
		mnl_socket_close(nl->look);
	free(nl);
}

int netlink_watch(void)
{
	struct sockaddr_nl sa = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
			     RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | 1 << (RTNLGRP_IPV6_RULE - 1),
	};
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		const int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

void netlink_changed(int fd)
{
	char buf[BUFFER];

	/* What changed does not matter: the state is read anew. ENOBUFS means "much changed". */
	while (recv(fd, buf, sizeof(buf), 0) >= 0 || errno == EINTR || errno == ENOBUFS)
		;
}

/* ---- events of subflows ---- */

/* Every MPTCP connection of the host makes events: of those only the ones of interest wake us. */
static int filter_events(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN), /* struct genlmsghdr: cmd */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MPTCP_EVENT_SUB_ESTABLISHED, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MPTCP_EVENT_SUB_CLOSED, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

int netlink_watch_subflows(struct netlink *nl)
{
	const struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	const int fd = nl->events ? socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_GENERIC)
				  : -1;
	int err;

	if (fd < 0)
		return nl->events ? -errno : -EOPNOTSUPP;
	err = filter_events(fd);
	if (!err && (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ||
			    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nl->events, sizeof(nl->events)) < 0))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static void take_event_attr(struct nl_event *out, const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case MPTCP_ATTR_TOKEN:
		out->token = mnl_attr_get_u32(a);
		break;
	case MPTCP_ATTR_SADDR4:
	case MPTCP_ATTR_SADDR6:
		out->flow.near.ip = get_ip(a);
		break;
	case MPTCP_ATTR_DADDR4:
	case MPTCP_ATTR_DADDR6:
		out->flow.far.ip = get_ip(a);
		break;
	case MPTCP_ATTR_SPORT:
		out->flow.near.port = ntohs(mnl_attr_get_u16(a));
		break;
	case MPTCP_ATTR_DPORT:
		out->flow.far.port = ntohs(mnl_attr_get_u16(a));
		break;
	case MPTCP_ATTR_ERROR:
		out->error = mnl_attr_get_u8(a);
		break;
	}
}

bool netlink_event(int fd, struct nl_event *out)
{
	char buf[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlattr *a;
	ssize_t n;

	/* ENOBUFS: some are lost, others follow. */
	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n < 0 && (errno == EINTR || errno == ENOBUFS));
	const struct nlmsghdr *const h = (const struct nlmsghdr *)buf;
	if (n <= 0 || !mnl_nlmsg_ok(h, (int)n))
		return false;
	const struct genlmsghdr *const g = mnl_nlmsg_get_payload(h);
	*out = (struct nl_event){ .established = g->cmd == MPTCP_EVENT_SUB_ESTABLISHED };
	mnl_attr_for_each(a, h, sizeof(*g)) {
		take_event_attr(out, a);
	}
	return true;
}
