/* What the admin's methods share. */
#ifndef USERS_ADMIN_H
#define USERS_ADMIN_H

#include "rights.h"

/* Inside souk_pg_write: locks the user, whoever acts (or the key's owner), and all active admins,
 * in one order. *ret_is_last: the user is the only active admin. */
SOUK_MUST_CHECK souk_err_t users_lock_with_admins(souk_ctx_t *ctx, souk_str_t user_id,
                                                  bool *ret_is_last);

/* Inside souk_pg_write that holds the user: revokes the API keys of theirs whose scopes are more
 * than these roles give. */
SOUK_MUST_CHECK souk_err_t users_keys_end_excess(souk_ctx_t *ctx, souk_str_t user_id,
                                                 uint32_t roles);

/* A page: one more row than limit was asked for, so that its count tells whether there is a next
 * one. Ids stand in the first column. */
SOUK_MUST_CHECK souk_err_t users_slice(const souk_pg_rows_t *rows, int64_t limit,
                                       users_slice_t *ret_slice, size_t *ret_count);
/* A cursor is the last id of the page before. SOUK_ERR_MALFORMED. */
SOUK_MUST_CHECK souk_err_t users_cursor(souk_ctx_t *ctx, souk_str_t cursor, const char *prefix);

#endif
