/* SPDX-License-Identifier: ISC */
/* A link's settings as people write them: `delay=15ms rate=50mbit queue=100ms loss=0.5`. Pure. */
#ifndef LAB_SETTINGS_H
#define LAB_SETTINGS_H

#include "shaper.h"

/* What may be written: for help and for the answer to a mistake. */
#define SETTINGS_HELP "delay=TIME jitter=TIME rate=BITS queue=TIME|BYTES loss=PERCENT"

/*
 * Change what @word (`key=value`) names in *@set. Times: us, ms (also without unit), s. Rates: kbit,
 * mbit (also without unit), gbit; 0 is unlimited. Bytes: B, kB, MB. Returns NULL, or what was
 * expected instead, with *@set untouched.
 */
const char *settings_parse(const char *word, struct shaper_settings *set);

#endif
