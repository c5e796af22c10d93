#include "orders/pricing.h"

#include "souk/text.h"

#define NAME_POINTS_MAX 200

souk_err_t orders_pricing_amount(souk_ctx_t *ctx, const souk_money_t *money, const char *pointer,
                                 int64_t *ret_amount) {
    const orders_service_t *service = souk_ctx_service(ctx);
    if (!souk_str_equal(money->currency, service->currency)) {
        return souk_ctx_fail_field(ctx, pointer, "must be in the store's currency, %.*s",
                                   (int)service->currency.size, service->currency.data);
    }
    *ret_amount = money->amount;
    return SOUK_OK;
}

void orders_pricing_money(souk_ctx_t *ctx, int64_t amount, souk_money_t *ret) {
    const orders_service_t *service = souk_ctx_service(ctx);
    souk_money_set_amount(ret, amount);
    souk_money_set_currency(ret, service->currency);
}

souk_err_t orders_pricing_name(souk_ctx_t *ctx, souk_str_t name, souk_str_t *ret) {
    souk_err_t err = souk_text_line(souk_ctx_arena(ctx), name, NAME_POINTS_MAX, ret);
    return err == SOUK_ERR_VALIDATION ? souk_ctx_fail_field(ctx, "/name", "is no line of text")
                                      : err;
}

souk_err_t orders_pricing_country(souk_ctx_t *ctx, souk_str_t country, const char *pointer) {
    return souk_country_valid(country)
               ? SOUK_OK
               : souk_ctx_fail_field(ctx, pointer,
                                     "must be an ISO 3166 code of two capital letters");
}

souk_err_t orders_pricing_row(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                              const souk_pg_args_t *args, const souk_pg_rows_t **ret_rows) {
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, stmt, args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_NOT_FOUND;
    }
    *ret_rows = rows;
    return SOUK_OK;
}

static const souk_pg_stmt_t s_turn = {.name = "orders_reference_turn",
                                      .sql = "SELECT revision FROM reference_revision FOR UPDATE"};

souk_err_t orders_pricing_require_room(souk_ctx_t *ctx, const souk_pg_stmt_t *count, int64_t most) {
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_post(ctx, &s_turn, NULL));
    SOUK_TRY(souk_pg_run(ctx, count, NULL, &rows));
    if (souk_pg_get_int(rows, 0, 0) >= most) {
        return souk_ctx_fail(ctx, SOUK_ERR_TOO_MANY, "at most %lld", (long long)most);
    }
    return SOUK_OK;
}

void orders_pricing_page(orders_pricing_page_t *ret, int64_t limit, souk_str_t next) {
    orders_pricing_page_set_limit(ret, limit);
    if (next.data == NULL) {
        souk_bits_set_nil(&ret->bits, ORDERS_PRICING_PAGE_NEXT_BIT);
    } else {
        orders_pricing_page_set_next(ret, next);
    }
}
