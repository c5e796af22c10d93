#include "souk/json.h"

#include "text.h"

bool souk_utf8_valid(souk_str_t text) {
    const char *at = text.data, *end = text.size > 0 ? text.data + text.size : at;
    while (at < end) {
        if (end - at >= 8 && (souk_text_load(at) & SOUK_TEXT_TOPS) == 0) {
            at += 8;
        } else if ((uint8_t)*at < 0x80) {
            at++;
        } else {
            size_t bytes = souk_text_sequence(at, end);
            if (bytes == 0) {
                return false;
            }
            at += bytes;
        }
    }
    return true;
}

size_t souk_utf8_count(souk_str_t text) {
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += ((uint8_t)text.data[i] & 0xc0) != 0x80;
    }
    return count;
}
