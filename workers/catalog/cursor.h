/* page.next: where a page ended, as opaque text. It is bound to the query and the sort, so that it
 * cannot go on with another list, and says enough to go on after its product has changed or gone.
 * No secret: a made-up cursor only starts elsewhere in the same list. */
#ifndef CATALOG_CURSOR_H
#define CATALOG_CURSOR_H

#include "rank.h"
#include "search.h"
#include "souk/arena.h"
#include "souk/err.h"

typedef struct {
    catalog_place_t place;
    catalog_weights_t weights;
} catalog_cursor_t;

/* data NULL when the arena is full. */
souk_str_t catalog_cursor_encode(const catalog_cursor_t *self, const catalog_query_t *query,
                                 catalog_sort_t sort, souk_arena_t *arena);

/* Strings of *ret live in the arena. SOUK_ERR_MALFORMED: no cursor, or one of another query or
 * sort. */
SOUK_MUST_CHECK souk_err_t catalog_cursor_decode(souk_str_t text, const catalog_query_t *query,
                                                 catalog_sort_t sort, souk_arena_t *arena,
                                                 catalog_cursor_t *ret);

#endif
