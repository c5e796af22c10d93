/* Reading orders: a customer's own, and all for staff. */
#include "gen/orders_handlers.h"
#include "orders/record.h"
#include "orders/service.h"

/* ---- one order ------------------------------------------------------------------------------- */

/* owner.data NULL: whoever owns it. */
static souk_err_t s_get(souk_ctx_t *ctx, souk_str_t id, souk_str_t owner, orders_order_t *ret_rep) {
    orders_record_t record;
    SOUK_TRY(orders_records_read(souk_ctx_slot(ctx), souk_ctx_remaining_ms(ctx),
                                 souk_ctx_arena(ctx), &id, &owner, 1, &record));
    if (record.id.data == NULL) {
        return souk_ctx_fail(ctx, SOUK_ERR_NOT_FOUND, "No order %.*s", (int)id.size, id.data);
    }
    return orders_record_reply(&record, souk_ctx_arena(ctx), ret_rep);
}

souk_err_t orders_get(souk_ctx_t *ctx, const orders_get_req_t *req, orders_get_rep_t *ret_rep) {
    return s_get(ctx, req->id, souk_ctx_subject(ctx), ret_rep);
}
