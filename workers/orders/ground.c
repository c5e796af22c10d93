#include "orders/ground.h"

/* Keys compare by bytes, as s_find does. */
static const souk_pg_stmt_t s_carts = {
    .name = "orders_ground_carts",
    .sql = "SELECT c.id, c.subject, c.status, c.email, c.shipping_address::text,"
           " c.shipping_method, c.discount_code, c.version, c.expires_at <= now()"
           " FROM carts c WHERE c.id = ANY ($1::text[]) ORDER BY c.id"};
static const souk_pg_stmt_t s_items = {
    .name = "orders_ground_items",
    .sql = "SELECT l.cart_id, l.sku, l.quantity FROM cart_lines l"
           " WHERE l.cart_id = ANY ($1::text[]) ORDER BY l.cart_id, l.added_at, l.sku"};
#define SKUS(clause)                                                                               \
    "SELECT s.sku, s.product_id, s.name, s.option_values::text, s.currency, s.tax_category,"       \
    " s.price, s.sellable, s.on_hand - s.reserved FROM skus s WHERE s.sku " clause                 \
    " ORDER BY s.sku"
static const souk_pg_stmt_t s_skus = {.name = "orders_ground_skus",
                                      .sql = SKUS("= ANY ($1::text[])")};
static const souk_pg_stmt_t s_cart_skus = {
    .name = "orders_ground_cart_skus",
    .sql = SKUS("IN (SELECT unnest($1::text[]) COLLATE \"C\" UNION"
                " SELECT l.sku FROM cart_lines l WHERE l.cart_id = ANY ($2::text[]))")};
static const souk_pg_stmt_t s_codes = {
    .name = "orders_ground_codes",
    .sql = "SELECT d.code, d.kind, d.value, d.minimum, d.starts_at, d.ends_at, d.limit_total,"
           " d.limit_per_customer, d.used, d.active, d.version FROM discount_codes d"
           " WHERE d.code IN (SELECT unnest($1::text[]) COLLATE \"C\" UNION"
           " SELECT c.discount_code FROM carts c WHERE c.id = ANY ($2::text[]))"
           " ORDER BY d.code"};
static const souk_pg_stmt_t s_numbers = {
    .name = "orders_ground_numbers",
    .sql = "SELECT nextval('order_number') FROM generate_series(1, $1)"};

/* ---- look-up --------------------------------------------------------------------------------- */

/* rows are sorted by the key that each begins with. */
static const void *s_find(const void *rows, size_t count, size_t row_bytes, souk_str_t key) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t at = low + (high - low) / 2;
        const void *row = (const char *)rows + at * row_bytes;
        const souk_str_t *has = row;
        size_t common = has->size < key.size ? has->size : key.size;
        int order = common > 0 ? memcmp(has->data, key.data, common) : 0;
        if (order == 0 && has->size == key.size) {
            return row;
        }
        if (order < 0 || (order == 0 && has->size < key.size)) {
            low = at + 1;
        } else {
            high = at;
        }
    }
    return NULL;
}

_Static_assert(offsetof(orders_ground_sku_t, sku) == 0, "s_find compares what comes first");
_Static_assert(offsetof(orders_ground_cart_t, id) == 0, "s_find compares what comes first");
_Static_assert(offsetof(orders_discount_t, code) == 0, "s_find compares what comes first");

const orders_ground_sku_t *orders_ground_sku(const orders_ground_t *self, souk_str_t sku) {
    return s_find(self->skus, self->skus_count, sizeof(*self->skus), sku);
}

const orders_ground_cart_t *orders_ground_cart(const orders_ground_t *self, souk_str_t id) {
    return s_find(self->carts, self->carts_count, sizeof(*self->carts), id);
}

const orders_discount_t *orders_ground_code(const orders_ground_t *self, souk_str_t code) {
    return s_find(self->codes, self->codes_count, sizeof(*self->codes), code);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Room for the rows' structs; *ret_count only with it. */
static void *s_room(souk_arena_t *arena, const souk_pg_rows_t *rows, size_t row_bytes,
                    size_t *ret_count) {
    size_t count = souk_pg_count(rows);
    void *room = souk_arena_alloc_array(arena, count > 0 ? count : 1, row_bytes);
    *ret_count = room != NULL ? count : 0;
    return room;
}

static int64_t s_int_or_none(const souk_pg_rows_t *rows, size_t row, int column) {
    return souk_pg_is_null(rows, row, column) ? ORDERS_NONE : souk_pg_get_int(rows, row, column);
}

static void s_take_carts(const souk_pg_rows_t *rows, souk_arena_t *arena, orders_ground_t *self) {
    self->carts = s_room(arena, rows, sizeof(*self->carts), &self->carts_count);
    for (size_t i = 0; i < self->carts_count; i++) {
        self->carts[i] = (orders_ground_cart_t){
            .id = souk_pg_get_str(rows, i, 0),
            .subject = souk_pg_get_str(rows, i, 1),
            .status = souk_pg_get_str(rows, i, 2),
            .email = souk_pg_get_str(rows, i, 3),
            .address_json = souk_pg_get_str(rows, i, 4),
            .shipping_method = souk_pg_get_str(rows, i, 5),
            .discount_code = souk_pg_get_str(rows, i, 6),
            .version = souk_pg_get_int(rows, i, 7),
            .expired = souk_pg_get_bool(rows, i, 8),
        };
    }
}

/* A cart that came between the two statements has no place here: it was not found, and its items
 * are passed over. */
static void s_take_items(const souk_pg_rows_t *rows, souk_arena_t *arena, orders_ground_t *self) {
    size_t count = 0;
    orders_ground_item_t *items = s_room(arena, rows, sizeof(*items), &count);
    orders_ground_cart_t *cart = self->carts;
    orders_ground_cart_t *end = self->carts + self->carts_count;
    for (size_t i = 0; i < count; i++) {
        items[i] = (orders_ground_item_t){.sku = souk_pg_get_str(rows, i, 1),
                                          .quantity = souk_pg_get_int(rows, i, 2)};
        souk_str_t id = souk_pg_get_str(rows, i, 0);
        orders_ground_cart_t *at = cart;
        while (at < end && !souk_str_equal(at->id, id)) {
            at++;
        }
        if (at == end) {
            continue;
        }
        cart = at;
        if (cart->items_count++ == 0) {
            cart->items = &items[i];
        }
    }
}

static souk_err_t s_take_skus(const souk_pg_rows_t *rows, souk_arena_t *arena,
                              orders_ground_t *self) {
    self->skus = s_room(arena, rows, sizeof(*self->skus), &self->skus_count);
    for (size_t i = 0; i < self->skus_count; i++) {
        orders_ground_sku_t *sku = &self->skus[i];
        *sku = (orders_ground_sku_t){
            .sku = souk_pg_get_str(rows, i, 0),
            .product_id = souk_pg_get_str(rows, i, 1),
            .name = souk_pg_get_str(rows, i, 2),
            .options_json = souk_pg_get_str(rows, i, 3),
            .currency = souk_pg_get_str(rows, i, 4),
            .tax_category = souk_pg_get_str(rows, i, 5),
            .price = souk_pg_get_int(rows, i, 6),
            .sellable = souk_pg_get_bool(rows, i, 7),
            .remaining = souk_pg_get_int(rows, i, 8),
        };
        SOUK_TRY(orders_options_read(sku->options_json, arena, &sku->options));
    }
    return SOUK_OK;
}

static void s_take_codes(const souk_pg_rows_t *rows, souk_arena_t *arena, orders_ground_t *self) {
    self->codes = s_room(arena, rows, sizeof(*self->codes), &self->codes_count);
    for (size_t i = 0; i < self->codes_count; i++) {
        self->codes[i] = (orders_discount_t){
            .code = souk_pg_get_str(rows, i, 0),
            .kind = souk_str_equal(souk_pg_get_str(rows, i, 1), SOUK_STR("percent"))
                        ? ORDERS_DISCOUNT_PERCENT
                        : ORDERS_DISCOUNT_FIXED,
            .value = souk_pg_get_int(rows, i, 2),
            .minimum = souk_pg_get_int(rows, i, 3),
            .starts_at_us = souk_pg_get_time(rows, i, 4),
            .ends_at_us = souk_pg_get_time(rows, i, 5),
            .limit_total = s_int_or_none(rows, i, 6),
            .limit_per_customer = s_int_or_none(rows, i, 7),
            .used = souk_pg_get_int(rows, i, 8),
            .active = souk_pg_get_bool(rows, i, 9),
            .version = souk_pg_get_int(rows, i, 10),
        };
    }
}

static void s_take_numbers(const souk_pg_rows_t *rows, souk_arena_t *arena, orders_ground_t *self) {
    size_t count = 0;
    self->numbers = s_room(arena, rows, sizeof(*self->numbers), &count);
    for (size_t i = 0; i < count; i++) {
        self->numbers[i] = souk_pg_get_int(rows, i, 0);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* One list of values, or two. */
static souk_err_t s_queue(const orders_ground_ask_t *ask, const souk_pg_stmt_t *stmt,
                          const orders_values_t *one, const orders_values_t *two) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, ask->arena);
    souk_pg_strs(&args, one->at, one->count);
    if (two != NULL) {
        souk_pg_strs(&args, two->at, two->count);
    }
    return souk_pg_exec_queue(ask->pg, ask->timeout_ms, stmt, &args);
}

/* In this order: what a statement finds, the SKUs and the codes behind it are read for. */
enum { CARTS, ITEMS, SKUS, CODES, REFERENCE, NUMBERS, RESULTS };

/* What nobody names is not asked for. */
static bool s_is_asked(const orders_ground_wanted_t *wanted, int result) {
    switch (result) {
    case CARTS:
    case ITEMS:
        return wanted->carts.count > 0;
    case CODES:
        return wanted->carts.count > 0 || wanted->codes.count > 0;
    default:
        return true;
    }
}

static souk_err_t s_queue_all(const orders_ground_ask_t *ask,
                              const orders_ground_wanted_t *wanted) {
    const orders_values_t *carts = &wanted->carts;
    if (carts->count > 0) {
        SOUK_TRY(s_queue(ask, &s_carts, carts, NULL));
        SOUK_TRY(s_queue(ask, &s_items, carts, NULL));
        SOUK_TRY(s_queue(ask, &s_cart_skus, &wanted->skus, carts));
    } else {
        SOUK_TRY(s_queue(ask, &s_skus, &wanted->skus, NULL));
    }
    if (s_is_asked(wanted, CODES)) {
        SOUK_TRY(s_queue(ask, &s_codes, &wanted->codes, carts));
    }
    SOUK_TRY(souk_pg_exec_queue(ask->pg, ask->timeout_ms, &orders_reference_stmt, NULL));
    souk_pg_args_t args;
    souk_pg_args_init(&args, ask->arena);
    souk_pg_int(&args, (int64_t)wanted->orders_count);
    return souk_pg_exec_queue(ask->pg, ask->timeout_ms, &s_numbers, &args);
}

souk_err_t orders_ground_read(const orders_ground_ask_t *ask, const orders_ground_wanted_t *wanted,
                              orders_ground_t *ret) {
    SOUK_TRY(s_queue_all(ask, wanted));
    const souk_pg_rows_t *rows[RESULTS] = {NULL};
    for (int i = 0; i < RESULTS; i++) {
        if (s_is_asked(wanted, i)) {
            SOUK_TRY(souk_pg_exec_next(ask->pg, ask->arena, &rows[i]));
        }
    }
    orders_ground_t ground = {0};
    if (rows[CARTS] != NULL) {
        s_take_carts(rows[CARTS], ask->arena, &ground);
        s_take_items(rows[ITEMS], ask->arena, &ground);
    }
    if (rows[CODES] != NULL) {
        s_take_codes(rows[CODES], ask->arena, &ground);
    }
    SOUK_TRY(s_take_skus(rows[SKUS], ask->arena, &ground));
    s_take_numbers(rows[NUMBERS], ask->arena, &ground);
    const orders_reference_ask_t reference = {
        .pg = ask->pg, .timeout_ms = ask->timeout_ms, .arena = ask->arena};
    SOUK_TRY(orders_reference_require(ask->reference, &reference,
                                      souk_pg_get_int(rows[REFERENCE], 0, 0), &ground.reference));
    if (souk_arena_overflowed(ask->arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret = ground;
    return SOUK_OK;
}
