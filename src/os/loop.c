/* SPDX-License-Identifier: ISC */
#include "os/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 64

static uint64_t pack(struct loop_tag t)
{
	return (uint64_t)t.kind << 56 | (uint64_t)t.ref.gen << 32 | t.ref.slot;
}

static struct loop_tag unpack(uint64_t v)
{
	return (struct loop_tag){
		.kind = (uint8_t)(v >> 56),
		.ref = { .slot = (uint32_t)v, .gen = (uint32_t)(v >> 32) & 0xffffffu },
	};
}

int loop_init(struct loop *l)
{
	*l = (struct loop){ .epfd = epoll_create1(EPOLL_CLOEXEC), .now = mono_now() };
	return l->epfd < 0 ? -errno : 0;
}

void loop_done(struct loop *l)
{
	if (l->epfd >= 0)
		close(l->epfd);
	timers_done(&l->timers);
	l->epfd = -1;
}

static int control(struct loop *l, int op, int fd, uint32_t events, struct loop_tag tag)
{
	struct epoll_event ev = { .events = events, .data.u64 = pack(tag) };
	return epoll_ctl(l->epfd, op, fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *l, int fd, uint32_t events, struct loop_tag tag)
{
	return control(l, EPOLL_CTL_ADD, fd, events, tag);
}

int loop_mod(struct loop *l, int fd, uint32_t events, struct loop_tag tag)
{
	return control(l, EPOLL_CTL_MOD, fd, events, tag);
}

void loop_del(struct loop *l, int fd)
{
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL);
}

int loop_after(struct loop *l, int64_t us, struct loop_tag tag)
{
	return timers_add(&l->timers, mono_add(l->now, us), pack(tag));
}

int loop_run(struct loop *l, loop_event_fn *on_event, loop_timer_fn *on_timer, void *ctx)
{
	struct epoll_event ev[BATCH];
	uint64_t due;

	while (!l->stop) {
		const int n = epoll_wait(l->epfd, ev, BATCH, timers_wait_ms(&l->timers, l->now));
		if (n < 0 && errno != EINTR)
			return -errno;
		l->now = mono_now();
		for (int i = 0; i < n; i++)
			on_event(ctx, unpack(ev[i].data.u64), ev[i].events);
		while (timers_take(&l->timers, l->now, &due))
			on_timer(ctx, unpack(due));
		l->now = mono_now();
	}
	return 0;
}
