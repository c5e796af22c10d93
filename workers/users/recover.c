/* New passwords: by the present one, or by a token that was sent to the account's address. */
#include "gen/users_handlers.h"
#include "mail.h"
#include "session.h"
#include "souk/text.h"
#include "throttle.h"

static const souk_pg_stmt_t s_present = {
    .name = "users_reset_present",
    .sql = "SELECT " USERS_ACCOUNT_SQL " FROM users u"
           " WHERE u.email_folded = $1 AND u.status = 'active' FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_set_password = {
    .name = "users_password_set",
    .sql = "UPDATE users SET password_hash = $2, version = version + 1, updated_at = now(),"
           " email_verified_at = CASE WHEN $3 THEN COALESCE(email_verified_at, now())"
           " ELSE email_verified_at END WHERE id = $1"};
static const souk_pg_stmt_t s_end_tokens = {
    .name = "users_password_end_tokens",
    .sql = "DELETE FROM one_time_tokens WHERE user_id = $1 AND kind = 'password'"};

/* What somebody may have put into an account whose address was never confirmed: it is not the
 * owner's, or they put it there again. */
static const souk_pg_stmt_t s_drops[] = {
    {.name = "users_reset_drop_addresses", .sql = "DELETE FROM addresses WHERE user_id = $1"},
    {.name = "users_reset_drop_known", .sql = "DELETE FROM known_addresses WHERE user_id = $1"},
    {.name = "users_reset_drop_profile",
     .sql = "UPDATE users SET name = NULL, name_folded = NULL, phone = NULL WHERE id = $1"},
};

static souk_err_t s_drop_foreign(souk_ctx_t *ctx, souk_str_t user_id) {
    for (size_t i = 0; i < SOUK_COUNT_OF(s_drops); i++) {
        souk_pg_args_t args;
        souk_pg_args_init(&args, souk_ctx_arena(ctx));
        souk_pg_str(&args, user_id);
        SOUK_TRY(souk_pg_post(ctx, &s_drops[i], &args));
    }
    return users_second_factor_end(ctx, user_id);
}

/* Inside a write that holds the row. */
static souk_err_t s_change(souk_ctx_t *ctx, const users_account_t *account, souk_str_t hash,
                           bool proves_address) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account->id);
    souk_pg_str(&args, hash);
    souk_pg_bool(&args, proves_address);
    SOUK_TRY(souk_pg_post(ctx, &s_set_password, &args));
    souk_pg_args_t of_user;
    souk_pg_args_init(&of_user, souk_ctx_arena(ctx));
    souk_pg_str(&of_user, account->id);
    SOUK_TRY(souk_pg_post(ctx, &s_end_tokens, &of_user));
    users_json_t json;
    users_json_begin(&json);
    users_json_str(&json, "user_id", account->id);
    users_json_str(&json, "email", account->email);
    souk_str_t payload;
    SOUK_TRY(users_json_end(&json, souk_ctx_arena(ctx), &payload));
    return users_event(ctx, "user.password_changed", account->id, payload);
}

/* ---- by the present one ---- */

typedef struct {
    users_account_t proven;
    souk_str_t hash;
} change_t;

static souk_err_t s_password_change(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const change_t *self = arg;
    users_account_t account = {0};
    SOUK_TRY(users_actor_again(ctx, &self->proven, &account));
    SOUK_TRY(users_sessions_end(ctx, account.id, souk_ctx_session(ctx)));
    return s_change(ctx, &account, self->hash, false);
}

souk_err_t users_password_change(souk_ctx_t *ctx, const users_password_change_req_t *req,
                                 users_password_change_rep_t *ret_rep) {
    change_t change = {0};
    souk_str_t password = {0};
    SOUK_TRY(users_actor_prove(ctx, req->current_password, &change.proven));
    SOUK_TRY(users_password_new(ctx, req->password, change.proven.email_folded, &password));
    SOUK_TRY(users_password_hash(ctx, password, &change.hash));
    return souk_pg_write(ctx, s_password_change, &change, ret_rep);
}

/* ---- by a token ---- */

/* For an address that nobody has, the same statements run, but for the token's. */
static souk_err_t s_reset_request(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const souk_email_t *email = arg;
    const users_t *service = souk_ctx_service(ctx);
    users_password_reset_rep_set_expires_in(ret_rep, service->config->users_reset_s);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, email->folded);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_present, &args, &rows));
    const users_bucket_t bucket =
        users_bucket(service, USERS_BUCKET_MAIL_RESET, email->folded, SOUK_STR(""));
    bool taken = false;
    SOUK_TRY(users_throttle_try(ctx, &bucket, &taken));
    if (souk_pg_count(rows) == 0 || !taken) {
        /* Whoever floods: the tokens of the mails before are still valid. */
        return users_event_of_nobody(ctx);
    }
    users_account_t account = {0};
    users_account_read(rows, 0, &account);
    return users_token_send(ctx, USERS_TOKEN_PASSWORD, "user.password_reset_requested", &account);
}

souk_err_t users_password_reset(souk_ctx_t *ctx, const users_password_reset_req_t *req,
                                users_password_reset_rep_t *ret_rep) {
    souk_email_t email;
    souk_err_t err = souk_text_email(souk_ctx_arena(ctx), req->email, &email);
    if (err == SOUK_ERR_VALIDATION) {
        return souk_ctx_fail_field(ctx, "/email", "must be an email address");
    }
    SOUK_TRY(err);
    const users_bucket_t bucket = users_bucket(souk_ctx_service(ctx), USERS_BUCKET_MAIL_ADDRESS,
                                               SOUK_STR(""), users_client_address(ctx));
    SOUK_TRY(users_throttle_take(ctx, &bucket, 1));
    return souk_pg_write(ctx, s_reset_request, &email, ret_rep);
}

typedef struct {
    souk_str_t token, user_id, hash;
} confirm_t;

/* Whoever reads the account's mail is its owner: the address is confirmed by it, and the place they
 * are at is known, so that nobody who guesses can keep them from logging in there. */
static souk_err_t s_reset_confirm(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const confirm_t *self = arg;
    users_account_t account = {0};
    SOUK_TRY(users_token_claim(ctx, USERS_TOKEN_PASSWORD, self->token, self->user_id, &account));
    SOUK_TRY(users_sessions_end(ctx, account.id, SOUK_STR("")));
    if (!account.email_verified) {
        SOUK_TRY(s_drop_foreign(ctx, account.id));
    }
    SOUK_TRY(s_change(ctx, &account, self->hash, true));
    SOUK_TRY(users_address_known(ctx, account.id));
    const users_bucket_t bucket = users_bucket(souk_ctx_service(ctx), USERS_BUCKET_LOGIN_PAIR,
                                               account.email_folded, users_client_address(ctx));
    return users_throttle_give(ctx, &bucket, 1, true);
}

souk_err_t users_password_reset_confirm(souk_ctx_t *ctx,
                                        const users_password_reset_confirm_req_t *req,
                                        users_password_reset_confirm_rep_t *ret_rep) {
    const users_bucket_t bucket = users_bucket(souk_ctx_service(ctx), USERS_BUCKET_TOKEN,
                                               SOUK_STR(""), users_client_address(ctx));
    SOUK_TRY(users_throttle_take(ctx, &bucket, 1));
    users_account_t account = {0};
    SOUK_TRY(users_token_find(ctx, USERS_TOKEN_PASSWORD, req->token, &account));
    SOUK_TRY(users_throttle_give(ctx, &bucket, 1, true));
    souk_str_t password = {0};
    SOUK_TRY(users_password_new(ctx, req->password, account.email_folded, &password));
    confirm_t confirm = {.token = req->token, .user_id = account.id};
    SOUK_TRY(users_password_hash(ctx, password, &confirm.hash));
    return souk_pg_write(ctx, s_reset_confirm, &confirm, ret_rep);
}
