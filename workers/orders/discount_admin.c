#include "gen/orders_handlers.h"
#include "orders/form.h"
#include "orders/pricing.h"
#include "orders/version.h"

typedef struct {
    orders_discount_t discount;
    int64_t updated_at;
    souk_str_t json; /* the row, for the audit log */
} s_row_t;

#define COLUMNS                                                                                    \
    "d.code, d.kind, d.value, d.minimum, d.starts_at, d.ends_at, d.limit_total,"                   \
    " d.limit_per_customer, d.used, d.active, d.version, d.updated_at, to_jsonb(d)::text"

static const souk_pg_stmt_t s_list = {
    .name = "orders_discounts_list",
    .sql = "SELECT " COLUMNS " FROM discount_codes d WHERE d.code > $1 ORDER BY d.code LIMIT $2"};
static const souk_pg_stmt_t s_get = {.name = "orders_discounts_get",
                                     .sql = "SELECT " COLUMNS
                                            " FROM discount_codes d WHERE d.code = $1"};
/* Placing an order locks the row too: used does not move while it is looked at here. */
static const souk_pg_stmt_t s_lock = {.name = "orders_discounts_lock",
                                      .sql = "SELECT " COLUMNS " FROM discount_codes d"
                                             " WHERE d.code = $1 FOR UPDATE"};
static const souk_pg_stmt_t s_insert = {
    .name = "orders_discounts_insert",
    .sql = "INSERT INTO discount_codes AS d (code, kind, value, minimum, starts_at, ends_at,"
           " limit_total, limit_per_customer, active)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7::bigint, $8::bigint, $9) RETURNING " COLUMNS};
static const souk_pg_stmt_t s_update = {
    .name = "orders_discounts_update",
    .sql = "UPDATE discount_codes d SET kind = $2, value = $3, minimum = $4, starts_at = $5,"
           " ends_at = $6, limit_total = $7::bigint, limit_per_customer = $8::bigint,"
           " active = $9, version = d.version + 1, updated_at = now()"
           " WHERE d.code = $1 RETURNING " COLUMNS};
static const souk_pg_stmt_t s_delete = {.name = "orders_discounts_delete",
                                        .sql = "DELETE FROM discount_codes WHERE code = $1"};

/* ---- rows ------------------------------------------------------------------------------------ */

static int64_t s_int_or_none(const souk_pg_rows_t *rows, size_t row, int column) {
    return souk_pg_is_null(rows, row, column) ? ORDERS_NONE : souk_pg_get_int(rows, row, column);
}

static void s_take(const souk_pg_rows_t *rows, size_t row, s_row_t *ret) {
    bool percent = souk_str_equal(souk_pg_get_str(rows, row, 1), SOUK_STR("percent"));
    *ret = (s_row_t){
        .discount = {.code = souk_pg_get_str(rows, row, 0),
                     .kind = percent ? ORDERS_DISCOUNT_PERCENT : ORDERS_DISCOUNT_FIXED,
                     .value = souk_pg_get_int(rows, row, 2),
                     .minimum = souk_pg_get_int(rows, row, 3),
                     .starts_at_us = souk_pg_get_time(rows, row, 4), /* null: ORDERS_NONE */
                     .ends_at_us = souk_pg_get_time(rows, row, 5),
                     .limit_total = s_int_or_none(rows, row, 6),
                     .limit_per_customer = s_int_or_none(rows, row, 7),
                     .used = souk_pg_get_int(rows, row, 8),
                     .active = souk_pg_get_bool(rows, row, 9),
                     .version = souk_pg_get_int(rows, row, 10)},
        .updated_at = souk_pg_get_time(rows, row, 11),
        .json = souk_pg_get_str(rows, row, 12),
    };
}

static void s_set_or_nil(int64_t value, int64_t *member, souk_bits_t *bits, unsigned bit) {
    if (value == ORDERS_NONE) {
        souk_bits_set_nil(bits, bit);
    } else {
        *member = value;
        souk_bits_set(bits, bit);
    }
}

static void s_money_or_nil(souk_ctx_t *ctx, int64_t amount, souk_money_t *member, souk_bits_t *bits,
                           unsigned bit) {
    if (amount == ORDERS_NONE) {
        souk_bits_set_nil(bits, bit);
    } else {
        orders_pricing_money(ctx, amount, member);
        souk_bits_set(bits, bit);
    }
}

static void s_show(souk_ctx_t *ctx, const s_row_t *self, orders_discount_code_t *ret) {
    const orders_discount_t *discount = &self->discount;
    bool percent = discount->kind == ORDERS_DISCOUNT_PERCENT;
    orders_discount_code_set_code(ret, discount->code);
    orders_discount_code_set_version(ret, discount->version);
    orders_discount_code_set_kind(ret, percent ? ORDERS_DISCOUNT_CODE_KIND_PERCENT
                                               : ORDERS_DISCOUNT_CODE_KIND_FIXED);
    s_set_or_nil(percent ? discount->value : ORDERS_NONE, &ret->percent_ppm, &ret->bits,
                 ORDERS_DISCOUNT_CODE_PERCENT_PPM_BIT);
    s_money_or_nil(ctx, percent ? ORDERS_NONE : discount->value, &ret->amount, &ret->bits,
                   ORDERS_DISCOUNT_CODE_AMOUNT_BIT);
    s_money_or_nil(ctx, discount->minimum > 0 ? discount->minimum : ORDERS_NONE, &ret->minimum,
                   &ret->bits, ORDERS_DISCOUNT_CODE_MINIMUM_BIT);
    s_set_or_nil(discount->starts_at_us, &ret->starts_at, &ret->bits,
                 ORDERS_DISCOUNT_CODE_STARTS_AT_BIT);
    s_set_or_nil(discount->ends_at_us, &ret->ends_at, &ret->bits, ORDERS_DISCOUNT_CODE_ENDS_AT_BIT);
    s_set_or_nil(discount->limit_total, &ret->limit_total, &ret->bits,
                 ORDERS_DISCOUNT_CODE_LIMIT_TOTAL_BIT);
    s_set_or_nil(discount->limit_per_customer, &ret->limit_per_customer, &ret->bits,
                 ORDERS_DISCOUNT_CODE_LIMIT_PER_CUSTOMER_BIT);
    orders_discount_code_set_used(ret, discount->used);
    orders_discount_code_set_active(ret, discount->active);
    orders_discount_code_set_updated_at(ret, self->updated_at);
}

static void s_int_arg(souk_pg_args_t *args, int64_t value) {
    if (value == ORDERS_NONE) {
        souk_pg_null(args);
    } else {
        souk_pg_int(args, value);
    }
}

/* Runs s_insert or s_update and tells the row that it made. */
static souk_err_t s_store(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                          const orders_discount_t *discount, s_row_t *ret) {
    bool percent = discount->kind == ORDERS_DISCOUNT_PERCENT;
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, discount->code);
    souk_pg_str(&args, percent ? SOUK_STR("percent") : SOUK_STR("fixed"));
    souk_pg_int(&args, discount->value);
    souk_pg_int(&args, discount->minimum);
    souk_pg_time(&args, discount->starts_at_us);
    souk_pg_time(&args, discount->ends_at_us);
    s_int_arg(&args, discount->limit_total);
    s_int_arg(&args, discount->limit_per_customer);
    souk_pg_bool(&args, discount->active);
    const souk_pg_rows_t *rows;
    SOUK_TRY(orders_pricing_row(ctx, stmt, &args, &rows));
    s_take(rows, 0, ret);
    return SOUK_OK;
}

/* The code in any case. */
static souk_err_t s_read(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, souk_str_t code,
                         s_row_t *ret) {
    souk_str_t folded;
    SOUK_TRY(orders_form_code(souk_ctx_arena(ctx), code, &folded));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, folded);
    const souk_pg_rows_t *rows;
    SOUK_TRY(orders_pricing_row(ctx, stmt, &args, &rows));
    s_take(rows, 0, ret);
    return SOUK_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

souk_err_t orders_discounts_list(souk_ctx_t *ctx, const orders_discounts_list_req_t *req,
                                 orders_discounts_list_rep_t *ret_rep) {
    bool paged = souk_bits_has(&req->bits, ORDERS_DISCOUNTS_LIST_REQ_CURSOR_BIT);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, paged ? req->cursor : SOUK_STR(""));
    souk_pg_int(&args, req->limit + 1);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_list, &args, &rows));
    size_t limit = (size_t)req->limit, found = souk_pg_count(rows);
    size_t count = found < limit ? found : limit;
    orders_discount_code_t *all =
        orders_discounts_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (all == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    s_row_t row = {0};
    for (size_t i = 0; i < count; i++) {
        s_take(rows, i, &row);
        s_show(ctx, &row, &all[i]);
    }
    souk_str_t none = {0};
    orders_pricing_page(&ret_rep->page, req->limit, found > count ? row.discount.code : none);
    souk_bits_set(&ret_rep->bits, ORDERS_DISCOUNTS_LIST_REP_PAGE_BIT);
    return SOUK_OK;
}

souk_err_t orders_discounts_get(souk_ctx_t *ctx, const orders_discounts_get_req_t *req,
                                orders_discounts_get_rep_t *ret_rep) {
    s_row_t row;
    SOUK_TRY(s_read(ctx, &s_get, req->code, &row));
    s_show(ctx, &row, ret_rep);
    return SOUK_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What POST and PATCH have in common; NULL: absent. nil: it is null. */
typedef struct {
    const int64_t *percent_ppm, *starts_at, *ends_at, *limit_total, *limit_per_customer;
    const souk_money_t *amount, *minimum;
    const bool *active;
} s_fields_t;

static const int64_t s_none = ORDERS_NONE;
static const souk_money_t s_no_money = {.amount = 0};

#define FIELD(req, bits, name, BIT, null)                                                          \
    (!souk_bits_has(bits, BIT) ? NULL : souk_bits_nil(bits, BIT) ? (null) : &(req)->name)

static void s_set(int64_t *member, const int64_t *value) {
    if (value != NULL) {
        *member = *value;
    }
}

static souk_err_t s_set_value(souk_ctx_t *ctx, const s_fields_t *fields,
                              orders_discount_t *discount) {
    bool percent = discount->kind == ORDERS_DISCOUNT_PERCENT;
    if (percent && fields->amount != NULL) {
        return souk_ctx_fail_field(ctx, "/amount", "is of codes of kind fixed");
    }
    if (!percent && fields->percent_ppm != NULL) {
        return souk_ctx_fail_field(ctx, "/percent_ppm", "is of codes of kind percent");
    }
    s_set(&discount->value, fields->percent_ppm);
    if (fields->amount != NULL) {
        SOUK_TRY(orders_pricing_amount(ctx, fields->amount, "/amount", &discount->value));
    }
    if (discount->value < 1) {
        return percent ? souk_ctx_fail_field(ctx, "/percent_ppm", "is required")
                       : souk_ctx_fail_field(ctx, "/amount", "is required and at least 1");
    }
    return SOUK_OK;
}

static souk_err_t s_apply(souk_ctx_t *ctx, const s_fields_t *fields, orders_discount_t *discount) {
    SOUK_TRY(s_set_value(ctx, fields, discount));
    if (fields->minimum == &s_no_money) {
        discount->minimum = 0;
    } else if (fields->minimum != NULL) {
        SOUK_TRY(orders_pricing_amount(ctx, fields->minimum, "/minimum", &discount->minimum));
    }
    s_set(&discount->starts_at_us, fields->starts_at);
    s_set(&discount->ends_at_us, fields->ends_at);
    s_set(&discount->limit_total, fields->limit_total);
    s_set(&discount->limit_per_customer, fields->limit_per_customer);
    discount->active = fields->active != NULL ? *fields->active : discount->active;
    if (discount->starts_at_us != ORDERS_NONE && discount->ends_at_us != ORDERS_NONE &&
        discount->starts_at_us >= discount->ends_at_us) {
        return souk_ctx_fail_field(ctx, "/ends_at", "must be later than starts_at");
    }
    if (discount->limit_total != ORDERS_NONE && discount->limit_total < discount->used) {
        return souk_ctx_fail_field(ctx, "/limit_total", "is less than the %lld uses so far",
                                   (long long)discount->used);
    }
    return SOUK_OK;
}

static souk_err_t s_create(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_discounts_create_req_t *req = request;
    const souk_bits_t *bits = &req->bits;
    bool percent = req->kind == ORDERS_DISCOUNTS_CREATE_REQ_KIND_PERCENT;
    orders_discount_t discount = {
        .kind = percent ? ORDERS_DISCOUNT_PERCENT : ORDERS_DISCOUNT_FIXED,
        .starts_at_us = ORDERS_NONE,
        .ends_at_us = ORDERS_NONE,
        .limit_total = ORDERS_NONE,
        .limit_per_customer = ORDERS_NONE,
    };
    SOUK_TRY(orders_form_code(souk_ctx_arena(ctx), req->code, &discount.code));
    const s_fields_t fields = {
        .percent_ppm =
            FIELD(req, bits, percent_ppm, ORDERS_DISCOUNTS_CREATE_REQ_PERCENT_PPM_BIT, &s_none),
        .amount = FIELD(req, bits, amount, ORDERS_DISCOUNTS_CREATE_REQ_AMOUNT_BIT, &s_no_money),
        .minimum = FIELD(req, bits, minimum, ORDERS_DISCOUNTS_CREATE_REQ_MINIMUM_BIT, &s_no_money),
        .starts_at =
            FIELD(req, bits, starts_at, ORDERS_DISCOUNTS_CREATE_REQ_STARTS_AT_BIT, &s_none),
        .ends_at = FIELD(req, bits, ends_at, ORDERS_DISCOUNTS_CREATE_REQ_ENDS_AT_BIT, &s_none),
        .limit_total =
            FIELD(req, bits, limit_total, ORDERS_DISCOUNTS_CREATE_REQ_LIMIT_TOTAL_BIT, &s_none),
        .limit_per_customer = FIELD(req, bits, limit_per_customer,
                                    ORDERS_DISCOUNTS_CREATE_REQ_LIMIT_PER_CUSTOMER_BIT, &s_none),
        .active = &req->active,
    };
    SOUK_TRY(s_apply(ctx, &fields, &discount));
    s_row_t made;
    SOUK_TRY(s_store(ctx, &s_insert, &discount, &made));
    SOUK_TRY(
        souk_pg_audit(ctx, "discounts.create", made.discount.code, (souk_str_t){0}, made.json));
    s_show(ctx, &made, ret_rep);
    return SOUK_OK;
}

souk_err_t orders_discounts_create(souk_ctx_t *ctx, const orders_discounts_create_req_t *req,
                                   orders_discounts_create_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_create, req, ret_rep);
}

static souk_err_t s_change(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_discounts_update_req_t *req = request;
    const souk_bits_t *bits = &req->bits;
    s_row_t row, made;
    SOUK_TRY(s_read(ctx, &s_lock, req->code, &row));
    SOUK_TRY(orders_require_version(ctx, req->if_match, row.discount.version));
    const s_fields_t fields = {
        .percent_ppm =
            FIELD(req, bits, percent_ppm, ORDERS_DISCOUNTS_UPDATE_REQ_PERCENT_PPM_BIT, &s_none),
        .amount = FIELD(req, bits, amount, ORDERS_DISCOUNTS_UPDATE_REQ_AMOUNT_BIT, &s_no_money),
        .minimum = FIELD(req, bits, minimum, ORDERS_DISCOUNTS_UPDATE_REQ_MINIMUM_BIT, &s_no_money),
        .starts_at =
            FIELD(req, bits, starts_at, ORDERS_DISCOUNTS_UPDATE_REQ_STARTS_AT_BIT, &s_none),
        .ends_at = FIELD(req, bits, ends_at, ORDERS_DISCOUNTS_UPDATE_REQ_ENDS_AT_BIT, &s_none),
        .limit_total =
            FIELD(req, bits, limit_total, ORDERS_DISCOUNTS_UPDATE_REQ_LIMIT_TOTAL_BIT, &s_none),
        .limit_per_customer = FIELD(req, bits, limit_per_customer,
                                    ORDERS_DISCOUNTS_UPDATE_REQ_LIMIT_PER_CUSTOMER_BIT, &s_none),
        .active = souk_bits_has(bits, ORDERS_DISCOUNTS_UPDATE_REQ_ACTIVE_BIT) ? &req->active : NULL,
    };
    SOUK_TRY(s_apply(ctx, &fields, &row.discount));
    SOUK_TRY(s_store(ctx, &s_update, &row.discount, &made));
    SOUK_TRY(souk_pg_audit(ctx, "discounts.update", made.discount.code, row.json, made.json));
    s_show(ctx, &made, ret_rep);
    return SOUK_OK;
}

souk_err_t orders_discounts_update(souk_ctx_t *ctx, const orders_discounts_update_req_t *req,
                                   orders_discounts_update_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_change, req, ret_rep);
}

static souk_err_t s_remove(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    (void)ret_rep;
    const orders_discounts_delete_req_t *req = request;
    s_row_t row;
    SOUK_TRY(s_read(ctx, &s_lock, req->code, &row));
    SOUK_TRY(orders_require_version(ctx, req->if_match, row.discount.version));
    if (row.discount.used > 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_DISCOUNT_IN_USE,
                             "%lld orders use it: deactivate it instead",
                             (long long)row.discount.used);
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, row.discount.code);
    SOUK_TRY(souk_pg_post(ctx, &s_delete, &args));
    return souk_pg_audit(ctx, "discounts.delete", row.discount.code, row.json, (souk_str_t){0});
}

souk_err_t orders_discounts_delete(souk_ctx_t *ctx, const orders_discounts_delete_req_t *req,
                                   orders_discounts_delete_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_remove, req, ret_rep);
}
