/* SPDX-License-Identifier: ISC */
#include "intercept/window.h"

#include <stdio.h>

#include "os/nft.h"

#define TABLE  "table inet plait_converter_%u"
#define WINDOW 63u /* with the largest scale, 14, less than 1 MiB */

int window_open(uint16_t port)
{
	char rules[512];

	snprintf(rules, sizeof(rules),
		TABLE " {}\n"
		"delete " TABLE "\n"
		TABLE " {\n chain input {\n"
		"  type filter hook input priority raw; policy accept;\n"
		"  tcp dport %u tcp flags & (syn | ack) == syn tcp window set %u\n }\n}\n",
		port, port, port, port, WINDOW);
	return nft_run(rules);
}

void window_close(uint16_t port)
{
	char rules[128];

	snprintf(rules, sizeof(rules), TABLE " {}\ndelete " TABLE "\n", port, port);
	nft_run(rules);
}
