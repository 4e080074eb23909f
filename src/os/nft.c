/* SPDX-License-Identifier: ISC */
#include "os/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdbool.h>

#include "base/log.h"

static struct nft_ctx *nft;

int nft_open(void)
{
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft || nft_ctx_buffer_error(nft)) { /* it reports errors as text */
		nft_close();
		log_error("cannot open nftables");
		return -ENOMEM;
	}
	return 0;
}

void nft_close(void)
{
	if (nft)
		nft_ctx_free(nft);
	nft = NULL;
}

static int run(const char *commands, bool quiet)
{
	if (!nft)
		return -ENOTCONN;
	const int failed = nft_run_cmd_from_buffer(nft, commands);
	const char *const words = nft_ctx_get_error_buffer(nft); /* and empties it */
	if (failed && !quiet)
		log_error("nft: %s", words);
	return failed ? -EINVAL : 0;
}

int nft_run(const char *commands)
{
	return run(commands, false);
}

int nft_try(const char *commands)
{
	return run(commands, true);
}
