/* SPDX-License-Identifier: ISC */
/*
 * Bounds-checked reading and writing of bytes in network order.
 *
 * Both cursors have a sticky error: after the first access beyond the end, every read gives zero,
 * every write does nothing, and `failed` stays true. So a decoder reads straight through and asks
 * once, at its end, whether anything failed or was left over.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *p, *end;
	bool failed;
};

struct wr {
	uint8_t *start, *p, *end;
	bool failed;
};

static inline struct rd rd_init(const void *buf, size_t len)
{
	const uint8_t *const p = buf;
	return (struct rd){ .p = p, .end = p + len };
}

/* Bytes not yet read. */
static inline size_t rd_left(const struct rd *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->p);
}

/* The next @len bytes, which stay where they are; NULL beyond the end. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t len)
{
	if (rd_left(r) < len || r->failed) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *const p = r->p;
	r->p += len;
	return p;
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *const p = rd_bytes(r, 1);
	return p ? p[0] : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
	const uint8_t *const p = rd_bytes(r, 2);
	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
	const uint32_t high = rd_u16(r);
	return high << 16 | rd_u16(r);
}

static inline uint64_t rd_u64(struct rd *r)
{
	const uint64_t high = rd_u32(r);
	return high << 32 | rd_u32(r);
}

/* A reader of the next @len bytes; failed, like @r, when there are fewer. */
static inline struct rd rd_sub(struct rd *r, size_t len)
{
	const uint8_t *const p = rd_bytes(r, len);
	return p ? rd_init(p, len) : (struct rd){ .failed = true };
}

static inline struct wr wr_init(void *buf, size_t size)
{
	uint8_t *const p = buf;
	return (struct wr){ .start = p, .p = p, .end = p + size };
}

/* Bytes written so far. */
static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

/* Room for @len bytes, which the caller fills; NULL beyond the end. */
static inline uint8_t *wr_room(struct wr *w, size_t len)
{
	if (w->failed || (size_t)(w->end - w->p) < len) {
		w->failed = true;
		return NULL;
	}
	uint8_t *const p = w->p;
	w->p += len;
	return p;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *const p = wr_room(w, 1);
	if (p)
		p[0] = v;
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
	uint8_t *const p = wr_room(w, 2);
	if (p) {
		p[0] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)v;
	}
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
	wr_u16(w, (uint16_t)(v >> 16));
	wr_u16(w, (uint16_t)v);
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
	wr_u32(w, (uint32_t)(v >> 32));
	wr_u32(w, (uint32_t)v);
}

static inline void wr_bytes(struct wr *w, const void *bytes, size_t len)
{
	uint8_t *const p = wr_room(w, len);
	if (p && len)
		memcpy(p, bytes, len);
}

#endif
