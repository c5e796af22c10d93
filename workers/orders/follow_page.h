/* A page of catalog.changes on its way into skus. */
#ifndef ORDERS_FOLLOW_PAGE_H
#define ORDERS_FOLLOW_PAGE_H

#include "gen/catalog.h"
#include "runtime/pg.h"

typedef struct {
    int64_t epoch;       /* of the holding of the lease */
    int64_t after, next; /* the checkpoint moves from after to next */
    const catalog_change_item_t *changes;
    size_t changes_count;
    bool withdraw; /* without their SKUs: what there is of these products is not sold any more */
} orders_follow_page_t;

/* Writes it in one call. *ret_held false: the holding is over and nothing was written. SKUs that
 * stay with another product are logged. Errors of souk_pg_exec. */
SOUK_MUST_CHECK souk_err_t orders_follow_page_write(const orders_follow_page_t *self, souk_pg_t *pg,
                                                    souk_arena_t *arena, bool *ret_held);

#endif
