#include "rotate.h"

#include "jwt.h"
#include "souk/id.h"

/* Of the clocks and of workers that have not read the change yet, beside the tokens' life. */
#define RETIRED_MARGIN_S 300

const souk_pg_stmt_t users_auth_revision_lock = {
    .name = "users_auth_revision_lock", .sql = "SELECT revision FROM auth_revision FOR UPDATE"};
static const souk_pg_stmt_t s_state = {
    .name = "users_rotate_state",
    .sql =
        "SELECT count(*) FILTER (WHERE state = 'active'),"
        " COALESCE(bool_or(state = 'active' AND activated_at"
        " < now() - make_interval(days => $1::integer)), false),"
        " COALESCE(max(GREATEST(0, ceil(extract(epoch FROM created_at"
        " + make_interval(secs => $2) - now()) * 1000))) FILTER (WHERE state = 'next'), 0)::bigint"
        " FROM signing_keys"};
static const souk_pg_stmt_t s_insert = {
    .name = "users_rotate_insert",
    .sql = "INSERT INTO signing_keys (kid, state, x, y, sealed, activated_at)"
           " VALUES ($1, $2, $3, $4, $5, CASE WHEN $2 = 'active' THEN now() END)"};
static const souk_pg_stmt_t s_retire = {
    .name = "users_rotate_retire",
    .sql = "UPDATE signing_keys SET state = 'retired', retired_at = now() WHERE state = 'active'"};
static const souk_pg_stmt_t s_withdraw = {.name = "users_rotate_withdraw",
                                          .sql = "DELETE FROM signing_keys WHERE state = 'active'"};
static const souk_pg_stmt_t s_activate = {
    .name = "users_rotate_activate",
    .sql = "UPDATE signing_keys SET state = 'active', activated_at = now() WHERE state = 'next'"};
static const souk_pg_stmt_t s_forget = {.name = "users_rotate_forget",
                                        .sql =
                                            "DELETE FROM signing_keys WHERE state = 'retired'"
                                            " AND retired_at < now() - make_interval(secs => $1)"};

static souk_err_t s_insert_key(const users_t *service, souk_pg_t *pg, souk_arena_t *arena,
                               const char *state) {
    users_signer_t *signer = users_signer_new();
    char kid[SOUK_ID_BYTES_MAX];
    souk_str_t id = {.data = kid, .size = souk_id_new("", kid)};
    uint8_t x[USERS_COORDINATE_BYTES], y[USERS_COORDINATE_BYTES];
    users_signer_public(signer, x, y);
    souk_str_t der, sealed;
    souk_err_t err = users_signer_private(signer, arena, &der);
    users_signer_destroy(&signer);
    SOUK_TRY(err);
    SOUK_TRY(users_seal(&service->secret, id, der, arena, &sealed));
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, id);
    souk_pg_str(&args, souk_str_of(state));
    souk_pg_bytes(&args, (souk_str_t){.data = (const char *)x, .size = sizeof(x)});
    souk_pg_bytes(&args, (souk_str_t){.data = (const char *)y, .size = sizeof(y)});
    souk_pg_bytes(&args, sealed);
    return souk_pg_exec(pg, USERS_STEP_MS, arena, &s_insert, &args, NULL);
}

static souk_err_t s_run(souk_pg_t *pg, souk_arena_t *arena, const souk_pg_stmt_t *stmt) {
    return souk_pg_exec(pg, USERS_STEP_MS, arena, stmt, NULL, NULL);
}

static souk_err_t s_change(const users_t *service, souk_pg_t *pg, souk_arena_t *arena,
                           bool withdraw) {
    SOUK_TRY(s_run(pg, arena, withdraw ? &s_withdraw : &s_retire));
    SOUK_TRY(s_run(pg, arena, &s_activate));
    return s_insert_key(service, pg, arena, "next");
}

/* There is none that signs. A next key is the best of those that there are: gateways know it. */
static souk_err_t s_first(const users_t *service, souk_pg_t *pg, souk_arena_t *arena) {
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, USERS_STEP_MS, arena, &s_activate, NULL, &rows));
    if (souk_pg_affected(rows) == 0) {
        SOUK_TRY(s_insert_key(service, pg, arena, "active"));
    }
    return s_insert_key(service, pg, arena, "next");
}

souk_err_t users_rotate(const users_t *service, souk_pg_t *pg, souk_arena_t *arena,
                        users_rotation_t *rotation) {
    rotation->changed = false;
    SOUK_TRY(s_run(pg, arena, &users_auth_revision_lock));
    souk_pg_args_t forget;
    souk_pg_args_init(&forget, arena);
    souk_pg_int(&forget, service->config->users_access_s + RETIRED_MARGIN_S);
    SOUK_TRY(souk_pg_exec(pg, USERS_STEP_MS, arena, &s_forget, &forget, NULL));
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, service->config->users_key_days);
    souk_pg_int(&args, service->config->users_key_publish_s);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, USERS_STEP_MS, arena, &s_state, &args, &rows));
    if (souk_pg_get_int(rows, 0, 0) == 0) {
        rotation->changed = true;
        return s_first(service, pg, arena);
    }
    bool is_due = rotation->force || souk_pg_get_bool(rows, 0, 1);
    rotation->wait_ms = souk_pg_get_int(rows, 0, 2);
    if (!is_due || rotation->wait_ms > 0) {
        return rotation->force ? SOUK_ERR_KEY_TOO_YOUNG : SOUK_OK;
    }
    rotation->changed = true;
    return s_change(service, pg, arena, rotation->withdraw);
}
