#include <stdio.h>

#include "gen/orders_handlers.h"
#include "orders/pricing.h"
#include "orders/version.h"

#define POINTER_BYTES 32

typedef struct {
    souk_str_t id, name;
    int64_t price, free_above, position, version,
        updated_at; /* free_above: ORDERS_NONE for never */
    const souk_str_t *countries;
    size_t countries_count;
    bool active;
    souk_str_t json; /* the row, for the audit log */
} s_method_t;

#define COLUMNS                                                                                    \
    "m.id, m.name, m.price, m.free_above, m.position::bigint, m.version, m.updated_at,"            \
    " array_to_string(m.countries, ','), m.active, to_jsonb(m)::text"

static const souk_pg_stmt_t s_list = {
    .name = "orders_shipping_list",
    .sql = "SELECT " COLUMNS " FROM shipping_methods m ORDER BY m.position, m.id LIMIT 200"};
static const souk_pg_stmt_t s_get = {.name = "orders_shipping_get",
                                     .sql = "SELECT " COLUMNS
                                            " FROM shipping_methods m WHERE m.id = $1"};
static const souk_pg_stmt_t s_lock = {.name = "orders_shipping_lock",
                                      .sql = "SELECT " COLUMNS " FROM shipping_methods m"
                                             " WHERE m.id = $1 FOR UPDATE"};
static const souk_pg_stmt_t s_count = {.name = "orders_shipping_count",
                                       .sql = "SELECT count(*) FROM shipping_methods"};
static const souk_pg_stmt_t s_insert = {
    .name = "orders_shipping_insert",
    .sql = "INSERT INTO shipping_methods AS m (id, name, price, free_above, countries, active,"
           " position) VALUES ($1, $2, $3, $4::bigint, $5, $6, $7::integer) RETURNING " COLUMNS};
static const souk_pg_stmt_t s_update = {
    .name = "orders_shipping_update",
    .sql = "UPDATE shipping_methods m SET name = $2, price = $3, free_above = $4::bigint,"
           " countries = $5, active = $6, position = $7::integer, version = m.version + 1,"
           " updated_at = now() WHERE m.id = $1 RETURNING " COLUMNS};
static const souk_pg_stmt_t s_delete = {.name = "orders_shipping_delete",
                                        .sql = "DELETE FROM shipping_methods WHERE id = $1"};

/* ---- rows ------------------------------------------------------------------------------------ */

static souk_err_t s_take(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t row, s_method_t *ret) {
    *ret = (s_method_t){
        .id = souk_pg_get_str(rows, row, 0),
        .name = souk_pg_get_str(rows, row, 1),
        .price = souk_pg_get_int(rows, row, 2),
        .free_above = souk_pg_is_null(rows, row, 3) ? ORDERS_NONE : souk_pg_get_int(rows, row, 3),
        .position = souk_pg_get_int(rows, row, 4),
        .version = souk_pg_get_int(rows, row, 5),
        .updated_at = souk_pg_get_time(rows, row, 6),
        .active = souk_pg_get_bool(rows, row, 8),
        .json = souk_pg_get_str(rows, row, 9),
    };
    return orders_reference_countries(souk_pg_get_str(rows, row, 7), souk_ctx_arena(ctx),
                                      &ret->countries, &ret->countries_count);
}

static souk_err_t s_show(souk_ctx_t *ctx, const s_method_t *self, orders_shipping_method_t *ret) {
    orders_shipping_method_set_id(ret, self->id);
    orders_shipping_method_set_version(ret, self->version);
    orders_shipping_method_set_name(ret, self->name);
    orders_pricing_money(ctx, self->price, &ret->price);
    souk_bits_set(&ret->bits, ORDERS_SHIPPING_METHOD_PRICE_BIT);
    if (self->free_above == ORDERS_NONE) {
        souk_bits_set_nil(&ret->bits, ORDERS_SHIPPING_METHOD_FREE_ABOVE_BIT);
    } else {
        orders_pricing_money(ctx, self->free_above, &ret->free_above);
        souk_bits_set(&ret->bits, ORDERS_SHIPPING_METHOD_FREE_ABOVE_BIT);
    }
    orders_shipping_method_set_active(ret, self->active);
    orders_shipping_method_set_position(ret, self->position);
    orders_shipping_method_set_updated_at(ret, self->updated_at);
    souk_str_t *countries =
        orders_shipping_method_new_countries(ret, souk_ctx_arena(ctx), self->countries_count);
    if (countries == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < self->countries_count; i++) {
        countries[i] = self->countries[i];
    }
    return SOUK_OK;
}

static void s_id_args(souk_ctx_t *ctx, souk_str_t id, souk_pg_args_t *args) {
    souk_pg_args_init(args, souk_ctx_arena(ctx));
    souk_pg_str(args, id);
}

/* Runs s_insert or s_update and tells the row that it made. */
static souk_err_t s_store(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, const s_method_t *self,
                          s_method_t *ret) {
    souk_pg_args_t args;
    s_id_args(ctx, self->id, &args);
    souk_pg_str(&args, self->name);
    souk_pg_int(&args, self->price);
    if (self->free_above == ORDERS_NONE) {
        souk_pg_null(&args);
    } else {
        souk_pg_int(&args, self->free_above);
    }
    souk_pg_strs(&args, self->countries, self->countries_count);
    souk_pg_bool(&args, self->active);
    souk_pg_int(&args, self->position);
    const souk_pg_rows_t *rows;
    SOUK_TRY(orders_pricing_row(ctx, stmt, &args, &rows));
    return s_take(ctx, rows, 0, ret);
}

static souk_err_t s_require(souk_ctx_t *ctx, souk_str_t id, souk_str_t if_match, s_method_t *ret) {
    souk_pg_args_t args;
    s_id_args(ctx, id, &args);
    const souk_pg_rows_t *rows;
    SOUK_TRY(orders_pricing_row(ctx, &s_lock, &args, &rows));
    SOUK_TRY(s_take(ctx, rows, 0, ret));
    return orders_require_version(ctx, if_match, ret->version);
}

static souk_err_t s_take_countries(souk_ctx_t *ctx, const souk_str_t *countries, size_t count,
                                   s_method_t *method) {
    for (size_t i = 0; i < count; i++) {
        char pointer[POINTER_BYTES];
        (void)snprintf(pointer, sizeof pointer, "/countries/%zu", i);
        SOUK_TRY(orders_pricing_country(ctx, countries[i], pointer));
    }
    method->countries = countries;
    method->countries_count = count;
    return SOUK_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

souk_err_t orders_shipping_list(souk_ctx_t *ctx, const orders_shipping_list_req_t *req,
                                orders_shipping_list_rep_t *ret_rep) {
    (void)req;
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_list, NULL, &rows));
    size_t count = souk_pg_count(rows);
    orders_shipping_method_t *all =
        orders_shipping_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (all == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        s_method_t method;
        SOUK_TRY(s_take(ctx, rows, i, &method));
        SOUK_TRY(s_show(ctx, &method, &all[i]));
    }
    return SOUK_OK;
}

souk_err_t orders_shipping_get(souk_ctx_t *ctx, const orders_shipping_get_req_t *req,
                               orders_shipping_get_rep_t *ret_rep) {
    souk_pg_args_t args;
    s_id_args(ctx, req->id, &args);
    const souk_pg_rows_t *rows;
    SOUK_TRY(orders_pricing_row(ctx, &s_get, &args, &rows));
    s_method_t method;
    SOUK_TRY(s_take(ctx, rows, 0, &method));
    return s_show(ctx, &method, ret_rep);
}

/* ---- writing --------------------------------------------------------------------------------- */

static souk_err_t s_create(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_shipping_create_req_t *req = request;
    s_method_t method = {
        .id = req->id, .free_above = ORDERS_NONE, .active = req->active, .position = req->position};
    SOUK_TRY(orders_pricing_name(ctx, req->name, &method.name));
    SOUK_TRY(orders_pricing_amount(ctx, &req->price, "/price", &method.price));
    const unsigned free_bit = ORDERS_SHIPPING_CREATE_REQ_FREE_ABOVE_BIT;
    if (souk_bits_has(&req->bits, free_bit) && !souk_bits_nil(&req->bits, free_bit)) {
        SOUK_TRY(orders_pricing_amount(ctx, &req->free_above, "/free_above", &method.free_above));
    }
    size_t count;
    const souk_str_t *countries = orders_shipping_create_req_countries(req, &count);
    SOUK_TRY(s_take_countries(ctx, countries, count, &method));
    SOUK_TRY(orders_pricing_require_room(ctx, &s_count, ORDERS_SHIPPING_MAX));
    s_method_t made;
    SOUK_TRY(s_store(ctx, &s_insert, &method, &made));
    SOUK_TRY(souk_pg_audit(ctx, "shipping.create", made.id, (souk_str_t){0}, made.json));
    return s_show(ctx, &made, ret_rep);
}

souk_err_t orders_shipping_create(souk_ctx_t *ctx, const orders_shipping_create_req_t *req,
                                  orders_shipping_create_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_create, req, ret_rep);
}

static souk_err_t s_patch(souk_ctx_t *ctx, const orders_shipping_update_req_t *req,
                          s_method_t *method) {
    const souk_bits_t *bits = &req->bits;
    if (souk_bits_has(bits, ORDERS_SHIPPING_UPDATE_REQ_NAME_BIT)) {
        SOUK_TRY(orders_pricing_name(ctx, req->name, &method->name));
    }
    if (souk_bits_has(bits, ORDERS_SHIPPING_UPDATE_REQ_PRICE_BIT)) {
        SOUK_TRY(orders_pricing_amount(ctx, &req->price, "/price", &method->price));
    }
    if (souk_bits_has(bits, ORDERS_SHIPPING_UPDATE_REQ_FREE_ABOVE_BIT)) {
        method->free_above = ORDERS_NONE;
        if (!souk_bits_nil(bits, ORDERS_SHIPPING_UPDATE_REQ_FREE_ABOVE_BIT)) {
            SOUK_TRY(
                orders_pricing_amount(ctx, &req->free_above, "/free_above", &method->free_above));
        }
    }
    if (souk_bits_has(bits, ORDERS_SHIPPING_UPDATE_REQ_COUNTRIES_BIT)) {
        size_t count;
        const souk_str_t *countries = orders_shipping_update_req_countries(req, &count);
        SOUK_TRY(s_take_countries(ctx, countries, count, method));
    }
    if (souk_bits_has(bits, ORDERS_SHIPPING_UPDATE_REQ_ACTIVE_BIT)) {
        method->active = req->active;
    }
    if (souk_bits_has(bits, ORDERS_SHIPPING_UPDATE_REQ_POSITION_BIT)) {
        method->position = req->position;
    }
    return SOUK_OK;
}

static souk_err_t s_change(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_shipping_update_req_t *req = request;
    s_method_t method, made;
    SOUK_TRY(s_require(ctx, req->id, req->if_match, &method));
    SOUK_TRY(s_patch(ctx, req, &method));
    SOUK_TRY(s_store(ctx, &s_update, &method, &made));
    SOUK_TRY(souk_pg_audit(ctx, "shipping.update", made.id, method.json, made.json));
    return s_show(ctx, &made, ret_rep);
}

souk_err_t orders_shipping_update(souk_ctx_t *ctx, const orders_shipping_update_req_t *req,
                                  orders_shipping_update_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_change, req, ret_rep);
}

static souk_err_t s_remove(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    (void)ret_rep;
    const orders_shipping_delete_req_t *req = request;
    s_method_t method;
    SOUK_TRY(s_require(ctx, req->id, req->if_match, &method));
    souk_pg_args_t args;
    s_id_args(ctx, req->id, &args);
    SOUK_TRY(souk_pg_post(ctx, &s_delete, &args));
    return souk_pg_audit(ctx, "shipping.delete", method.id, method.json, (souk_str_t){0});
}

souk_err_t orders_shipping_delete(souk_ctx_t *ctx, const orders_shipping_delete_req_t *req,
                                  orders_shipping_delete_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_remove, req, ret_rep);
}
