/* SPDX-License-Identifier: ISC */
#include "upstream/message.h"

#include <errno.h>
#include <sys/socket.h>

/* Read until @need bytes are there. Returns MESSAGE_WHOLE when they are. */
static enum message_result fill(struct message *m, int fd, size_t need)
{
	while (m->have < need) {
		const ssize_t n = recv(fd, m->buf + m->have, need - m->have, 0);
		if (n == 0)
			return MESSAGE_EOF;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? MESSAGE_MORE : MESSAGE_BROKEN;
		m->have += (size_t)n;
	}
	return MESSAGE_WHOLE;
}

enum message_result message_read(struct message *m, int fd, enum convert_sender sender,
	struct convert_msg *out, enum convert_defect *defect)
{
	enum message_result r = fill(m, fd, CONVERT_HEADER);
	if (r != MESSAGE_WHOLE)
		return r;

	const size_t len = convert_length(m->buf, defect);
	if (!len)
		return MESSAGE_DEFECT;
	r = fill(m, fd, len);
	if (r != MESSAGE_WHOLE)
		return r;
	*defect = convert_decode(m->buf, len, sender, out);
	return *defect == CONVERT_FINE ? MESSAGE_WHOLE : MESSAGE_DEFECT;
}
