/* A cart in memory: read from the database, changed, priced and shown. Handlers are carts.c,
 * carts_change.c and carts_merge.c.
 *
 * Reading is one statement, so that the cart, its lines and what their SKUs cost are of one moment.
 * A change locks the cart's row first; then it is read in a statement of its own, whose snapshot is
 * younger than the lock. Texts are borrowed from the call's arena. */
#ifndef ORDERS_BASKET_H
#define ORDERS_BASKET_H

#include "gen/orders.h"
#include "orders/reference.h"
#include "orders/service.h"
#include "orders/totals.h"

typedef struct {
    souk_str_t sku;
    int64_t quantity;
    int64_t seen_price; /* of one, when the line was last written; ORDERS_NONE: not known */
    bool known;         /* false: there is no such SKU, and nothing of the following */
    bool sellable;
    souk_str_t product_id, slug, name, options; /* options: jsonb as text */
    souk_str_t currency, tax_category;
    int64_t price, in_stock;
} orders_basket_line_t;

typedef struct {
    souk_str_t id, subject;
    int64_t version;
    int32_t status; /* ORDERS_CART_STATUS_... */
    souk_str_t email, address, shipping_method,
        discount_code;  /* data NULL: none; address: jsonb as text */
    souk_str_t country; /* of the address; "": none yet */
    int64_t created_at, updated_at, expires_at;
    orders_basket_line_t lines[ORDERS_LINES_MAX];
    size_t count;
    bool discount_known; /* false: discount_code is none or there is no such code */
    orders_discount_t discount;
    const orders_reference_data_t *reference;
} orders_basket_t;

/* What is wrong, and a word about it. */
typedef struct {
    int32_t code; /* ORDERS_CART_PROBLEM_CODE_... */
    souk_str_t detail;
} orders_basket_problem_t;

#define ORDERS_BASKET_PROBLEMS_MAX 4

typedef struct {
    orders_totals_t totals;
    orders_totals_line_t
        lines[ORDERS_LINES_MAX]; /* as the basket's; one that cannot be bought is zero */
    const orders_shipping_t
        *shipping; /* chosen and there, even when it is not available; NULL: none */
    orders_basket_problem_t problems[ORDERS_BASKET_PROBLEMS_MAX];
    size_t problems_count;
} orders_basket_price_t;

/* ---- reading ---- */

/* Which cart: subject's of that id, or with id.data NULL its newest open one. Expired ones are not
 * there. */
typedef struct {
    souk_str_t id, subject;
} orders_basket_which_t;

/* queue puts the statement into the pipeline; take reads its result, and the reference data where
 * they are new. SOUK_ERR_NOT_FOUND: there is none. A basket is large: it is allocated in the arena.
 */
SOUK_MUST_CHECK souk_err_t orders_basket_queue(souk_ctx_t *ctx, const orders_basket_which_t *which);
SOUK_MUST_CHECK souk_err_t orders_basket_take(souk_ctx_t *ctx, orders_basket_t **ret);
/* Both; the row is locked before. Only inside souk_pg_write. */
SOUK_MUST_CHECK souk_err_t orders_basket_lock(souk_ctx_t *ctx, const orders_basket_which_t *which,
                                              orders_basket_t **ret);
/* An open cart that is not in the database yet. */
SOUK_MUST_CHECK souk_err_t orders_basket_new(souk_ctx_t *ctx, souk_str_t subject,
                                             orders_basket_t **ret);

/* Fills in known, sellable, price, ... of lines whose sku is set. */
SOUK_MUST_CHECK souk_err_t orders_basket_skus(souk_ctx_t *ctx, orders_basket_line_t *lines,
                                              size_t count);
/* Reads a discount code; basket->discount_code is set. SOUK_ERR_DISCOUNT_UNKNOWN: there is none. */
SOUK_MUST_CHECK souk_err_t orders_basket_discount(souk_ctx_t *ctx, orders_basket_t *basket);

/* NULL: no such line. */
orders_basket_line_t *orders_basket_line(orders_basket_t *self, souk_str_t sku);
/* Says what is wrong with a field (a JSON pointer into the body), and returns err. */
souk_err_t orders_basket_refuse(souk_ctx_t *ctx, souk_err_t err, const char *pointer,
                                const char *format, ...) SOUK_PRINTF(4, 5);
/* SKU_UNKNOWN, SKU_NOT_SELLABLE (another currency than the store's counts as such), of the field
 * at pointer. */
SOUK_MUST_CHECK souk_err_t orders_basket_require_sellable(souk_ctx_t *ctx,
                                                          const orders_basket_line_t *line,
                                                          const char *pointer);

/* ---- writing: only inside souk_pg_write; travels with COMMIT ---- */

/* A new one, with its expires_at. */
SOUK_MUST_CHECK souk_err_t orders_basket_insert(souk_ctx_t *ctx, orders_basket_t *self);
/* Counts up the version, sets updated_at and expires_at, and stores all but the lines. */
SOUK_MUST_CHECK souk_err_t orders_basket_update(souk_ctx_t *ctx, orders_basket_t *self);
/* Inserts or replaces lines[0..count) of the cart; the price that was seen becomes today's. */
SOUK_MUST_CHECK souk_err_t orders_basket_put_lines(souk_ctx_t *ctx, const orders_basket_t *self,
                                                   orders_basket_line_t *lines, size_t count);

/* ---- showing ---- */

/* SOUK_ERR_AMOUNT_TOO_LARGE: the sum is; all else that is wrong is a problem of ret. */
SOUK_MUST_CHECK souk_err_t orders_basket_price(souk_ctx_t *ctx, const orders_basket_t *self,
                                               orders_basket_price_t *ret);
/* The whole cart. A sum that is too large is a problem of the reply, or, when strict, refused. */
SOUK_MUST_CHECK souk_err_t orders_basket_reply(souk_ctx_t *ctx, const orders_basket_t *self,
                                               bool strict, orders_cart_t *ret_rep);

#endif
