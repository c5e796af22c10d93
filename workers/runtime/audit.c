#include "runtime/audit.h"

#include "souk/id.h"
#include "souk/json_mp.h"

#define VALUE_BYTES_MAX ((size_t)64 * 1024)
#define PAGE_BYTES_MAX ((size_t)256 * 1024)

static const souk_pg_stmt_t s_list = {
    .name = "souk_audit_list",
    .sql = "SELECT id, at, actor, action, target, before, after, request_id FROM audit"
           " WHERE ($1::text IS NULL OR id < $1) AND ($2::text IS NULL OR target = $2)"
           " AND ($3::text IS NULL OR actor = $3) ORDER BY id DESC LIMIT $4"};

/* Rows that hold much (stock of 500 SKUs received at once) end a page before its limit does. */
static size_t s_fit(const souk_pg_rows_t *rows, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += souk_pg_get_str(rows, i, 5).size + souk_pg_get_str(rows, i, 6).size;
        if (bytes > PAGE_BYTES_MAX && i > 0) {
            return i;
        }
    }
    return count;
}

/* One row more than the page holds tells whether there is a next one. */
souk_err_t souk_audit_read(souk_ctx_t *ctx, const souk_audit_query_t *query,
                           souk_keyset_page_t *ret_page, const souk_pg_rows_t **ret_rows,
                           size_t *ret_count) {
    if (query->cursor.data != NULL && !souk_id_valid(query->cursor, "aud_")) {
        return souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "the cursor is not one of this list");
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, query->cursor);
    souk_pg_str(&args, query->target);
    souk_pg_str(&args, query->actor);
    souk_pg_int(&args, query->limit + 1);
    SOUK_TRY(souk_pg_run(ctx, &s_list, &args, ret_rows));
    size_t found = souk_pg_count(*ret_rows), limit = (size_t)query->limit;
    size_t count = s_fit(*ret_rows, found < limit ? found : limit);
    souk_keyset_page_set_limit(ret_page, query->limit);
    if (count == found) {
        souk_bits_set_nil(&ret_page->bits, SOUK_KEYSET_PAGE_NEXT_BIT);
    } else {
        souk_keyset_page_set_next(ret_page, souk_pg_get_str(*ret_rows, count - 1, 0));
    }
    *ret_count = count;
    return SOUK_OK;
}

/* data NULL: null. */
static souk_err_t s_value(souk_ctx_t *ctx, souk_str_t json, souk_str_t *ret_value) {
    if (json.data == NULL) {
        *ret_value = json;
        return SOUK_OK;
    }
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, VALUE_BYTES_MAX);
    souk_err_t err = souk_json_to_mp(json, souk_ctx_arena(ctx), &buf);
    if (err != SOUK_OK || buf.overflow) {
        return souk_ctx_fail(ctx, SOUK_ERR_INTERNAL, "an entry of the log cannot be read");
    }
    *ret_value = souk_arena_copy(souk_ctx_arena(ctx), souk_buf_str(&buf));
    return ret_value->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t row,
                         souk_audit_entry_t *entry) {
    souk_str_t before = {0}, after = {0}, request_id = souk_pg_get_str(rows, row, 7);
    SOUK_TRY(s_value(ctx, souk_pg_get_str(rows, row, 5), &before));
    SOUK_TRY(s_value(ctx, souk_pg_get_str(rows, row, 6), &after));
    souk_audit_entry_set_id(entry, souk_pg_get_str(rows, row, 0));
    souk_audit_entry_set_at(entry, souk_pg_get_time(rows, row, 1));
    souk_audit_entry_set_actor(entry, souk_pg_get_str(rows, row, 2));
    souk_audit_entry_set_action(entry, souk_pg_get_str(rows, row, 3));
    souk_audit_entry_set_target(entry, souk_pg_get_str(rows, row, 4));
    souk_audit_entry_set_before(entry, before);
    if (before.data == NULL) {
        souk_bits_set_nil(&entry->bits, SOUK_AUDIT_ENTRY_BEFORE_BIT);
    }
    souk_audit_entry_set_after(entry, after);
    if (after.data == NULL) {
        souk_bits_set_nil(&entry->bits, SOUK_AUDIT_ENTRY_AFTER_BIT);
    }
    souk_audit_entry_set_request_id(entry, request_id);
    if (request_id.data == NULL) {
        souk_bits_set_nil(&entry->bits, SOUK_AUDIT_ENTRY_REQUEST_ID_BIT);
    }
    return SOUK_OK;
}

souk_err_t souk_audit_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t count,
                           souk_audit_entry_t *ret_entries) {
    if (ret_entries == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(s_fill(ctx, rows, i, &ret_entries[i]));
    }
    return SOUK_OK;
}
