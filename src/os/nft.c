/* SPDX-License-Identifier: ISC */
#include "os/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdbool.h>

#include "base/log.h"

/* libnftables reports errors as text. */
static int run(const char *commands, bool quiet)
{
	struct nft_ctx *const nft = nft_ctx_new(NFT_CTX_DEFAULT);

	if (!nft)
		return -ENOMEM;
	nft_ctx_buffer_error(nft);
	const int failed = nft_run_cmd_from_buffer(nft, commands);
	if (failed && !quiet)
		log_error("nft: %s", nft_ctx_get_error_buffer(nft));
	nft_ctx_free(nft);
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
