/* About 75 spellings per letter, each one a look-up in a hash map: cheaper than a walk over the
 * vocabulary, and independent of its size. */
#include "typo.h"

#include <utf8proc.h>

#include "text.h"

typedef struct {
    uint8_t start[CATALOG_WORD_BYTES_MAX + 1]; /* of each letter; behind the last one: the size */
    size_t count;
} s_letters_t;

static bool s_split(souk_str_t word, s_letters_t *ret) {
    if (word.size > CATALOG_WORD_BYTES_MAX) {
        return false;
    }
    size_t at = 0;
    ret->count = 0;
    while (at < word.size) {
        utf8proc_int32_t point = 0;
        utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)word.data + at,
                                                 (utf8proc_ssize_t)(word.size - at), &point);
        if (size <= 0) {
            return false;
        }
        ret->start[ret->count++] = (uint8_t)at;
        at += (size_t)size;
    }
    ret->start[ret->count] = (uint8_t)word.size;
    return ret->count >= CATALOG_TYPO_LETTERS_MIN;
}

/* word with the bytes from..to replaced by middle. */
static souk_str_t s_splice(char *out, souk_str_t word, size_t from, size_t to, souk_str_t middle) {
    memcpy(out, word.data, from);
    memcpy(out + from, middle.data, middle.size);
    memcpy(out + from + middle.size, word.data + to, word.size - to);
    return (souk_str_t){.data = out, .size = word.size - (to - from) + middle.size};
}

static void s_swap(char *out, souk_str_t word, const s_letters_t *letters, size_t at,
                   souk_str_t *ret) {
    size_t first = letters->start[at], second = letters->start[at + 1],
           end = letters->start[at + 2];
    memcpy(out, word.data, word.size);
    memcpy(out + first, word.data + second, end - second);
    memcpy(out + first + (end - second), word.data + first, second - first);
    *ret = (souk_str_t){.data = out, .size = word.size};
}

void catalog_typo_each(souk_str_t word, void (*fn)(void *arg, souk_str_t spelling), void *arg) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char out[CATALOG_WORD_BYTES_MAX + 2];
    s_letters_t letters;
    if (!s_split(word, &letters)) {
        return;
    }
    for (size_t i = 0; i <= letters.count; i++) {
        size_t from = letters.start[i];
        for (const char *letter = alphabet; *letter != '\0'; letter++) {
            const souk_str_t added = {.data = letter, .size = 1};
            fn(arg, s_splice(out, word, from, from, added));
            if (i < letters.count) {
                fn(arg, s_splice(out, word, from, letters.start[i + 1], added));
            }
        }
        if (i < letters.count) {
            fn(arg, s_splice(out, word, from, letters.start[i + 1], SOUK_STR("")));
        }
        if (i + 1 < letters.count) {
            souk_str_t swapped;
            s_swap(out, word, &letters, i, &swapped);
            fn(arg, swapped);
        }
    }
}
