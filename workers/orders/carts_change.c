/* Changes of one cart: each locks and reads it, changes it in memory, stores that, and answers with
 * the whole cart. */
#include <stdio.h>

#include "gen/orders_handlers.h"
#include "orders/basket.h"
#include "orders/form.h"
#include "orders/record.h"
#include "orders/version.h"
#include "souk/clock.h"
#include "souk/text.h"

#define POINTER_BYTES 48

/* ---- what all do ----------------------------------------------------------------------------- */

static souk_err_t s_lock(souk_ctx_t *ctx, souk_str_t id, orders_basket_t **ret) {
    const orders_basket_which_t which = {.id = id, .subject = souk_ctx_subject(ctx)};
    return orders_basket_lock(ctx, &which, ret);
}

static souk_err_t s_require_open(souk_ctx_t *ctx, const orders_basket_t *basket,
                                 souk_str_t if_match) {
    SOUK_TRY(orders_require_version(ctx, if_match, basket->version));
    if (basket->status != ORDERS_CART_STATUS_OPEN) {
        (void)souk_ctx_fail(ctx, SOUK_ERR_CART_NOT_OPEN, "the cart was %s",
                            basket->status == ORDERS_CART_STATUS_ORDERED ? "ordered" : "merged");
        return SOUK_ERR_CART_NOT_OPEN; /* said so that the compiler sees that *ret was not wanted */
    }
    return SOUK_OK;
}

static souk_err_t s_close(souk_ctx_t *ctx, orders_basket_t *basket, bool strict,
                          orders_cart_t *ret_rep) {
    SOUK_TRY(orders_basket_update(ctx, basket));
    return orders_basket_reply(ctx, basket, strict, ret_rep);
}

static souk_err_t s_no_line(souk_ctx_t *ctx, souk_str_t sku) {
    return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "the cart has no line of SKU %.*s", (int)sku.size,
                         sku.data);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static souk_err_t s_require_quantity(souk_ctx_t *ctx, int64_t quantity, souk_str_t sku) {
    if (quantity > ORDERS_QUANTITY_MAX) {
        return orders_basket_refuse(ctx, SOUK_ERR_QUANTITY_TOO_LARGE, "/quantity",
                                    "more than %d of SKU %.*s", ORDERS_QUANTITY_MAX, (int)sku.size,
                                    sku.data);
    }
    return SOUK_OK;
}

static souk_err_t s_add(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_carts_items_add_req_t *req = request;
    orders_basket_t *basket;
    SOUK_TRY(s_lock(ctx, req->id, &basket));
    SOUK_TRY(s_require_open(ctx, basket, req->if_match));
    orders_basket_line_t *line = orders_basket_line(basket, req->sku);
    if (line == NULL) {
        orders_basket_line_t added = {.sku = req->sku, .seen_price = ORDERS_NONE};
        SOUK_TRY(orders_basket_skus(ctx, &added, 1));
        SOUK_TRY(orders_basket_require_sellable(ctx, &added, "/sku"));
        if (basket->count == ORDERS_LINES_MAX) {
            return souk_ctx_fail(ctx, SOUK_ERR_CART_FULL, "a cart has at most %d lines",
                                 ORDERS_LINES_MAX);
        }
        line = &basket->lines[basket->count++];
        *line = added;
    }
    SOUK_TRY(orders_basket_require_sellable(ctx, line, "/sku"));
    SOUK_TRY(s_require_quantity(ctx, line->quantity + req->quantity, req->sku));
    line->quantity += req->quantity;
    SOUK_TRY(orders_basket_put_lines(ctx, basket, line, 1));
    return s_close(ctx, basket, true, ret_rep);
}

souk_err_t orders_carts_items_add(souk_ctx_t *ctx, const orders_carts_items_add_req_t *req,
                                  orders_carts_items_add_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_add, req, ret_rep);
}

/* Fewer of what is no longer for sale is let through: the cart gets no worse by it. */
static souk_err_t s_set(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_carts_items_set_req_t *req = request;
    orders_basket_t *basket;
    SOUK_TRY(s_lock(ctx, req->id, &basket));
    SOUK_TRY(s_require_open(ctx, basket, req->if_match));
    orders_basket_line_t *line = orders_basket_line(basket, req->sku);
    if (line == NULL) {
        return s_no_line(ctx, req->sku);
    }
    bool more = req->quantity > line->quantity;
    if (more) {
        SOUK_TRY(orders_basket_require_sellable(ctx, line, "/quantity"));
    }
    line->quantity = req->quantity;
    SOUK_TRY(orders_basket_put_lines(ctx, basket, line, 1));
    return s_close(ctx, basket, more, ret_rep);
}

souk_err_t orders_carts_items_set(souk_ctx_t *ctx, const orders_carts_items_set_req_t *req,
                                  orders_carts_items_set_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_set, req, ret_rep);
}

static const souk_pg_stmt_t s_delete_line = {
    .name = "orders_cart_delete_line",
    .sql = "DELETE FROM cart_lines WHERE cart_id = $1 AND sku = $2"};

static souk_err_t s_remove(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_carts_items_remove_req_t *req = request;
    orders_basket_t *basket;
    SOUK_TRY(s_lock(ctx, req->id, &basket));
    SOUK_TRY(s_require_open(ctx, basket, req->if_match));
    orders_basket_line_t *line = orders_basket_line(basket, req->sku);
    if (line == NULL) {
        return s_no_line(ctx, req->sku);
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, basket->id);
    souk_pg_str(&args, req->sku);
    SOUK_TRY(souk_pg_post(ctx, &s_delete_line, &args));
    const orders_basket_line_t *end = &basket->lines[basket->count--];
    memmove(line, line + 1, (size_t)(end - (line + 1)) * sizeof *line);
    return s_close(ctx, basket, false, ret_rep);
}

souk_err_t orders_carts_items_remove(souk_ctx_t *ctx, const orders_carts_items_remove_req_t *req,
                                     orders_carts_items_remove_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_remove, req, ret_rep);
}

/* ---- where it goes and how ------------------------------------------------------------------- */

static bool s_given(const souk_bits_t *bits, unsigned bit) {
    return souk_bits_has(bits, bit) && !souk_bits_nil(bits, bit);
}

static souk_err_t s_email(souk_ctx_t *ctx, const orders_carts_update_req_t *req,
                          orders_basket_t *basket) {
    if (!souk_bits_has(&req->bits, ORDERS_CARTS_UPDATE_REQ_EMAIL_BIT)) {
        return SOUK_OK;
    }
    basket->email = (souk_str_t){0};
    if (!s_given(&req->bits, ORDERS_CARTS_UPDATE_REQ_EMAIL_BIT)) {
        return SOUK_OK;
    }
    souk_email_t email;
    souk_err_t err = souk_text_email(souk_ctx_arena(ctx), req->email, &email);
    if (err == SOUK_ERR_VALIDATION) {
        return souk_ctx_fail_field(ctx, "/email", "is no email address");
    }
    SOUK_TRY(err);
    basket->email = email.shown;
    return SOUK_OK;
}

static souk_err_t s_address(souk_ctx_t *ctx, const orders_carts_update_req_t *req,
                            orders_basket_t *basket) {
    if (!souk_bits_has(&req->bits, ORDERS_CARTS_UPDATE_REQ_SHIPPING_ADDRESS_BIT)) {
        return SOUK_OK;
    }
    basket->address = (souk_str_t){0};
    basket->country = SOUK_STR("");
    if (!s_given(&req->bits, ORDERS_CARTS_UPDATE_REQ_SHIPPING_ADDRESS_BIT)) {
        return SOUK_OK;
    }
    souk_address_t address = req->shipping_address;
    orders_form_issues_t issues;
    souk_err_t err = orders_form_address(souk_ctx_arena(ctx), &address, &issues);
    for (size_t i = 0; err == SOUK_ERR_VALIDATION && i < issues.count; i++) {
        char pointer[POINTER_BYTES];
        (void)snprintf(pointer, sizeof pointer, "/shipping_address/%s", issues.items[i].field);
        (void)souk_ctx_fail_field(ctx, pointer, "%s", issues.items[i].reason);
    }
    SOUK_TRY(err);
    basket->country = address.country;
    return orders_address_write(&address, souk_ctx_arena(ctx), &basket->address);
}

/* The method is looked at against the address that stands then, so this comes behind it. */
static souk_err_t s_method(souk_ctx_t *ctx, const orders_carts_update_req_t *req,
                           orders_basket_t *basket) {
    if (!souk_bits_has(&req->bits, ORDERS_CARTS_UPDATE_REQ_SHIPPING_METHOD_BIT)) {
        return SOUK_OK;
    }
    basket->shipping_method = (souk_str_t){0};
    if (!s_given(&req->bits, ORDERS_CARTS_UPDATE_REQ_SHIPPING_METHOD_BIT)) {
        return SOUK_OK;
    }
    souk_str_t id = req->shipping_method;
    const orders_shipping_t *shipping = orders_reference_shipping(basket->reference, id);
    if (shipping == NULL || orders_shipping_check(shipping, basket->country) != SOUK_OK) {
        bool anywhere = basket->country.size == 0;
        return orders_basket_refuse(ctx, SOUK_ERR_SHIPPING_NOT_AVAILABLE, "/shipping_method",
                                    "there is no method %.*s for %.*s", (int)id.size, id.data,
                                    anywhere ? 3 : 2, anywhere ? "now" : basket->country.data);
    }
    basket->shipping_method = id;
    return SOUK_OK;
}

static souk_err_t s_discount(souk_ctx_t *ctx, const orders_carts_update_req_t *req,
                             orders_basket_t *basket) {
    if (!souk_bits_has(&req->bits, ORDERS_CARTS_UPDATE_REQ_DISCOUNT_CODE_BIT)) {
        return SOUK_OK;
    }
    basket->discount_code = (souk_str_t){0};
    basket->discount_known = false;
    if (!s_given(&req->bits, ORDERS_CARTS_UPDATE_REQ_DISCOUNT_CODE_BIT)) {
        return SOUK_OK;
    }
    SOUK_TRY(orders_form_code(souk_ctx_arena(ctx), req->discount_code, &basket->discount_code));
    souk_err_t err = orders_basket_discount(ctx, basket);
    const orders_discount_t *discount = &basket->discount;
    if (err == SOUK_OK) { /* its minimum may be met later */
        err = orders_discount_check(discount, INT64_MAX, souk_clock_unix_us());
    }
    if (err == SOUK_OK && discount->limit_total != ORDERS_NONE &&
        discount->used >= discount->limit_total) {
        err = SOUK_ERR_DISCOUNT_USED_UP;
    }
    if (err != SOUK_OK && souk_err_info(err)->is_public) {
        (void)souk_ctx_fail_field(ctx, "/discount_code", "%s", souk_err_info(err)->title);
    }
    return err;
}

static souk_err_t s_update(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_carts_update_req_t *req = request;
    orders_basket_t *basket;
    SOUK_TRY(s_lock(ctx, req->id, &basket));
    SOUK_TRY(s_require_open(ctx, basket, req->if_match));
    SOUK_TRY(s_email(ctx, req, basket));
    SOUK_TRY(s_address(ctx, req, basket));
    SOUK_TRY(s_method(ctx, req, basket));
    SOUK_TRY(s_discount(ctx, req, basket));
    return s_close(ctx, basket, true, ret_rep);
}

souk_err_t orders_carts_update(souk_ctx_t *ctx, const orders_carts_update_req_t *req,
                               orders_carts_update_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_update, req, ret_rep);
}

static souk_err_t s_discount_remove(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_carts_discount_remove_req_t *req = request;
    orders_basket_t *basket;
    SOUK_TRY(s_lock(ctx, req->id, &basket));
    SOUK_TRY(s_require_open(ctx, basket, req->if_match));
    if (basket->discount_code.data == NULL) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "the cart has no discount code");
    }
    basket->discount_code = (souk_str_t){0};
    basket->discount_known = false;
    return s_close(ctx, basket, false, ret_rep);
}

souk_err_t orders_carts_discount_remove(souk_ctx_t *ctx,
                                        const orders_carts_discount_remove_req_t *req,
                                        orders_carts_discount_remove_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_discount_remove, req, ret_rep);
}
