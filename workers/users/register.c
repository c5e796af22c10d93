/* Registration, and the confirmation of addresses. Whether an address has an account is its owner's
 * business: the answer is the same, the hash is computed either way, and one row goes to the outbox
 * either way. */
#include "gen/metrics.h"
#include "gen/users_handlers.h"
#include "mail.h"
#include "souk/id.h"
#include "souk/text.h"
#include "throttle.h"

typedef struct {
    souk_email_t email;
    souk_str_t name, name_folded, locale, hash;
    const char **outcome;
} register_t;

static const souk_pg_stmt_t s_insert = {
    .name = "users_register_insert",
    .sql = "INSERT INTO users (id, email, email_folded, password_hash, name, name_folded, locale)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (email_folded) DO NOTHING"};
static const souk_pg_stmt_t s_present = {.name = "users_register_present",
                                         .sql = "SELECT " USERS_ACCOUNT_SQL " FROM users u"
                                                " WHERE u.email_folded = $1 FOR NO KEY UPDATE"};

/* The account that has the address now, and whether its owner may be told of an attempt; that it
 * was made just now is none. */
static souk_err_t s_find(souk_ctx_t *ctx, const register_t *self, bool is_made,
                         users_account_t *ret_account, bool *ret_told) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, self->email.folded);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_present, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_RETRY; /* it was erased meanwhile: the address is free again */
    }
    users_account_read(rows, 0, ret_account);
    const users_bucket_t bucket =
        users_bucket(souk_ctx_service(ctx), USERS_BUCKET_MAIL_ATTEMPT, ret_account->id,
                     is_made ? SOUK_STR("made") : SOUK_STR(""));
    return users_throttle_try(ctx, &bucket, ret_told);
}

static souk_err_t s_attempted(souk_ctx_t *ctx, const users_account_t *account) {
    users_json_t json;
    users_json_begin(&json);
    users_json_str(&json, "user_id", account->id);
    users_json_str(&json, "email", account->email);
    users_json_str(&json, "name", account->name);
    users_json_str(&json, "locale", account->locale);
    souk_str_t payload;
    SOUK_TRY(users_json_end(&json, souk_ctx_arena(ctx), &payload));
    return users_event(ctx, "user.register_attempted", account->id, payload);
}

/* Whether the address was free or not, the same statements run. Its owner is told in moderation; an
 * account that is disabled hears nothing. */
static souk_err_t s_register(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const register_t *self = arg;
    users_register_rep_t *rep = ret_rep;
    char id[SOUK_ID_BYTES_MAX];
    size_t id_size = souk_id_new("usr_", id);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, (souk_str_t){.data = id, .size = id_size});
    souk_pg_str(&args, self->email.shown);
    souk_pg_str(&args, self->email.folded);
    souk_pg_str(&args, self->hash);
    souk_pg_str(&args, self->name);
    souk_pg_str(&args, self->name_folded);
    souk_pg_str(&args, self->locale);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_insert, &args, &rows));
    bool is_made = souk_pg_affected(rows) == 1, told = false;
    users_account_t account = {0};
    SOUK_TRY(s_find(ctx, self, is_made, &account, &told));
    users_register_rep_set_email(rep, self->email.shown);
    *self->outcome = is_made ? "made" : "known";
    if (is_made) {
        return users_token_send(ctx, USERS_TOKEN_EMAIL, "user.registered", &account);
    }
    told = told && souk_str_equal(account.status, SOUK_STR("active"));
    return told ? s_attempted(ctx, &account) : users_event_of_nobody(ctx);
}

static souk_err_t s_forms(souk_ctx_t *ctx, const users_register_req_t *req, register_t *self,
                          souk_str_t *ret_password) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    souk_err_t err = souk_text_email(arena, req->email, &self->email);
    if (err == SOUK_ERR_VALIDATION) {
        return souk_ctx_fail_field(ctx, "/email", "must be an email address");
    }
    SOUK_TRY(err);
    SOUK_TRY(users_line(ctx, "/name", req->name, 200, &self->name));
    if (self->name.data != NULL) {
        SOUK_TRY(souk_text_fold(arena, self->name, &self->name_folded));
    }
    self->locale = req->locale;
    return users_password_new(ctx, req->password, self->email.folded, ret_password);
}

souk_err_t users_register(souk_ctx_t *ctx, const users_register_req_t *req,
                          users_register_rep_t *ret_rep) {
    const char *outcome = "failed";
    register_t self = {.outcome = &outcome};
    souk_str_t password = {0};
    SOUK_TRY(s_forms(ctx, req, &self, &password));
    const users_bucket_t bucket = users_bucket(souk_ctx_service(ctx), USERS_BUCKET_REGISTER,
                                               SOUK_STR(""), users_client_address(ctx));
    souk_err_t err = users_throttle_take(ctx, &bucket, 1);
    if (err == SOUK_ERR_RATE_LIMITED) {
        users_count(SOUK_METRIC_USERS_REGISTRATIONS_TOTAL, "throttled");
    }
    SOUK_TRY(err);
    SOUK_TRY(users_password_hash(ctx, password, &self.hash));
    SOUK_TRY(souk_pg_write(ctx, s_register, &self, ret_rep));
    users_count(SOUK_METRIC_USERS_REGISTRATIONS_TOTAL, outcome);
    return SOUK_OK;
}

/* ---- confirmation of the address ---- */

typedef struct {
    souk_str_t token, user_id;
} verify_t;

static const souk_pg_stmt_t s_verified = {
    .name = "users_email_verified",
    .sql = "UPDATE users SET email_verified_at = COALESCE(email_verified_at, now()),"
           " version = version + 1, updated_at = now() WHERE id = $1"};

static souk_err_t s_verify(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const verify_t *self = arg;
    users_account_t account = {0};
    SOUK_TRY(users_token_claim(ctx, USERS_TOKEN_EMAIL, self->token, self->user_id, &account));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account.id);
    SOUK_TRY(souk_pg_post(ctx, &s_verified, &args));
    users_json_t json;
    users_json_begin(&json);
    users_json_str(&json, "user_id", account.id);
    users_json_str(&json, "email", account.email);
    souk_str_t payload;
    SOUK_TRY(users_json_end(&json, souk_ctx_arena(ctx), &payload));
    return users_event(ctx, "user.email_verified", account.id, payload);
}

souk_err_t users_email_verify(souk_ctx_t *ctx, const users_email_verify_req_t *req,
                              users_email_verify_rep_t *ret_rep) {
    const users_bucket_t bucket = users_bucket(souk_ctx_service(ctx), USERS_BUCKET_TOKEN,
                                               SOUK_STR(""), users_client_address(ctx));
    SOUK_TRY(users_throttle_take(ctx, &bucket, 1));
    users_account_t account = {0};
    SOUK_TRY(users_token_find(ctx, USERS_TOKEN_EMAIL, req->token, &account));
    SOUK_TRY(users_throttle_give(ctx, &bucket, 1, true));
    const verify_t verify = {.token = req->token, .user_id = account.id};
    return souk_pg_write(ctx, s_verify, &verify, ret_rep);
}

static souk_err_t s_resend(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    const users_t *service = souk_ctx_service(ctx);
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    if (account.email_verified) {
        return souk_ctx_fail(ctx, SOUK_ERR_CONFLICT, "the address is confirmed already");
    }
    const users_bucket_t bucket =
        users_bucket(service, USERS_BUCKET_MAIL_VERIFY, account.id, SOUK_STR(""));
    SOUK_TRY(users_throttle_take(ctx, &bucket, 1));
    users_email_resend_rep_set_expires_in(ret_rep, service->config->users_verify_s);
    return users_token_send(ctx, USERS_TOKEN_EMAIL, "user.email_verification_requested", &account);
}

souk_err_t users_email_resend(souk_ctx_t *ctx, const users_email_resend_req_t *req,
                              users_email_resend_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_resend, req, ret_rep);
}
