/* SPDX-License-Identifier: ISC */
#include "os/process.h"

#include <cap-ng.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "os/sock.h"

static int check_privilege(const char *what_for)
{
	if (capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		return 0;
	log_error("CAP_NET_ADMIN is missing, which %s needs: start it as root, or by systemd with "
		  "AmbientCapabilities=CAP_NET_ADMIN", what_for);
	return -EPERM;
}

static int check_mptcp(void)
{
	const int one = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0) {
		log_error("this kernel has no Multipath TCP (%s): use one with CONFIG_MPTCP, and see "
			  "sysctl net.mptcp.enabled", strerror(errno));
		return -EPROTONOSUPPORT;
	}
	const int failed = setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &one, sizeof(one));
	close(fd);
	if (!failed)
		return 0;
	log_error("this kernel has no Fast Open on MPTCP sockets: use Linux 6.2 or newer");
	return -EPROTONOSUPPORT;
}

int process_check(const char *what_for)
{
	const int err = check_privilege(what_for);
	return err ? err : check_mptcp();
}

void process_raise_files(unsigned int sessions)
{
	const rlim_t want = 2 * (rlim_t)sessions + 64;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	if (l.rlim_max < want) {
		const struct rlimit more = { .rlim_cur = want, .rlim_max = want };
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	l.rlim_cur = l.rlim_max < want ? l.rlim_max : want;
	setrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_cur < want)
		log_warning("the limit of open files is %llu: about %llu connections at once",
			(unsigned long long)l.rlim_cur, (unsigned long long)l.rlim_cur / 2);
}

int process_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	const int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

enum process_told process_told(int fd)
{
	struct signalfd_siginfo info;
	enum process_told told = PROCESS_TOLD_NOTHING;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			told = PROCESS_TOLD_TO_END;
		else if (told == PROCESS_TOLD_NOTHING)
			told = PROCESS_TOLD_TO_RELOAD;
	}
	return told;
}

int process_drop_privileges(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	capng_clear(CAPNG_SELECT_BOTH);
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_NET_ADMIN,
		CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_DAC_OVERRIDE, -1);
	return capng_apply(CAPNG_SELECT_BOTH) < 0 ? -EPERM : 0;
}
