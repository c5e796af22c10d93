/* Changing stock: the SKUs are locked in the order of all who touch stock, what is to be is decided
 * on the locked rows, and every change of on_hand leaves a row in the ledger. */
#include <stdio.h>
#include <stdlib.h>

#include "gen/orders_handlers.h"
#include "orders/stock.h"

#define ON_HAND_MAX ((int64_t)1000000000)
#define ITEMS_MAX 500

/* SKUs by bytes, as the database sorts them; at: the item's place in the request. */
typedef struct {
    souk_str_t sku;
    int64_t delta;
    size_t at;
} change_t;

typedef struct {
    const char *reason; /* of the ledger */
    souk_str_t cause, note;
} why_t;

static const souk_pg_stmt_t s_lock = {.name = "orders_stock_lock",
                                      .sql = "SELECT " ORDERS_STOCK_COLUMNS
                                             " FROM skus WHERE sku = ANY ($1) ORDER BY sku"
                                             " FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_move = {
    .name = "orders_stock_move",
    .sql = "UPDATE skus SET on_hand = on_hand + u.delta, updated_at = now()"
           " FROM unnest($1::text[], $2::bigint[]) AS u (which, delta) WHERE skus.sku = u.which"
           " RETURNING " ORDERS_STOCK_COLUMNS};
static const souk_pg_stmt_t s_book = {
    .name = "orders_stock_book",
    .sql = "INSERT INTO stock_ledger (sku, delta, reason, cause, note, actor)"
           " SELECT u.which, u.delta, $3, $4::text, $5::text, $6"
           " FROM unnest($1::text[], $2::bigint[]) AS u (which, delta)"};
static const souk_pg_stmt_t s_low_at = {.name = "orders_stock_low_at",
                                        .sql = "UPDATE skus SET low_at = $2, updated_at = now()"
                                               " WHERE sku = $1 RETURNING " ORDERS_STOCK_COLUMNS};

static souk_err_t s_lock_skus(souk_ctx_t *ctx, const change_t *changes, size_t count,
                              const souk_pg_rows_t **ret_rows) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    souk_pg_args_t args;
    souk_str_t *skus = souk_arena_alloc_array(arena, count, sizeof *skus);
    if (skus == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        skus[i] = changes[i].sku;
    }
    souk_pg_args_init(&args, arena);
    souk_pg_strs(&args, skus, count);
    return souk_pg_run(ctx, &s_lock, &args, ret_rows);
}

/* Whether the locked row may change by delta. pointer: the field that says so. */
static souk_err_t s_check(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t row, int64_t delta,
                          const char *pointer) {
    int64_t on_hand = souk_pg_get_int(rows, row, 8), reserved = souk_pg_get_int(rows, row, 9);
    souk_str_t sku = souk_pg_get_str(rows, row, 0);
    if (on_hand + delta < 0) {
        return souk_ctx_fail_field(ctx, pointer, "only %lld of %.*s are on hand",
                                   (long long)on_hand, (int)sku.size, sku.data);
    }
    if (on_hand + delta > ON_HAND_MAX) {
        return souk_ctx_fail_field(ctx, pointer, "more than %lld of %.*s would be on hand",
                                   (long long)ON_HAND_MAX, (int)sku.size, sku.data);
    }
    if (on_hand + delta < reserved) {
        return souk_ctx_fail(ctx, SOUK_ERR_STOCK_RESERVED, "orders hold %lld of %.*s",
                             (long long)reserved, (int)sku.size, sku.data);
    }
    return SOUK_OK;
}

/* {"SKU": on_hand, ...} before and after, for the log of what admins did. */
static souk_err_t s_audit(souk_ctx_t *ctx, const char *action, const souk_pg_rows_t *locked,
                          const change_t *changes, size_t count) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    SOUK_CLEANUP(souk_buf_done) souk_buf_t before;
    SOUK_CLEANUP(souk_buf_done) souk_buf_t after;
    souk_buf_init(&before, 1024 * 1024);
    souk_buf_init(&after, 1024 * 1024);
    for (size_t i = 0; i < count; i++) {
        long long was = souk_pg_get_int(locked, i, 8), is = was + changes[i].delta;
        const char *mark = i == 0 ? "{" : ",";
        int size = (int)changes[i].sku.size; /* format sku: nothing to escape */
        souk_buf_printf(&before, "%s\"%.*s\":%lld", mark, size, changes[i].sku.data, was);
        souk_buf_printf(&after, "%s\"%.*s\":%lld", mark, size, changes[i].sku.data, is);
    }
    souk_buf_append_byte(&before, '}');
    souk_buf_append_byte(&after, '}');
    souk_str_t target = count == 1 ? changes[0].sku : souk_arena_printf(arena, "%zu SKUs", count);
    if (before.overflow || after.overflow || target.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    return souk_pg_audit(ctx, action, target, souk_buf_str(&before), souk_buf_str(&after));
}

/* Changes of locked rows, booked and told. changes stand in the order of the rows. */
static souk_err_t s_move_stock(souk_ctx_t *ctx, const why_t *why, const change_t *changes,
                               size_t count, const souk_pg_rows_t **ret_rows) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    souk_pg_args_t move, book;
    souk_str_t *skus = souk_arena_alloc_array(arena, count, sizeof *skus);
    int64_t *deltas = souk_arena_alloc_array(arena, count, sizeof *deltas);
    if (skus == NULL || deltas == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        skus[i] = changes[i].sku;
        deltas[i] = changes[i].delta;
    }
    souk_pg_args_init(&move, arena);
    souk_pg_strs(&move, skus, count);
    souk_pg_ints(&move, deltas, count);
    SOUK_TRY(souk_pg_run(ctx, &s_move, &move, ret_rows));
    souk_pg_args_init(&book, arena);
    souk_pg_strs(&book, skus, count);
    souk_pg_ints(&book, deltas, count);
    souk_pg_str(&book, souk_str_of(why->reason));
    souk_pg_str(&book, why->cause);
    souk_pg_str(&book, why->note);
    souk_pg_str(&book, souk_ctx_subject(ctx));
    return souk_pg_post(ctx, &s_book, &book);
}

/* ---- one SKU ---- */

static souk_err_t s_require(souk_ctx_t *ctx, souk_str_t sku, const souk_pg_rows_t **ret_rows) {
    SOUK_TRY(s_lock_skus(ctx, &(change_t){.sku = sku}, 1, ret_rows));
    if (souk_pg_count(*ret_rows) == 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "there is no SKU %.*s", (int)sku.size,
                             sku.data);
    }
    return SOUK_OK;
}

typedef struct {
    const char *action;  /* of the audit row */
    const char *pointer; /* the field that the change comes from */
    why_t why;
} act_t;

static souk_err_t s_change_one(souk_ctx_t *ctx, const act_t *act, const souk_pg_rows_t *locked,
                               int64_t delta, orders_stock_item_t *ret) {
    const change_t change = {.sku = souk_pg_get_str(locked, 0, 0), .delta = delta};
    const souk_pg_rows_t *rows = locked;
    SOUK_TRY(s_check(ctx, locked, 0, delta, act->pointer));
    if (delta != 0) {
        SOUK_TRY(s_move_stock(ctx, &act->why, &change, 1, &rows));
        SOUK_TRY(s_audit(ctx, act->action, locked, &change, 1));
    }
    return orders_stock_item(rows, 0, souk_ctx_arena(ctx), ret);
}

static souk_err_t s_receive(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_stock_receive_req_t *req = request;
    const act_t act = {.action = "stock.receive",
                       .pointer = "/quantity",
                       .why = {.reason = "receive", .note = req->note}};
    const souk_pg_rows_t *locked;
    SOUK_TRY(s_require(ctx, req->sku, &locked));
    return s_change_one(ctx, &act, locked, req->quantity, ret_rep);
}

souk_err_t orders_stock_receive(souk_ctx_t *ctx, const orders_stock_receive_req_t *req,
                                orders_stock_receive_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_receive, req, ret_rep);
}

static souk_err_t s_adjust(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_stock_adjust_req_t *req = request;
    const souk_str_t causes[] = {SOUK_STR("damaged"), SOUK_STR("lost"), SOUK_STR("found"),
                                 SOUK_STR("correction"), SOUK_STR("other")};
    const act_t act = {
        .action = "stock.adjust",
        .pointer = "/delta",
        .why = {.reason = "adjust", .cause = causes[req->reason], .note = req->note}};
    const souk_pg_rows_t *locked;
    SOUK_TRY(s_require(ctx, req->sku, &locked));
    return s_change_one(ctx, &act, locked, req->delta, ret_rep);
}

souk_err_t orders_stock_adjust(souk_ctx_t *ctx, const orders_stock_adjust_req_t *req,
                               orders_stock_adjust_rep_t *ret_rep) {
    if (req->delta == 0) {
        return souk_ctx_fail_field(ctx, "/delta", "must not be 0");
    }
    return souk_pg_write(ctx, s_adjust, req, ret_rep);
}

static souk_err_t s_set(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_stock_set_req_t *req = request;
    const act_t act = {
        .action = "stock.set", .pointer = "/on_hand", .why = {.reason = "set", .note = req->note}};
    const souk_pg_rows_t *locked;
    SOUK_TRY(s_require(ctx, req->sku, &locked));
    return s_change_one(ctx, &act, locked, req->on_hand - souk_pg_get_int(locked, 0, 8), ret_rep);
}

souk_err_t orders_stock_set(souk_ctx_t *ctx, const orders_stock_set_req_t *req,
                            orders_stock_set_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_set, req, ret_rep);
}

static souk_err_t s_update(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_stock_update_req_t *req = request;
    souk_arena_t *arena = souk_ctx_arena(ctx);
    const souk_pg_rows_t *locked, *rows;
    souk_pg_args_t args;
    SOUK_TRY(s_require(ctx, req->sku, &locked));
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, req->sku);
    souk_pg_int(&args, req->low_at);
    SOUK_TRY(souk_pg_run(ctx, &s_low_at, &args, &rows));
    souk_str_t before =
        souk_arena_printf(arena, "{\"low_at\":%lld}", (long long)souk_pg_get_int(locked, 0, 10));
    souk_str_t after = souk_arena_printf(arena, "{\"low_at\":%lld}", (long long)req->low_at);
    if (before.data == NULL || after.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    SOUK_TRY(souk_pg_audit(ctx, "stock.update", req->sku, before, after));
    return orders_stock_item(rows, 0, arena, ret_rep);
}

souk_err_t orders_stock_update(souk_ctx_t *ctx, const orders_stock_update_req_t *req,
                               orders_stock_update_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_update, req, ret_rep);
}

/* ---- many ---- */

static int s_by_sku(const void *a, const void *b) {
    souk_str_t one = ((const change_t *)a)->sku, other = ((const change_t *)b)->sku;
    size_t size = one.size < other.size ? one.size : other.size;
    int order = memcmp(one.data, other.data, size);
    return order != 0 ? order : (one.size > other.size) - (one.size < other.size);
}

/* The sorted changes, each of another SKU. */
static souk_err_t s_sorted(souk_ctx_t *ctx, const orders_stock_receive_many_req_t *req,
                           change_t **ret_changes, size_t *ret_count) {
    size_t count = 0;
    const orders_stock_receipt_t *items = orders_stock_receive_many_req_items(req, &count);
    change_t *changes = souk_arena_alloc_array(souk_ctx_arena(ctx), count, sizeof *changes);
    if (changes == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    souk_assert(count <= ITEMS_MAX);
    for (size_t i = 0; i < count; i++) {
        changes[i] = (change_t){.sku = items[i].sku, .delta = items[i].quantity, .at = i};
    }
    qsort(changes, count, sizeof *changes, s_by_sku);
    souk_err_t err = SOUK_OK;
    for (size_t i = 1; i < count; i++) {
        if (s_by_sku(&changes[i - 1], &changes[i]) == 0) {
            char pointer[32];
            (void)snprintf(pointer, sizeof pointer, "/items/%zu/sku", changes[i].at);
            err = souk_ctx_fail_field(ctx, pointer, "stands in the list twice");
        }
    }
    *ret_changes = changes;
    *ret_count = count;
    return err;
}

/* Every SKU is there and may get what it shall; all that is wrong is told. */
static souk_err_t s_check_all(souk_ctx_t *ctx, const souk_pg_rows_t *locked,
                              const change_t *changes, size_t count) {
    souk_err_t err = SOUK_OK;
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        char pointer[48];
        bool known = row < souk_pg_count(locked) &&
                     souk_str_equal(souk_pg_get_str(locked, row, 0), changes[i].sku);
        if (!known) {
            (void)snprintf(pointer, sizeof pointer, "/items/%zu/sku", changes[i].at);
            err = souk_ctx_fail_field(ctx, pointer, "there is no such SKU");
            continue;
        }
        (void)snprintf(pointer, sizeof pointer, "/items/%zu/quantity", changes[i].at);
        souk_err_t one = s_check(ctx, locked, row++, changes[i].delta, pointer);
        err = one != SOUK_OK ? one : err;
    }
    return err;
}

static souk_err_t s_receive_many(souk_ctx_t *ctx, const void *request, void *ret_rep) {
    const orders_stock_receive_many_req_t *req = request;
    const why_t why = {.reason = "receive", .note = req->note};
    const souk_pg_rows_t *locked, *rows;
    change_t *changes;
    size_t count = 0;
    SOUK_TRY(s_sorted(ctx, req, &changes, &count));
    SOUK_TRY(s_lock_skus(ctx, changes, count, &locked));
    SOUK_TRY(s_check_all(ctx, locked, changes, count));
    SOUK_TRY(s_move_stock(ctx, &why, changes, count, &rows));
    SOUK_TRY(s_audit(ctx, "stock.receive", locked, changes, count));
    orders_stock_receive_many_rep_set_received(ret_rep, (int64_t)count);
    return SOUK_OK;
}

souk_err_t orders_stock_receive_many(souk_ctx_t *ctx, const orders_stock_receive_many_req_t *req,
                                     orders_stock_receive_many_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_receive_many, req, ret_rep);
}
