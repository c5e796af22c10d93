#include "mail.h"

#include "gen/metrics.h"
#include "souk/clock.h"
#include "token.h"

static const char *const s_kinds[] = {
    [USERS_TOKEN_PASSWORD] = "password", [USERS_TOKEN_EMAIL] = "email"};
static const char *const s_prefixes[] = {
    [USERS_TOKEN_PASSWORD] = "spr_", [USERS_TOKEN_EMAIL] = "sve_"};

static const souk_pg_stmt_t s_insert = {
    .name = "users_token_insert",
    .sql = "INSERT INTO one_time_tokens (hash, user_id, kind, expires_at)"
           " VALUES ($1, $2, $3, $4)"};
static const souk_pg_stmt_t s_find = {
    .name = "users_token_find",
    .sql = "SELECT " USERS_ACCOUNT_SQL " FROM one_time_tokens t JOIN users u ON u.id = t.user_id"
           " WHERE t.hash = $1 AND t.kind = $2 AND t.expires_at > now() AND u.status = 'active'"};
static const souk_pg_stmt_t s_lock = {
    .name = "users_token_lock",
    .sql = "SELECT " USERS_ACCOUNT_SQL
           " FROM users u WHERE u.id = $1 AND u.status = 'active' FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_use = {
    .name = "users_token_use",
    .sql = "DELETE FROM one_time_tokens WHERE hash = $1 AND kind = $2 AND user_id = $3"
           " AND expires_at > now()"};

souk_err_t users_token_send(souk_ctx_t *ctx, users_token_kind_t kind, const char *event,
                            const users_account_t *account) {
    const users_t *service = souk_ctx_service(ctx);
    char token[USERS_ONE_TIME_CHARS + 1];
    users_hash_t hash;
    users_one_time_make(s_prefixes[kind], token, &hash);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_bytes(&args, users_hash_str(&hash));
    souk_pg_str(&args, account->id);
    souk_pg_str(&args, souk_str_of(s_kinds[kind]));
    int64_t life_s = kind == USERS_TOKEN_PASSWORD ? service->config->users_reset_s
                                                  : service->config->users_verify_s;
    int64_t expires_us = souk_clock_unix_us() + life_s * 1000000;
    souk_pg_time(&args, expires_us);
    SOUK_TRY(souk_pg_post(ctx, &s_insert, &args));
    users_json_t json;
    users_json_begin(&json);
    users_json_str(&json, "user_id", account->id);
    users_json_str(&json, "email", account->email);
    users_json_str(&json, "name", account->name);
    users_json_str(&json, "locale", account->locale);
    users_json_str(&json, "token", souk_str_of(token));
    users_json_time(&json, "expires_at", expires_us);
    souk_str_t payload;
    SOUK_TRY(users_json_end(&json, souk_ctx_arena(ctx), &payload));
    SOUK_TRY(users_event(ctx, event, account->id, payload));
    users_count(SOUK_METRIC_USERS_TOKENS_ISSUED_TOTAL, s_kinds[kind]);
    return SOUK_OK;
}

souk_err_t users_token_find(souk_ctx_t *ctx, users_token_kind_t kind, souk_str_t token,
                            users_account_t *ret_account) {
    users_hash_t hash = users_hash_of(token);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_bytes(&args, users_hash_str(&hash));
    souk_pg_str(&args, souk_str_of(s_kinds[kind]));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_find, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_TOKEN_INVALID;
    }
    users_account_read(rows, 0, ret_account);
    return SOUK_OK;
}

souk_err_t users_token_claim(souk_ctx_t *ctx, users_token_kind_t kind, souk_str_t token,
                             souk_str_t user_id, users_account_t *ret_account) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, user_id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_lock, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_TOKEN_INVALID;
    }
    users_hash_t hash = users_hash_of(token);
    souk_pg_args_t use;
    souk_pg_args_init(&use, souk_ctx_arena(ctx));
    souk_pg_bytes(&use, users_hash_str(&hash));
    souk_pg_str(&use, souk_str_of(s_kinds[kind]));
    souk_pg_str(&use, user_id);
    const souk_pg_rows_t *used;
    SOUK_TRY(souk_pg_run(ctx, &s_use, &use, &used));
    if (souk_pg_affected(used) != 1) {
        return SOUK_ERR_TOKEN_INVALID; /* a twin was first */
    }
    users_account_read(rows, 0, ret_account);
    return SOUK_OK;
}
