/* What gateways and strangers verify tokens by, answered from memory; and what admins see and do of
 * signing keys. */
#include "admin.h"
#include "gen/users_handlers.h"
#include "keys.h"
#include "rotate.h"
#include "runtime/keeper.h"
#include "souk/log.h"

souk_err_t users_jwks(souk_ctx_t *ctx, const users_jwks_req_t *req, users_jwks_rep_t *ret_rep) {
    (void)req;
    const users_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    SOUK_CLEANUP(users_keyset_release) users_keyset_t *set = users_keys_hold(service->keys);
    size_t count = 0;
    const users_verifier_t *keys = set != NULL ? users_keyset_public(set, &count) : NULL;
    users_jwk_t *items = users_jwks_rep_new_keys(ret_rep, arena, count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        users_jwk_set_kty(&items[i], SOUK_STR("EC"));
        users_jwk_set_crv(&items[i], SOUK_STR("P-256"));
        users_jwk_set_alg(&items[i], SOUK_STR("ES256"));
        users_jwk_set_use(&items[i], SOUK_STR("sig"));
        users_jwk_set_kid(&items[i], souk_arena_copy(arena, keys[i].kid));
        users_jwk_set_x(&items[i], souk_arena_copy(arena, keys[i].x));
        users_jwk_set_y(&items[i], souk_arena_copy(arena, keys[i].y));
    }
    return SOUK_OK;
}

/* ---- for gateways ---- */

/* Cut off from the database a worker does not know what was revoked since: another one answers, or
 * the gateway sees how old its own set is. */
#define SET_AGE_US_MAX ((int64_t)10 * 1000 * 1000)
/* What one envelope carries: reply_bytes_max in schemas/users.yaml. */
_Static_assert(USERS_AUTH_KEYS_BYTES_MAX <= 1024 * 1024, "all keys must fit one reply");

static bool s_fill_public(souk_arena_t *arena, const users_keyset_t *set,
                          users_auth_keys_rep_t *rep) {
    size_t count = 0;
    const users_verifier_t *keys = users_keyset_public(set, &count);
    users_public_key_t *items = users_auth_keys_rep_new_keys(rep, arena, count);
    for (size_t i = 0; items != NULL && i < count; i++) {
        users_public_key_set_kid(&items[i], souk_arena_copy(arena, keys[i].kid));
        users_public_key_set_x(&items[i], souk_arena_copy(arena, keys[i].x));
        users_public_key_set_y(&items[i], souk_arena_copy(arena, keys[i].y));
    }
    return items != NULL;
}

static bool s_fill_scopes(souk_arena_t *arena, souk_str_t joined, users_known_key_t *key) {
    joined = souk_arena_copy(arena, joined);
    size_t count = joined.size > 0 ? 1 : 0;
    for (size_t i = 0; i < joined.size; i++) {
        count += joined.data[i] == ' ';
    }
    souk_str_t *scopes = users_known_key_new_scopes(key, arena, count);
    for (size_t i = 0; scopes != NULL && i < count; i++) {
        const char *space = memchr(joined.data, ' ', joined.size);
        size_t size = space != NULL ? (size_t)(space - joined.data) : joined.size;
        scopes[i] = (souk_str_t){.data = joined.data, .size = size};
        joined.data += size + (space != NULL);
        joined.size -= size + (space != NULL);
    }
    return scopes != NULL;
}

static bool s_fill_known(souk_arena_t *arena, const users_keyset_t *set,
                         users_auth_keys_rep_t *rep) {
    size_t count = 0;
    const users_credential_t *keys = users_keyset_known(set, &count);
    users_known_key_t *items = users_auth_keys_rep_new_api_keys(rep, arena, count);
    bool whole = items != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        souk_str_t subject = souk_arena_copy(arena, keys[i].subject);
        souk_str_t hash = souk_arena_copy(arena, users_hash_str(&keys[i].hash));
        whole = subject.data != NULL && s_fill_scopes(arena, keys[i].scopes, &items[i]);
        if (whole) {
            users_known_key_set_id(&items[i], souk_arena_copy(arena, keys[i].id));
            users_known_key_set_sha256(&items[i], hash);
            users_known_key_set_subject(&items[i], subject);
            if (keys[i].expires_us != INT64_MIN) {
                users_known_key_set_expires_at(&items[i], keys[i].expires_us);
            }
        }
    }
    return whole;
}

souk_err_t users_auth_keys(souk_ctx_t *ctx, const users_auth_keys_req_t *req,
                           users_auth_keys_rep_t *ret_rep) {
    const users_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    SOUK_CLEANUP(users_keyset_release) users_keyset_t *set = users_keys_hold(service->keys);
    if (set == NULL || users_keys_age_us(service->keys) > SET_AGE_US_MAX) {
        return SOUK_ERR_UNAVAILABLE;
    }
    int64_t revision = users_keyset_revision(set);
    bool unchanged =
        souk_bits_has(&req->bits, USERS_AUTH_KEYS_REQ_SINCE_BIT) && req->since == revision;
    users_auth_keys_rep_set_revision(ret_rep, revision);
    users_auth_keys_rep_set_unchanged(ret_rep, unchanged);
    if (unchanged) {
        return SOUK_OK;
    }
    users_auth_keys_rep_set_issuer(ret_rep, souk_str_of(service->config->users_issuer));
    users_auth_keys_rep_set_audience(ret_rep, souk_str_of(service->config->users_audience));
    return s_fill_public(arena, set, ret_rep) && s_fill_known(arena, set, ret_rep)
               ? SOUK_OK
               : SOUK_ERR_NO_MEMORY;
}

/* ---- for admins ---- */

static const souk_pg_stmt_t s_list = {
    .name = "users_signing_list",
    .sql = "SELECT kid, state, created_at, activated_at, retired_at FROM signing_keys"
           " ORDER BY created_at DESC, kid DESC LIMIT 64"};

static void s_fill(const souk_pg_rows_t *rows, size_t row, users_signing_key_t *key) {
    souk_str_t state = souk_pg_get_str(rows, row, 1);
    users_signing_key_set_kid(key, souk_pg_get_str(rows, row, 0));
    users_signing_key_set_state(
        key, souk_str_equal(state, SOUK_STR("next"))     ? USERS_SIGNING_KEY_STATE_NEXT
             : souk_str_equal(state, SOUK_STR("active")) ? USERS_SIGNING_KEY_STATE_ACTIVE
                                                         : USERS_SIGNING_KEY_STATE_RETIRED);
    users_signing_key_set_created_at(key, souk_pg_get_time(rows, row, 2));
    users_signing_key_set_activated_at(key, souk_pg_get_time(rows, row, 3));
    if (souk_pg_is_null(rows, row, 3)) {
        souk_bits_set_nil(&key->bits, USERS_SIGNING_KEY_ACTIVATED_AT_BIT);
    }
    users_signing_key_set_retired_at(key, souk_pg_get_time(rows, row, 4));
    if (souk_pg_is_null(rows, row, 4)) {
        souk_bits_set_nil(&key->bits, USERS_SIGNING_KEY_RETIRED_AT_BIT);
    }
}

souk_err_t users_signing_keys_list(souk_ctx_t *ctx, const users_signing_keys_list_req_t *req,
                                   users_signing_keys_list_rep_t *ret_rep) {
    (void)req;
    users_rights_t rights = {0};
    SOUK_TRY(users_rights(ctx, "keys:write", &rights));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_list, NULL, &rows));
    size_t count = souk_pg_count(rows);
    users_signing_key_t *items =
        users_signing_keys_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    for (size_t i = 0; items != NULL && i < count; i++) {
        s_fill(rows, i, &items[i]);
    }
    return items != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_rotate(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_signing_keys_rotate_req_t *req = arg;
    const users_t *service = souk_ctx_service(ctx);
    users_rights_t rights = {0};
    SOUK_TRY(users_rights_hold(ctx, (souk_str_t){0}));
    SOUK_TRY(users_rights(ctx, "keys:write", &rights));
    users_rotation_t rotation = {.force = true, .withdraw = req->withdraw};
    souk_err_t err = users_rotate(service, souk_ctx_slot(ctx), souk_ctx_arena(ctx), &rotation);
    if (err == SOUK_ERR_KEY_TOO_YOUNG) {
        souk_ctx_retry_after_ms(ctx, (uint32_t)rotation.wait_ms);
    }
    SOUK_TRY(err);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_list, NULL, &rows));
    size_t count = souk_pg_count(rows);
    users_signing_key_t *items =
        users_signing_keys_rotate_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    souk_str_t active = {0};
    for (size_t i = 0; i < count; i++) {
        s_fill(rows, i, &items[i]);
        active = items[i].state == USERS_SIGNING_KEY_STATE_ACTIVE ? items[i].kid : active;
    }
    souk_str_t after = souk_arena_printf(souk_ctx_arena(ctx), "{\"withdraw\":%s}",
                                         req->withdraw ? "true" : "false");
    return souk_pg_audit(ctx, "signing_key.rotate", active, (souk_str_t){0}, after);
}

souk_err_t users_signing_keys_rotate(souk_ctx_t *ctx, const users_signing_keys_rotate_req_t *req,
                                     users_signing_keys_rotate_rep_t *ret_rep) {
    users_t *service = souk_ctx_service(ctx);
    SOUK_TRY(souk_pg_write(ctx, s_rotate, req, ret_rep));
    souk_keeper_hurry(service->keeper, USERS_TASK_KEYS);
    souk_log(SOUK_LOG_INFO, "US-KEY-ROTATED", SOUK_F_STR("by", souk_ctx_subject(ctx)));
    return SOUK_OK;
}
