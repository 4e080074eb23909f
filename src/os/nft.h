/* SPDX-License-Identifier: ISC */
/* Netfilter rules: nft commands in-process, and iptables where nft lacks something. */
#ifndef OS_NFT_H
#define OS_NFT_H

#include <stdbool.h>

/* Run nft commands, all or none. Complains in the log unless @quiet. Returns 0 or -EINVAL. */
int nft_run(const char *commands, bool quiet);

/* Run a program, found by PATH, with the NULL-ended @argv (the program's name first); what it says
 * is dropped. Returns its exit code, or -errno. */
int program_run(const char *const argv[]);

#endif
