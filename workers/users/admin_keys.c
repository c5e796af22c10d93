/* API keys of programs, and the keys that sign access tokens. */
#include <stdio.h>

#include "admin.h"
#include "gen/metrics.h"
#include "gen/users_handlers.h"
#include "keys.h"
#include "me.h"
#include "rotate.h"
#include "runtime/keeper.h"
#include "souk/clock.h"
#include "souk/id.h"
#include "souk/roles.h"
#include "token.h"

#define KEYS_PER_OWNER_MAX 100 /* live ones */

#define KEY_SQL                                                                                    \
    "k.id, k.name, array_to_string(k.scopes, ' '), k.owner_id, k.created_by, k.created_at,"        \
    " k.expires_at, k.revoked_at"

static const souk_pg_stmt_t s_list = {.name = "users_keys_list",
                                      .sql = "SELECT " KEY_SQL
                                             " FROM api_keys k WHERE $1::text IS NULL OR k.id < $1"
                                             " ORDER BY k.id DESC LIMIT $2"};
const souk_pg_stmt_t users_api_keys_of = {
    .name = "users_api_keys_of",
    .sql = "SELECT " KEY_SQL " FROM api_keys k WHERE k.owner_id = $1 ORDER BY k.id DESC LIMIT 200"};
static const souk_pg_stmt_t s_owner = {
    .name = "users_keys_owner",
    .sql = "SELECT array_to_string(u.roles, ' '), (SELECT count(*) FROM api_keys k"
           " WHERE k.owner_id = u.id AND k.revoked_at IS NULL)"
           " FROM users u WHERE u.id = $1 AND u.status = 'active'"};
static const souk_pg_stmt_t s_count = {
    .name = "users_keys_count", .sql = "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"};
static const souk_pg_stmt_t s_insert = {
    .name = "users_keys_insert",
    .sql = "INSERT INTO api_keys AS k (id, name, owner_id, scopes, hash, created_by, expires_at)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING " KEY_SQL};
static const souk_pg_stmt_t s_revoke = {
    .name = "users_keys_revoke",
    .sql = "UPDATE api_keys k SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL"
           " RETURNING " KEY_SQL};

static const souk_pg_stmt_t s_end_excess = {
    .name = "users_keys_end_excess",
    .sql = "UPDATE api_keys k SET revoked_at = now() WHERE owner_id = $1 AND revoked_at IS NULL"
           " AND NOT scopes <@ $2 RETURNING " KEY_SQL};

/* ---- replies ---- */

static souk_err_t s_fill_scopes(souk_ctx_t *ctx, souk_str_t joined, users_api_key_t *key) {
    size_t count = joined.size > 0 ? 1 : 0;
    for (size_t i = 0; i < joined.size; i++) {
        count += joined.data[i] == ' ';
    }
    souk_str_t *scopes = users_api_key_new_scopes(key, souk_ctx_arena(ctx), count);
    if (scopes == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        scopes[i] = users_next_word(&joined);
    }
    return SOUK_OK;
}

static void s_fill_time(const souk_pg_rows_t *rows, size_t row, int column, unsigned bit,
                        users_api_key_t *key) {
    if (souk_pg_is_null(rows, row, column)) {
        souk_bits_set_nil(&key->bits, bit);
    } else if (bit == USERS_API_KEY_EXPIRES_AT_BIT) {
        users_api_key_set_expires_at(key, souk_pg_get_time(rows, row, column));
    } else {
        users_api_key_set_revoked_at(key, souk_pg_get_time(rows, row, column));
    }
}

souk_err_t users_api_keys_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t row,
                               users_api_key_t *key) {
    users_api_key_set_id(key, souk_pg_get_str(rows, row, 0));
    users_api_key_set_name(key, souk_pg_get_str(rows, row, 1));
    SOUK_TRY(s_fill_scopes(ctx, souk_pg_get_str(rows, row, 2), key));
    users_api_key_set_owner_id(key, souk_pg_get_str(rows, row, 3));
    if (souk_pg_is_null(rows, row, 3)) {
        souk_bits_set_nil(&key->bits, USERS_API_KEY_OWNER_ID_BIT);
    }
    users_api_key_set_created_by(key, souk_pg_get_str(rows, row, 4));
    users_api_key_set_created_at(key, souk_pg_get_time(rows, row, 5));
    s_fill_time(rows, row, 6, USERS_API_KEY_EXPIRES_AT_BIT, key);
    s_fill_time(rows, row, 7, USERS_API_KEY_REVOKED_AT_BIT, key);
    return SOUK_OK;
}

souk_err_t users_api_keys_list(souk_ctx_t *ctx, const users_api_keys_list_req_t *req,
                               users_api_keys_list_rep_t *ret_rep) {
    users_rights_t rights = {0};
    SOUK_TRY(users_rights(ctx, "keys:write", &rights));
    SOUK_TRY(users_cursor(ctx, req->cursor, "key_"));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, req->cursor);
    souk_pg_int(&args, req->limit + 1);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_list, &args, &rows));
    size_t count = 0;
    SOUK_TRY(users_slice(rows, req->limit, &ret_rep->page, &count));
    souk_bits_set(&ret_rep->bits, USERS_API_KEYS_LIST_REP_PAGE_BIT);
    users_api_key_t *items = users_api_keys_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(users_api_keys_fill(ctx, rows, i, &items[i]));
    }
    return SOUK_OK;
}

/* ---- make and revoke ---- */

static souk_err_t s_check_scopes(souk_ctx_t *ctx, const users_rights_t *rights,
                                 const users_api_keys_create_req_t *req) {
    size_t count = 0, joined = 0;
    const souk_str_t *scopes = users_api_keys_create_req_scopes(req, &count);
    for (size_t i = 0; i < count; i++) {
        bool is_all = souk_str_equal(scopes[i], SOUK_STR("*"));
        if (!is_all && !souk_scope_exists(scopes[i])) {
            char pointer[32];
            snprintf(pointer, sizeof(pointer), "/scopes/%zu", i);
            return souk_ctx_fail_field(ctx, pointer, "is no scope");
        }
        souk_str_t text = souk_arena_copy(souk_ctx_arena(ctx), scopes[i]);
        if (text.data == NULL) {
            return SOUK_ERR_NO_MEMORY;
        }
        if (!users_rights_have(ctx, rights, text.data)) {
            return souk_ctx_fail(ctx, SOUK_ERR_FORBIDDEN, "you may not give %s", text.data);
        }
        joined += scopes[i].size + 1;
    }
    return joined <= USERS_API_KEY_SCOPES_BYTES_MAX + 1
               ? SOUK_OK
               : souk_ctx_fail_field(ctx, "/scopes", "are too many; * stands for all");
}

/* The revision's row is what keys are counted under: it changes with every one of them. */
static souk_err_t s_check_room(souk_ctx_t *ctx) {
    SOUK_TRY(souk_pg_post(ctx, &users_auth_revision_lock, NULL));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_count, NULL, &rows));
    return souk_pg_get_int(rows, 0, 0) < USERS_API_KEYS_MAX
               ? SOUK_OK
               : souk_ctx_fail(ctx, SOUK_ERR_LIMIT_MET, "there are at most %d API keys",
                               USERS_API_KEYS_MAX);
}

static souk_err_t s_check_owner_may(souk_ctx_t *ctx, const users_api_keys_create_req_t *req,
                                    uint32_t roles) {
    size_t count = 0;
    const souk_str_t *scopes = users_api_keys_create_req_scopes(req, &count);
    for (size_t i = 0; i < count; i++) {
        if (!users_roles_have(roles, scopes[i])) {
            char pointer[32];
            snprintf(pointer, sizeof(pointer), "/scopes/%zu", i);
            return souk_ctx_fail_field(ctx, pointer, "is more than the owner may do");
        }
    }
    return SOUK_OK;
}

/* A key that is made by a key has the same owner, so that it ends with the same human. */
static souk_err_t s_check_owner(souk_ctx_t *ctx, const users_rights_t *rights,
                                const users_api_keys_create_req_t *req, souk_str_t *ret_owner) {
    souk_str_t owner = req->owner_id.data != NULL ? req->owner_id : rights->user_id;
    if (rights->scopes.data != NULL && rights->user_id.data != NULL &&
        !souk_str_equal(owner, rights->user_id)) {
        return souk_ctx_fail_field(ctx, "/owner_id", "must be the owner of the key that asks");
    }
    if (owner.data != NULL) {
        souk_pg_args_t args;
        souk_pg_args_init(&args, souk_ctx_arena(ctx));
        souk_pg_str(&args, owner);
        const souk_pg_rows_t *rows;
        SOUK_TRY(souk_pg_run(ctx, &s_owner, &args, &rows));
        if (souk_pg_count(rows) == 0) {
            return souk_ctx_fail_field(ctx, "/owner_id", "is no active user");
        }
        SOUK_TRY(s_check_owner_may(ctx, req, users_roles_of(souk_pg_get_str(rows, 0, 0))));
        if (souk_pg_get_int(rows, 0, 1) >= KEYS_PER_OWNER_MAX) {
            return souk_ctx_fail(ctx, SOUK_ERR_LIMIT_MET, "a user has at most %d API keys",
                                 KEYS_PER_OWNER_MAX);
        }
    }
    *ret_owner = owner;
    return SOUK_OK;
}

static souk_err_t s_audit(souk_ctx_t *ctx, const char *action, const users_api_key_t *key) {
    size_t count = 0;
    const souk_str_t *scopes = users_api_key_scopes(key, &count);
    users_json_t json;
    users_json_begin(&json);
    users_json_str(&json, "name", key->name);
    users_json_str(&json, "owner_id", key->owner_id);
    users_json_strs(&json, "scopes", scopes, count);
    souk_str_t text;
    SOUK_TRY(users_json_end(&json, souk_ctx_arena(ctx), &text));
    bool ends = souk_bits_has(&key->bits, USERS_API_KEY_REVOKED_AT_BIT) &&
                !souk_bits_nil(&key->bits, USERS_API_KEY_REVOKED_AT_BIT);
    return ends ? souk_pg_audit(ctx, action, key->id, text, (souk_str_t){0})
                : souk_pg_audit(ctx, action, key->id, (souk_str_t){0}, text);
}

static souk_err_t s_insert_key(souk_ctx_t *ctx, const users_api_keys_create_req_t *req,
                               souk_str_t name, souk_str_t owner,
                               users_api_keys_create_rep_t *rep) {
    size_t count = 0;
    const souk_str_t *scopes = users_api_keys_create_req_scopes(req, &count);
    char id[SOUK_ID_BYTES_MAX], text[SOUK_ID_BYTES_MAX + USERS_SECRET_CHARS + 8];
    souk_id_new("key_", id);
    users_hash_t hash;
    users_api_key_make(id, text, &hash);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_str_of(id));
    souk_pg_str(&args, name);
    souk_pg_str(&args, owner);
    souk_pg_strs(&args, scopes, count);
    souk_pg_bytes(&args, users_hash_str(&hash));
    souk_pg_str(&args, souk_ctx_subject(ctx));
    bool ends = souk_bits_has(&req->bits, USERS_API_KEYS_CREATE_REQ_EXPIRES_AT_BIT);
    souk_pg_time(&args, ends ? req->expires_at : INT64_MIN);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_insert, &args, &rows));
    SOUK_TRY(users_api_keys_fill(ctx, rows, 0, &rep->key));
    souk_bits_set(&rep->bits, USERS_API_KEYS_CREATE_REP_KEY_BIT);
    users_api_keys_create_rep_set_id(rep, rep->key.id);
    users_api_keys_create_rep_set_secret(rep,
                                         souk_arena_copy(souk_ctx_arena(ctx), souk_str_of(text)));
    return SOUK_OK;
}

static souk_err_t s_create(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_api_keys_create_req_t *req = arg;
    users_api_keys_create_rep_t *rep = ret_rep;
    souk_str_t name = {0}, owner = {0};
    users_rights_t rights = {0};
    SOUK_TRY(users_line(ctx, "/name", req->name, 100, &name));
    SOUK_TRY(users_rights_hold(ctx, req->owner_id));
    SOUK_TRY(users_rights(ctx, "keys:write", &rights));
    SOUK_TRY(s_check_scopes(ctx, &rights, req));
    bool ends = souk_bits_has(&req->bits, USERS_API_KEYS_CREATE_REQ_EXPIRES_AT_BIT);
    if (ends && req->expires_at <= souk_clock_unix_us()) {
        return souk_ctx_fail_field(ctx, "/expires_at", "must be in the future");
    }
    SOUK_TRY(s_check_room(ctx));
    SOUK_TRY(s_check_owner(ctx, &rights, req, &owner));
    SOUK_TRY(s_insert_key(ctx, req, name, owner, rep));
    return s_audit(ctx, "api_key.create", &rep->key);
}

souk_err_t users_api_keys_create(souk_ctx_t *ctx, const users_api_keys_create_req_t *req,
                                 users_api_keys_create_rep_t *ret_rep) {
    users_t *service = souk_ctx_service(ctx);
    SOUK_TRY(souk_pg_write(ctx, s_create, req, ret_rep));
    souk_keeper_hurry(service->keeper, USERS_TASK_KEYS);
    users_count(SOUK_METRIC_USERS_TOKENS_ISSUED_TOTAL, "api_key");
    return SOUK_OK;
}

/* Whoever may not make such a key may not end it either. */
static souk_err_t s_check_revocable(souk_ctx_t *ctx, const users_rights_t *rights,
                                    const users_api_key_t *key) {
    size_t count = 0;
    const souk_str_t *scopes = users_api_key_scopes(key, &count);
    for (size_t i = 0; i < count; i++) {
        souk_str_t text = souk_arena_copy(souk_ctx_arena(ctx), scopes[i]);
        if (text.data == NULL) {
            return SOUK_ERR_NO_MEMORY;
        }
        if (!users_rights_have(ctx, rights, text.data)) {
            return souk_ctx_fail(ctx, SOUK_ERR_FORBIDDEN, "the key may do what you may not");
        }
    }
    return SOUK_OK;
}

static souk_err_t s_revoke_do(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const users_api_keys_revoke_req_t *req = arg;
    users_rights_t rights = {0};
    SOUK_TRY(users_rights_hold(ctx, (souk_str_t){0}));
    SOUK_TRY(users_rights(ctx, "keys:write", &rights));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, req->id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_revoke, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_NOT_FOUND;
    }
    users_api_key_t key = {0};
    SOUK_TRY(users_api_keys_fill(ctx, rows, 0, &key));
    SOUK_TRY(s_check_revocable(ctx, &rights, &key));
    return s_audit(ctx, "api_key.revoke", &key);
}

souk_err_t users_api_keys_revoke(souk_ctx_t *ctx, const users_api_keys_revoke_req_t *req,
                                 users_api_keys_revoke_rep_t *ret_rep) {
    users_t *service = souk_ctx_service(ctx);
    SOUK_TRY(souk_pg_write(ctx, s_revoke_do, req, ret_rep));
    souk_keeper_hurry(service->keeper, USERS_TASK_KEYS);
    return SOUK_OK;
}

souk_err_t users_keys_end_excess(souk_ctx_t *ctx, souk_str_t user_id, uint32_t roles) {
    if (users_roles_have(roles, SOUK_STR("*"))) {
        return SOUK_OK;
    }
    souk_str_t *scopes =
        souk_arena_alloc_array(souk_ctx_arena(ctx), souk_scopes_count + 1, sizeof(*scopes));
    if (scopes == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    size_t count = 0;
    for (size_t i = 0; i < souk_scopes_count; i++) {
        souk_str_t scope = souk_str_of(souk_scopes[i]);
        if (users_roles_have(roles, scope)) {
            scopes[count++] = scope;
        }
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, user_id);
    souk_pg_strs(&args, scopes, count);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_end_excess, &args, &rows));
    for (size_t i = 0; i < souk_pg_count(rows); i++) {
        users_api_key_t key = {0};
        SOUK_TRY(users_api_keys_fill(ctx, rows, i, &key));
        SOUK_TRY(s_audit(ctx, "api_key.revoke", &key));
    }
    return SOUK_OK;
}
