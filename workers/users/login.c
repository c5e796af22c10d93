/* Logging in. What a guesser may learn is bounded: an unknown address costs the same hash and the
 * same statements as a wrong password, and both are answered alike. */
#include "gen/metrics.h"
#include "gen/users_handlers.h"
#include "session.h"
#include "souk/text.h"
#include "throttle.h"

typedef struct {
    const users_login_req_t *req;
    souk_str_t folded, password, device;
    users_account_t account; /* id data NULL: there is none */
    souk_str_t rehash;       /* data NULL: the hash is as new ones are */
    users_bucket_t buckets[3];
    size_t buckets_count;
} login_t;

static const souk_pg_stmt_t s_find = {
    .name = "users_login_find",
    .sql = "SELECT " USERS_ACCOUNT_SQL ", EXISTS (SELECT FROM known_addresses k"
           " WHERE k.user_id = u.id AND k.address = $2) FROM users u WHERE u.email_folded = $1"};
static const souk_pg_stmt_t s_lock = {.name = "users_login_lock",
                                      .sql = "SELECT " USERS_ACCOUNT_SQL
                                             " FROM users u WHERE u.id = $1 FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_rehash = {.name = "users_login_rehash",
                                        .sql = "UPDATE users SET password_hash = $2 WHERE id = $1"};

/* What is no address is nobody's, and goes the same way. */
static souk_err_t s_forms(souk_ctx_t *ctx, login_t *self) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    souk_email_t email;
    souk_err_t err = souk_text_email(arena, self->req->email, &email);
    if (err == SOUK_OK) {
        self->folded = email.folded;
    } else if (err == SOUK_ERR_VALIDATION) {
        SOUK_TRY(souk_text_fold(arena, self->req->email, &self->folded));
    } else {
        return err;
    }
    SOUK_TRY(users_line(ctx, "/device", self->req->device, 100, &self->device));
    return users_password_form(arena, self->req->password, &self->password);
}

static souk_err_t s_find_account(souk_ctx_t *ctx, login_t *self) {
    const users_t *service = souk_ctx_service(ctx);
    souk_str_t address = users_client_address(ctx);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, self->folded);
    souk_pg_str(&args, address);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_find, &args, &rows));
    bool is_known = false;
    if (souk_pg_count(rows) == 1) {
        users_account_read(rows, 0, &self->account);
        is_known = souk_pg_get_bool(rows, 0, USERS_ACCOUNT_COLUMNS);
    }
    self->buckets[self->buckets_count++] =
        users_bucket(service, USERS_BUCKET_LOGIN_PAIR, self->folded, address);
    /* Where the owner is known only the pair counts: others who share the address, and guessers
     * elsewhere, take nothing from the owner but that. */
    if (!is_known) {
        self->buckets[self->buckets_count++] =
            users_bucket(service, USERS_BUCKET_LOGIN_ADDRESS, SOUK_STR(""), address);
        self->buckets[self->buckets_count++] =
            users_bucket(service, USERS_BUCKET_LOGIN_ACCOUNT, self->folded, SOUK_STR(""));
    }
    return SOUK_OK;
}

static souk_err_t s_check_password(souk_ctx_t *ctx, login_t *self) {
    const users_t *service = souk_ctx_service(ctx);
    bool right = false;
    SOUK_TRY(users_password_check(ctx, self->account.password_hash, self->password, &right));
    if (!right) {
        return SOUK_ERR_CREDENTIALS_WRONG;
    }
    /* From here on the caller knows the password. */
    if (!souk_str_equal(self->account.status, SOUK_STR("active"))) {
        return SOUK_ERR_ACCOUNT_DISABLED;
    }
    if (self->account.totp_sealed.data != NULL && self->req->totp_code.data == NULL &&
        self->req->recovery_code.data == NULL) {
        SOUK_TRY(users_throttle_give(ctx, self->buckets, self->buckets_count, false));
        return SOUK_ERR_TOTP_MISSING;
    }
    if (users_hasher_outdated(service->hasher, self->account.password_hash)) {
        SOUK_TRY(users_password_hash(ctx, self->password, &self->rehash));
    }
    return SOUK_OK;
}

/* The row is read again under its lock: password, status or second factor may have changed since.
 */
static souk_err_t s_open(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const login_t *self = arg;
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, self->account.id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_lock, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_CREDENTIALS_WRONG;
    }
    users_account_t account = {0};
    users_account_read(rows, 0, &account);
    if (!souk_str_equal(account.password_hash, self->account.password_hash)) {
        return SOUK_ERR_CREDENTIALS_WRONG;
    }
    if (!souk_str_equal(account.status, SOUK_STR("active"))) {
        return SOUK_ERR_ACCOUNT_DISABLED;
    }
    bool has_factor = account.totp_sealed.data != NULL;
    if (has_factor) {
        SOUK_TRY(
            users_second_factor(ctx, &account, self->req->totp_code, self->req->recovery_code));
    }
    if (self->rehash.data != NULL) {
        souk_pg_args_t rehash;
        souk_pg_args_init(&rehash, souk_ctx_arena(ctx));
        souk_pg_str(&rehash, account.id);
        souk_pg_str(&rehash, self->rehash);
        SOUK_TRY(souk_pg_post(ctx, &s_rehash, &rehash));
    }
    SOUK_TRY(users_session_open(ctx, &account, has_factor, self->device, ret_rep));
    return users_throttle_give(ctx, self->buckets, self->buckets_count, true);
}

static souk_err_t s_login(souk_ctx_t *ctx, login_t *self, users_tokens_t *ret_rep) {
    SOUK_TRY(s_forms(ctx, self));
    SOUK_TRY(s_find_account(ctx, self));
    SOUK_TRY(users_throttle_take(ctx, self->buckets, self->buckets_count));
    souk_err_t err = s_check_password(ctx, self);
    if (err == SOUK_ERR_OVERLOADED) { /* nothing was tried, so it was no guess */
        SOUK_TRY(users_throttle_give(ctx, self->buckets, self->buckets_count, false));
    }
    SOUK_TRY(err);
    return souk_pg_write(ctx, s_open, self, ret_rep);
}

static const char *s_outcome(souk_err_t err) {
    switch (err) {
    case SOUK_OK:
        return "ok";
    case SOUK_ERR_CREDENTIALS_WRONG:
        return "wrong";
    case SOUK_ERR_TOTP_MISSING:
        return "totp_missing";
    case SOUK_ERR_TOTP_WRONG:
        return "totp_wrong";
    case SOUK_ERR_ACCOUNT_DISABLED:
        return "disabled";
    case SOUK_ERR_RATE_LIMITED:
        return "throttled";
    default:
        return "failed";
    }
}

souk_err_t users_login(souk_ctx_t *ctx, const users_login_req_t *req, users_login_rep_t *ret_rep) {
    login_t login = {.req = req};
    souk_err_t err = s_login(ctx, &login, ret_rep);
    users_count(SOUK_METRIC_USERS_LOGINS_TOTAL, s_outcome(err));
    return err;
}
