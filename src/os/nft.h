/* SPDX-License-Identifier: ISC */
#ifndef OS_NFT_H
#define OS_NFT_H

/* Run nft commands as one transaction: no packet sees half of it. Returns 0, or -errno with nft's
 * words in the log. */
int nft_run(const char *commands);
/* The same without a word, for what may fail. */
int nft_try(const char *commands);

#endif
