/* The second factor: enrolled, confirmed by a first code, ended. A secret that waits for its
 * confirmation changes nothing at logins; one that is confirmed is never shown again. */
#include "gen/users_handlers.h"
#include "session.h"
#include "souk/clock.h"
#include "souk/id.h"
#include "throttle.h"
#include "totp.h"

#define RECOVERY_CODES 10
#define URI_BYTES_MAX ((size_t)2048)

static const souk_pg_stmt_t s_enrol_stmt = {
    .name = "users_totp_enrol", .sql = "UPDATE users SET totp_pending = $2 WHERE id = $1"};
static const souk_pg_stmt_t s_confirm_stmt = {
    .name = "users_totp_confirm",
    .sql = "UPDATE users SET totp_sealed = totp_pending, totp_pending = NULL, totp_step = $2,"
           " version = version + 1, updated_at = now() WHERE id = $1"};
static const souk_pg_stmt_t s_prove_session = {
    .name = "users_totp_prove_session",
    .sql = "UPDATE sessions SET second_factor = true WHERE id = $1 AND user_id = $2"};
static const souk_pg_stmt_t s_disable_stmt = {
    .name = "users_totp_disable",
    .sql = "UPDATE users SET totp_sealed = NULL, totp_pending = NULL,"
           " version = version + 1, updated_at = now() WHERE id = $1"};
static const souk_pg_stmt_t s_unprove_sessions = {
    .name = "users_totp_unprove",
    .sql = "UPDATE sessions SET second_factor = false WHERE user_id = $1"};
static const souk_pg_stmt_t s_drop_codes = {.name = "users_recovery_drop",
                                            .sql = "DELETE FROM recovery_codes WHERE user_id = $1"};
static const souk_pg_stmt_t s_add_codes = {
    .name = "users_recovery_add",
    .sql = "INSERT INTO recovery_codes (user_id, hash) SELECT $1, unnest($2)"};

static souk_err_t s_run_of(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, souk_str_t user_id) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, user_id);
    return souk_pg_post(ctx, stmt, &args);
}

/* ---- enrol ---- */

static souk_err_t s_show(souk_ctx_t *ctx, const users_account_t *account, const uint8_t *secret,
                         users_totp_enrol_rep_t *rep) {
    const users_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    char base32[USERS_TOTP_BASE32_CHARS];
    users_totp_base32(secret, base32);
    souk_str_t text = {.data = base32, .size = sizeof(base32)};
    SOUK_CLEANUP(souk_buf_done) souk_buf_t uri;
    souk_buf_init(&uri, URI_BYTES_MAX);
    users_totp_uri(&uri, souk_str_of(service->config->users_totp_issuer), account->email, text);
    users_totp_enrol_rep_set_secret(rep, souk_arena_copy(arena, text));
    users_totp_enrol_rep_set_uri(rep, souk_arena_copy(arena, souk_buf_str(&uri)));
    return souk_arena_overflowed(arena) || uri.overflow ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

/* Whoever has registered with somebody else's address must not lock them out of it. */
static souk_err_t s_check_free(const users_account_t *account) {
    if (!account->email_verified) {
        return SOUK_ERR_EMAIL_UNVERIFIED;
    }
    return account->totp_sealed.data != NULL ? SOUK_ERR_TOTP_ACTIVE : SOUK_OK;
}

static souk_err_t s_enrol(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_t *service = souk_ctx_service(ctx);
    users_account_t account = {0};
    SOUK_TRY(users_actor_again(ctx, arg, &account));
    SOUK_TRY(s_check_free(&account));
    uint8_t secret[USERS_TOTP_SECRET_BYTES];
    souk_random(secret, sizeof(secret));
    souk_str_t plain = {.data = (const char *)secret, .size = sizeof(secret)}, sealed;
    SOUK_TRY(users_seal(&service->secret, account.id, plain, souk_ctx_arena(ctx), &sealed));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account.id);
    souk_pg_bytes(&args, sealed);
    SOUK_TRY(souk_pg_post(ctx, &s_enrol_stmt, &args));
    return s_show(ctx, &account, secret, ret_rep);
}

souk_err_t users_totp_enrol(souk_ctx_t *ctx, const users_totp_enrol_req_t *req,
                            users_totp_enrol_rep_t *ret_rep) {
    users_account_t proven = {0};
    SOUK_TRY(users_actor_prove(ctx, req->password, &proven));
    return souk_pg_write(ctx, s_enrol, &proven, ret_rep);
}

/* ---- confirm ---- */

static souk_err_t s_make_codes(souk_ctx_t *ctx, souk_str_t user_id, users_totp_confirm_rep_t *rep) {
    const users_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    souk_str_t *texts = users_totp_confirm_rep_new_recovery_codes(rep, arena, RECOVERY_CODES);
    if (texts == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    users_hash_t hashes[RECOVERY_CODES];
    souk_str_t bytes[RECOVERY_CODES];
    for (size_t i = 0; i < RECOVERY_CODES; i++) {
        char text[USERS_RECOVERY_CHARS + 1], code[USERS_RECOVERY_BYTES];
        users_recovery_make(text);
        bool is_code = users_recovery_form(souk_str_of(text), code);
        souk_assert(is_code);
        hashes[i] = users_secret_hash(&service->secret, user_id,
                                      (souk_str_t){.data = code, .size = sizeof(code)});
        bytes[i] = users_hash_str(&hashes[i]);
        texts[i] = souk_arena_copy(arena, souk_str_of(text));
    }
    SOUK_TRY(s_run_of(ctx, &s_drop_codes, user_id));
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, user_id);
    souk_pg_bytess(&args, bytes, RECOVERY_CODES);
    return souk_pg_post(ctx, &s_add_codes, &args);
}

static souk_err_t s_confirm(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_totp_confirm_req_t *req = arg;
    const users_t *service = souk_ctx_service(ctx);
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    SOUK_TRY(s_check_free(&account));
    if (account.totp_pending.data == NULL) {
        return SOUK_ERR_TOTP_INACTIVE;
    }
    souk_str_t secret;
    SOUK_TRY(users_open(&service->secret, account.id, account.totp_pending, souk_ctx_arena(ctx),
                        &secret));
    int64_t step = 0;
    if (!users_totp_check(secret, req->code, souk_clock_unix_us() / 1000000, 0, &step)) {
        return SOUK_ERR_TOTP_WRONG;
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account.id);
    souk_pg_int(&args, step);
    SOUK_TRY(souk_pg_post(ctx, &s_confirm_stmt, &args));
    souk_pg_args_t prove;
    souk_pg_args_init(&prove, souk_ctx_arena(ctx));
    souk_pg_str(&prove, souk_ctx_session(ctx));
    souk_pg_str(&prove, account.id);
    SOUK_TRY(souk_pg_post(ctx, &s_prove_session, &prove));
    /* A session from before might be somebody's who knows the password alone. */
    SOUK_TRY(users_sessions_end(ctx, account.id, souk_ctx_session(ctx)));
    return s_make_codes(ctx, account.id, ret_rep);
}

souk_err_t users_totp_confirm(souk_ctx_t *ctx, const users_totp_confirm_req_t *req,
                              users_totp_confirm_rep_t *ret_rep) {
    const users_bucket_t bucket = users_bucket(souk_ctx_service(ctx), USERS_BUCKET_CONFIRM,
                                               souk_ctx_session(ctx), SOUK_STR(""));
    SOUK_TRY(users_throttle_take(ctx, &bucket, 1));
    return souk_pg_write(ctx, s_confirm, req, ret_rep);
}

/* ---- end ---- */

souk_err_t users_second_factor_end(souk_ctx_t *ctx, souk_str_t user_id) {
    SOUK_TRY(s_run_of(ctx, &s_disable_stmt, user_id));
    SOUK_TRY(s_run_of(ctx, &s_unprove_sessions, user_id));
    return s_run_of(ctx, &s_drop_codes, user_id);
}

typedef struct {
    const users_totp_disable_req_t *req;
    users_account_t proven;
} disable_t;

static souk_err_t s_disable(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const disable_t *self = arg;
    users_account_t account = {0};
    SOUK_TRY(users_actor_again(ctx, &self->proven, &account));
    if (account.totp_sealed.data == NULL) {
        return SOUK_ERR_TOTP_INACTIVE;
    }
    SOUK_TRY(users_second_factor(ctx, &account, self->req->totp_code, self->req->recovery_code));
    return users_second_factor_end(ctx, account.id);
}

/* Codes are guesses too: the place that the right password gave back is taken again. */
souk_err_t users_totp_disable(souk_ctx_t *ctx, const users_totp_disable_req_t *req,
                              users_totp_disable_rep_t *ret_rep) {
    disable_t disable = {.req = req};
    SOUK_TRY(users_actor_prove(ctx, req->password, &disable.proven));
    const users_bucket_t bucket = users_bucket(souk_ctx_service(ctx), USERS_BUCKET_CONFIRM,
                                               disable.proven.id, SOUK_STR("code"));
    SOUK_TRY(users_throttle_take(ctx, &bucket, 1));
    return souk_pg_write(ctx, s_disable, &disable, ret_rep);
}
