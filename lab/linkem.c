// SPDX-License-Identifier: ISC
/*
 * plait-linkem: one access link between two Ethernet interfaces of a network namespace.
 *
 * Theory of operation. What is read from interface A is written to B (direction "up") and the other
 * way round ("down"), late, slow and lossy as told (shaper.h), after the middlebox that was switched
 * on had its way with it (mangle.h). A control socket takes one command a line.
 *
 * Frames arrive in a mapped receive ring (TPACKET_V2: no time-out that would batch them late) with the
 * kernel's time stamp, from which the delay counts, and are copied to a slot of a fixed pool. So the
 * time at which this process runs only matters for departures. Therefore it works in turns: after a
 * turn that moved something it sleeps for QUANTUM before it looks again, which bounds the lateness by
 * QUANTUM and the wake-ups by 1/QUANTUM whatever the load. A turn that moved nothing blocks in ppoll()
 * until a frame comes, one is due, or a command comes. Real-time priority keeps this true beside
 * traffic generators; without the privilege it goes on with a warning.
 *
 * Memory: SLOTS slots of SLOT_BYTES per direction and a receive ring per interface, all from the start.
 * What finds no room is dropped and counted ("pool", "ring"). A carrier that is lost, or a black hole,
 * loses what was under way, too.
 *
 * Exits when an interface disappears.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mangle.h"
#include "settings.h"
#include "shaper.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* A fifth of the millisecond that is promised; 5000 turns a second cost a few percent of a core. */
#define QUANTUM (200 * NS_PER_US)
/* An MTU of 1500, the Ethernet header, and then some. */
#define SLOT_BYTES 2048
/* 16 MiB: 0.8 s of full frames at 120 Mbit/s, 0.1 s at 1 Gbit/s. */
#define SLOTS 8192
/* 8 MiB a ring: 80 ms of full frames at 300 Mbit/s, should this process not run for so long. */
#define RING_FRAMES 2048
#define RING_BLOCK (1u << 16)
#define BATCH 64
/* Below the kernel's own real-time threads. */
#define PRIORITY 10
#define CLIENTS 8
#define LINE 512
#define ANSWER 4096

enum { UP, DOWN, DIRECTIONS };
static const char *const direction_name[DIRECTIONS] = { "up", "down" };

enum mode {
	MODE_DOWN,
	MODE_BLACKHOLE,
	MODE_STRIP_SYN_PAYLOAD,
	MODE_DROP_SYN_PAYLOAD,
	MODE_STRIP_MPTCP,
	MODE_STRIP_SYNACK_PAYLOAD,
	MODE_HOLD_THIRD_ACK,
	MODES
};

static const struct {
	const char *name, *help;
} modes[MODES] = {
	[MODE_DOWN] = { "down", "no carrier at either end (always both directions)" },
	[MODE_BLACKHOLE] = { "blackhole", "carrier, but nothing gets through" },
	[MODE_STRIP_SYN_PAYLOAD] = { "strip-syn-payload", "SYNs lose their payload" },
	[MODE_DROP_SYN_PAYLOAD] = { "drop-syn-payload", "SYNs with payload are dropped" },
	[MODE_STRIP_MPTCP] = { "strip-mptcp", "MPTCP options become NOPs" },
	[MODE_STRIP_SYNACK_PAYLOAD] = { "strip-synack-payload", "SYN/ACKs lose their payload" },
	[MODE_HOLD_THIRD_ACK] = { "hold-third-ack",
				  "MS: a flow's first segment after its SYN comes that much later" },
};

enum drop {
	DROP_LOSS, DROP_QUEUE, DROP_POOL, DROP_RING, DROP_DOWN, DROP_BLACKHOLE, DROP_SYN_PAYLOAD,
	DROP_OVERSIZE, DROP_SEND, DROPS
};
static const char *const drop_name[] = {
	[DROP_LOSS] = "loss", [DROP_QUEUE] = "queue", [DROP_POOL] = "pool", [DROP_RING] = "ring",
	[DROP_DOWN] = "down", [DROP_BLACKHOLE] = "blackhole",
	[DROP_SYN_PAYLOAD] = "syn_payload", [DROP_OVERSIZE] = "oversize", [DROP_SEND] = "send",
};
_Static_assert(sizeof(drop_name) / sizeof(drop_name[0]) == DROPS, "a name for each drop");

enum edit { EDIT_SYN_PAYLOAD, EDIT_MPTCP, EDIT_SYNACK_PAYLOAD, EDIT_HELD, EDITS };
static const char *const edit_name[] = {
	[EDIT_SYN_PAYLOAD] = "syn_payload", [EDIT_MPTCP] = "mptcp",
	[EDIT_SYNACK_PAYLOAD] = "synack_payload", [EDIT_HELD] = "held",
};
_Static_assert(sizeof(edit_name) / sizeof(edit_name[0]) == EDITS, "a name for each edit");

struct counters {
	uint64_t packets, bytes;        /* that arrived at the other end */
	uint64_t drops[DROPS], edits[EDITS];
	int64_t late_max_ns;
	uint64_t late_1ms;              /* packets that were more than 1 ms late */
};

struct port {
	const char *name;
	int fd;
	unsigned int index;
	uint8_t *ring;
	unsigned int next;              /* frame of the ring that is read next */
};

struct direction {
	struct port *from, *to;
	struct shaper shaper;
	struct shaper_slot slot[SLOTS];
	uint8_t (*frame)[SLOT_BYTES];
	bool mode[MODES];
	int64_t hold_ns;
	struct hold_table hold;
	struct counters count;
};

struct client {
	int fd;                         /* -1: free */
	size_t len;
	char line[LINE];
};

static struct link {
	struct port a, b;
	struct direction dir[DIRECTIONS];
	int listener;
	struct client client[CLIENTS];
} link_;

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
	stopping = 1;
}

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("plait-linkem: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

/* ---- interfaces ---- */

static void port_option(const struct port *p, int option, const void *value, socklen_t len,
			const char *what)
{
	if (setsockopt(p->fd, SOL_PACKET, option, value, len) != 0)
		die("%s: %s: %s", p->name, what, strerror(errno));
}

static void port_open(struct port *p)
{
	const int version = TPACKET_V2, on = 1, send_buffer = 1 << 24;
	const struct tpacket_req req = {
		.tp_block_size = RING_BLOCK, .tp_frame_size = SLOT_BYTES * 2,
		.tp_frame_nr = RING_FRAMES, .tp_block_nr = RING_FRAMES * 2 * SLOT_BYTES / RING_BLOCK,
	};

	p->index = if_nametoindex(p->name);
	if (p->index == 0)
		die("%s: no such interface", p->name);
	/* Protocol 0: nothing is received before the ring is there and the socket bound. */
	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		die("packet socket: %s (needs CAP_NET_RAW)", strerror(errno));
	port_option(p, PACKET_VERSION, &version, sizeof(version), "TPACKET_V2");
	port_option(p, PACKET_RX_RING, &req, sizeof(req), "receive ring");
	port_option(p, PACKET_IGNORE_OUTGOING, &on, sizeof(on), "PACKET_IGNORE_OUTGOING");
	port_option(p, PACKET_QDISC_BYPASS, &on, sizeof(on), "PACKET_QDISC_BYPASS");
	setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer));
	p->ring = mmap(NULL, (size_t)req.tp_block_size * req.tp_block_nr, PROT_READ | PROT_WRITE,
		       MAP_SHARED, p->fd, 0);
	if (p->ring == MAP_FAILED)
		die("%s: mapping the receive ring: %s", p->name, strerror(errno));

	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL),
		.sll_ifindex = (int)p->index,
	};
	if (bind(p->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		die("%s: bind: %s", p->name, strerror(errno));
}

static void port_set_up(const struct port *p, bool up)
{
	struct ifreq request = { .ifr_flags = 0 };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", p->name);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0)
		die("%s: reading its flags: %s", p->name, strerror(errno));
	if (up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags &= ~IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		die("%s: setting it %s: %s", p->name, up ? "up" : "down", strerror(errno));
	close(fd);
}

/* A socket error is that the interface went down, which is our own doing, or away. */
static void port_error(const struct port *p)
{
	int error;
	socklen_t len = sizeof(error);

	getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (if_nametoindex(p->name) != p->index)
		die("%s: the interface is gone", p->name);
}

/* ---- frames ---- */

/* The middlebox: false when the frame is to be dropped, with the reason in *@why. */
static bool interfere(struct direction *d, uint8_t *frame, uint32_t *len, int64_t now,
		      int64_t *hold_until, enum drop *why)
{
	struct mangle_tcp t;
	bool synack, syn;

	if (d->mode[MODE_BLACKHOLE] || d->mode[MODE_DOWN]) {
		*why = d->mode[MODE_DOWN] ? DROP_DOWN : DROP_BLACKHOLE;
		return false;
	}
	if (!mangle_parse(frame, *len, &t))
		return true;

	syn = (t.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	synack = (t.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
	if (syn && mangle_payload_len(&t) > 0) {
		if (d->mode[MODE_DROP_SYN_PAYLOAD]) {
			*why = DROP_SYN_PAYLOAD;
			return false;
		}
		if (d->mode[MODE_STRIP_SYN_PAYLOAD]) {
			mangle_strip_payload(frame, &t);
			*len = (uint32_t)t.end;
			d->count.edits[EDIT_SYN_PAYLOAD]++;
		}
	}
	if (synack && mangle_payload_len(&t) > 0 && d->mode[MODE_STRIP_SYNACK_PAYLOAD]) {
		mangle_strip_payload(frame, &t);
		*len = (uint32_t)t.end;
		d->count.edits[EDIT_SYNACK_PAYLOAD]++;
	}
	if (d->mode[MODE_STRIP_MPTCP] && mangle_strip_mptcp(frame, &t))
		d->count.edits[EDIT_MPTCP]++;
	if (d->mode[MODE_HOLD_THIRD_ACK]) {
		*hold_until = hold_step(&d->hold, &t, shaper_expect(&d->shaper, now, *len),
					d->hold_ns);
		if (*hold_until)
			d->count.edits[EDIT_HELD]++;
	}
	return true;
}

static void frame_in(struct direction *d, uint8_t *frame, uint32_t len, int64_t arrived)
{
	static const enum drop reason[] = {
		[SHAPER_LOST] = DROP_LOSS, [SHAPER_QUEUE_FULL] = DROP_QUEUE,
		[SHAPER_POOL_FULL] = DROP_POOL,
	};
	int64_t hold_until = 0;
	int32_t slot;
	enum drop why;

	if (!interfere(d, frame, &len, arrived, &hold_until, &why)) {
		d->count.drops[why]++;
		return;
	}
	const enum shaper_verdict verdict = shaper_push(&d->shaper, arrived, len, hold_until, &slot);
	if (verdict == SHAPER_QUEUED)
		memcpy(d->frame[slot], frame, len);
	else
		d->count.drops[reason[verdict]]++;
}

/* Read what the ring has. @offset is the monotonic clock minus the real-time clock. */
static unsigned int receive(struct direction *d, int64_t now, int64_t offset)
{
	struct port *const p = d->from;
	unsigned int frames = 0;

	for (; frames < RING_FRAMES; frames++) {
		struct tpacket2_hdr *const h = (struct tpacket2_hdr *)
			(void *)(p->ring + (size_t)p->next * SLOT_BYTES * 2);
		if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			break;

		/* Should the real-time clock have been set meanwhile, the frame arrives now. */
		int64_t arrived = h->tp_sec * NS_PER_S + h->tp_nsec + offset;
		if (arrived > now || arrived < now - NS_PER_S)
			arrived = now;
		if (h->tp_len > SLOT_BYTES || h->tp_snaplen < h->tp_len)
			d->count.drops[DROP_OVERSIZE]++;
		else
			frame_in(d, (uint8_t *)h + h->tp_mac, h->tp_len, arrived);

		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		p->next = (p->next + 1) % RING_FRAMES;
	}
	return frames;
}

/* Send the first @count slots in @iov; what the other interface does not take is dropped. */
static void flush(struct direction *d, struct mmsghdr *messages, unsigned int count)
{
	unsigned int done = 0;

	while (done < count) {
		const int sent = sendmmsg(d->to->fd, messages + done, count - done, 0);
		if (sent > 0) {
			done += (unsigned int)sent;
			continue;
		}
		d->count.drops[DROP_SEND]++;
		d->count.packets--;
		d->count.bytes -= messages[done].msg_hdr.msg_iov->iov_len;
		done++;
	}
}

/* Send what is due. */
static unsigned int transmit(struct direction *d)
{
	struct mmsghdr messages[BATCH];
	struct iovec iov[BATCH];
	unsigned int total = 0, count;

	do {
		const int64_t now = clock_ns(CLOCK_MONOTONIC);
		for (count = 0; count < BATCH; count++) {
			const int32_t slot = shaper_next(&d->shaper);
			if (slot < 0 || d->slot[slot].due_ns > now)
				break;
			const int64_t late = now - d->slot[slot].due_ns;
			if (late > d->count.late_max_ns)
				d->count.late_max_ns = late;
			d->count.late_1ms += late > NS_PER_MS;
			d->count.packets++;
			d->count.bytes += d->slot[slot].len;
			iov[count] = (struct iovec){ d->frame[slot], d->slot[slot].len };
			messages[count] = (struct mmsghdr){
				.msg_hdr = { .msg_iov = &iov[count], .msg_iovlen = 1 } };
			/* Given back, but not used again before the next receive(). */
			shaper_pop(&d->shaper);
		}
		flush(d, messages, count);
		total += count;
	} while (count == BATCH);
	return total;
}

/* ---- control ---- */

/* The answer to a command: one line. */
struct answer {
	char text[ANSWER];
	size_t len;
};

__attribute__((format(printf, 2, 3)))
static void say(struct answer *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const int n = vsnprintf(a->text + a->len, sizeof(a->text) - a->len, format, args);
	va_end(args);
	if (n > 0)
		a->len += (size_t)n;
	if (a->len >= sizeof(a->text))
		a->len = sizeof(a->text) - 1;
}

/* The bits of the directions that @word names, or 0. */
static unsigned int parse_directions(const char *word)
{
	if (!word)
		return 0;
	if (!strcmp(word, "both"))
		return 1u << UP | 1u << DOWN;
	for (unsigned int i = 0; i < DIRECTIONS; i++)
		if (!strcmp(word, direction_name[i]))
			return 1u << i;
	return 0;
}

/* A number up to @max behind @prefix, and nothing else. */
static bool parse_number(const char *word, const char *prefix, uint64_t max, uint64_t *out)
{
	const size_t skip = strlen(prefix);
	char *end;

	if (strncmp(word, prefix, skip) != 0 || word[skip] < '0' || word[skip] > '9')
		return false;
	errno = 0;
	const unsigned long long v = strtoull(word + skip, &end, 10);
	if (errno || *end || v > max)
		return false;
	*out = v;
	return true;
}

static void command_set(char **rest, struct answer *a)
{
	const unsigned int which = parse_directions(strtok_r(NULL, " ", rest));
	struct shaper_settings set[DIRECTIONS];
	bool reseed = false;
	uint64_t seed = 0;
	const char *word;

	if (!which) {
		say(a, "error: expected set up|down|both " SETTINGS_HELP " seed=N");
		return;
	}
	for (int i = 0; i < DIRECTIONS; i++)
		set[i] = link_.dir[i].shaper.set;
	while ((word = strtok_r(NULL, " ", rest)) != NULL) {
		if (parse_number(word, "seed=", UINT64_MAX, &seed)) {
			reseed = true;
			continue;
		}
		for (unsigned int i = 0; i < DIRECTIONS; i++) {
			const char *const expected = settings_parse(word, &set[i]);
			if (expected) {
				say(a, "error: %s: expected %s", word, expected);
				return;
			}
		}
	}
	for (unsigned int i = 0; i < DIRECTIONS; i++) {
		if (!(which & 1u << i))
			continue;
		shaper_set(&link_.dir[i].shaper, &set[i], clock_ns(CLOCK_MONOTONIC));
		if (reseed)
			shaper_seed(&link_.dir[i].shaper, seed * DIRECTIONS + i);
	}
	say(a, "ok");
}

/* What is under way gets lost. */
static void lose(struct direction *d, enum drop why)
{
	d->count.drops[why] += d->shaper.count;
	shaper_clear(&d->shaper);
}

static void set_down(bool down)
{
	if (link_.dir[UP].mode[MODE_DOWN] != down) {
		port_set_up(&link_.a, !down);
		port_set_up(&link_.b, !down);
	}
	for (int i = 0; i < DIRECTIONS; i++) {
		link_.dir[i].mode[MODE_DOWN] = down;
		if (down)
			lose(&link_.dir[i], DROP_DOWN);
	}
}

static void set_mode(struct direction *d, enum mode mode, bool on, int64_t hold_ns)
{
	d->mode[mode] = on;
	d->hold_ns = mode == MODE_HOLD_THIRD_ACK ? hold_ns : d->hold_ns;
	if (mode == MODE_HOLD_THIRD_ACK && !on)
		memset(&d->hold, 0, sizeof(d->hold));
	if (mode == MODE_BLACKHOLE && on)
		lose(d, DROP_BLACKHOLE);
}

static void command_mode(char **rest, struct answer *a)
{
	const char *const name = strtok_r(NULL, " ", rest);
	const char *const value = strtok_r(NULL, " ", rest);
	const char *const where = strtok_r(NULL, " ", rest);
	const unsigned int which = where ? parse_directions(where) : parse_directions("both");
	enum mode mode = 0;
	uint64_t ms = 0;

	while (mode < MODES && (!name || strcmp(name, modes[mode].name) != 0))
		mode++;
	if (mode == MODES) {
		say(a, "error: expected mode NAME on|off [up|down|both], NAME one of");
		for (int i = 0; i < MODES; i++)
			say(a, " %s", modes[i].name);
		return;
	}
	const bool off = value && !strcmp(value, "off");
	bool valid = off || (value && !strcmp(value, "on"));
	if (mode == MODE_HOLD_THIRD_ACK)
		valid = off || (value && parse_number(value, "", 60000, &ms));
	if (!valid || !which || strtok_r(NULL, " ", rest)) {
		say(a, "error: expected mode %s %s [up|down|both]", name,
		    mode == MODE_HOLD_THIRD_ACK ? "off|MS (up to 60000)" : "on|off");
		return;
	}
	if (mode == MODE_DOWN) {
		if (where && strcmp(where, "both") != 0) {
			say(a, "error: expected mode down on|off, without a direction");
			return;
		}
		set_down(!off);
	}
	for (unsigned int i = 0; i < DIRECTIONS && mode != MODE_DOWN; i++)
		if (which & 1u << i)
			set_mode(&link_.dir[i], mode, !off, (int64_t)ms * NS_PER_MS);
	say(a, "ok");
}

/* What the ring had no room for; reading it resets the kernel's figure. */
static void count_ring_drops(struct direction *d)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(d->from->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
		d->count.drops[DROP_RING] += stats.tp_drops;
}

static void say_direction(const struct direction *d, int64_t now, struct answer *a)
{
	const struct shaper_settings *const set = &d->shaper.set;
	const char *comma = "";

	say(a, "{\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"drops\":{", d->count.packets,
	    d->count.bytes);
	for (int i = 0; i < DROPS; i++)
		say(a, "%s\"%s\":%" PRIu64, i ? "," : "", drop_name[i], d->count.drops[i]);
	say(a, "},\"edits\":{");
	for (int i = 0; i < EDITS; i++)
		say(a, "%s\"%s\":%" PRIu64, i ? "," : "", edit_name[i], d->count.edits[i]);
	say(a, "},\"queue\":{\"bytes\":%" PRIu64 ",\"us\":%" PRId64 "},",
	    shaper_backlog(&d->shaper, now), shaper_wait(&d->shaper, now) / NS_PER_US);
	say(a, "\"under_way\":{\"packets\":%" PRIu32 ",\"bytes\":%" PRIu64 "},",
	    d->shaper.count, d->shaper.bytes);
	say(a, "\"late_max_us\":%" PRId64 ",\"late_1ms\":%" PRIu64 ",\"settings\":{",
	    d->count.late_max_ns / NS_PER_US, d->count.late_1ms);
	say(a, "\"rate_bps\":%" PRIu64 ",\"delay_us\":%" PRId64 ",\"jitter_us\":%" PRId64 ",",
	    set->rate_bps, set->delay_ns / NS_PER_US, set->jitter_ns / NS_PER_US);
	say(a, "\"queue_us\":%" PRId64 ",\"queue_bytes\":%" PRIu64 ",\"loss\":%.6g},\"modes\":[",
	    set->queue_ns / NS_PER_US, set->queue_bytes, set->loss);
	for (int i = 0; i < MODES; i++) {
		if (!d->mode[i])
			continue;
		say(a, "%s\"%s\"", comma, modes[i].name);
		comma = ",";
	}
	say(a, "]}");
}

static void command_stats(struct answer *a)
{
	const int64_t now = clock_ns(CLOCK_MONOTONIC);
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	say(a, "ok {\"time_us\":%" PRId64 ",\"cpu_us\":%" PRId64, now / NS_PER_US,
	    (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * INT64_C(1000000) +
		    use.ru_utime.tv_usec + use.ru_stime.tv_usec);
	for (int i = 0; i < DIRECTIONS; i++) {
		count_ring_drops(&link_.dir[i]);
		say(a, ",\"%s\":", direction_name[i]);
		say_direction(&link_.dir[i], now, a);
	}
	say(a, "}");
}

static void command_reset(struct answer *a)
{
	for (int i = 0; i < DIRECTIONS; i++) {
		count_ring_drops(&link_.dir[i]);
		link_.dir[i].count = (struct counters){ .packets = 0 };
	}
	say(a, "ok");
}

static void command_help(struct answer *a)
{
	say(a, "ok set up|down|both " SETTINGS_HELP " seed=N; mode NAME on|off [up|down|both]; "
	       "stats; reset; help. Modes:");
	for (int i = 0; i < MODES; i++)
		say(a, " %s (%s)", modes[i].name, modes[i].help);
}

static void command(char *line, struct answer *a)
{
	char *rest;
	const char *const word = strtok_r(line, " ", &rest);

	a->len = 0;
	if (word && !strcmp(word, "set"))
		command_set(&rest, a);
	else if (word && !strcmp(word, "mode"))
		command_mode(&rest, a);
	else if (word && !strcmp(word, "stats"))
		command_stats(a);
	else if (word && !strcmp(word, "reset"))
		command_reset(a);
	else if (word && !strcmp(word, "help"))
		command_help(a);
	else
		say(a, "error: expected set, mode, stats, reset or help");
	say(a, "\n");
}

static void client_close(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	c->len = 0;
}

static void client_accept(void)
{
	const int fd = accept4(link_.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (int i = 0; i < CLIENTS && fd >= 0; i++) {
		if (link_.client[i].fd < 0) {
			link_.client[i].fd = fd;
			return;
		}
	}
	if (fd >= 0)
		close(fd);
}

/* Run the complete lines. A client that sends too long a line or does not read is let go. */
static void client_read(struct client *c)
{
	static struct answer a;
	char *end;

	const ssize_t n = recv(c->fd, c->line + c->len, sizeof(c->line) - 1 - c->len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	c->len += (size_t)n;
	c->line[c->len] = '\0';
	while ((end = strchr(c->line, '\n')) != NULL) {
		*end = '\0';
		const size_t used = (size_t)(end + 1 - c->line);
		command(c->line, &a);
		memmove(c->line, end + 1, c->len - used + 1);
		c->len -= used;
		if (send(c->fd, a.text, a.len, MSG_NOSIGNAL) != (ssize_t)a.len) {
			client_close(c);
			return;
		}
	}
	if (c->len == sizeof(c->line) - 1)
		client_close(c);
}

static void control_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		die("%s: expected a path of less than %zu bytes", path, sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	unlink(path);
	link_.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link_.listener < 0 ||
	    bind(link_.listener, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(link_.listener, CLIENTS) != 0)
		die("%s: %s", path, strerror(errno));
	for (int i = 0; i < CLIENTS; i++)
		link_.client[i].fd = -1;
}

/* ---- the loop ---- */

/* Wait for a frame, a command or until @due; handle commands. @due 0: only look. */
static void wait_for_work(int64_t due)
{
	struct pollfd fds[3 + CLIENTS];
	int64_t timeout = 0;

	if (due) {
		timeout = due - clock_ns(CLOCK_MONOTONIC);
		if (timeout < 0)
			timeout = 0;
	}
	fds[0] = (struct pollfd){ .fd = link_.a.fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = link_.b.fd, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = link_.listener, .events = POLLIN };
	for (int i = 0; i < CLIENTS; i++)
		fds[3 + i] = (struct pollfd){ .fd = link_.client[i].fd, .events = POLLIN };

	const struct timespec t = to_timespec(timeout);
	if (ppoll(fds, 3 + CLIENTS, due == INT64_MAX ? NULL : &t, NULL) <= 0)
		return;
	if (fds[0].revents & POLLERR)
		port_error(&link_.a);
	if (fds[1].revents & POLLERR)
		port_error(&link_.b);
	if (fds[2].revents)
		client_accept();
	for (int i = 0; i < CLIENTS; i++)
		if (fds[3 + i].revents && fds[3 + i].fd == link_.client[i].fd)
			client_read(&link_.client[i]);
}

static int64_t next_due(void)
{
	int64_t due = INT64_MAX;

	for (int i = 0; i < DIRECTIONS; i++) {
		const int32_t slot = shaper_next(&link_.dir[i].shaper);
		if (slot >= 0 && link_.dir[i].slot[slot].due_ns < due)
			due = link_.dir[i].slot[slot].due_ns;
	}
	return due;
}

static void run(void)
{
	while (!stopping) {
		const int64_t start = clock_ns(CLOCK_MONOTONIC);
		const int64_t offset = start - clock_ns(CLOCK_REALTIME);
		unsigned int moved = 0;

		for (int i = 0; i < DIRECTIONS; i++)
			moved += receive(&link_.dir[i], start, offset);
		for (int i = 0; i < DIRECTIONS; i++)
			moved += transmit(&link_.dir[i]);
		if (!moved) {
			wait_for_work(next_due());
			continue;
		}
		const struct timespec until = to_timespec(start + QUANTUM);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		wait_for_work(0);
	}
}

static void start_direction(struct direction *d, struct port *from, struct port *to, uint64_t seed)
{
	static const struct shaper_settings none = { .queue_ns = 100 * NS_PER_MS };

	d->from = from;
	d->to = to;
	shaper_init(&d->shaper, d->slot, SLOTS, seed);
	shaper_set(&d->shaper, &none, 0);
	d->frame = mmap(NULL, (size_t)SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (d->frame == MAP_FAILED)
		die("memory for %d frames: %s", SLOTS, strerror(errno));
}

static void go_real_time(void)
{
	const struct sched_param param = { .sched_priority = PRIORITY };

	if (sched_setscheduler(0, SCHED_FIFO, &param) != 0)
		fprintf(stderr, "plait-linkem: no real-time priority: %s; delays may be longer\n",
			strerror(errno));
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
		fprintf(stderr, "plait-linkem: memory not locked: %s\n", strerror(errno));
}

__attribute__((noreturn))
static void usage(FILE *out, int code)
{
	fputs("usage: plait-linkem -a IFA -b IFB -s SOCKET [COMMAND...]\n"
	      "Emulate a link: what comes from IFA goes to IFB (up) and back (down).\n"
	      "SOCKET is created; it takes one command a line, as do the COMMANDs at the start:\n"
	      "  set up|down|both " SETTINGS_HELP " seed=N\n"
	      "  mode NAME on|off [up|down|both]\n"
	      "  stats | reset | help\n"
	      "modes:\n", out);
	for (int i = 0; i < MODES; i++)
		fprintf(out, "  %-22s%s\n", modes[i].name, modes[i].help);
	exit(code);
}

int main(int argc, char **argv)
{
	const struct sigaction stop = { .sa_handler = on_signal };
	static struct answer a;
	const char *path = NULL;
	int option;

	while ((option = getopt(argc, argv, "a:b:s:h")) != -1) {
		if (option == 'a')
			link_.a.name = optarg;
		else if (option == 'b')
			link_.b.name = optarg;
		else if (option == 's')
			path = optarg;
		else
			usage(option == 'h' ? stdout : stderr, option == 'h' ? 0 : 2);
	}
	if (!link_.a.name || !link_.b.name || !path)
		usage(stderr, 2);

	port_open(&link_.a);
	port_open(&link_.b);
	start_direction(&link_.dir[UP], &link_.a, &link_.b, UP);
	start_direction(&link_.dir[DOWN], &link_.b, &link_.a, DOWN);
	for (; optind < argc; optind++) {
		command(argv[optind], &a);
		if (strncmp(a.text, "ok", 2) != 0)
			die("%.*s", (int)a.len - 1, a.text);
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	go_real_time();
	control_open(path);
	run();
	unlink(path);
	return 0;
}
