/* Sessions: what a login opens and refresh tokens continue. */
#ifndef USERS_SESSION_H
#define USERS_SESSION_H

#include "users.h"

/* Inside souk_pg_write that holds the account's row: a new session, and room for it among the
 * account's others. The client's address is known from then on. */
SOUK_MUST_CHECK souk_err_t users_session_open(souk_ctx_t *ctx, const users_account_t *account,
                                              bool second_factor, souk_str_t device,
                                              users_tokens_t *ret_tokens);

/* The roles of these that a session has, whatever the account has. */
uint32_t users_roles_granted(const users_t *service, uint32_t roles, bool second_factor);

/* What a session gives: the access token is made here. refresh_token and session are copied. */
typedef struct {
    souk_str_t session, refresh_token;
    int64_t expires_us;
    bool second_factor;
} users_session_grant_t;
SOUK_MUST_CHECK souk_err_t users_session_grant(souk_ctx_t *ctx, const users_account_t *account,
                                               const users_session_grant_t *grant,
                                               users_tokens_t *ret_tokens);

/* Inside souk_pg_write: remembers where the account's owner is (throttle.h). */
SOUK_MUST_CHECK souk_err_t users_address_known(souk_ctx_t *ctx, souk_str_t user_id);

/* Inside souk_pg_write that holds the account's row: ends its sessions, but for one; "": all. */
SOUK_MUST_CHECK souk_err_t users_sessions_end(souk_ctx_t *ctx, souk_str_t user_id, souk_str_t but);

/* Inside souk_pg_write that holds the account's row: one of the two codes is right, and is used up
 * by it. totp_missing, totp_wrong. */
SOUK_MUST_CHECK souk_err_t users_second_factor(souk_ctx_t *ctx, const users_account_t *account,
                                               souk_str_t totp_code, souk_str_t recovery_code);

/* Inside souk_pg_write that holds the account's row: logins need no code any more. */
SOUK_MUST_CHECK souk_err_t users_second_factor_end(souk_ctx_t *ctx, souk_str_t user_id);

#endif
