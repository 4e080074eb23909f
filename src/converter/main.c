/* SPDX-License-Identifier: ISC */
/* plait-converter: takes MPTCP connections of clients to their servers (RFC 8803). */
#include <linux/mptcp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "converter/pipeline.h"
#include "os/nft.h"
#include "os/process.h"
#include "os/sock.h"

#define SUBFLOWS 8 /* of a connection, beside the first: the kernel's most */

/* What the kernel needs for accepting on the SYN, and joins from all links of a client. */
static int set_kernel(struct restore *r, const struct converter_config *config)
{
	int err = restore_sysctl(r, "net.mptcp.enabled", 1);
	if (!err)
		err = restore_sysctl_bits(r, "net.ipv4.tcp_fastopen", 0x2); /* server side */
	if (!err)
		err = restore_sysctl_least(r, "net.ipv4.tcp_rmem:1", SOCK_SUBFLOW_BUFFER);
	if (!err)
		err = restore_limits(r, SUBFLOWS, 0);
	for (unsigned int i = 0; !err && i < config->n_announce; i++) {
		const struct nl_endpoint e = { .ip = config->announce[i], .flags = MPTCP_PM_ADDR_FLAG_SIGNAL };
		err = restore_endpoint_add(r, &e);
	}
	if (err)
		log_error("cannot set what MPTCP with Fast Open needs: %s", strerror(-err));
	return err;
}

static int run(struct converter_config *config)
{
	static struct converter c;

	process_raise_files(RELAY_MAX);
	int err = converter_open(&c, config);
	if (!err)
		err = process_drop_privileges();
	if (!err) {
		log_info("ready: %zu client prefixes, %u relay workers", config->n_clients, config->workers);
		err = converter_run(&c);
		log_info("ending");
	}
	converter_close(&c);
	return err;
}

static int serve(struct converter_config *config)
{
	struct netlink *nl = NULL;
	struct restore *restore = NULL;

	int err = process_check("plait-converter, for MPTCP's limits and sysctls,");
	if (!err)
		err = nft_open();
	if (!err)
		err = netlink_open(&nl);
	if (err) {
		nft_close();
		return err;
	}
	err = restore_open(&restore, config->state, nl);
	if (!err)
		err = set_kernel(restore, config);
	if (!err)
		err = run(config);
	restore_undo(restore);
	netlink_close(nl);
	nft_close();
	return err;
}

int main(int argc, char **argv)
{
	struct converter_config config;
	struct conf_args args;

	const int usage = conf_args(argc, argv, "plait-converter",
		"takes MPTCP connections of clients to their servers (RFC 8803)", &args);
	if (usage)
		return usage == 1 ? 0 : usage;
	log_init("plait-converter", args.verbose ? LOG_DEBUG : LOG_INFO);
	if (sodium_init() < 0 || converter_config_read(&config, args.file) < 0)
		return 2;
	if (args.check_only) {
		converter_config_print(&config);
		converter_config_done(&config);
		return 0;
	}
	if (!config.n_clients)
		log_warning("clients is empty: nobody is served");
	const int err = serve(&config);
	converter_config_done(&config);
	return err ? 1 : 0;
}
