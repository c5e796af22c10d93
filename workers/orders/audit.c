/* What staff did to orders, stock and prices, read. */
#include "runtime/audit.h"
#include "gen/orders_handlers.h"

souk_err_t orders_audit_list(souk_ctx_t *ctx, const orders_audit_list_req_t *req,
                             orders_audit_list_rep_t *ret_rep) {
    const souk_audit_query_t query = {
        .target = req->target, .actor = req->actor, .cursor = req->cursor, .limit = req->limit};
    const souk_pg_rows_t *rows;
    size_t count = 0;
    SOUK_TRY(souk_audit_read(ctx, &query, &ret_rep->page, &rows, &count));
    souk_bits_set(&ret_rep->bits, ORDERS_AUDIT_LIST_REP_PAGE_BIT);
    return souk_audit_fill(ctx, rows, count,
                           orders_audit_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count));
}
