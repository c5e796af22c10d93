/* The table audit, read: what the route of each service on PostgreSQL shares. The rows are written
 * by souk_pg_audit. */
#ifndef SOUK_RUNTIME_AUDIT_H
#define SOUK_RUNTIME_AUDIT_H

#include "gen/types.h"
#include "runtime/ctx.h"
#include "runtime/pg.h"

typedef struct {
    souk_str_t target, actor; /* data NULL: whatever they are */
    souk_str_t cursor;        /* the last id of the page before; data NULL: from the newest on */
    int64_t limit;
} souk_audit_query_t;

/* A page, newest first: ret_rows for souk_audit_fill, of which ret_count belong to the page.
 * SOUK_ERR_MALFORMED: the cursor is none. */
SOUK_MUST_CHECK souk_err_t souk_audit_read(souk_ctx_t *ctx, const souk_audit_query_t *query,
                                           souk_keyset_page_t *ret_page,
                                           const souk_pg_rows_t **ret_rows, size_t *ret_count);
SOUK_MUST_CHECK souk_err_t souk_audit_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows,
                                           size_t count, souk_audit_entry_t *ret_entries);

#endif
