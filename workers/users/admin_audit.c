/* The audit log, read. */
#include "admin.h"
#include "gen/users_handlers.h"
#include "json_mp.h"

#define VALUE_BYTES_MAX ((size_t)16 * 1024)

static const souk_pg_stmt_t s_list = {
    .name = "users_audit_list",
    .sql = "SELECT id, at, actor, action, target, before, after, request_id FROM audit"
           " WHERE ($1::text IS NULL OR id < $1) AND ($2::text IS NULL OR target = $2)"
           " AND ($3::text IS NULL OR actor = $3) ORDER BY id DESC LIMIT $4"};

/* data NULL: null. */
static souk_err_t s_value(souk_ctx_t *ctx, souk_str_t json, souk_str_t *ret_value) {
    if (json.data == NULL) {
        *ret_value = json;
        return SOUK_OK;
    }
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, VALUE_BYTES_MAX);
    souk_err_t err = users_json_to_mp(json, souk_ctx_arena(ctx), &buf);
    if (err != SOUK_OK || buf.overflow) {
        return souk_ctx_fail(ctx, SOUK_ERR_INTERNAL, "an entry of the log cannot be read");
    }
    *ret_value = souk_arena_copy(souk_ctx_arena(ctx), souk_buf_str(&buf));
    return ret_value->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t row,
                         users_audit_entry_t *entry) {
    souk_str_t before = {0}, after = {0}, request_id = souk_pg_get_str(rows, row, 7);
    SOUK_TRY(s_value(ctx, souk_pg_get_str(rows, row, 5), &before));
    SOUK_TRY(s_value(ctx, souk_pg_get_str(rows, row, 6), &after));
    users_audit_entry_set_id(entry, souk_pg_get_str(rows, row, 0));
    users_audit_entry_set_at(entry, souk_pg_get_time(rows, row, 1));
    users_audit_entry_set_actor(entry, souk_pg_get_str(rows, row, 2));
    users_audit_entry_set_action(entry, souk_pg_get_str(rows, row, 3));
    users_audit_entry_set_target(entry, souk_pg_get_str(rows, row, 4));
    users_audit_entry_set_before(entry, before);
    if (before.data == NULL) {
        souk_bits_set_nil(&entry->bits, USERS_AUDIT_ENTRY_BEFORE_BIT);
    }
    users_audit_entry_set_after(entry, after);
    if (after.data == NULL) {
        souk_bits_set_nil(&entry->bits, USERS_AUDIT_ENTRY_AFTER_BIT);
    }
    users_audit_entry_set_request_id(entry, request_id);
    if (request_id.data == NULL) {
        souk_bits_set_nil(&entry->bits, USERS_AUDIT_ENTRY_REQUEST_ID_BIT);
    }
    return SOUK_OK;
}

souk_err_t users_audit_list(souk_ctx_t *ctx, const users_audit_list_req_t *req,
                            users_audit_list_rep_t *ret_rep) {
    users_rights_t rights = {0};
    SOUK_TRY(users_rights(ctx, "audit:read", &rights));
    SOUK_TRY(users_cursor(ctx, req->cursor, "aud_"));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, req->cursor);
    souk_pg_str(&args, req->target);
    souk_pg_str(&args, req->actor);
    souk_pg_int(&args, req->limit + 1);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_list, &args, &rows));
    size_t count = 0;
    SOUK_TRY(users_slice(rows, req->limit, &ret_rep->page, &count));
    souk_bits_set(&ret_rep->bits, USERS_AUDIT_LIST_REP_PAGE_BIT);
    users_audit_entry_t *items = users_audit_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(s_fill(ctx, rows, i, &items[i]));
    }
    return SOUK_OK;
}
