/* SPDX-License-Identifier: ISC */
#include "gate/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "os/nft.h"
#include "os/program.h"

static const char *const hooks[] = { "input", "output" };

static bool has_family(const struct gate_rule *r, bool v4)
{
	return !(r->from && ip_is_v4(r->from) != v4) && !(r->to && ip_is_v4(r->to) != v4);
}

/* ---- nft ---- */

static void put_nft_rule(FILE *f, const struct gate_rule *r)
{
	char text[ENDPOINT_TEXT];

	fprintf(f, "  ");
	if (r->mark)
		fprintf(f, "meta mark %#x ", r->mark);
	if (r->from)
		fprintf(f, "ip%s saddr %s ", ip_is_v4(r->from) ? "" : "6", ip_text(r->from, text));
	if (r->to)
		fprintf(f, "ip%s daddr %s ", ip_is_v4(r->to) ? "" : "6", ip_text(r->to, text));
	if (r->sport)
		fprintf(f, "tcp sport %u ", r->sport);
	if (r->dport)
		fprintf(f, "tcp dport %u ", r->dport);
	fprintf(f, "tcp flags & (fin | syn | rst | ack) == %s queue flags bypass to %u\n",
		r->syn_ack ? "(syn | ack)" : "syn", r->queue);
}

char *rules_nft(const char *name, const struct gate_rule *r, unsigned int n)
{
	char *text = NULL;
	size_t len;
	FILE *const f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f, "table inet %s {}\ndelete table inet %s\ntable inet %s {\n", name, name, name);
	for (int out = 0; out < 2; out++) {
		fprintf(f, " chain %s {\n  type filter hook %s priority mangle; policy accept;\n", hooks[out],
			hooks[out]);
		for (unsigned int i = 0; i < n; i++) {
			if (r[i].out == out)
				put_nft_rule(f, &r[i]);
		}
		fprintf(f, " }\n");
	}
	fprintf(f, "}\n");
	fclose(f);
	return text;
}

/* ---- iptables ---- */

static const char *const restore[] = { "ip6tables-restore", "iptables-restore" };

static void put_iptables_rule(FILE *f, const char *name, const struct gate_rule *r)
{
	char text[ENDPOINT_TEXT];

	fprintf(f, "-A %s_%s -p tcp ", name, hooks[r->out]);
	if (r->mark)
		fprintf(f, "-m mark --mark %#x ", r->mark);
	if (r->from)
		fprintf(f, "-s %s ", ip_text(r->from, text));
	if (r->to)
		fprintf(f, "-d %s ", ip_text(r->to, text));
	if (r->sport)
		fprintf(f, "--sport %u ", r->sport);
	if (r->dport)
		fprintf(f, "--dport %u ", r->dport);
	fprintf(f, "--tcp-flags FIN,SYN,RST,ACK %s -j NFQUEUE --queue-num %u --queue-bypass\n",
		r->syn_ack ? "SYN,ACK" : "SYN", r->queue);
}

/* iptables-restore and its IPv6 form do all of @text, or nothing. */
static bool run_iptables(bool v4, const char *text)
{
	return program_run((const char *const[]){ restore[v4], "--wait", "5", "--noflush", NULL }, text) == 0;
}

static void iptables_remove(const char *name)
{
	char text[512];

	snprintf(text, sizeof(text), "*mangle\n"
		"-D INPUT -j %s_input\n-F %s_input\n-X %s_input\n"
		"-D OUTPUT -j %s_output\n-F %s_output\n-X %s_output\nCOMMIT\n",
		name, name, name, name, name, name);
	run_iptables(true, text);
	run_iptables(false, text);
}

/* @anew: the chains are not there yet. */
static bool iptables_set(const char *name, const struct gate_rule *r, unsigned int n, bool v4, bool anew)
{
	char *text = NULL;
	size_t len;
	FILE *const f = open_memstream(&text, &len);

	if (!f)
		return false;
	fprintf(f, "*mangle\n:%s_input - [0:0]\n:%s_output - [0:0]\n", name, name);
	if (anew)
		fprintf(f, "-A INPUT -j %s_input\n-A OUTPUT -j %s_output\n", name, name);
	for (unsigned int i = 0; i < n; i++) {
		if (has_family(&r[i], v4))
			put_iptables_rule(f, name, &r[i]);
	}
	fprintf(f, "COMMIT\n");
	fclose(f);
	const bool done = run_iptables(v4, text);
	free(text);
	return done;
}

/* ---- one of them ---- */

static int set_nft(const char *name, const struct gate_rule *r, unsigned int n)
{
	char *const text = rules_nft(name, r, n);
	const int err = text ? nft_try(text) : -ENOMEM;

	free(text);
	return err;
}

int rules_change(const char *name, const struct gate_rule *r, unsigned int n)
{
	if (set_nft(name, r, n) == 0)
		return 0;
	return iptables_set(name, r, n, true, false) && iptables_set(name, r, n, false, false) ? 0 : -ENOTSUP;
}

int rules_open(const char *name, const struct gate_rule *r, unsigned int n)
{
	rules_close(name); /* of a run that was killed, by whichever means */
	if (set_nft(name, r, n) == 0) {
		log_info("SYN/ACK gate: by nftables");
		return 0;
	}
	if (!iptables_set(name, r, n, true, true) || !iptables_set(name, r, n, false, true)) {
		rules_close(name);
		return -ENOTSUP;
	}
	log_info("SYN/ACK gate: by iptables, since this kernel's nftables has no queue statement");
	return 0;
}

void rules_close(const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "table inet %s {}\ndelete table inet %s\n", name, name);
	nft_try(text);
	iptables_remove(name);
}
