/* The JSON writer. Strings are copied eight bytes at a step while nothing in them needs an escape.
 */
#include "souk/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_write.h"
#include "text.h"

#define S_ESCAPE_BYTES_MAX 6

/* Copies plain bytes (text.h) from *at_p to `to`, which has room for all up to end; stops at the
 * first other one. */
static inline char *s_copy_plain(const char **at_p, const char *end, char *to) {
    const char *at = *at_p;
    while (end - at >= 8) {
        uint64_t word = souk_text_load(at);
        if (souk_text_special(word) != 0) {
            break;
        }
        memcpy(to, &word, sizeof(word));
        at += 8;
        to += 8;
    }
    while (at < end && !souk_text_is_special(*at)) {
        *to++ = *at++;
    }
    *at_p = at;
    return to;
}

static char *s_put_escape(char *to, uint8_t byte) {
    static const char letters[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char digits[] = "0123456789abcdef";
    *to++ = '\\';
    if (byte >= ' ') {
        *to++ = (char)byte;
    } else if (letters[byte] != 0) {
        *to++ = letters[byte];
    } else {
        memcpy(to, "u00", 3);
        to[3] = digits[byte >> 4];
        to[4] = digits[byte & 15];
        to += 5;
    }
    return to;
}

bool souk_json_write_checked(souk_buf_t *buf, souk_str_t text) {
    static const char replacement[] = "\xef\xbf\xbd";
    bool clean = true;
    const char *at = text.data, *end = text.size > 0 ? text.data + text.size : at;
    char *to = (char *)souk_buf_reserve(buf, text.size + 2);
    if (to == NULL) {
        return true;
    }
    *to++ = '"';
    for (;;) {
        to = s_copy_plain(&at, end, to);
        if (at == end) {
            break;
        }
        size_t bytes = (uint8_t)*at >= 0x80 ? souk_text_sequence(at, end) : 0;
        if (bytes > 0) {
            memcpy(to, at, bytes);
            to += bytes;
            at += bytes;
            continue;
        }
        /* What follows takes more room than it had in text. */
        buf->size = (size_t)((uint8_t *)to - buf->data);
        to = (char *)souk_buf_reserve(buf, S_ESCAPE_BYTES_MAX + (size_t)(end - at) + 1);
        if (to == NULL) {
            return true;
        }
        uint8_t byte = (uint8_t)*at++;
        clean = clean && byte < 0x80 && byte != 0;
        if (byte < 0x80) {
            to = s_put_escape(to, byte);
        } else {
            memcpy(to, replacement, sizeof(replacement) - 1);
            to += sizeof(replacement) - 1;
        }
    }
    *to++ = '"';
    buf->size = (size_t)((uint8_t *)to - buf->data);
    return clean;
}

void souk_json_write_str(souk_buf_t *buf, souk_str_t text) {
    (void)souk_json_write_checked(buf, text);
}

size_t souk_json_print_int(int64_t value, char text[SOUK_JSON_INT_BYTES]) {
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[SOUK_JSON_INT_BYTES];
    char *at = digits + sizeof(digits);
    while (rest >= 100) {
        at -= 2;
        memcpy(at, pairs + rest % 100 * 2, 2);
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        memcpy(at, pairs + rest * 2, 2);
    } else {
        *--at = (char)('0' + rest);
    }
    if (value < 0) {
        *--at = '-';
    }
    size_t size = (size_t)(digits + sizeof(digits) - at);
    memcpy(text, at, size);
    return size;
}

void souk_json_write_int(souk_buf_t *buf, int64_t value) {
    char text[SOUK_JSON_INT_BYTES];
    souk_buf_append(buf, text, souk_json_print_int(value, text));
}

void souk_json_write_float(souk_buf_t *buf, double value) {
    souk_assert(isfinite(value));
    if (value > -1e15 && value < 1e15 && value == (double)(int64_t)value &&
        !(value == 0 && signbit(value))) {
        souk_json_write_int(buf, (int64_t)value);
        return;
    }
    /* printf writes the point of the process's locale, which no program of Souk changes from "C".
     */
    char text[32];
    int size = 0;
    for (int precision = 15; precision <= 17; precision++) {
        size = snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    souk_buf_append(buf, text, (size_t)size);
}
