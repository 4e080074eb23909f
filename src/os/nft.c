/* SPDX-License-Identifier: ISC */
#include "os/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <nftables/libnftables.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

extern char **environ;

int nft_run(const char *commands, bool quiet)
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

int program_run(const char *const argv[])
{
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	/* posix_spawnp() does not write to its arguments; its type is of an older time. */
	const int err = posix_spawnp(&pid, argv[0], &quiet, NULL, (char *const *)(const void *)argv, environ);
	posix_spawn_file_actions_destroy(&quiet);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
