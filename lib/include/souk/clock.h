/* Clocks and times. Monotonic microseconds are for deadlines and durations, unix microseconds for
 * what people read. */
#ifndef SOUK_CLOCK_H
#define SOUK_CLOCK_H

#include "souk/base.h"
#include "souk/err.h"

#define SOUK_TIME_TEXT_BYTES 32

int64_t souk_clock_mono_us(void);
int64_t souk_clock_unix_us(void);

/* RFC 3339 in UTC, fraction only when not zero (milli- or microseconds): 2026-11-24T01:37:05.250Z.
 * Returns the length; text gets a NUL. */
size_t souk_time_format(int64_t unix_us, char text[SOUK_TIME_TEXT_BYTES]);
/* Years 0001 to 9999, any offset, up to six digits of fraction (more are cut). */
SOUK_MUST_CHECK souk_err_t souk_time_parse(souk_str_t text, int64_t *ret_unix_us);

#endif
