/* What customers see of shipping. */
#include "gen/orders_handlers.h"
#include "orders/reference.h"
#include "orders/service.h"

static void s_money(const orders_service_t *service, int64_t amount, souk_money_t *ret) {
    souk_money_set_amount(ret, amount);
    souk_money_set_currency(ret, service->currency);
}

static souk_err_t s_option(souk_ctx_t *ctx, const orders_shipping_t *shipping,
                           orders_shipping_option_t *ret) {
    const orders_service_t *service = souk_ctx_service(ctx);
    orders_shipping_option_set_id(ret, shipping->id);
    orders_shipping_option_set_name(ret, shipping->name);
    s_money(service, shipping->price, &ret->price);
    souk_bits_set(&ret->bits, ORDERS_SHIPPING_OPTION_PRICE_BIT);
    if (shipping->free_from == ORDERS_NONE) {
        souk_bits_set_nil(&ret->bits, ORDERS_SHIPPING_OPTION_FREE_ABOVE_BIT);
    } else {
        s_money(service, shipping->free_from, &ret->free_above);
        souk_bits_set(&ret->bits, ORDERS_SHIPPING_OPTION_FREE_ABOVE_BIT);
    }
    souk_str_t *countries =
        orders_shipping_option_new_countries(ret, souk_ctx_arena(ctx), shipping->countries_count);
    if (countries == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < shipping->countries_count; i++) {
        countries[i] = shipping->countries[i];
    }
    return SOUK_OK;
}

souk_err_t orders_shipping_methods(souk_ctx_t *ctx, const orders_shipping_methods_req_t *req,
                                   orders_shipping_methods_rep_t *ret_rep) {
    const orders_service_t *service = souk_ctx_service(ctx);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &orders_reference_stmt, NULL, &rows));
    const orders_reference_ask_t ask = {.pg = souk_ctx_slot(ctx),
                                        .timeout_ms = souk_ctx_remaining_ms(ctx),
                                        .arena = souk_ctx_arena(ctx)};
    const orders_reference_data_t *data;
    SOUK_TRY(
        orders_reference_require(service->reference, &ask, souk_pg_get_int(rows, 0, 0), &data));
    const orders_shipping_t *offered[ORDERS_SHIPPING_MAX];
    size_t count = 0;
    for (size_t i = 0; i < data->shipping_count && count < ORDERS_SHIPPING_MAX; i++) {
        if (orders_shipping_check(&data->shipping[i], req->country) == SOUK_OK) {
            offered[count++] = &data->shipping[i];
        }
    }
    orders_shipping_option_t *options =
        orders_shipping_methods_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (options == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(s_option(ctx, offered[i], &options[i]));
    }
    return SOUK_OK;
}
