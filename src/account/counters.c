/* SPDX-License-Identifier: ISC */
#include "account/counters.h"

#define X(field, text) { .name = #field, .help = (text), .value = c->field },

bool client_counter(const struct client_counters *c, unsigned int i, struct counter *out)
{
	const struct counter all[] = { CLIENT_COUNTERS(X) };

	if (i >= sizeof(all) / sizeof(all[0]))
		return false;
	*out = all[i];
	return true;
}

bool converter_counter(const struct converter_counters *c, unsigned int i, struct counter *out)
{
	const struct counter all[] = { CONVERTER_COUNTERS(X) };

	if (i >= sizeof(all) / sizeof(all[0]))
		return false;
	*out = all[i];
	return true;
}

json_t *client_counters_json(const struct client_counters *c)
{
	json_t *const o = json_object();
	struct counter one;

	for (unsigned int i = 0; client_counter(c, i, &one); i++)
		json_object_set_new(o, one.name, json_integer((json_int_t)one.value));
	return o;
}

json_t *converter_counters_json(const struct converter_counters *c)
{
	json_t *const o = json_object();
	struct counter one;

	for (unsigned int i = 0; converter_counter(c, i, &one); i++)
		json_object_set_new(o, one.name, json_integer((json_int_t)one.value));
	return o;
}
