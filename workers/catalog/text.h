/* Words as people mean them: case, accents and compatibility forms folded (NFKC casefold without
 * marks), split at what is neither letter nor digit, stemmed (Snowball, English). */
#ifndef CATALOG_TEXT_H
#define CATALOG_TEXT_H

#include "souk/base.h"
#include "souk/buf.h"

#define CATALOG_WORD_BYTES_MAX 64

/* Not thread-safe: each user has one of its own. */
typedef struct {
    void *stemmer;
    souk_buf_t folded;
} catalog_text_t;

void catalog_text_init(catalog_text_t *self);
void catalog_text_done(catalog_text_t *self);

/* The folded text, white space collapsed to single blanks; borrowed until the next call. Invalid
 * UTF-8 gives an empty text. */
souk_str_t catalog_text_fold(catalog_text_t *self, souk_str_t text);

/* Calls fn for each word of the folded text. What a word has beyond CATALOG_WORD_BYTES_MAX is left
 * out. fn must not fold. */
void catalog_text_words(catalog_text_t *self, souk_str_t text,
                        void (*fn)(void *arg, souk_str_t word), void *arg);

/* The stem of a folded word; borrowed until the next call. */
souk_str_t catalog_text_stem(catalog_text_t *self, souk_str_t word);

/* Words so frequent in English that a query is better without them (the, with, ...). */
bool catalog_text_is_stop_word(souk_str_t word);

#endif
