/* Civil dates are counted from 0000-03-01, so that the leap day is a year's last and every month's
 * first day is (153 * month + 2) / 5 days into it; 400 years have 146,097 days. */
#include "souk/clock.h"

#include <time.h>

#define S_DAY_S INT64_C(86400)
#define S_EPOCH_DAYS INT64_C(719468)                    /* 0000-03-01 to 1970-01-01 */
#define S_UNIX_US_MIN (INT64_C(-62135596800) * 1000000) /* 0001-01-01T00:00:00Z */
#define S_UNIX_US_MAX (INT64_C(253402300800) * 1000000 - 1)

static int64_t s_clock_us(clockid_t clock) {
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    souk_assert(rc == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t souk_clock_mono_us(void) {
    return s_clock_us(CLOCK_MONOTONIC);
}

int64_t souk_clock_unix_us(void) {
    return s_clock_us(CLOCK_REALTIME);
}

/* Writes value in decimal with exactly digits digits; returns what follows. */
static char *s_write_digits(char *at, uint32_t value, unsigned digits) {
    for (unsigned i = digits; i > 0; i--) {
        at[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

static char *s_write_date(char *at, int64_t unix_days) {
    uint32_t days = (uint32_t)(unix_days + S_EPOCH_DAYS);
    uint32_t era = days / 146097, day = days % 146097;
    uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint32_t month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;
    year += era * 400 + (month >= 10 ? 1 : 0);
    month = month < 10 ? month + 3 : month - 9;
    at = s_write_digits(at, year, 4);
    *at++ = '-';
    at = s_write_digits(at, month, 2);
    *at++ = '-';
    return s_write_digits(at, day + 1, 2);
}

size_t souk_time_format(int64_t unix_us, char text[SOUK_TIME_TEXT_BYTES]) {
    unix_us = unix_us < S_UNIX_US_MIN ? S_UNIX_US_MIN : unix_us;
    unix_us = unix_us > S_UNIX_US_MAX ? S_UNIX_US_MAX : unix_us;
    /* Counted from year 1, nothing is negative. */
    int64_t us = unix_us - S_UNIX_US_MIN;
    uint32_t fraction = (uint32_t)(us % 1000000);
    int64_t seconds = us / 1000000;
    uint32_t second = (uint32_t)(seconds % S_DAY_S);
    char *at = s_write_date(text, seconds / S_DAY_S + S_UNIX_US_MIN / 1000000 / S_DAY_S);
    *at++ = 'T';
    at = s_write_digits(at, second / 3600, 2);
    *at++ = ':';
    at = s_write_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = s_write_digits(at, second % 60, 2);
    if (fraction != 0) {
        *at++ = '.';
        at = fraction % 1000 == 0 ? s_write_digits(at, fraction / 1000, 3)
                                  : s_write_digits(at, fraction, 6);
    }
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - text);
}

typedef struct {
    const char *at, *end;
} s_text_t;

static bool s_is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool s_read_digits(s_text_t *text, unsigned digits, int64_t *ret_value) {
    if ((size_t)(text->end - text->at) < digits) {
        return false;
    }
    int64_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (!s_is_digit(text->at[i])) {
            return false;
        }
        value = value * 10 + (text->at[i] - '0');
    }
    text->at += digits;
    *ret_value = value;
    return true;
}

static bool s_read_one_of(s_text_t *text, const char *chars, char *ret_char) {
    if (text->at == text->end || *text->at == '\0' || strchr(chars, *text->at) == NULL) {
        return false;
    }
    *ret_char = *text->at++;
    return true;
}

static bool s_read_date(s_text_t *text, int64_t *ret_unix_days) {
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year, month, day;
    char dash;
    if (!s_read_digits(text, 4, &year) || !s_read_one_of(text, "-", &dash) ||
        !s_read_digits(text, 2, &month) || !s_read_one_of(text, "-", &dash) ||
        !s_read_digits(text, 2, &day) || year < 1 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > month_days[month - 1] + (month == 2 && leap ? 1 : 0)) {
        return false;
    }
    int64_t march_year = month > 2 ? year : year - 1;
    int64_t march_month = month > 2 ? month - 3 : month + 9;
    *ret_unix_days = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 +
                     (153 * march_month + 2) / 5 + day - 1 - S_EPOCH_DAYS;
    return true;
}

static bool s_read_clock(s_text_t *text, int64_t *ret_us) {
    int64_t hour, minute, second, us = 0;
    char c;
    if (!s_read_digits(text, 2, &hour) || !s_read_one_of(text, ":", &c) ||
        !s_read_digits(text, 2, &minute) || !s_read_one_of(text, ":", &c) ||
        !s_read_digits(text, 2, &second) || hour > 23 || minute > 59 || second > 59) {
        return false;
    }
    if (s_read_one_of(text, ".", &c)) {
        int64_t digit;
        if (!s_read_digits(text, 1, &digit)) {
            return false;
        }
        int64_t unit = 100000;
        do {
            us += digit * unit;
            unit /= 10;
        } while (s_read_digits(text, 1, &digit));
    }
    *ret_us = ((hour * 60 + minute) * 60 + second) * 1000000 + us;
    return true;
}

static bool s_read_offset(s_text_t *text, int64_t *ret_us) {
    char sign, colon;
    int64_t hour, minute;
    if (!s_read_one_of(text, "Zz+-", &sign)) {
        return false;
    }
    if (sign == 'Z' || sign == 'z') {
        *ret_us = 0;
        return true;
    }
    if (!s_read_digits(text, 2, &hour) || !s_read_one_of(text, ":", &colon) ||
        !s_read_digits(text, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    *ret_us = (hour * 60 + minute) * 60 * 1000000 * (sign == '-' ? -1 : 1);
    return true;
}

souk_err_t souk_time_parse(souk_str_t text, int64_t *ret_unix_us) {
    if (text.size == 0) {
        return SOUK_ERR_MALFORMED;
    }
    s_text_t rest = {.at = text.data, .end = text.data + text.size};
    int64_t days, us, offset_us;
    char separator;
    if (!s_read_date(&rest, &days) || !s_read_one_of(&rest, "Tt", &separator) ||
        !s_read_clock(&rest, &us) || !s_read_offset(&rest, &offset_us) || rest.at != rest.end) {
        return SOUK_ERR_MALFORMED;
    }
    int64_t unix_us = days * S_DAY_S * 1000000 + us - offset_us;
    if (unix_us < S_UNIX_US_MIN || unix_us > S_UNIX_US_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    *ret_unix_us = unix_us;
    return SOUK_OK;
}
