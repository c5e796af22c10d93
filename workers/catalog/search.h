/* From a query to the products that match it: words and filters against the index, as bitmaps. Pure
 * reads; whoever calls holds the index still (service.h).
 *
 * What matches. Words: every word of q has to be somewhere in the product, as the same stem; the
 * last one may also be a word's beginning; a word of five or more letters that finds nothing is
 * tried with one typing mistake. A q that is a SKU, in any case, finds its product too. Frequent
 * words (the, with) are left out when others remain. Filters: values of one name are OR, different
 * names are AND, all on the level of the product. Price: the least price, which lists show and sort
 * by. */
#ifndef CATALOG_SEARCH_H
#define CATALOG_SEARCH_H

#include <roaring/roaring.h>

#include "index.h"
#include "postings.h"
#include "souk/arena.h"
#include "souk/schema.h"

#define CATALOG_WORDS_MAX 16 /* further words of q are left out */
/* Words that one beginning may stand for: of the first CATALOG_BEGINNINGS_MAX by spelling those
 * that most products have. */
#define CATALOG_EXPANSIONS_MAX 256
#define CATALOG_BEGINNINGS_MAX 4096
/* A beginning with fewer bytes is looked for in names only: it stands for half the vocabulary. */
#define CATALOG_BEGINNING_BYTES_MIN 3

#define CATALOG_GROUPS_MAX 100 /* the schema allows 82 */

/* A bit for each status (1 << CATALOG_PRODUCT_STATUS_ACTIVE). */
#define CATALOG_STATUSES_ALL 7u

typedef struct {
    souk_str_t q, category; /* empty: none */
    int64_t price_min, price_max;
    bool has_price_min, has_price_max;
    souk_pairs_t options, attributes;
    const souk_str_t *tags;
    size_t tags_count;
    unsigned statuses;
} catalog_query_t;

/* One word of q. */
typedef struct {
    char text[CATALOG_WORD_BYTES_MAX];
    size_t size;
    uint8_t weight; /* 1 (everywhere) .. 63 (rare) */
    bool corrected; /* found by a spelling at one typing mistake */
    uint32_t exact; /* its own term, or CATALOG_NONE */
    roaring_bitmap_t *products[CATALOG_FIELDS_COUNT]; /* by field, all its terms together */
} catalog_query_word_t;

/* What makes relevance the same on every page of a list while the catalogue changes: a cursor
 * carries it. */
typedef struct {
    uint8_t count;
    uint8_t words[CATALOG_WORDS_MAX]; /* weight, and 0x80 when corrected */
} catalog_weights_t;

/* The values of one name. */
typedef enum {
    CATALOG_BY_CATEGORY,
    CATALOG_BY_TAG,
    CATALOG_BY_OPTION,
    CATALOG_BY_ATTRIBUTE
} catalog_group_kind_t;
typedef struct {
    catalog_group_kind_t kind;
    souk_str_t name;
    roaring_bitmap_t *products;
} catalog_group_t;

typedef struct {
    const catalog_index_t *index;
    souk_str_t q; /* borrowed from the query */
    catalog_query_word_t words[CATALOG_WORDS_MAX];
    size_t words_count;
    uint32_t sku_owners[4]; /* products whose SKU is q */
    size_t sku_owners_count;
    roaring_bitmap_t *base; /* status, words and price */
    catalog_group_t groups[CATALOG_GROUPS_MAX];
    size_t groups_count;
    roaring_bitmap_t *all; /* base and all groups */
} catalog_match_t;

/* weights: of the page before (NULL: computed); SOUK_ERR_MALFORMED when they do not fit the query's
 * words. *ret is to be done in either case. */
SOUK_MUST_CHECK souk_err_t catalog_match_init(catalog_match_t *ret, const catalog_index_t *index,
                                              const catalog_query_t *query,
                                              const catalog_weights_t *weights);
void catalog_match_done(catalog_match_t *self);
void catalog_match_weights(const catalog_match_t *self, catalog_weights_t *ret);
/* base and all groups but one (groups_count: all). Owned by the caller. */
roaring_bitmap_t *catalog_match_without(const catalog_match_t *self, size_t group);

#endif
