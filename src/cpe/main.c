/* SPDX-License-Identifier: ISC */
/* plait-cpe: takes LAN hosts' TCP connections over all access links, through a converter. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "cpe/pipeline.h"
#include "os/nft.h"
#include "os/process.h"
#include "os/sock.h"

/* What the kernel needs for a message in the SYN and subflows on every link. */
static int set_kernel(struct restore *r)
{
	int err = restore_sysctl(r, "net.mptcp.enabled", 1);
	if (!err)
		err = restore_sysctl_bits(r, "net.ipv4.tcp_fastopen", 0x1); /* client side */
	/* Else a few lost SYNs turn MPTCP off for an hour, for every converter and link. Older kernels
	 * have no such thing. */
	if (!err) {
		err = restore_sysctl(r, "net.mptcp.blackhole_timeout", 0);
		err = err == -ENOENT ? 0 : err;
	}
	if (!err)
		err = restore_sysctl_least(r, "net.ipv4.tcp_rmem:1", SOCK_SUBFLOW_BUFFER);
	if (err)
		log_error("cannot set what MPTCP over all links needs: %s", strerror(-err));
	return err;
}

static int run(struct cpe_config *config, struct netlink *nl, struct restore *restore)
{
	static struct cpe c;

	process_raise_files(RELAY_MAX);
	int err = cpe_open(&c, config, nl, restore);
	if (!err)
		err = process_drop_privileges();
	if (!err) {
		log_info("ready: %u links, %u converters, %u relay workers", config->n_wan,
			config->n_converter, config->workers);
		err = cpe_run(&c);
		log_info("ending");
	}
	cpe_close(&c);
	return err;
}

static int serve(struct cpe_config *config)
{
	struct netlink *nl = NULL;
	struct restore *restore = NULL;

	int err = process_check("plait-cpe, for routing, nftables and MPTCP endpoints,");
	if (!err)
		err = nft_open();
	if (!err)
		err = netlink_open(&nl);
	if (err) {
		nft_close();
		return err;
	}
	paths_clear(nl); /* of a run that was killed */
	err = restore_open(&restore, config->state, nl);
	if (!err)
		err = set_kernel(restore);
	if (!err)
		err = run(config, nl, restore);
	paths_clear(nl);
	restore_undo(restore);
	netlink_close(nl);
	nft_close();
	return err;
}

int main(int argc, char **argv)
{
	static struct cpe_config config;
	struct conf_args args;

	const int usage = conf_args(argc, argv, "plait-cpe",
		"takes LAN hosts' TCP connections over all access links, through a converter", &args);
	if (usage)
		return usage == 1 ? 0 : usage;
	log_init("plait-cpe", args.verbose ? LOG_DEBUG : LOG_INFO);
	if (sodium_init() < 0 || cpe_config_read(&config, args.file) < 0)
		return 2;
	if (args.check_only) {
		cpe_config_print(&config);
		cpe_config_done(&config);
		return 0;
	}
	if (!config.n_converter)
		log_warning("no converter is configured: until one is learnt every connection goes %s",
			config.refuse ? "nowhere" : "direct");
	const int err = serve(&config);
	cpe_config_done(&config);
	return err ? 1 : 0;
}
