/* SPDX-License-Identifier: ISC */
/*
 * Reading one Convert message out of a stream: exactly its bytes, so that what follows it stays in
 * the socket for the relay. Both roles read with this: the converter its client's request, the CPE
 * the answer.
 */
#ifndef UPSTREAM_MESSAGE_H
#define UPSTREAM_MESSAGE_H

#include "wire/convert.h"

struct message {
	uint8_t buf[CONVERT_MAX];
	size_t have;
};

enum message_result {
	MESSAGE_MORE,   /* not all is there yet */
	MESSAGE_WHOLE,  /* @out is filled; it points into the struct message */
	MESSAGE_DEFECT, /* @defect says which; what was read is in buf[0..have) */
	MESSAGE_EOF,    /* the peer closed before the message was whole */
	MESSAGE_BROKEN, /* the connection is broken */
};

enum message_result message_read(struct message *m, int fd, enum convert_sender sender,
	struct convert_msg *out, enum convert_defect *defect);

#endif
