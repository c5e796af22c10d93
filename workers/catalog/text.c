#include "text.h"

#include <libstemmer.h>
#include <stdlib.h>
#include <utf8proc.h>

#define FOLDED_BYTES_MAX ((size_t)1024 * 1024)

void catalog_text_init(catalog_text_t *self) {
    *self = (catalog_text_t){.stemmer = sb_stemmer_new("english", "UTF_8")};
    souk_assert(self->stemmer != NULL);
    souk_buf_init(&self->folded, FOLDED_BYTES_MAX);
}

void catalog_text_done(catalog_text_t *self) {
    sb_stemmer_delete(self->stemmer);
    souk_buf_done(&self->folded);
    self->stemmer = NULL;
}

static bool s_is_ascii(souk_str_t text) {
    uint8_t seen = 0;
    for (size_t i = 0; i < text.size; i++) {
        seen |= (uint8_t)text.data[i];
    }
    return seen < 0x80;
}

static bool s_is_blank(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Appends text in lower case, white space collapsed and none at the ends: all that folding means
 * for ASCII; other bytes pass. */
static void s_append_lower(souk_buf_t *buf, souk_str_t text) {
    uint8_t *out = souk_buf_reserve(buf, text.size + 1);
    if (out == NULL) {
        return;
    }
    size_t size = 0;
    bool blank = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (s_is_blank(byte)) {
            blank = size > 0;
            continue;
        }
        if (blank) {
            out[size++] = ' ';
            blank = false;
        }
        out[size++] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
    }
    buf->size += size;
}

souk_str_t catalog_text_fold(catalog_text_t *self, souk_str_t text) {
    souk_buf_clear(&self->folded);
    if (text.size > FOLDED_BYTES_MAX / 2) {
        text.size = FOLDED_BYTES_MAX / 2;
    }
    if (s_is_ascii(text)) {
        s_append_lower(&self->folded, text);
        return souk_buf_str(&self->folded);
    }
    utf8proc_uint8_t *mapped = NULL;
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                      UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK | UTF8PROC_IGNORE;
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text.data,
                                         (utf8proc_ssize_t)text.size, &mapped, options);
    if (size > 0) {
        s_append_lower(&self->folded,
                       (souk_str_t){.data = (const char *)mapped, .size = (size_t)size});
    }
    free(mapped);
    return souk_buf_str(&self->folded);
}

/* An apostrophe belongs to its word (women's); the stemmer takes the ending off. */
static bool s_is_word_char(utf8proc_int32_t point) {
    if (point < 0x80) {
        return (point >= 'a' && point <= 'z') || (point >= '0' && point <= '9') || point == '\'';
    }
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return false;
    }
}

/* The typographic apostrophe counts as the plain one. */
static utf8proc_int32_t s_next_point(const uint8_t **at, const uint8_t *end) {
    utf8proc_int32_t point = -1;
    if (**at < 0x80) {
        point = **at;
        *at += 1;
        return point;
    }
    utf8proc_ssize_t size = utf8proc_iterate(*at, end - *at, &point);
    *at += size > 0 ? size : 1;
    return point == 0x2019 ? '\'' : point;
}

static void s_emit(souk_str_t word, void (*fn)(void *arg, souk_str_t word), void *arg) {
    while (word.size > 0 && word.data[word.size - 1] == '\'') {
        word.size--;
    }
    while (word.size > 0 && word.data[0] == '\'') {
        word.data++;
        word.size--;
    }
    if (word.size > 0) {
        fn(arg, word);
    }
}

void catalog_text_words(catalog_text_t *self, souk_str_t text,
                        void (*fn)(void *arg, souk_str_t word), void *arg) {
    souk_str_t folded = catalog_text_fold(self, text);
    if (folded.size == 0) {
        return;
    }
    const uint8_t *at = (const uint8_t *)folded.data;
    const uint8_t *end = at + folded.size;
    char word[CATALOG_WORD_BYTES_MAX];
    size_t size = 0;
    bool full = false;
    while (at < end) {
        const uint8_t *start = at;
        utf8proc_int32_t point = s_next_point(&at, end);
        if (point < 0 || !s_is_word_char(point)) {
            s_emit((souk_str_t){.data = word, .size = size}, fn, arg);
            size = 0;
            full = false;
            continue;
        }
        size_t bytes = point == '\'' ? 1 : (size_t)(at - start);
        full = full || size + bytes > sizeof(word);
        if (!full) {
            memcpy(word + size, point == '\'' ? (const uint8_t *)"'" : start, bytes);
            size += bytes;
        }
    }
    s_emit((souk_str_t){.data = word, .size = size}, fn, arg);
}

souk_str_t catalog_text_stem(catalog_text_t *self, souk_str_t word) {
    const sb_symbol *stem =
        sb_stemmer_stem(self->stemmer, (const sb_symbol *)word.data, (int)word.size);
    int size = sb_stemmer_length(self->stemmer);
    if (stem == NULL || size <= 0) {
        return word;
    }
    return (souk_str_t){.data = (const char *)stem, .size = (size_t)size};
}

bool catalog_text_is_stop_word(souk_str_t word) {
    static const char *const words[] = {"a",  "an",  "and",  "are", "as",  "at", "be",
                                        "by", "for", "from", "in",  "is",  "it", "of",
                                        "on", "or",  "the",  "to",  "with"};
    for (size_t i = 0; i < SOUK_COUNT_OF(words); i++) {
        if (souk_str_equal(word, souk_str_of(words[i]))) {
            return true;
        }
    }
    return false;
}
