#include "session.h"

#include "gen/metrics.h"
#include "keys.h"
#include "souk/clock.h"
#include "throttle.h"
#include "token.h"
#include "totp.h"

/* ---- tokens ---- */

uint32_t users_roles_granted(const users_t *service, uint32_t roles, bool second_factor) {
    bool withheld = service->config->users_totp_required_for_admin && !second_factor;
    return withheld ? roles & ~users_role_bit("admin") : roles;
}

static bool s_set_roles(users_tokens_t *tokens, souk_arena_t *arena, uint32_t granted,
                        uint32_t withheld) {
    souk_str_t names[USERS_ROLES_MAX];
    size_t count = users_roles_names(granted, names);
    souk_str_t *items = users_tokens_new_roles(tokens, arena, count);
    if (items == NULL) {
        return false;
    }
    memcpy(items, names, count * sizeof(*items));
    count = users_roles_names(withheld, names);
    items = users_tokens_new_withheld_roles(tokens, arena, count);
    if (items == NULL) {
        return false;
    }
    memcpy(items, names, count * sizeof(*items));
    return true;
}

souk_err_t users_session_grant(souk_ctx_t *ctx, const users_account_t *account,
                               const users_session_grant_t *grant, users_tokens_t *ret_tokens) {
    const users_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    uint32_t granted = users_roles_granted(service, account->roles, grant->second_factor);
    souk_str_t roles[USERS_ROLES_MAX];
    int64_t now_s = souk_clock_unix_us() / 1000000;
    users_claims_t claims = {
        .issuer = souk_str_of(service->config->users_issuer),
        .audience = souk_str_of(service->config->users_audience),
        .subject = account->id,
        .session = grant->session,
        .roles = roles,
        .roles_count = users_roles_names(granted, roles),
        .issued_s = now_s,
        .expires_s = now_s + service->config->users_access_s,
    };
    souk_str_t access;
    SOUK_TRY(users_keys_sign(service->keys, &claims, arena, &access));
    users_tokens_set_access_token(ret_tokens, access);
    users_tokens_set_token_type(ret_tokens, SOUK_STR("Bearer"));
    users_tokens_set_expires_in(ret_tokens, service->config->users_access_s);
    users_tokens_set_refresh_token(ret_tokens, souk_arena_copy(arena, grant->refresh_token));
    users_tokens_set_refresh_expires_at(ret_tokens, grant->expires_us);
    users_tokens_set_session_id(ret_tokens, souk_arena_copy(arena, grant->session));
    users_tokens_set_user_id(ret_tokens, account->id);
    if (!s_set_roles(ret_tokens, arena, granted, account->roles & ~granted)) {
        return SOUK_ERR_NO_MEMORY;
    }
    users_count(SOUK_METRIC_USERS_TOKENS_ISSUED_TOTAL, "access");
    return SOUK_OK;
}

/* ---- rows ---- */

/* The sessions beyond the bound, the ones that were not used for the longest time. */
static const souk_pg_stmt_t s_make_room = {
    .name = "users_session_make_room",
    .sql = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1"
           " ORDER BY rotated_at DESC, id DESC OFFSET $2)"};
static const souk_pg_stmt_t s_insert = {
    .name = "users_session_insert",
    .sql = "INSERT INTO sessions (id, user_id, family, current, second_factor, address, device,"
           " expires_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7,"
           " now() + make_interval(days => LEAST($8, $9)::integer),"
           " now() + make_interval(days => $9::integer)) RETURNING expires_at"};
static const souk_pg_stmt_t s_known = {
    .name = "users_address_known",
    .sql = "INSERT INTO known_addresses (user_id, address) VALUES ($1, $2)"
           " ON CONFLICT (user_id, address) DO UPDATE SET last_at = now()"};
static const souk_pg_stmt_t s_forget = {
    .name = "users_address_forget",
    .sql = "DELETE FROM known_addresses WHERE user_id = $1 AND address IN"
           " (SELECT address FROM known_addresses WHERE user_id = $1"
           " ORDER BY last_at DESC, address OFFSET 20)"};
static const souk_pg_stmt_t s_end = {.name = "users_sessions_end",
                                     .sql = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2"};

souk_err_t users_address_known(souk_ctx_t *ctx, souk_str_t user_id) {
    souk_str_t address = users_client_address(ctx);
    if (address.size == 0) {
        return SOUK_OK;
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, user_id);
    souk_pg_str(&args, address);
    SOUK_TRY(souk_pg_post(ctx, &s_known, &args));
    souk_pg_args_t of_user;
    souk_pg_args_init(&of_user, souk_ctx_arena(ctx));
    souk_pg_str(&of_user, user_id);
    return souk_pg_post(ctx, &s_forget, &of_user);
}

souk_err_t users_sessions_end(souk_ctx_t *ctx, souk_str_t user_id, souk_str_t but) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, user_id);
    souk_pg_str(&args, but);
    return souk_pg_post(ctx, &s_end, &args);
}

typedef struct {
    souk_str_t user_id, device;
    bool second_factor;
    users_refresh_t refresh;
} session_t;

static souk_err_t s_insert_session(souk_ctx_t *ctx, const session_t *session,
                                   int64_t *ret_expires_us) {
    const users_t *service = souk_ctx_service(ctx);
    const users_refresh_t *refresh = &session->refresh;
    souk_str_t address = souk_ctx_address(ctx);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_str_of(refresh->session));
    souk_pg_str(&args, session->user_id);
    souk_pg_bytes(&args, users_hash_str(&refresh->family));
    souk_pg_bytes(&args, users_hash_str(&refresh->current));
    souk_pg_bool(&args, session->second_factor);
    souk_pg_str(&args, address.size > 0 ? address : (souk_str_t){0});
    souk_pg_str(&args, session->device);
    souk_pg_int(&args, service->config->users_refresh_days);
    souk_pg_int(&args, service->config->users_session_days);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_insert, &args, &rows));
    *ret_expires_us = souk_pg_get_time(rows, 0, 0);
    return SOUK_OK;
}

souk_err_t users_session_open(souk_ctx_t *ctx, const users_account_t *account, bool second_factor,
                              souk_str_t device, users_tokens_t *ret_tokens) {
    const users_t *service = souk_ctx_service(ctx);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account->id);
    souk_pg_int(&args, service->config->users_sessions_max - 1);
    SOUK_TRY(souk_pg_post(ctx, &s_make_room, &args));
    char id[SOUK_ID_BYTES_MAX], text[USERS_REFRESH_CHARS + 1];
    souk_id_new("ses_", id);
    session_t session = {.user_id = account->id, .device = device, .second_factor = second_factor};
    users_refresh_make(id, NULL, text, &session.refresh);
    users_session_grant_t grant = {.session = souk_str_of(id),
                                   .refresh_token = souk_str_of(text),
                                   .second_factor = second_factor};
    SOUK_TRY(s_insert_session(ctx, &session, &grant.expires_us));
    SOUK_TRY(users_address_known(ctx, account->id));
    return users_session_grant(ctx, account, &grant, ret_tokens);
}

/* ---- the second factor ---- */

static const souk_pg_stmt_t s_use_step = {.name = "users_totp_use",
                                          .sql = "UPDATE users SET totp_step = $2 WHERE id = $1"};
static const souk_pg_stmt_t s_use_recovery = {
    .name = "users_recovery_use",
    .sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2"};

static souk_err_t s_check_totp(souk_ctx_t *ctx, const users_account_t *account, souk_str_t code) {
    const users_t *service = souk_ctx_service(ctx);
    souk_str_t secret;
    SOUK_TRY(users_open(&service->secret, account->id, account->totp_sealed, souk_ctx_arena(ctx),
                        &secret));
    int64_t step = 0;
    if (!users_totp_check(secret, code, souk_clock_unix_us() / 1000000, account->totp_step,
                          &step)) {
        return SOUK_ERR_TOTP_WRONG;
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account->id);
    souk_pg_int(&args, step);
    return souk_pg_post(ctx, &s_use_step, &args);
}

static souk_err_t s_check_recovery(souk_ctx_t *ctx, const users_account_t *account,
                                   souk_str_t typed) {
    const users_t *service = souk_ctx_service(ctx);
    char code[USERS_RECOVERY_BYTES];
    if (!users_recovery_form(typed, code)) {
        return SOUK_ERR_TOTP_WRONG;
    }
    users_hash_t hash = users_secret_hash(&service->secret, account->id,
                                          (souk_str_t){.data = code, .size = sizeof(code)});
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account->id);
    souk_pg_bytes(&args, users_hash_str(&hash));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_use_recovery, &args, &rows));
    return souk_pg_affected(rows) == 1 ? SOUK_OK : SOUK_ERR_TOTP_WRONG;
}

souk_err_t users_second_factor(souk_ctx_t *ctx, const users_account_t *account,
                               souk_str_t totp_code, souk_str_t recovery_code) {
    if (totp_code.data != NULL) {
        return s_check_totp(ctx, account, totp_code);
    }
    return recovery_code.data != NULL ? s_check_recovery(ctx, account, recovery_code)
                                      : SOUK_ERR_TOTP_MISSING;
}
