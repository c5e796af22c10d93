/* One order of a batch, from its request to the row that place_batch is asked to write. */
#ifndef ORDERS_DRAFT_H
#define ORDERS_DRAFT_H

#include "orders/ground.h"
#include "orders/verdict.h"

typedef struct {
    souk_ctx_t *ctx;
    const orders_place_req_t *req;
    souk_str_t subject, currency; /* the client's; the store's */
    souk_str_t network;           /* a guest's; data NULL: not counted */
    int64_t at_us, expires_at_us;
    souk_arena_t *arena;
} orders_draft_input_t;

typedef struct {
    const orders_ground_sku_t *sku;
    size_t item; /* where the request, or the cart, names it first */
    int64_t quantity;
} orders_draft_line_t;

typedef struct {
    orders_verdict_t verdict; /* the rest holds while it does not refuse */
    orders_record_t record;
    orders_draft_line_t *lines; /* one for each line of the record */
    int64_t cart_version;
    souk_str_t customer; /* the email, folded */
    const orders_discount_t *discount;
    souk_str_t address_json;
    souk_str_t reply; /* encoded */
} orders_draft_t;

/* Adds what has to be read for the request to the lists, which have room for it. */
SOUK_MUST_CHECK souk_err_t orders_draft_want(const orders_draft_input_t *in,
                                             orders_ground_wanted_t *wanted);

/* Computes the order or the verdict against it. Errors (SOUK_ERR_NO_MEMORY, ...) are of the whole
 * batch. */
SOUK_MUST_CHECK souk_err_t orders_draft_make(const orders_draft_input_t *in,
                                             const orders_ground_t *ground, int64_t number,
                                             orders_draft_t *ret);

/* What place_batch said against it: the line (from 1) for which `remaining` are left; the code is
 * used up. */
void orders_draft_lacks_stock(orders_draft_t *self, souk_arena_t *arena, int64_t line,
                              int64_t remaining);
void orders_draft_lacks_uses(orders_draft_t *self, souk_arena_t *arena);
void orders_draft_too_many(orders_draft_t *self, souk_arena_t *arena);

#endif
