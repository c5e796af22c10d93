/* All that is kept about somebody, and the end of it. */
#include "admin.h"
#include "gen/users_handlers.h"
#include "me.h"

/* ---- export ---- */

static const souk_pg_stmt_t s_known = {
    .name = "users_export_known",
    .sql = "SELECT address FROM known_addresses WHERE user_id = $1 ORDER BY last_at DESC LIMIT 20"};

static souk_err_t s_export_rows(souk_ctx_t *ctx, users_me_export_rep_t *rep) {
    souk_arena_t *arena = souk_ctx_arena(ctx);
    static const souk_pg_stmt_t *const stmts[] = {&users_addresses_of, &users_sessions_of, &s_known,
                                                  &users_api_keys_of};
    const souk_pg_rows_t *rows[SOUK_COUNT_OF(stmts)];
    for (size_t i = 0; i < SOUK_COUNT_OF(stmts); i++) {
        souk_pg_args_t args;
        souk_pg_args_init(&args, arena);
        souk_pg_str(&args, rep->account.id);
        SOUK_TRY(souk_pg_queue(ctx, stmts[i], &args));
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(stmts); i++) {
        SOUK_TRY(souk_pg_next(ctx, &rows[i]));
    }
    users_saved_address_t *addresses =
        users_me_export_rep_new_addresses(rep, arena, souk_pg_count(rows[0]));
    users_session_t *sessions =
        users_me_export_rep_new_sessions(rep, arena, souk_pg_count(rows[1]));
    souk_str_t *known = users_me_export_rep_new_known_addresses(rep, arena, souk_pg_count(rows[2]));
    users_api_key_t *keys = users_me_export_rep_new_api_keys(rep, arena, souk_pg_count(rows[3]));
    if (addresses == NULL || sessions == NULL || known == NULL || keys == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < souk_pg_count(rows[0]); i++) {
        SOUK_TRY(users_address_fill(rows[0], i, &addresses[i]));
    }
    for (size_t i = 0; i < souk_pg_count(rows[1]); i++) {
        SOUK_TRY(users_sessions_fill(ctx, rows[1], i, &sessions[i]));
    }
    for (size_t i = 0; i < souk_pg_count(rows[2]); i++) {
        known[i] = souk_pg_get_str(rows[2], i, 0);
    }
    for (size_t i = 0; i < souk_pg_count(rows[3]); i++) {
        SOUK_TRY(users_api_keys_fill(ctx, rows[3], i, &keys[i]));
    }
    return SOUK_OK;
}

souk_err_t users_me_export(souk_ctx_t *ctx, const users_me_export_req_t *req,
                           users_me_export_rep_t *ret_rep) {
    (void)req;
    static const souk_pair_t elsewhere[] = {
        {.name = {"orders", 6}, .value = {"GET /v1/orders", 14}}};
    SOUK_TRY(users_me_read(ctx, &ret_rep->account));
    souk_bits_set(&ret_rep->bits, USERS_ME_EXPORT_REP_ACCOUNT_BIT);
    users_me_export_rep_set_elsewhere(
        ret_rep, (souk_pairs_t){.items = elsewhere, .count = SOUK_COUNT_OF(elsewhere)});
    return s_export_rows(ctx, ret_rep);
}

/* ---- erasure ---- */

/* In the order of the locks. Events that are not relayed yet lose what they said: whom they told is
 * gone. */
static const souk_pg_stmt_t s_erasures[] = {
    {.name = "users_erase_account",
     .sql = "UPDATE users SET status = 'erased', email = NULL, email_folded = NULL,"
            " email_verified_at = NULL, password_hash = NULL, name = NULL, name_folded = NULL,"
            " phone = NULL, locale = NULL, roles = '{}', totp_sealed = NULL, totp_pending = NULL,"
            " totp_step = 0, version = version + 1, updated_at = now(), erased_at = now()"
            " WHERE id = $1"},
    {.name = "users_erase_addresses", .sql = "DELETE FROM addresses WHERE user_id = $1"},
    {.name = "users_erase_sessions", .sql = "DELETE FROM sessions WHERE user_id = $1"},
    {.name = "users_erase_tokens", .sql = "DELETE FROM one_time_tokens WHERE user_id = $1"},
    {.name = "users_erase_recovery", .sql = "DELETE FROM recovery_codes WHERE user_id = $1"},
    {.name = "users_erase_known", .sql = "DELETE FROM known_addresses WHERE user_id = $1"},
    {.name = "users_erase_keys",
     .sql = "UPDATE api_keys SET revoked_at = now() WHERE owner_id = $1 AND revoked_at IS NULL"},
    {.name = "users_erase_replies", .sql = "DELETE FROM idempotency WHERE subject = $1"},
    {.name = "users_erase_events",
     .sql = "UPDATE outbox SET payload = jsonb_build_object('user_id', aggregate, 'erased', true)"
            " WHERE aggregate = $1"},
};

static souk_err_t s_erase(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const users_account_t *proven = arg;
    users_account_t account = {0};
    bool is_last = false;
    SOUK_TRY(users_lock_with_admins(ctx, proven->id, &is_last));
    SOUK_TRY(users_actor_again(ctx, proven, &account));
    if (is_last) {
        return SOUK_ERR_LAST_ADMIN;
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(s_erasures); i++) {
        souk_pg_args_t args;
        souk_pg_args_init(&args, souk_ctx_arena(ctx));
        souk_pg_str(&args, account.id);
        SOUK_TRY(souk_pg_post(ctx, &s_erasures[i], &args));
    }
    users_json_t json;
    users_json_begin(&json);
    users_json_str(&json, "user_id", account.id);
    souk_str_t payload;
    SOUK_TRY(users_json_end(&json, souk_ctx_arena(ctx), &payload));
    return users_event(ctx, "user.erased", account.id, payload);
}

souk_err_t users_me_erase(souk_ctx_t *ctx, const users_me_erase_req_t *req,
                          users_me_erase_rep_t *ret_rep) {
    users_account_t proven = {0};
    SOUK_TRY(users_actor_prove(ctx, req->password, &proven));
    return souk_pg_write(ctx, s_erase, &proven, ret_rep);
}
