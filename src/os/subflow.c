/* SPDX-License-Identifier: ISC */
#include "os/subflow.h"

#include <linux/tcp.h>
#include <string.h>

#define STATE_SYN_SENT 2    /* as the kernel numbers TCP's states */
#define STALE_MS       1000

void subflow_take(struct subflow_info *s, const void *tcp_info, size_t len)
{
	struct tcp_info t = { 0 };

	memcpy(&t, tcp_info, len < sizeof(t) ? len : sizeof(t));
	s->established = t.tcpi_state != STATE_SYN_SENT;
	s->stale = s->established && t.tcpi_unacked && t.tcpi_last_ack_recv >= STALE_MS;
	/* Linux counts our SYN. */
	s->acked = t.tcpi_bytes_acked ? t.tcpi_bytes_acked - 1 : 0;
	s->received = t.tcpi_bytes_received;
	s->resent = t.tcpi_bytes_retrans;
	s->disordered = t.tcpi_rcv_ooopack;
	s->rtt = s->established ? t.tcpi_rtt : 0;
}
