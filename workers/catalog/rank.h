/* From the products that match to one page of them, in order. */
#ifndef CATALOG_RANK_H
#define CATALOG_RANK_H

#include "order.h"
#include "search.h"

#define CATALOG_PAGE_MAX 100

/* In the order of the schema's enum. Relevance without q is -created_at. Products that are equal
 * stand by id, in the same direction. */
typedef enum {
    CATALOG_SORT_RELEVANCE,
    CATALOG_SORT_PRICE,
    CATALOG_SORT_MINUS_PRICE,
    CATALOG_SORT_NAME,
    CATALOG_SORT_MINUS_CREATED_AT,
} catalog_sort_t;

/* A place in an order. text and id are borrowed from the index or from a decoded cursor. */
typedef struct {
    uint32_t score; /* relevance only */
    catalog_sort_key_t key;
} catalog_place_t;

typedef struct {
    uint32_t products[CATALOG_PAGE_MAX]; /* ordinals */
    size_t count;
    bool more;
    catalog_place_t last; /* of the last product */
} catalog_page_t;

/* The first limit (1..CATALOG_PAGE_MAX) products of match->all behind after (NULL: from the start).
 */
void catalog_rank(const catalog_match_t *match, catalog_sort_t sort, const catalog_place_t *after,
                  size_t limit, catalog_page_t *ret);

#endif
