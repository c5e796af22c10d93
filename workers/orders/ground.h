/* What the totals of a batch of orders rest on, read in one round trip: carts, SKUs, discount
 * codes, the revision of shipping methods and tax rates, and numbers for the orders. place_batch
 * verifies under its locks what of it can have moved. Texts are borrowed from the arena. */
#ifndef ORDERS_GROUND_H
#define ORDERS_GROUND_H

#include "orders/record.h"
#include "orders/reference.h"
#include "orders/totals.h"

typedef struct {
    souk_str_t sku, product_id, name, options_json, currency, tax_category;
    souk_pairs_t options;
    int64_t price, remaining;
    bool sellable;
} orders_ground_sku_t;

typedef struct {
    souk_str_t sku;
    int64_t quantity;
} orders_ground_item_t;

typedef struct {
    souk_str_t id, subject, status;
    souk_str_t email, address_json, shipping_method, discount_code; /* data NULL: none */
    int64_t version;
    bool expired;
    orders_ground_item_t *items; /* as they were put in */
    size_t items_count;
} orders_ground_cart_t;

typedef struct {
    orders_ground_sku_t *skus; /* sorted by SKU */
    size_t skus_count;
    orders_ground_cart_t *carts; /* by id */
    size_t carts_count;
    orders_discount_t *codes; /* by code */
    size_t codes_count;
    const orders_reference_data_t *reference; /* shipping methods and tax rates */
    int64_t *numbers;                         /* one for each order */
} orders_ground_t;

typedef struct {
    souk_str_t *at;
    size_t count;
} orders_values_t;

/* What to read; carts bring their own SKUs and codes. */
typedef struct {
    orders_values_t skus, carts, codes;
    size_t orders_count;
} orders_ground_wanted_t;

typedef struct {
    souk_pg_t *pg;
    uint32_t timeout_ms;
    souk_arena_t *arena;
    orders_reference_t *reference;
} orders_ground_ask_t;

/* Errors of souk_pg_exec. */
SOUK_MUST_CHECK souk_err_t orders_ground_read(const orders_ground_ask_t *ask,
                                              const orders_ground_wanted_t *wanted,
                                              orders_ground_t *ret);

/* NULL: there is none. */
const orders_ground_sku_t *orders_ground_sku(const orders_ground_t *self, souk_str_t sku);
const orders_ground_cart_t *orders_ground_cart(const orders_ground_t *self, souk_str_t id);
const orders_discount_t *orders_ground_code(const orders_ground_t *self, souk_str_t code);

#endif
