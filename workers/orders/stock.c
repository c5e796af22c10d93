/* Reading stock and its ledger. */
#include "orders/stock.h"

#include <stdlib.h>

#include "gen/orders_handlers.h"
#include "orders/record.h"

souk_err_t orders_stock_item(const souk_pg_rows_t *rows, size_t row, souk_arena_t *arena,
                             orders_stock_item_t *ret) {
    souk_pairs_t options;
    SOUK_TRY(orders_options_read(souk_pg_get_str(rows, row, 4), arena, &options));
    int64_t on_hand = souk_pg_get_int(rows, row, 8), reserved = souk_pg_get_int(rows, row, 9);
    orders_stock_item_set_sku(ret, souk_pg_get_str(rows, row, 0));
    orders_stock_item_set_product_id(ret, souk_pg_get_str(rows, row, 1));
    orders_stock_item_set_product_slug(ret, souk_pg_get_str(rows, row, 2));
    orders_stock_item_set_name(ret, souk_pg_get_str(rows, row, 3));
    orders_stock_item_set_option_values(ret, options);
    souk_money_set_amount(&ret->price, souk_pg_get_int(rows, row, 5));
    souk_money_set_currency(&ret->price, souk_pg_get_str(rows, row, 6));
    souk_bits_set(&ret->bits, ORDERS_STOCK_ITEM_PRICE_BIT);
    orders_stock_item_set_sellable(ret, souk_pg_get_bool(rows, row, 7));
    orders_stock_item_set_on_hand(ret, on_hand);
    orders_stock_item_set_reserved(ret, reserved);
    orders_stock_item_set_available(ret, on_hand - reserved);
    orders_stock_item_set_low_at(ret, souk_pg_get_int(rows, row, 10));
    orders_stock_item_set_availability(ret, (int32_t)souk_pg_get_int(rows, row, 11));
    orders_stock_item_set_updated_at(ret, souk_pg_get_time(rows, row, 12));
    return SOUK_OK;
}

/* next.data NULL: the end. */
static void s_page(orders_stock_page_t *page, int64_t limit, souk_str_t next) {
    orders_stock_page_set_limit(page, limit);
    orders_stock_page_set_next(page, next);
    if (next.data == NULL) {
        souk_bits_set_nil(&page->bits, ORDERS_STOCK_PAGE_NEXT_BIT);
    }
}

/* ---- list and one ---- */

static const souk_pg_stmt_t s_all = {.name = "orders_stock_list",
                                     .sql = "SELECT " ORDERS_STOCK_COLUMNS
                                            " FROM skus WHERE sku > $1 ORDER BY sku LIMIT $2"};
/* The condition is that of the index skus_low. */
static const souk_pg_stmt_t s_low = {.name = "orders_stock_low",
                                     .sql = "SELECT " ORDERS_STOCK_COLUMNS
                                            " FROM skus WHERE level < 2 AND sellable AND sku > $1"
                                            " ORDER BY sku LIMIT $2"};
static const souk_pg_stmt_t s_one = {
    .name = "orders_stock_get", .sql = "SELECT " ORDERS_STOCK_COLUMNS " FROM skus WHERE sku = $1"};

souk_err_t orders_stock_list(souk_ctx_t *ctx, const orders_stock_list_req_t *req,
                             orders_stock_list_rep_t *ret_rep) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    souk_pg_args_t args;
    const souk_pg_rows_t *rows;
    bool first = !souk_bits_has(&req->bits, ORDERS_STOCK_LIST_REQ_CURSOR_BIT);
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, first ? SOUK_STR("") : req->cursor);
    souk_pg_int(&args, req->limit + 1);
    SOUK_TRY(souk_pg_run(ctx, req->low ? &s_low : &s_all, &args, &rows));
    size_t limit = (size_t)req->limit, count = souk_pg_count(rows);
    bool more = count > limit;
    count = more ? limit : count;
    orders_stock_item_t *items = orders_stock_list_rep_new_data(ret_rep, arena, count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(orders_stock_item(rows, i, arena, &items[i]));
    }
    s_page(&ret_rep->page, req->limit, more ? items[count - 1].sku : (souk_str_t){0});
    souk_bits_set(&ret_rep->bits, ORDERS_STOCK_LIST_REP_PAGE_BIT);
    return SOUK_OK;
}

static souk_err_t s_unknown(souk_ctx_t *ctx, souk_str_t sku) {
    return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "there is no SKU %.*s", (int)sku.size, sku.data);
}

souk_err_t orders_stock_get(souk_ctx_t *ctx, const orders_stock_get_req_t *req,
                            orders_stock_get_rep_t *ret_rep) {
    souk_pg_args_t args;
    const souk_pg_rows_t *rows;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, req->sku);
    SOUK_TRY(souk_pg_run(ctx, &s_one, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return s_unknown(ctx, req->sku);
    }
    return orders_stock_item(rows, 0, souk_ctx_arena(ctx), ret_rep);
}

/* ---- the ledger ---- */

static const souk_pg_stmt_t s_known = {.name = "orders_stock_known",
                                       .sql = "SELECT EXISTS (SELECT FROM skus WHERE sku = $1)"};
static const souk_pg_stmt_t s_entries = {
    .name = "orders_stock_ledger",
    .sql = "SELECT id, delta, reason, cause, note, order_id::text, actor, at FROM stock_ledger"
           " WHERE sku = $1 AND id < $2 ORDER BY id DESC LIMIT $3"};

static void s_set_or_nil(souk_str_t value, souk_str_t *ret, souk_bits_t *bits, unsigned bit) {
    *ret = value;
    if (value.data != NULL) {
        souk_bits_set(bits, bit);
    } else {
        souk_bits_set_nil(bits, bit);
    }
}

static void s_entry(const souk_pg_rows_t *rows, size_t row, orders_stock_entry_t *ret) {
    orders_stock_entry_set_id(ret, souk_pg_get_int(rows, row, 0));
    orders_stock_entry_set_delta(ret, souk_pg_get_int(rows, row, 1));
    orders_stock_entry_set_reason(
        ret, orders_enum_of(&orders_stock_entry_type, "reason", souk_pg_get_str(rows, row, 2)));
    s_set_or_nil(souk_pg_get_str(rows, row, 3), &ret->cause, &ret->bits,
                 ORDERS_STOCK_ENTRY_CAUSE_BIT);
    s_set_or_nil(souk_pg_get_str(rows, row, 4), &ret->note, &ret->bits,
                 ORDERS_STOCK_ENTRY_NOTE_BIT);
    s_set_or_nil(souk_pg_get_str(rows, row, 5), &ret->order_id, &ret->bits,
                 ORDERS_STOCK_ENTRY_ORDER_ID_BIT);
    orders_stock_entry_set_actor(ret, souk_pg_get_str(rows, row, 6));
    orders_stock_entry_set_at(ret, souk_pg_get_time(rows, row, 7));
}

/* An id, as page.next tells it: INT64_MAX without one. */
static bool s_cursor(const orders_stock_ledger_req_t *req, int64_t *ret_before) {
    *ret_before = INT64_MAX;
    if (!souk_bits_has(&req->bits, ORDERS_STOCK_LEDGER_REQ_CURSOR_BIT)) {
        return true;
    }
    int64_t id = 0;
    for (size_t i = 0; i < req->cursor.size; i++) {
        char c = req->cursor.data[i];
        if (c < '0' || c > '9' || id > (INT64_MAX - 9) / 10) {
            return false;
        }
        id = id * 10 + (c - '0');
    }
    *ret_before = id;
    return true;
}

souk_err_t orders_stock_ledger(souk_ctx_t *ctx, const orders_stock_ledger_req_t *req,
                               orders_stock_ledger_rep_t *ret_rep) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    souk_pg_args_t known_args, args;
    const souk_pg_rows_t *known, *rows;
    int64_t before;
    if (!s_cursor(req, &before)) {
        return souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "cursor is not page.next of this list");
    }
    souk_pg_args_init(&known_args, arena);
    souk_pg_str(&known_args, req->sku);
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, req->sku);
    souk_pg_int(&args, before);
    souk_pg_int(&args, req->limit + 1);
    SOUK_TRY(souk_pg_queue(ctx, &s_known, &known_args));
    SOUK_TRY(souk_pg_queue(ctx, &s_entries, &args));
    SOUK_TRY(souk_pg_next(ctx, &known));
    SOUK_TRY(souk_pg_next(ctx, &rows));
    if (!souk_pg_get_bool(known, 0, 0)) {
        return s_unknown(ctx, req->sku);
    }
    size_t limit = (size_t)req->limit, count = souk_pg_count(rows);
    bool more = count > limit;
    count = more ? limit : count;
    orders_stock_entry_t *entries = orders_stock_ledger_rep_new_data(ret_rep, arena, count);
    if (entries == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        s_entry(rows, i, &entries[i]);
    }
    souk_str_t next = {0};
    if (more) {
        next = souk_arena_printf(arena, "%lld", (long long)entries[count - 1].id);
    }
    s_page(&ret_rep->page, req->limit, next);
    souk_bits_set(&ret_rep->bits, ORDERS_STOCK_LEDGER_REP_PAGE_BIT);
    return SOUK_OK;
}
