#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "souk/clock.h"

#define S_MIN INT64_C(-62135596800000000)
#define S_MAX INT64_C(253402300799999999)

static void s_expect_text(int64_t unix_us, const char *expected) {
    char text[SOUK_TIME_TEXT_BYTES];
    size_t size = souk_time_format(unix_us, text);
    cr_assert_str_eq(text, expected);
    cr_assert_eq(size, strlen(expected));
}

static void s_expect_time(const char *text, int64_t expected) {
    int64_t unix_us = 1;
    cr_assert_eq(souk_time_parse(souk_str_of(text), &unix_us), SOUK_OK, "%s", text);
    cr_assert_eq(unix_us, expected, "%s gave %lld", text, (long long)unix_us);
}

static void s_expect_refused(const char *text) {
    int64_t unix_us = 12345;
    cr_assert_eq(souk_time_parse(souk_str_of(text), &unix_us), SOUK_ERR_MALFORMED, "%s", text);
    cr_assert_eq(unix_us, 12345);
}

Test(clock, monotonic_never_goes_back) {
    int64_t last = souk_clock_mono_us();
    for (int i = 0; i < 1000; i++) {
        int64_t now = souk_clock_mono_us();
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(clock, unix_time_is_that_of_the_system) {
    int64_t before = time(NULL), now = souk_clock_unix_us(), after = time(NULL);
    /* time() may lag by one tick of the coarse clock. */
    cr_assert_geq(now / 1000000, before);
    cr_assert_leq(now / 1000000, after + 1);
}

Test(clock, formats_known_times) {
    s_expect_text(0, "1970-01-01T00:00:00Z");
    s_expect_text(-1, "1969-12-31T23:59:59.999999Z");
    s_expect_text(1000, "1970-01-01T00:00:00.001Z");
    s_expect_text(1, "1970-01-01T00:00:00.000001Z");
    s_expect_text(INT64_C(951782400000000), "2000-02-29T00:00:00Z");
    s_expect_text(INT64_C(1764000000250000), "2025-11-24T16:00:00.250Z");
    s_expect_text(S_MIN, "0001-01-01T00:00:00Z");
    s_expect_text(S_MAX, "9999-12-31T23:59:59.999999Z");
}

Test(clock, what_is_out_of_range_is_held_at_its_ends) {
    s_expect_text(INT64_MIN, "0001-01-01T00:00:00Z");
    s_expect_text(INT64_MAX, "9999-12-31T23:59:59.999999Z");
}

Test(clock, parses_offsets_and_fractions) {
    s_expect_time("1970-01-01T00:00:00Z", 0);
    s_expect_time("1970-01-01t00:00:00z", 0);
    s_expect_time("1970-01-01T00:00:00-00:00", 0);
    s_expect_time("1970-01-01T01:30:00+01:30", 0);
    s_expect_time("1969-12-31T00:01:00-23:59", 0);
    s_expect_time("1970-01-01T00:00:00.5Z", 500000);
    s_expect_time("1970-01-01T00:00:00.000001Z", 1);
    s_expect_time("1970-01-01T00:00:00.0000019999999999Z", 1);
    s_expect_time("0001-01-01T00:00:00Z", S_MIN);
    s_expect_time("9999-12-31T23:59:59.999999Z", S_MAX);
    s_expect_time("2000-02-29T00:00:00Z", INT64_C(951782400000000));
}

Test(clock, refuses_what_is_no_time) {
    static const char *const texts[] = {
        "",
        "1970",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-1-01T00:00:00Z",
        "70-01-01T00:00:00Z",
        "19700101T000000Z",
        "1970-01-01T00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T23:59:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "1970-01-01T00:00:00+0000",
        "1970-01-01T00:00:00+00",
        "1970-01-01T00:00:00Zx",
        "1970-01-01T00:00:00ZZ",
        " 1970-01-01T00:00:00Z",
        "+970-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1970-01-01T00:00:-1Z",
        "1970-01-01T00:00:00.-1Z",
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(texts); i++) {
        s_expect_refused(texts[i]);
    }
    int64_t unix_us;
    souk_str_t nul = {.data = "1970-01-01T00:00:00\0", .size = 20};
    cr_assert_eq(souk_time_parse(nul, &unix_us), SOUK_ERR_MALFORMED);
}

Test(clock, truncated_times_are_refused) {
    static const char text[] = "2025-11-24T16:00:00.250+01:00";
    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        int64_t unix_us;
        cr_assert_eq(souk_time_parse((souk_str_t){.data = text, .size = size}, &unix_us),
                     SOUK_ERR_MALFORMED, "%.*s", (int)size, text);
    }
}

/* Every day of the range round trips, and the calendar is that of the C library. */
Test(clock, agrees_with_gmtime_on_every_day) {
    for (int64_t day = S_MIN / 86400000000; day <= S_MAX / 86400000000; day++) {
        int64_t unix_us = day * 86400000000 + (day & 1 ? INT64_C(86399000000) : 0);
        char text[SOUK_TIME_TEXT_BYTES], expected[64];
        souk_time_format(unix_us, text);
        time_t seconds = (time_t)(unix_us / 1000000);
        struct tm parts;
        gmtime_r(&seconds, &parts);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        if (strcmp(text, expected) != 0) {
            cr_assert_str_eq(text, expected);
        }
        int64_t again;
        if (souk_time_parse(souk_str_of(text), &again) != SOUK_OK || again != unix_us) {
            cr_assert_fail("%s does not read back", text);
        }
    }
}

Test(clock, random_times_round_trip) {
    srand(11);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = (uint64_t)rand() << 31 ^ (uint64_t)rand() ^ (uint64_t)rand() << 62;
        int64_t unix_us = S_MIN + (int64_t)(bits % (uint64_t)(S_MAX - S_MIN)), again;
        char text[SOUK_TIME_TEXT_BYTES];
        souk_time_format(unix_us, text);
        cr_assert_eq(souk_time_parse(souk_str_of(text), &again), SOUK_OK, "%s", text);
        cr_assert_eq(again, unix_us, "%s", text);
    }
}
