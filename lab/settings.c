// SPDX-License-Identifier: ISC
#include "settings.h"

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

/* A decimal number with one of the units, between 0 and @max after its factor was applied. */
static bool number(const char *text, const struct unit *units, size_t count, double max,
		   double *out)
{
	char *end;

	/* strtod() takes signs, spaces, "inf" and hexadecimal, too. */
	if (!strchr("0123456789.", *text) || !*text || text[strspn(text, "0.")] == 'x')
		return false;
	const double value = strtod(text, &end);
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(end, units[i].name) != 0)
			continue;
		if (value * units[i].factor > max)
			return false;
		*out = value * units[i].factor;
		return true;
	}
	return false;
}

static const char *parse_queue(const char *value, struct shaper_settings *set)
{
	double v;

	if (number(value, sizes, COUNT(sizes), 1e9, &v) && v >= 1) {
		set->queue_bytes = (uint64_t)v;
		return NULL;
	}
	if (!number(value, times, COUNT(times), 60e9, &v))
		return "queue=TIME (up to 60s) or queue=BYTES (1B to 1000MB)";
	set->queue_ns = (int64_t)v;
	set->queue_bytes = 0;
	return NULL;
}

const char *settings_parse(const char *word, struct shaper_settings *set)
{
	const char *const equals = strchr(word, '=');
	const size_t key = equals ? (size_t)(equals - word) : 0;
	double v;

	if (key == strlen("queue") && !strncmp(word, "queue", key))
		return parse_queue(equals + 1, set);
	if (key == strlen("delay") && !strncmp(word, "delay", key)) {
		if (!number(equals + 1, times, COUNT(times), 10e9, &v))
			return "delay=TIME, such as 15ms, up to 10s";
		set->delay_ns = (int64_t)v;
		return NULL;
	}
	if (key == strlen("jitter") && !strncmp(word, "jitter", key)) {
		if (!number(equals + 1, times, COUNT(times), 10e9, &v))
			return "jitter=TIME, such as 2ms, up to 10s";
		set->jitter_ns = (int64_t)v;
		return NULL;
	}
	if (key == strlen("rate") && !strncmp(word, "rate", key)) {
		if (!number(equals + 1, rates, COUNT(rates), 100e9, &v) || (v > 0 && v < 1000))
			return "rate=BITS, such as 50mbit, from 1kbit to 100gbit, or 0 for unlimited";
		set->rate_bps = (uint64_t)v;
		return NULL;
	}
	if (key == strlen("loss") && !strncmp(word, "loss", key)) {
		if (!number(equals + 1, percent, COUNT(percent), 100, &v))
			return "loss=PERCENT, such as 0.5, from 0 to 100";
		set->loss = v;
		return NULL;
	}
	return SETTINGS_HELP;
}
