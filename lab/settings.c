// SPDX-License-Identifier: ISC
#include "settings.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct unit {
	const char *name;
	double factor;
};

static const struct unit times[] = {
	{ "", 1e6 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 },
};
static const struct unit rates[] = {
	{ "", 1e6 }, { "bit", 1 }, { "kbit", 1e3 }, { "mbit", 1e6 }, { "gbit", 1e9 },
};
static const struct unit sizes[] = {
	{ "b", 1 }, { "kb", 1e3 }, { "mb", 1e6 },
};
static const struct unit percent[] = {
	{ "", 1 }, { "%", 1 },
};

enum key { DELAY, JITTER, RATE, QUEUE_TIME, QUEUE_BYTES, LOSS, KEYS };

/* In a row of rows with the same name, the first whose unit fits counts. */
static const struct {
	const char *name;
	const struct unit *units;
	size_t count;
	double min, max;                /* beside 0, where that is allowed */
	bool zero;
	const char *expected;
} keys[] = {
	[DELAY] = { "delay", times, COUNT(times), 0, 10e9, true,
		    "delay=TIME, such as 15ms, up to 10s" },
	[JITTER] = { "jitter", times, COUNT(times), 0, 10e9, true,
		     "jitter=TIME, such as 2ms, up to 10s" },
	[RATE] = { "rate", rates, COUNT(rates), 1e3, 100e9, true,
		   "rate=BITS, such as 50mbit, from 1kbit to 100gbit, or 0 for unlimited" },
	[QUEUE_TIME] = { "queue", times, COUNT(times), 0, 60e9, true,
			 "queue=TIME (up to 60s) or queue=BYTES (1B to 1000MB)" },
	[QUEUE_BYTES] = { "queue", sizes, COUNT(sizes), 1, 1e9, false,
			  "queue=TIME (up to 60s) or queue=BYTES (1B to 1000MB)" },
	[LOSS] = { "loss", percent, COUNT(percent), 0, 100, true,
		   "loss=PERCENT, such as 0.5, from 0 to 100" },
};
_Static_assert(COUNT(keys) == KEYS, "a row for each key");

/* A decimal number with one of the units of @key, within its bounds. */
static bool number(const char *text, enum key key, double *out)
{
	char *end;

	/* strtod() would take signs, spaces, "inf" and hexadecimal, too. */
	if (!*text || !strchr("0123456789.", *text) || strpbrk(text, "xX"))
		return false;
	double value = strtod(text, &end);
	if (end == text)
		return false;
	for (size_t i = 0; i < keys[key].count; i++) {
		if (strcasecmp(end, keys[key].units[i].name) != 0)
			continue;
		value *= keys[key].units[i].factor;
		if (value > keys[key].max || (value < keys[key].min && !(keys[key].zero && value <= 0)))
			return false;
		*out = value;
		return true;
	}
	return false;
}

static void store(struct shaper_settings *set, enum key key, double value)
{
	switch (key) {
	case DELAY:
		set->delay_ns = (int64_t)value;
		break;
	case JITTER:
		set->jitter_ns = (int64_t)value;
		break;
	case RATE:
		set->rate_bps = (uint64_t)value;
		break;
	case QUEUE_TIME:
		set->queue_ns = (int64_t)value;
		set->queue_bytes = 0;
		break;
	case QUEUE_BYTES:
		set->queue_bytes = (uint64_t)value;
		break;
	case LOSS:
		set->loss = value;
		break;
	case KEYS:
		break;
	}
}

const char *settings_parse(const char *word, struct shaper_settings *set)
{
	const size_t len = strcspn(word, "=");
	const char *expected = SETTINGS_HELP;
	double value;

	for (enum key key = 0; key < KEYS && word[len]; key++) {
		if (strlen(keys[key].name) != len || strncmp(word, keys[key].name, len) != 0)
			continue;
		if (number(word + len + 1, key, &value)) {
			store(set, key, value);
			return NULL;
		}
		expected = keys[key].expected;
	}
	return expected;
}
