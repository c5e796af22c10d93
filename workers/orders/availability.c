/* orders.availability: levels of stock as changes.
 *
 * Transactions do not end in the order of their numbers, so a reader cannot simply remember the
 * last number that it saw. Each change of a level carries its transaction (a trigger does that),
 * and an answer's cursor remembers the oldest transaction that still ran when the pass began:
 * whatever became visible later is of that one or of a later one. So levels may be told again, and
 * none is missed. A pass may take several pages; its cursor then also says how far it is.
 *
 * cursor: IDENTITY.HORIZON.TRANSACTION.SKU: the database; the horizon of the pass, 0 between
 * passes; what comes next is behind this transaction and SKU. */
#include "gen/orders_handlers.h"
#include "runtime/pg.h"

#define IDENTITY_CHARS 32

typedef struct {
    souk_str_t identity;
    int64_t horizon, transaction;
    souk_str_t sku;
} cursor_t;

static const souk_pg_stmt_t s_levels = {
    .name = "orders_availability",
    .sql = "SELECT l.identity, x.horizon, x.newest, s.sku, s.level, s.level_tx FROM"
           " (SELECT pg_snapshot_xmin(now)::text::bigint AS horizon,"
           " pg_snapshot_xmax(now)::text::bigint AS newest FROM pg_current_snapshot() AS now) AS x"
           " CROSS JOIN follower_lease l LEFT JOIN LATERAL"
           " (SELECT sku, level, level_tx FROM skus WHERE (level_tx, sku) > ($1, $2)"
           " ORDER BY level_tx, sku LIMIT $3) AS s ON true ORDER BY s.level_tx, s.sku"};

/* A number and the point behind it. */
static bool s_number(souk_str_t *text, int64_t *ret) {
    int64_t value = 0;
    size_t i = 0;
    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++) {
        if (value > (INT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (text->data[i] - '0');
    }
    if (i == 0 || i == text->size || text->data[i] != '.') {
        return false;
    }
    *text = (souk_str_t){.data = text->data + i + 1, .size = text->size - i - 1};
    *ret = value;
    return true;
}

static bool s_read_cursor(souk_str_t text, cursor_t *ret) {
    if (text.size <= IDENTITY_CHARS || text.data[IDENTITY_CHARS] != '.') {
        return false;
    }
    ret->identity = (souk_str_t){.data = text.data, .size = IDENTITY_CHARS};
    text.data += IDENTITY_CHARS + 1;
    text.size -= IDENTITY_CHARS + 1;
    if (!s_number(&text, &ret->horizon) || !s_number(&text, &ret->transaction)) {
        return false;
    }
    ret->sku = text;
    return true;
}

static souk_err_t s_query(souk_ctx_t *ctx, const cursor_t *cursor, int64_t limit,
                          const souk_pg_rows_t **ret_rows) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_int(&args, cursor->transaction);
    souk_pg_str(&args, cursor->sku);
    souk_pg_int(&args, limit);
    SOUK_TRY(souk_pg_run(ctx, &s_levels, &args, ret_rows));
    return souk_pg_count(*ret_rows) > 0 ? SOUK_OK : SOUK_ERR_INTERNAL; /* the lease's row is gone */
}

/* The cursor is of another database, or from before this one was put back to an older state. */
static bool s_is_void(const cursor_t *cursor, const souk_pg_rows_t *rows) {
    return !souk_str_equal(cursor->identity, souk_pg_get_str(rows, 0, 0)) ||
           cursor->transaction > souk_pg_get_int(rows, 0, 2) ||
           cursor->horizon > souk_pg_get_int(rows, 0, 2);
}

static souk_err_t s_answer(souk_ctx_t *ctx, const souk_pg_rows_t *rows, cursor_t *cursor,
                           int64_t limit, orders_availability_rep_t *ret_rep) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    size_t count = souk_pg_is_null(rows, 0, 3) ? 0 : souk_pg_count(rows);
    orders_stock_level_t *levels = orders_availability_rep_new_levels(ret_rep, arena, count);
    if (levels == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t level = souk_pg_get_int(rows, i, 4);
        orders_stock_level_set_sku(&levels[i], souk_pg_get_str(rows, i, 3));
        orders_stock_level_set_level(&levels[i], level > 0 ? (int32_t)level : 0);
    }
    bool more = count == (size_t)limit;
    cursor->identity = souk_pg_get_str(rows, 0, 0);
    if (cursor->horizon == 0) {
        cursor->horizon = souk_pg_get_int(rows, 0, 1); /* a pass begins */
    }
    if (more) {
        cursor->transaction = souk_pg_get_int(rows, count - 1, 5);
        cursor->sku = souk_pg_get_str(rows, count - 1, 3);
    } else {
        cursor->transaction = cursor->horizon;
        cursor->horizon = 0;
        cursor->sku = SOUK_STR("");
    }
    souk_str_t text =
        souk_arena_printf(arena, "%.*s.%lld.%lld.%.*s", (int)cursor->identity.size,
                          cursor->identity.data, (long long)cursor->horizon,
                          (long long)cursor->transaction, (int)cursor->sku.size, cursor->sku.data);
    if (text.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    orders_availability_rep_set_cursor(ret_rep, text);
    orders_availability_rep_set_more(ret_rep, more);
    return SOUK_OK;
}

souk_err_t orders_availability(souk_ctx_t *ctx, const orders_availability_req_t *req,
                               orders_availability_rep_t *ret_rep) {
    const cursor_t start = {.identity = SOUK_STR(""), .sku = SOUK_STR("")};
    const souk_pg_rows_t *rows;
    cursor_t cursor = start;
    bool restart = !souk_bits_has(&req->bits, ORDERS_AVAILABILITY_REQ_CURSOR_BIT);
    if (!restart && !s_read_cursor(req->cursor, &cursor)) {
        return souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "cursor is not one of this list's");
    }
    SOUK_TRY(s_query(ctx, &cursor, req->limit, &rows));
    if (!restart && s_is_void(&cursor, rows)) {
        restart = true;
        cursor = start;
        SOUK_TRY(s_query(ctx, &cursor, req->limit, &rows));
    }
    orders_availability_rep_set_restart(ret_rep, restart);
    return s_answer(ctx, rows, &cursor, req->limit, ret_rep);
}
