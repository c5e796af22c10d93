/* Reading orders: a customer's own, and all for staff. */
#include "gen/orders_handlers.h"
#include "orders/record.h"
#include "orders/service.h"

/* ---- one order ------------------------------------------------------------------------------- */

/* owner.data NULL: whoever owns it. */
static souk_err_t s_get(souk_ctx_t *ctx, souk_str_t id, souk_str_t owner, orders_order_t *ret_rep) {
    orders_record_t record;
    const orders_records_ask_t ask = {.pg = souk_ctx_slot(ctx),
                                      .timeout_ms = souk_ctx_remaining_ms(ctx),
                                      .arena = souk_ctx_arena(ctx)};
    SOUK_TRY(orders_records_read(&ask, &id, &owner, 1, &record));
    if (record.id.data == NULL) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "No order %.*s", (int)id.size, id.data);
    }
    return orders_record_reply(&record, souk_ctx_arena(ctx), ret_rep);
}

souk_err_t orders_get(souk_ctx_t *ctx, const orders_get_req_t *req, orders_get_rep_t *ret_rep) {
    return s_get(ctx, req->id, souk_ctx_subject(ctx), ret_rep);
}

souk_err_t orders_admin_get(souk_ctx_t *ctx, const orders_admin_get_req_t *req,
                            orders_admin_get_rep_t *ret_rep) {
    return s_get(ctx, req->id, (souk_str_t){0}, ret_rep);
}

/* ---- its log --------------------------------------------------------------------------------- */

static const souk_pg_stmt_t s_events = {
    .name = "orders_events",
    .sql = "SELECT e.sequence, e.type, e.actor, e.data->>'fulfilment_id', e.at"
           " FROM orders o JOIN order_history e ON e.order_id = o.id"
           " WHERE o.id = $1 AND o.subject = COALESCE($2::text, o.subject) ORDER BY e.sequence"};

/* Every order has an event: that of its making. */
static souk_err_t s_read_events(souk_ctx_t *ctx, souk_str_t id, souk_str_t owner,
                                const souk_pg_rows_t **ret_rows) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, id);
    souk_pg_str(&args, owner);
    SOUK_TRY(souk_pg_run(ctx, &s_events, &args, ret_rows));
    if (souk_pg_count(*ret_rows) == 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "No order %.*s", (int)id.size, id.data);
    }
    return SOUK_OK;
}

static void s_event(const souk_pg_rows_t *rows, size_t row, orders_order_event_t *ret) {
    orders_order_event_set_sequence(ret, souk_pg_get_int(rows, row, 0));
    orders_order_event_set_type(
        ret, orders_enum_of(&orders_order_event_type, "type", souk_pg_get_str(rows, row, 1)));
    if (!souk_pg_is_null(rows, row, 3)) {
        orders_order_event_set_fulfilment_id(ret, souk_pg_get_str(rows, row, 3));
    }
    orders_order_event_set_at(ret, souk_pg_get_time(rows, row, 4));
}

souk_err_t orders_events(souk_ctx_t *ctx, const orders_events_req_t *req,
                         orders_events_rep_t *ret_rep) {
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(s_read_events(ctx, req->id, souk_ctx_subject(ctx), &rows));
    size_t count = souk_pg_count(rows);
    orders_order_event_t *data = orders_events_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    for (size_t i = 0; data != NULL && i < count; i++) {
        s_event(rows, i, &data[i]);
    }
    return SOUK_OK;
}

souk_err_t orders_admin_events(souk_ctx_t *ctx, const orders_admin_events_req_t *req,
                               orders_admin_events_rep_t *ret_rep) {
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(s_read_events(ctx, req->id, (souk_str_t){0}, &rows));
    size_t count = souk_pg_count(rows);
    orders_order_event_t *data =
        orders_admin_events_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    for (size_t i = 0; data != NULL && i < count; i++) {
        s_event(rows, i, &data[i]);
        orders_order_event_set_actor(&data[i], souk_pg_get_str(rows, i, 2));
    }
    return SOUK_OK;
}
