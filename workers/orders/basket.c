#include "orders/basket.h"

#include <stdarg.h>
#include <stdio.h>

#include "orders/record.h"
#include "souk/clock.h"
#include "souk/id.h"

#define EMPTY_TTL_DAYS 1
#define REASON_BYTES 160 /* a SKU has 64 */

/* ---- reading --------------------------------------------------------------------------------- */

#define SKU_COLUMNS                                                                                \
    " s.product_id, s.product_slug, s.name, s.option_values::text, s.price, s.currency,"           \
    " s.tax_category, s.sellable, s.on_hand - s.reserved"
#define DISCOUNT_COLUMNS                                                                           \
    " d.code, d.kind, d.value, d.minimum, d.starts_at, d.ends_at, d.limit_total,"                  \
    " d.limit_per_customer, d.used, d.active, d.version"
#define WHICH                                                                                      \
    " c.subject = $2 AND c.expires_at > now() AND c.id = COALESCE($1, (SELECT id FROM carts"       \
    " WHERE subject = $2 AND status = 'open' AND expires_at > now()"                               \
    " ORDER BY updated_at DESC, id DESC LIMIT 1))"

/* Columns: 0 revision, 1-11 the cart, 12-14 the line, 15-23 its SKU, 24-34 the discount. */
enum { CART_COLUMN = 1, LINE_COLUMN = 12, SKU_COLUMN = 15, DISCOUNT_COLUMN = 24 };

static const souk_pg_stmt_t s_read = {
    .name = "orders_cart",
    .sql = "SELECT r.revision, c.id, c.subject, c.version, c.status, c.email,"
           " c.shipping_address::text, c.shipping_method, c.discount_code, c.created_at,"
           " c.updated_at, c.expires_at, l.sku, l.quantity, l.unit_price," SKU_COLUMNS
           "," DISCOUNT_COLUMNS " FROM carts c CROSS JOIN reference_revision r"
           " LEFT JOIN cart_lines l ON l.cart_id = c.id LEFT JOIN skus s ON s.sku = l.sku"
           " LEFT JOIN discount_codes d ON d.code = c.discount_code WHERE" WHICH
           " ORDER BY l.added_at, l.sku"};
static const souk_pg_stmt_t s_lock = {
    .name = "orders_cart_lock", .sql = "SELECT c.id FROM carts c WHERE" WHICH " FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_skus = {.name = "orders_cart_skus",
                                      .sql = "SELECT s.sku," SKU_COLUMNS
                                             " FROM unnest($1::text[]) WITH ORDINALITY AS a(sku, i)"
                                             " LEFT JOIN skus s ON s.sku = a.sku ORDER BY a.i"};
static const souk_pg_stmt_t s_discount = {.name = "orders_cart_discount",
                                          .sql = "SELECT" DISCOUNT_COLUMNS
                                                 " FROM discount_codes d WHERE d.code = $1"};

static void s_take_sku(const souk_pg_rows_t *rows, size_t row, int column,
                       orders_basket_line_t *ret) {
    ret->known = !souk_pg_is_null(rows, row, column);
    souk_str_t *const texts[] = {&ret->product_id, &ret->slug, &ret->name, &ret->options};
    for (size_t i = 0; i < SOUK_COUNT_OF(texts); i++) {
        *texts[i] = souk_pg_get_str(rows, row, column++);
    }
    ret->price = souk_pg_get_int(rows, row, column++);
    ret->currency = souk_pg_get_str(rows, row, column++);
    ret->tax_category = souk_pg_get_str(rows, row, column++);
    ret->sellable = souk_pg_get_bool(rows, row, column++);
    ret->in_stock = souk_pg_get_int(rows, row, column);
}

static int64_t s_int_or_none(const souk_pg_rows_t *rows, size_t row, int column) {
    return souk_pg_is_null(rows, row, column) ? ORDERS_NONE : souk_pg_get_int(rows, row, column);
}

static void s_take_discount(const souk_pg_rows_t *rows, size_t row, int column,
                            orders_discount_t *ret) {
    souk_str_t kind = souk_pg_get_str(rows, row, column + 1);
    bool percent = souk_str_equal(kind, SOUK_STR("percent"));
    *ret = (orders_discount_t){
        .code = souk_pg_get_str(rows, row, column),
        .kind = percent ? ORDERS_DISCOUNT_PERCENT : ORDERS_DISCOUNT_FIXED,
        .value = souk_pg_get_int(rows, row, column + 2),
        .minimum = souk_pg_get_int(rows, row, column + 3),
        .starts_at_us = souk_pg_get_time(rows, row, column + 4), /* null: ORDERS_NONE */
        .ends_at_us = souk_pg_get_time(rows, row, column + 5),
        .limit_total = s_int_or_none(rows, row, column + 6),
        .limit_per_customer = s_int_or_none(rows, row, column + 7),
        .used = souk_pg_get_int(rows, row, column + 8),
        .active = souk_pg_get_bool(rows, row, column + 9),
        .version = souk_pg_get_int(rows, row, column + 10),
    };
}

static souk_err_t s_country(souk_ctx_t *ctx, orders_basket_t *basket) {
    basket->country = SOUK_STR("");
    if (basket->address.data == NULL) {
        return SOUK_OK;
    }
    souk_address_t address;
    SOUK_TRY(orders_address_read(basket->address, souk_ctx_arena(ctx), &address));
    basket->country = address.country;
    return SOUK_OK;
}

static void s_take_cart(const souk_pg_rows_t *rows, orders_basket_t *ret) {
    int column = CART_COLUMN;
    ret->id = souk_pg_get_str(rows, 0, column++);
    ret->subject = souk_pg_get_str(rows, 0, column++);
    ret->version = souk_pg_get_int(rows, 0, column++);
    ret->status = orders_enum_of(&orders_cart_type, "status", souk_pg_get_str(rows, 0, column++));
    ret->email = souk_pg_get_str(rows, 0, column++);
    ret->address = souk_pg_get_str(rows, 0, column++);
    ret->shipping_method = souk_pg_get_str(rows, 0, column++);
    ret->discount_code = souk_pg_get_str(rows, 0, column++);
    ret->created_at = souk_pg_get_time(rows, 0, column++);
    ret->updated_at = souk_pg_get_time(rows, 0, column++);
    ret->expires_at = souk_pg_get_time(rows, 0, column);
    ret->discount_known = !souk_pg_is_null(rows, 0, DISCOUNT_COLUMN);
    if (ret->discount_known) {
        s_take_discount(rows, 0, DISCOUNT_COLUMN, &ret->discount);
    }
}

static souk_err_t s_require_reference(souk_ctx_t *ctx, int64_t revision, orders_basket_t *basket) {
    const orders_service_t *service = souk_ctx_service(ctx);
    const orders_reference_ask_t ask = {.pg = souk_ctx_slot(ctx),
                                        .timeout_ms = souk_ctx_remaining_ms(ctx),
                                        .arena = souk_ctx_arena(ctx)};
    return orders_reference_require(service->reference, &ask, revision, &basket->reference);
}

souk_err_t orders_basket_queue(souk_ctx_t *ctx, const orders_basket_which_t *which) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, which->id);
    souk_pg_str(&args, which->subject);
    return souk_pg_queue(ctx, &s_read, &args);
}

souk_err_t orders_basket_take(souk_ctx_t *ctx, orders_basket_t **ret) {
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_next(ctx, &rows));
    if (souk_pg_count(rows) == 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "no such cart of yours");
    }
    orders_basket_t *basket = souk_arena_alloc(souk_ctx_arena(ctx), sizeof *basket);
    if (basket == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    s_take_cart(rows, basket);
    for (size_t row = 0; row < souk_pg_count(rows) && basket->count < ORDERS_LINES_MAX; row++) {
        if (souk_pg_is_null(rows, row, LINE_COLUMN)) {
            break; /* a cart without lines is one row */
        }
        orders_basket_line_t *line = &basket->lines[basket->count++];
        line->sku = souk_pg_get_str(rows, row, LINE_COLUMN);
        line->quantity = souk_pg_get_int(rows, row, LINE_COLUMN + 1);
        line->seen_price = s_int_or_none(rows, row, LINE_COLUMN + 2);
        s_take_sku(rows, row, SKU_COLUMN, line);
    }
    SOUK_TRY(s_country(ctx, basket));
    SOUK_TRY(s_require_reference(ctx, souk_pg_get_int(rows, 0, 0), basket));
    *ret = basket;
    return SOUK_OK;
}

souk_err_t orders_basket_lock(souk_ctx_t *ctx, const orders_basket_which_t *which,
                              orders_basket_t **ret) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, which->id);
    souk_pg_str(&args, which->subject);
    SOUK_TRY(souk_pg_queue(ctx, &s_lock, &args));
    SOUK_TRY(orders_basket_queue(ctx, which));
    SOUK_TRY(souk_pg_next(ctx, NULL));
    return orders_basket_take(ctx, ret);
}

souk_err_t orders_basket_skus(souk_ctx_t *ctx, orders_basket_line_t *lines, size_t count) {
    souk_str_t skus[ORDERS_LINES_MAX];
    souk_assert(count <= ORDERS_LINES_MAX);
    for (size_t i = 0; i < count; i++) {
        skus[i] = lines[i].sku;
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_strs(&args, skus, count);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_skus, &args, &rows));
    for (size_t i = 0; i < count && i < souk_pg_count(rows); i++) {
        s_take_sku(rows, i, 1, &lines[i]);
    }
    return SOUK_OK;
}

souk_err_t orders_basket_discount(souk_ctx_t *ctx, orders_basket_t *basket) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, basket->discount_code);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_discount, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_DISCOUNT_UNKNOWN;
    }
    s_take_discount(rows, 0, 0, &basket->discount);
    basket->discount_known = true;
    return SOUK_OK;
}

/* ---- in memory ------------------------------------------------------------------------------- */

/* A cart with nothing in it is not worth keeping for long: anybody may open one. */
static int64_t s_expires_at(souk_ctx_t *ctx, const orders_basket_t *self) {
    const orders_service_t *service = souk_ctx_service(ctx);
    int64_t days = self->count > 0 ? service->config->carts_ttl_days : EMPTY_TTL_DAYS;
    return self->updated_at + days * 24 * 3600 * 1000000;
}

souk_err_t orders_basket_new(souk_ctx_t *ctx, souk_str_t subject, orders_basket_t **ret) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("cart_", id);
    int64_t now_us = souk_clock_unix_us();
    orders_basket_t *basket = souk_arena_alloc(arena, sizeof *basket);
    if (basket == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *basket = (orders_basket_t){
        .id = souk_arena_copy(arena, (souk_str_t){.data = id, .size = size}),
        .subject = subject,
        .version = 1,
        .status = ORDERS_CART_STATUS_OPEN,
        .country = SOUK_STR(""),
        .created_at = now_us,
        .updated_at = now_us,
    };
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &orders_reference_stmt, NULL, &rows));
    if (basket->id.data == NULL || souk_pg_count(rows) != 1) {
        return basket->id.data == NULL ? SOUK_ERR_NO_MEMORY : SOUK_ERR_INTERNAL;
    }
    SOUK_TRY(s_require_reference(ctx, souk_pg_get_int(rows, 0, 0), basket));
    *ret = basket;
    return SOUK_OK;
}

orders_basket_line_t *orders_basket_line(orders_basket_t *self, souk_str_t sku) {
    for (size_t i = 0; i < self->count; i++) {
        if (souk_str_equal(self->lines[i].sku, sku)) {
            return &self->lines[i];
        }
    }
    return NULL;
}

souk_err_t orders_basket_refuse(souk_ctx_t *ctx, souk_err_t err, const char *pointer,
                                const char *format, ...) {
    char reason[REASON_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    (void)souk_ctx_fail_field(ctx, pointer, "%s", reason);
    return souk_ctx_fail(ctx, err, "%s", reason);
}

souk_err_t orders_basket_require_sellable(souk_ctx_t *ctx, const orders_basket_line_t *line,
                                          const char *pointer) {
    const orders_service_t *service = souk_ctx_service(ctx);
    int size = (int)line->sku.size;
    if (!line->known) {
        return orders_basket_refuse(ctx, SOUK_ERR_SKU_UNKNOWN, pointer, "there is no SKU %.*s",
                                    size, line->sku.data);
    }
    if (!line->sellable) {
        return orders_basket_refuse(ctx, SOUK_ERR_SKU_NOT_SELLABLE, pointer,
                                    "SKU %.*s is not for sale", size, line->sku.data);
    }
    if (!souk_str_equal(line->currency, service->currency)) {
        return orders_basket_refuse(ctx, SOUK_ERR_SKU_NOT_SELLABLE, pointer,
                                    "SKU %.*s is priced in %.*s, not in %.*s", size, line->sku.data,
                                    (int)line->currency.size, line->currency.data,
                                    (int)service->currency.size, service->currency.data);
    }
    return SOUK_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static const souk_pg_stmt_t s_insert = {
    .name = "orders_cart_insert",
    .sql = "INSERT INTO carts (id, subject, version, email, shipping_address, shipping_method,"
           " discount_code, created_at, updated_at, expires_at)"
           " VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $8, $9)"};
static const souk_pg_stmt_t s_update = {
    .name = "orders_cart_update",
    .sql = "UPDATE carts SET version = $3, email = $4, shipping_address = $5::jsonb,"
           " shipping_method = $6, discount_code = $7, updated_at = $8, expires_at = $9"
           " WHERE id = $1 AND subject = $2"};
/* added_at orders the lines as they were given. */
static const souk_pg_stmt_t s_put_lines = {
    .name = "orders_cart_put_lines",
    .sql = "INSERT INTO cart_lines (cart_id, sku, quantity, unit_price, added_at)"
           " SELECT $1, a.sku, a.quantity, NULLIF(a.price, -1),"
           " now() + a.i * interval '1 microsecond'"
           " FROM unnest($2::text[], $3::bigint[], $4::bigint[])"
           " WITH ORDINALITY AS a(sku, quantity, price, i)"
           " ON CONFLICT (cart_id, sku) DO UPDATE"
           " SET quantity = EXCLUDED.quantity, unit_price = EXCLUDED.unit_price"};

static souk_err_t s_store(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                          const orders_basket_t *self) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, self->id);
    souk_pg_str(&args, self->subject);
    souk_pg_int(&args, self->version);
    souk_pg_str(&args, self->email);
    souk_pg_str(&args, self->address);
    souk_pg_str(&args, self->shipping_method);
    souk_pg_str(&args, self->discount_code);
    souk_pg_time(&args, self->updated_at);
    souk_pg_time(&args, self->expires_at);
    return souk_pg_post(ctx, stmt, &args);
}

souk_err_t orders_basket_insert(souk_ctx_t *ctx, orders_basket_t *self) {
    self->expires_at = s_expires_at(ctx, self);
    return s_store(ctx, &s_insert, self);
}

souk_err_t orders_basket_update(souk_ctx_t *ctx, orders_basket_t *self) {
    self->version++;
    self->updated_at = souk_clock_unix_us();
    self->expires_at = s_expires_at(ctx, self);
    return s_store(ctx, &s_update, self);
}

souk_err_t orders_basket_put_lines(souk_ctx_t *ctx, const orders_basket_t *self,
                                   orders_basket_line_t *lines, size_t count) {
    souk_str_t skus[ORDERS_LINES_MAX];
    int64_t quantities[ORDERS_LINES_MAX], prices[ORDERS_LINES_MAX];
    souk_assert(count <= ORDERS_LINES_MAX);
    if (count == 0) {
        return SOUK_OK;
    }
    for (size_t i = 0; i < count; i++) {
        skus[i] = lines[i].sku;
        quantities[i] = lines[i].quantity;
        prices[i] = lines[i].known ? lines[i].price : -1;
        lines[i].seen_price = lines[i].known ? lines[i].price : ORDERS_NONE;
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, self->id);
    souk_pg_strs(&args, skus, count);
    souk_pg_ints(&args, quantities, count);
    souk_pg_ints(&args, prices, count);
    return souk_pg_post(ctx, &s_put_lines, &args);
}
