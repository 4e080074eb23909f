/* SPDX-License-Identifier: ISC */
#ifndef OS_NFT_H
#define OS_NFT_H

/* The process's one context of libnftables. Opened at the start, before there are connections: the
 * library waits for its socket by select(), which aborts the program from descriptor 1024 on. */
int nft_open(void);
void nft_close(void);

/* Run nft commands as one transaction: no packet sees half of it. Returns 0, or -errno with nft's
 * words in the log. */
int nft_run(const char *commands);
/* The same without a word, for what may fail. */
int nft_try(const char *commands);

#endif
