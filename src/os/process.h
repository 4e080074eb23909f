/* SPDX-License-Identifier: ISC */
/* What a daemon needs of its process: privileges, limits, signals. */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stdbool.h>

/* Complain, with how to get it, unless this process may change the network's configuration
 * (CAP_NET_ADMIN), which @what_for needs, and the kernel has MPTCP with Fast Open on listeners
 * (Linux 6.2). Returns 0, -EPERM or -EPROTONOSUPPORT. */
int process_check(const char *what_for);
/* Raise the limit of open files as far as allowed: a relayed connection holds two. Warns when fewer
 * than @sessions connections fit. */
void process_raise_files(unsigned int sessions);
/* SIGINT, SIGTERM and SIGHUP become readable at the returned fd; SIGPIPE is ignored. Threads that are
 * started later have them blocked as well. Returns -errno on failure. */
int process_signals(void);
/* Take the signals that wait at @fd. Returns what they ask for; the end outweighs all. */
enum process_told { PROCESS_TOLD_NOTHING, PROCESS_TOLD_TO_RELOAD, PROCESS_TOLD_TO_END };
enum process_told process_told(int fd);
/* Keep the capabilities that the daemon needs while it runs (CAP_NET_ADMIN, CAP_NET_RAW,
 * CAP_NET_BIND_SERVICE, CAP_DAC_OVERRIDE for its own files), drop all others for good, and gain no
 * new ones. Returns 0 or -errno. */
int process_drop_privileges(void);

#endif
