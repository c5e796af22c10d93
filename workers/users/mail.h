/* Tokens that are sent by mail: made with the event that hands them over, claimed once. */
#ifndef USERS_MAIL_H
#define USERS_MAIL_H

#include "users.h"

typedef enum { USERS_TOKEN_PASSWORD, USERS_TOKEN_EMAIL } users_token_kind_t;

/* Inside souk_pg_write that holds the account's row. The event's payload holds the token in the
 * clear: the outbox is what the mailer reads. */
SOUK_MUST_CHECK souk_err_t users_token_send(souk_ctx_t *ctx, users_token_kind_t kind,
                                            const char *event, const users_account_t *account);
/* Whose token it is, when it is valid: reads only. SOUK_ERR_TOKEN_INVALID. */
SOUK_MUST_CHECK souk_err_t users_token_find(souk_ctx_t *ctx, users_token_kind_t kind,
                                            souk_str_t token, users_account_t *ret_account);
/* Inside souk_pg_write: locks the account's row, then uses the token up. */
SOUK_MUST_CHECK souk_err_t users_token_claim(souk_ctx_t *ctx, users_token_kind_t kind,
                                             souk_str_t token, souk_str_t user_id,
                                             users_account_t *ret_account);

#endif
