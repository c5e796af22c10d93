/* Stock as staff see it: the columns of a stock_item and how a row becomes one. */
#ifndef ORDERS_STOCK_H
#define ORDERS_STOCK_H

#include "gen/orders.h"
#include "runtime/pg.h"

/* Of skus, from column 0 on. */
#define ORDERS_STOCK_COLUMNS                                                                       \
    "skus.sku, product_id, product_slug, name, option_values::text, price, currency, sellable,"    \
    " on_hand, reserved, low_at, level, skus.updated_at"

SOUK_MUST_CHECK souk_err_t orders_stock_item(const souk_pg_rows_t *rows, size_t row,
                                             souk_arena_t *arena, orders_stock_item_t *ret);

#endif
