/* Inner loops over text that the JSON reader, the writers and the UTF-8 functions share: eight
 * bytes at a step, where the word tells in which byte the first hit is. Private to lib. */
#ifndef SOUK_TEXT_H
#define SOUK_TEXT_H

#include "souk/base.h"

#define SOUK_TEXT_ONES UINT64_C(0x0101010101010101)
#define SOUK_TEXT_TOPS UINT64_C(0x8080808080808080)

static inline uint64_t souk_text_load(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* Non-zero when a byte of word cannot stand in a JSON string as it is or begins a longer UTF-8
 * sequence: below space, '"', '\\', 0x80 and above. The lowest bit that is set is in the first such
 * byte (in memory order on little-endian machines); bits above it may be false. */
static inline uint64_t souk_text_special(uint64_t word) {
    uint64_t quote = word ^ (SOUK_TEXT_ONES * '"');
    uint64_t backslash = word ^ (SOUK_TEXT_ONES * '\\');
    return ((word - SOUK_TEXT_ONES * ' ') | (quote - SOUK_TEXT_ONES) |
            (backslash - SOUK_TEXT_ONES) | word) &
           SOUK_TEXT_TOPS;
}

static inline bool souk_text_is_special(char c) {
    unsigned char byte = (unsigned char)c;
    return byte < ' ' || byte == '"' || byte == '\\' || byte >= 0x80;
}

/* The first special byte (above), or end. */
static inline const char *souk_text_plain_end(const char *at, const char *end) {
    while (end - at >= 8) {
        uint64_t special = souk_text_special(souk_text_load(at));
        if (special != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return at + __builtin_ctzll(special) / 8;
#else
            break;
#endif
        }
        at += 8;
    }
    while (at < end && !souk_text_is_special(*at)) {
        at++;
    }
    return at;
}

/* memcpy of a text that is mostly short: two overlapping words at most, without a call. */
static inline void souk_text_copy(char *to, souk_str_t text) {
    if (text.size > 16) {
        memcpy(to, text.data, text.size);
    } else if (text.size >= 8) {
        uint64_t first = souk_text_load(text.data),
                 last = souk_text_load(text.data + text.size - 8);
        memcpy(to, &first, 8);
        memcpy(to + text.size - 8, &last, 8);
    } else if (text.size >= 4) {
        uint32_t first, last;
        memcpy(&first, text.data, 4);
        memcpy(&last, text.data + text.size - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + text.size - 4, &last, 4);
    } else {
        for (size_t i = 0; i < text.size; i++) {
            to[i] = text.data[i];
        }
    }
}

/* Bytes (2 to 4) of the well-formed sequence that begins at `at`, a byte of 0x80 or above; 0 when
 * it is not well-formed. */
static inline size_t souk_text_sequence(const char *at, const char *end) {
    uint8_t lead = (uint8_t)at[0];
    size_t left = (size_t)(end - at);
    if (lead < 0xc2 || left < 2) {
        return 0;
    }
    uint8_t second = (uint8_t)at[1];
    if (lead < 0xe0) {
        return (second & 0xc0) == 0x80 ? 2 : 0;
    }
    if (left < 3 || ((uint8_t)at[2] & 0xc0) != 0x80) {
        return 0;
    }
    if (lead < 0xf0) {
        /* Neither overlong (e0 80..9f) nor a surrogate (ed a0..bf). */
        uint8_t low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
        return second >= low && second <= high ? 3 : 0;
    }
    if (left < 4 || lead > 0xf4 || ((uint8_t)at[3] & 0xc0) != 0x80) {
        return 0;
    }
    /* Neither overlong (f0 80..8f) nor above U+10FFFF (f4 90..). */
    uint8_t low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high ? 4 : 0;
}

#endif
