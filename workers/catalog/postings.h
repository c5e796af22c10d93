/* Which products hold which words. A word as written (folded) leads to its term (its stem); a term
 * has a bitmap of products for each field. Words are also sorted, to find those that begin with
 * something. */
#ifndef CATALOG_POSTINGS_H
#define CATALOG_POSTINGS_H

#include <roaring/roaring.h>

#include "map.h"
#include "order.h"
#include "souk/base.h"
#include "text.h"

/* Where a word stands: the name; tags, attributes and options; the description. */
typedef enum {
    CATALOG_IN_NAME,
    CATALOG_IN_LABELS,
    CATALOG_IN_DESCRIPTION,
    CATALOG_FIELDS_COUNT
} catalog_field_t;

typedef struct {
    char *stem; /* NULL: free */
    uint32_t stem_size;
    uint32_t products_count; /* with the term in any field */
    uint32_t first_word;     /* its words, chained; of a free term: the next free one */
    roaring_bitmap_t *products[CATALOG_FIELDS_COUNT]; /* NULL when none */
} catalog_term_t;

typedef struct {
    char *text; /* NULL: free */
    uint32_t size;
    uint32_t term;
    uint32_t next; /* the term's next word, or the next free one */
} catalog_word_t;

typedef struct {
    catalog_term_t *terms;
    catalog_word_t *words;
    uint32_t terms_count, terms_capacity, terms_free;
    uint32_t words_count, words_capacity, words_free;
    catalog_map_t by_stem, by_word;
    catalog_order_t sorted; /* words */
    catalog_text_t *text;   /* borrowed: stems new words */
} catalog_postings_t;

void catalog_postings_init(catalog_postings_t *self, catalog_text_t *text);
void catalog_postings_done(catalog_postings_t *self);

/* Says that the product holds the folded word there; a second time changes nothing. */
void catalog_postings_add(catalog_postings_t *self, souk_str_t word, catalog_field_t field,
                          uint32_t product);
/* Takes that back; when it was not so, nothing changes. */
void catalog_postings_remove(catalog_postings_t *self, souk_str_t word, catalog_field_t field,
                             uint32_t product);

/* Terms of a folded word: CATALOG_NONE when no product holds it. */
uint32_t catalog_postings_of_word(const catalog_postings_t *self, souk_str_t word);
uint32_t catalog_postings_of_stem(const catalog_postings_t *self, souk_str_t stem);
/* The terms of words that begin with prefix, in the words' order, at most capacity of them (a term
 * may come twice). */
size_t catalog_postings_of_prefix(const catalog_postings_t *self, souk_str_t prefix,
                                  uint32_t *ret_terms, size_t capacity);

size_t catalog_postings_bytes(const catalog_postings_t *self);

#endif
