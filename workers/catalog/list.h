/* A page of a list of products: decoded cursor, search, order, encoded summaries. What public and
 * admin lists share. */
#ifndef CATALOG_LIST_H
#define CATALOG_LIST_H

#include "rank.h"
#include "search.h"

typedef struct {
    catalog_query_t query;
    catalog_sort_t sort;
    souk_str_t cursor; /* empty for the first page */
    size_t limit;      /* 1..CATALOG_PAGE_MAX */
} catalog_list_request_t;

typedef struct {
    souk_str_t *data; /* encoded summaries, borrowed from the index; the array lives in the arena */
    size_t count;
    int64_t total;
    souk_str_t next; /* data NULL at the end */
    souk_str_t revision;
} catalog_list_t;

/* SOUK_ERR_MALFORMED: the cursor is none, or of another query or sort. SOUK_ERR_NO_MEMORY: the
 * arena is full. */
SOUK_MUST_CHECK souk_err_t catalog_list(const catalog_index_t *index,
                                        const catalog_list_request_t *request, souk_arena_t *arena,
                                        catalog_list_t *ret);

#endif
