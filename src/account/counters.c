/* SPDX-License-Identifier: ISC */
#include "account/counters.h"

#define X(name, help) json_object_set_new(o, #name, json_integer((json_int_t)c->name));

json_t *client_counters_json(const struct client_counters *c)
{
	json_t *const o = json_object();
	CLIENT_COUNTERS(X)
	return o;
}

json_t *converter_counters_json(const struct converter_counters *c)
{
	json_t *const o = json_object();
	CONVERTER_COUNTERS(X)
	return o;
}
