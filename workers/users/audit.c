/* What staff did to accounts and keys, read. */
#include "runtime/audit.h"
#include "gen/users_handlers.h"
#include "rights.h"

souk_err_t users_audit_list(souk_ctx_t *ctx, const users_audit_list_req_t *req,
                            users_audit_list_rep_t *ret_rep) {
    users_rights_t rights = {0};
    SOUK_TRY(users_rights(ctx, "audit:read", &rights));
    const souk_audit_query_t query = {
        .target = req->target, .actor = req->actor, .cursor = req->cursor, .limit = req->limit};
    const souk_pg_rows_t *rows;
    size_t count = 0;
    SOUK_TRY(souk_audit_read(ctx, &query, &ret_rep->page, &rows, &count));
    souk_bits_set(&ret_rep->bits, USERS_AUDIT_LIST_REP_PAGE_BIT);
    return souk_audit_fill(ctx, rows, count,
                           users_audit_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count));
}
