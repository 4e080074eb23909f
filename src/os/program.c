/* SPDX-License-Identifier: ISC */
#include "os/program.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* All that it gets of an environment. */
#define SYSTEM_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* A pipe that holds all of @input, so that nobody waits for anybody. */
static int fill(const char *input, int end[2])
{
	const size_t len = strlen(input);

	if (pipe2(end, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(end[1], F_SETFL, O_NONBLOCK) == 0 && write(end[1], input, len) == (ssize_t)len) {
		close(end[1]);
		return 0;
	}
	close(end[0]);
	close(end[1]);
	return -E2BIG;
}

static int spawn(pid_t *pid, const char *const argv[], int input)
{
	static char path[] = SYSTEM_PATH;
	char *const env[] = { path, NULL };
	posix_spawn_file_actions_t files;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	/* It does not write to its arguments; its type is of an older time. */
	const int err = posix_spawnp(pid, argv[0], &files, NULL, (char *const *)(const void *)argv, env);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

int program_run(const char *const argv[], const char *input)
{
	int end[2], status;
	pid_t pid;

	int err = fill(input, end);
	if (err)
		return err;
	err = spawn(&pid, argv, end[0]);
	close(end[0]);
	if (err)
		return err;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}
