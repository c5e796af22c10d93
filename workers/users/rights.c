#include "rights.h"

#include "session.h"
#include "souk/roles.h"

static const souk_pg_stmt_t s_owner = {.name = "users_rights_owner",
                                       .sql = "SELECT owner_id FROM api_keys WHERE id = $1"};
static const souk_pg_stmt_t s_hold = {
    .name = "users_rights_hold",
    .sql = "SELECT id FROM users WHERE id = $1 OR id = $2 ORDER BY id FOR SHARE"};
static const souk_pg_stmt_t s_key = {
    .name = "users_rights_key",
    .sql = "SELECT k.owner_id, array_to_string(k.scopes, ' '), array_to_string(u.roles, ' '),"
           " k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())"
           " AND (k.owner_id IS NULL OR u.status = 'active')"
           " FROM api_keys k LEFT JOIN users u ON u.id = k.owner_id WHERE k.id = $1"};

static souk_err_t s_run_of_subject(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                                   const souk_pg_rows_t **ret_rows) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_ctx_subject(ctx));
    return souk_pg_run(ctx, stmt, &args, ret_rows);
}

souk_err_t users_rights_owner(souk_ctx_t *ctx, souk_str_t *ret_user_id) {
    if (souk_ctx_kind(ctx) == SOUK_PRINCIPAL_USER) {
        *ret_user_id = souk_ctx_subject(ctx);
        return SOUK_OK;
    }
    const souk_pg_rows_t *rows;
    SOUK_TRY(s_run_of_subject(ctx, &s_owner, &rows));
    *ret_user_id = souk_pg_count(rows) == 1 ? souk_pg_get_str(rows, 0, 0) : (souk_str_t){0};
    return SOUK_OK;
}

souk_err_t users_rights_hold(souk_ctx_t *ctx, souk_str_t other_id) {
    souk_str_t owner = {0};
    SOUK_TRY(users_rights_owner(ctx, &owner));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, owner);
    souk_pg_str(&args, other_id);
    return souk_pg_run(ctx, &s_hold, &args, NULL);
}

static souk_err_t s_read_user(souk_ctx_t *ctx, users_rights_t *ret_rights) {
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, false, &account));
    ret_rights->user_id = account.id;
    ret_rights->roles =
        users_roles_granted(souk_ctx_service(ctx), account.roles, account.session_second_factor);
    return SOUK_OK;
}

static souk_err_t s_read_key(souk_ctx_t *ctx, users_rights_t *ret_rights) {
    const souk_pg_rows_t *rows;
    SOUK_TRY(s_run_of_subject(ctx, &s_key, &rows));
    if (souk_pg_count(rows) == 0) {
        ret_rights->is_vouched = true;
        return SOUK_OK;
    }
    if (!souk_pg_get_bool(rows, 0, 3)) {
        return souk_ctx_fail(ctx, SOUK_ERR_UNAUTHENTICATED, "the key has ended");
    }
    ret_rights->user_id = souk_pg_get_str(rows, 0, 0);
    ret_rights->scopes = souk_pg_get_str(rows, 0, 1);
    ret_rights->roles = users_roles_of(souk_pg_get_str(rows, 0, 2));
    return SOUK_OK;
}

souk_err_t users_rights(souk_ctx_t *ctx, const char *scope, users_rights_t *ret_rights) {
    users_rights_t rights = {0};
    bool is_user = souk_ctx_kind(ctx) == SOUK_PRINCIPAL_USER;
    SOUK_TRY(is_user ? s_read_user(ctx, &rights) : s_read_key(ctx, &rights));
    if (!users_rights_have(ctx, &rights, scope)) {
        return souk_ctx_fail(ctx, SOUK_ERR_FORBIDDEN, "your rights have changed");
    }
    *ret_rights = rights;
    return SOUK_OK;
}

bool users_rights_have(souk_ctx_t *ctx, const users_rights_t *self, const char *scope) {
    souk_str_t text = souk_str_of(scope);
    bool has = souk_ctx_has_scope(ctx, scope);
    if (self->is_vouched) {
        return has;
    }
    if (self->scopes.data != NULL) {
        has = has && users_scopes_have(self->scopes, text);
    }
    return has && (self->user_id.data == NULL || users_roles_have(self->roles, text));
}

bool users_rights_govern(souk_ctx_t *ctx, const users_rights_t *self, uint32_t roles) {
    for (size_t i = 0; i < souk_user_roles_count; i++) {
        const souk_user_role_t *role = &souk_user_roles[i];
        for (size_t j = 0; (roles >> i & 1) != 0 && j < role->scopes_count; j++) {
            if (!users_rights_have(ctx, self, role->scopes[j])) {
                return false;
            }
        }
    }
    return true;
}
