#include "gen/orders_handlers.h"
#include "orders/pricing.h"
#include "orders/version.h"

typedef struct {
    souk_str_t country, category, name;
    int64_t rate_ppm, version, updated_at;
    bool inclusive;
    souk_str_t json; /* the row, for the audit log */
} s_rate_t;

#define COLUMNS                                                                                    \
    "t.country, t.category, t.name, t.rate_ppm, t.version, t.updated_at, t.inclusive,"             \
    " to_jsonb(t)::text"

static const souk_pg_stmt_t s_list = {
    .name = "orders_tax_list",
    .sql = "SELECT " COLUMNS " FROM tax_rates t WHERE ($1::text IS NULL OR t.country = $1)"
           " AND ($2::text IS NULL OR (t.country, t.category) > ($2, $3::text COLLATE \"C\"))"
           " ORDER BY t.country, t.category LIMIT $4"};
static const souk_pg_stmt_t s_get = {.name = "orders_tax_get",
                                     .sql = "SELECT " COLUMNS " FROM tax_rates t"
                                            " WHERE t.country = $1 AND t.category = $2"};
static const souk_pg_stmt_t s_lock = {
    .name = "orders_tax_lock",
    .sql = "SELECT " COLUMNS " FROM tax_rates t WHERE t.country = $1 AND t.category = $2"
           " FOR UPDATE"};
static const souk_pg_stmt_t s_count = {.name = "orders_tax_count",
                                       .sql = "SELECT count(*) FROM tax_rates"};
static const souk_pg_stmt_t s_insert = {
    .name = "orders_tax_insert",
    .sql = "INSERT INTO tax_rates AS t (country, category, name, rate_ppm, inclusive)"
           " VALUES ($1, $2, $3, $4, $5) RETURNING " COLUMNS};
static const souk_pg_stmt_t s_update = {
    .name = "orders_tax_update",
    .sql = "UPDATE tax_rates t SET name = $3, rate_ppm = $4, inclusive = $5,"
           " version = t.version + 1, updated_at = now()"
           " WHERE t.country = $1 AND t.category = $2 RETURNING " COLUMNS};
static const souk_pg_stmt_t s_delete = {
    .name = "orders_tax_delete",
    .sql = "DELETE FROM tax_rates WHERE country = $1 AND category = $2"};

/* ---- rows ------------------------------------------------------------------------------------ */

static void s_take(const souk_pg_rows_t *rows, size_t row, s_rate_t *ret) {
    *ret = (s_rate_t){
        .country = souk_pg_get_str(rows, row, 0),
        .category = souk_pg_get_str(rows, row, 1),
        .name = souk_pg_get_str(rows, row, 2),
        .rate_ppm = souk_pg_get_int(rows, row, 3),
        .version = souk_pg_get_int(rows, row, 4),
        .updated_at = souk_pg_get_time(rows, row, 5),
        .inclusive = souk_pg_get_bool(rows, row, 6),
        .json = souk_pg_get_str(rows, row, 7),
    };
}

static void s_show(const s_rate_t *self, orders_tax_t *ret) {
    orders_tax_set_country(ret, self->country);
    orders_tax_set_category(ret, self->category);
    orders_tax_set_version(ret, self->version);
    orders_tax_set_rate_ppm(ret, self->rate_ppm);
    orders_tax_set_inclusive(ret, self->inclusive);
    orders_tax_set_name(ret, self->name);
    orders_tax_set_updated_at(ret, self->updated_at);
}

static void s_key_args(souk_ctx_t *ctx, souk_str_t country, souk_str_t category,
                       souk_pg_args_t *args) {
    souk_pg_args_init(args, souk_ctx_arena(ctx));
    souk_pg_str(args, country);
    souk_pg_str(args, category);
}

/* Runs s_insert or s_update and tells the row that it made. */
static souk_err_t s_store(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, const s_rate_t *self,
                          s_rate_t *ret) {
    souk_pg_args_t args;
    s_key_args(ctx, self->country, self->category, &args);
    souk_pg_str(&args, self->name);
    souk_pg_int(&args, self->rate_ppm);
    souk_pg_bool(&args, self->inclusive);
    const souk_pg_rows_t *rows;
    SOUK_TRY(orders_pricing_row(ctx, stmt, &args, &rows));
    s_take(rows, 0, ret);
    return SOUK_OK;
}

static souk_err_t s_read(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, souk_str_t country,
                         souk_str_t category, s_rate_t *ret) {
    souk_pg_args_t args;
    s_key_args(ctx, country, category, &args);
    const souk_pg_rows_t *rows;
    SOUK_TRY(orders_pricing_row(ctx, stmt, &args, &rows));
    s_take(rows, 0, ret);
    return SOUK_OK;
}

static souk_str_t s_target(souk_ctx_t *ctx, const s_rate_t *self) {
    return souk_arena_printf(souk_ctx_arena(ctx), "%.*s/%.*s", (int)self->country.size,
                             self->country.data, (int)self->category.size, self->category.data);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* "DE.standard": the last row of the page before. */
static souk_err_t s_cursor(souk_ctx_t *ctx, souk_str_t cursor, souk_str_t *ret_country,
                           souk_str_t *ret_category) {
    const char *dot = cursor.size > 0 ? memchr(cursor.data, '.', cursor.size) : NULL;
    if (dot == NULL) {
        return souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "cursor is none of this list");
    }
    *ret_country = (souk_str_t){.data = cursor.data, .size = (size_t)(dot - cursor.data)};
    *ret_category = (souk_str_t){.data = dot + 1, .size = cursor.size - ret_country->size - 1};
    return SOUK_OK;
}

static souk_err_t s_list_rows(souk_ctx_t *ctx, const orders_tax_list_req_t *req,
                              const souk_pg_rows_t **ret_rows) {
    souk_str_t after_country = {0}, after_category = {0}, none = {0};
    if (souk_bits_has(&req->bits, ORDERS_TAX_LIST_REQ_CURSOR_BIT)) {
        SOUK_TRY(s_cursor(ctx, req->cursor, &after_country, &after_category));
    }
    bool of_one = souk_bits_has(&req->bits, ORDERS_TAX_LIST_REQ_COUNTRY_BIT);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, of_one ? req->country : none);
    souk_pg_str(&args, after_country);
    souk_pg_str(&args, after_category);
    souk_pg_int(&args, req->limit + 1);
    return souk_pg_run(ctx, &s_list, &args, ret_rows);
}

souk_err_t orders_tax_list(souk_ctx_t *ctx, const orders_tax_list_req_t *req,
                           orders_tax_list_rep_t *ret_rep) {
    const souk_pg_rows_t *rows;
    SOUK_TRY(s_list_rows(ctx, req, &rows));
    size_t limit = (size_t)req->limit, found = souk_pg_count(rows);
    size_t count = found < limit ? found : limit;
    orders_tax_t *all = orders_tax_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (all == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    s_rate_t rate = {0};
    for (size_t i = 0; i < count; i++) {
        s_take(rows, i, &rate);
        s_show(&rate, &all[i]);
    }
    souk_str_t next = {0};
    if (found > count) {
        next = souk_arena_printf(souk_ctx_arena(ctx), "%.*s.%.*s", (int)rate.country.size,
                                 rate.country.data, (int)rate.category.size, rate.category.data);
    }
    orders_pricing_page(&ret_rep->page, req->limit, next);
    souk_bits_set(&ret_rep->bits, ORDERS_TAX_LIST_REP_PAGE_BIT);
    return souk_arena_overflowed(souk_ctx_arena(ctx)) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

souk_err_t orders_tax_get(souk_ctx_t *ctx, const orders_tax_get_req_t *req,
                          orders_tax_get_rep_t *ret_rep) {
    s_rate_t rate;
    SOUK_TRY(s_read(ctx, &s_get, req->country, req->category, &rate));
    s_show(&rate, ret_rep);
    return SOUK_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static souk_err_t s_create(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_tax_create_req_t *req = request;
    SOUK_TRY(orders_pricing_country(ctx, req->country, "/country"));
    s_rate_t rate = {.country = req->country,
                     .category = req->category,
                     .rate_ppm = req->rate_ppm,
                     .inclusive = req->inclusive};
    SOUK_TRY(orders_pricing_name(ctx, req->name, &rate.name));
    SOUK_TRY(orders_pricing_require_room(ctx, &s_count, ORDERS_TAX_RATES_MAX));
    s_rate_t made;
    SOUK_TRY(s_store(ctx, &s_insert, &rate, &made));
    SOUK_TRY(souk_pg_audit(ctx, "tax.create", s_target(ctx, &made), (souk_str_t){0}, made.json));
    s_show(&made, ret_rep);
    return SOUK_OK;
}

souk_err_t orders_tax_create(souk_ctx_t *ctx, const orders_tax_create_req_t *req,
                             orders_tax_create_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_create, req, ret_rep);
}

static souk_err_t s_change(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_tax_update_req_t *req = request;
    s_rate_t rate, made;
    SOUK_TRY(s_read(ctx, &s_lock, req->country, req->category, &rate));
    SOUK_TRY(orders_require_version(ctx, req->if_match, rate.version));
    souk_str_t before = rate.json;
    if (souk_bits_has(&req->bits, ORDERS_TAX_UPDATE_REQ_RATE_PPM_BIT)) {
        rate.rate_ppm = req->rate_ppm;
    }
    if (souk_bits_has(&req->bits, ORDERS_TAX_UPDATE_REQ_INCLUSIVE_BIT)) {
        rate.inclusive = req->inclusive;
    }
    if (souk_bits_has(&req->bits, ORDERS_TAX_UPDATE_REQ_NAME_BIT)) {
        SOUK_TRY(orders_pricing_name(ctx, req->name, &rate.name));
    }
    SOUK_TRY(s_store(ctx, &s_update, &rate, &made));
    SOUK_TRY(souk_pg_audit(ctx, "tax.update", s_target(ctx, &made), before, made.json));
    s_show(&made, ret_rep);
    return SOUK_OK;
}

souk_err_t orders_tax_update(souk_ctx_t *ctx, const orders_tax_update_req_t *req,
                             orders_tax_update_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_change, req, ret_rep);
}

static souk_err_t s_remove(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    (void)ret_rep;
    const orders_tax_delete_req_t *req = request;
    s_rate_t rate;
    SOUK_TRY(s_read(ctx, &s_lock, req->country, req->category, &rate));
    SOUK_TRY(orders_require_version(ctx, req->if_match, rate.version));
    souk_pg_args_t args;
    s_key_args(ctx, req->country, req->category, &args);
    SOUK_TRY(souk_pg_post(ctx, &s_delete, &args));
    return souk_pg_audit(ctx, "tax.delete", s_target(ctx, &rate), rate.json, (souk_str_t){0});
}

souk_err_t orders_tax_delete(souk_ctx_t *ctx, const orders_tax_delete_req_t *req,
                             orders_tax_delete_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_remove, req, ret_rep);
}
