/* What replies show of one's own account. */
#ifndef USERS_ME_H
#define USERS_ME_H

#include "users.h"

/* Reads the account of the session that acts (SOUK_ERR_UNAUTHENTICATED: none). */
SOUK_MUST_CHECK souk_err_t users_me_read(souk_ctx_t *ctx, users_me_t *ret_me);
/* The rows of the statements below, which take the user's id. */
SOUK_MUST_CHECK souk_err_t users_sessions_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows,
                                               size_t row, users_session_t *ret_session);
SOUK_MUST_CHECK souk_err_t users_address_fill(const souk_pg_rows_t *rows, size_t row,
                                              users_saved_address_t *ret_address);
SOUK_MUST_CHECK souk_err_t users_api_keys_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows,
                                               size_t row, users_api_key_t *ret_key);
extern const souk_pg_stmt_t users_sessions_of, users_addresses_of, users_api_keys_of;

#endif
