/* What the admin handlers of shipping methods, tax rates and discount codes share
 * (shipping_admin.c, tax_admin.c, discount_admin.c). Each write is two round trips: lock and read
 * the row, then write it with its audit row and COMMIT. */
#ifndef ORDERS_PRICING_H
#define ORDERS_PRICING_H

#include "gen/orders.h"
#include "orders/service.h"

/* In the store's currency, else a bad field; pointer as "/price". */
SOUK_MUST_CHECK souk_err_t orders_pricing_amount(souk_ctx_t *ctx, const souk_money_t *money,
                                                 const char *pointer, int64_t *ret_amount);
void orders_pricing_money(souk_ctx_t *ctx, int64_t amount, souk_money_t *ret);
/* The name's one form (souk/text.h), in the arena. */
SOUK_MUST_CHECK souk_err_t orders_pricing_name(souk_ctx_t *ctx, souk_str_t name, souk_str_t *ret);
SOUK_MUST_CHECK souk_err_t orders_pricing_country(souk_ctx_t *ctx, souk_str_t country,
                                                  const char *pointer);

/* Runs stmt with args, which tells one row or none. SOUK_ERR_NOT_FOUND: none. */
SOUK_MUST_CHECK souk_err_t orders_pricing_row(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                                              const souk_pg_args_t *args,
                                              const souk_pg_rows_t **ret_rows);
/* For a table of reference data: SOUK_ERR_TOO_MANY when count (a statement without arguments) tells
 * most or more. Held until the end of the transaction, so that two do not pass together. */
SOUK_MUST_CHECK souk_err_t orders_pricing_require_room(souk_ctx_t *ctx, const souk_pg_stmt_t *count,
                                                       int64_t most);

/* page.next and its limit; next.data NULL: the end. */
void orders_pricing_page(orders_pricing_page_t *ret, int64_t limit, souk_str_t next);

#endif
