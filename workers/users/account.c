#include <stdio.h>

#include "gen/metrics.h"
#include "gen/roles.h"
#include "souk/roles.h"
#include "souk/text.h"
#include "throttle.h"
#include "users.h"

void users_account_read(const souk_pg_rows_t *rows, size_t row, users_account_t *ret_account) {
    *ret_account = (users_account_t){
        .id = souk_pg_get_str(rows, row, 0),
        .email = souk_pg_get_str(rows, row, 1),
        .email_folded = souk_pg_get_str(rows, row, 2),
        .password_hash = souk_pg_get_str(rows, row, 3),
        .status = souk_pg_get_str(rows, row, 4),
        .totp_sealed = souk_pg_get_str(rows, row, 5),
        .totp_pending = souk_pg_get_str(rows, row, 6),
        .totp_step = souk_pg_get_int(rows, row, 7),
        .version = souk_pg_get_int(rows, row, 8),
        .email_verified = souk_pg_get_bool(rows, row, 9),
        .roles = users_roles_of(souk_pg_get_str(rows, row, 10)),
        .name = souk_pg_get_str(rows, row, 11),
        .locale = souk_pg_get_str(rows, row, 12),
    };
}

/* ---- who acts ---- */

#define ACTOR_SQL                                                                                  \
    "SELECT " USERS_ACCOUNT_SQL ", s.second_factor FROM users u"                                   \
    " JOIN sessions s ON s.id = $2 AND s.user_id = u.id AND s.expires_at > now()"                  \
    " WHERE u.id = $1 AND u.status = 'active'"

static const souk_pg_stmt_t s_actor = {.name = "users_actor", .sql = ACTOR_SQL};
static const souk_pg_stmt_t s_actor_lock = {.name = "users_actor_lock",
                                            .sql = ACTOR_SQL " FOR NO KEY UPDATE OF u"};

souk_err_t users_actor(souk_ctx_t *ctx, bool lock, users_account_t *ret_account) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_ctx_subject(ctx));
    souk_pg_str(&args, souk_ctx_session(ctx));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, lock ? &s_actor_lock : &s_actor, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_UNAUTHENTICATED, "the session has ended");
    }
    users_account_read(rows, 0, ret_account);
    ret_account->session_second_factor = souk_pg_get_bool(rows, 0, USERS_ACCOUNT_COLUMNS);
    return SOUK_OK;
}

souk_err_t users_actor_delete(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, souk_str_t id) {
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, id);
    souk_pg_str(&args, account.id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, stmt, &args, &rows));
    return souk_pg_affected(rows) == 1 ? SOUK_OK : SOUK_ERR_NOT_FOUND;
}

souk_err_t users_actor_prove(souk_ctx_t *ctx, souk_str_t password, users_account_t *ret_account) {
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, false, &account));
    const users_t *service = souk_ctx_service(ctx);
    const users_bucket_t bucket =
        users_bucket(service, USERS_BUCKET_CONFIRM, souk_ctx_session(ctx), SOUK_STR(""));
    SOUK_TRY(users_throttle_take(ctx, &bucket, 1));
    souk_str_t form = {0};
    if (users_password_form(souk_ctx_arena(ctx), password, &form) != SOUK_OK) {
        return SOUK_ERR_PASSWORD_WRONG;
    }
    bool right = false;
    souk_err_t err = users_password_check(ctx, account.password_hash, form, &right);
    if (err == SOUK_ERR_OVERLOADED || right) { /* it was no guess */
        SOUK_TRY(users_throttle_give(ctx, &bucket, 1, right));
    }
    SOUK_TRY(err);
    if (!right) {
        return SOUK_ERR_PASSWORD_WRONG;
    }
    *ret_account = account;
    return SOUK_OK;
}

souk_err_t users_actor_again(souk_ctx_t *ctx, const users_account_t *proven,
                             users_account_t *ret_account) {
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    if (!souk_str_equal(account.password_hash, proven->password_hash)) {
        return SOUK_ERR_PASSWORD_WRONG;
    }
    *ret_account = account;
    return SOUK_OK;
}

/* ---- passwords ---- */

souk_err_t users_password_hash(souk_ctx_t *ctx, souk_str_t password, souk_str_t *ret_hash) {
    users_t *service = souk_ctx_service(ctx);
    char hash[USERS_HASH_BYTES_MAX];
    SOUK_TRY(users_hasher_make(service->hasher, password, souk_ctx_remaining_ms(ctx), hash));
    souk_metric_add(service->hashes, 1);
    souk_str_t copy = souk_arena_copy(souk_ctx_arena(ctx), souk_str_of(hash));
    if (copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret_hash = copy;
    return SOUK_OK;
}

souk_err_t users_password_check(souk_ctx_t *ctx, souk_str_t hash, souk_str_t password,
                                bool *ret_right) {
    users_t *service = souk_ctx_service(ctx);
    SOUK_TRY(users_hasher_verify(service->hasher, hash, password, souk_ctx_remaining_ms(ctx),
                                 ret_right));
    souk_metric_add(service->hashes, 1);
    return SOUK_OK;
}

souk_err_t users_password_new(souk_ctx_t *ctx, souk_str_t given, souk_str_t email_folded,
                              souk_str_t *ret_password) {
    souk_str_t form = {0};
    souk_err_t err = users_password_form(souk_ctx_arena(ctx), given, &form);
    if (err == SOUK_ERR_NO_MEMORY) {
        return err;
    }
    const char *objection = err == SOUK_OK
                                ? users_password_objection(souk_ctx_arena(ctx), form, email_folded)
                                : "must be text";
    if (objection != NULL) {
        return souk_ctx_fail_field(ctx, "/password", "%s", objection);
    }
    *ret_password = form;
    return SOUK_OK;
}

/* ---- roles ---- */

souk_str_t users_next_word(souk_str_t *joined) {
    const char *space = memchr(joined->data, ' ', joined->size);
    size_t size = space != NULL ? (size_t)(space - joined->data) : joined->size;
    size_t taken = size + (space != NULL ? 1 : 0);
    souk_str_t word = {.data = joined->data, .size = size};
    joined->data += taken;
    joined->size -= taken;
    return word;
}

uint32_t users_roles_of(souk_str_t names) {
    uint32_t roles = 0;
    while (names.size > 0) {
        size_t role = souk_user_role_of(users_next_word(&names));
        if (role < souk_user_roles_count) { /* one that the schema has dropped gives nothing */
            roles |= (uint32_t)1 << role;
        }
    }
    return roles;
}

size_t users_roles_names(uint32_t roles, souk_str_t ret_names[USERS_ROLES_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < souk_user_roles_count && i < USERS_ROLES_MAX; i++) {
        if ((roles >> i & 1) != 0) {
            ret_names[count++] = souk_str_of(souk_user_roles[i].name);
        }
    }
    return count;
}

uint32_t users_role_bit(const char *name) {
    size_t role = souk_user_role_of(souk_str_of(name));
    souk_assert(role < souk_user_roles_count);
    return (uint32_t)1 << role;
}

bool users_roles_have(uint32_t roles, souk_str_t scope) {
    for (size_t i = 0; i < souk_user_roles_count; i++) {
        if ((roles >> i & 1) != 0 && souk_user_role_has_scope(&souk_user_roles[i], scope)) {
            return true;
        }
    }
    return false;
}

bool users_scopes_have(souk_str_t scopes, souk_str_t scope) {
    while (scopes.size > 0) {
        souk_str_t each = users_next_word(&scopes);
        if (souk_str_equal(each, scope) || souk_str_equal(each, SOUK_STR("*"))) {
            return true;
        }
    }
    return false;
}

/* ---- small things ---- */

souk_err_t users_require_version(souk_str_t if_match, int64_t version) {
    char text[24];
    int size = snprintf(text, sizeof(text), "%lld", (long long)version);
    souk_str_t present = {.data = text, .size = (size_t)size};
    bool fits = if_match.data == NULL || souk_str_equal(if_match, SOUK_STR("*")) ||
                souk_str_equal(if_match, present);
    return fits ? SOUK_OK : SOUK_ERR_PRECONDITION_FAILED;
}

souk_err_t users_line(souk_ctx_t *ctx, const char *pointer, souk_str_t text, size_t points_max,
                      souk_str_t *ret_line) {
    if (text.data == NULL) {
        *ret_line = (souk_str_t){0};
        return SOUK_OK;
    }
    souk_err_t err = souk_text_line(souk_ctx_arena(ctx), text, points_max, ret_line);
    return err == SOUK_ERR_VALIDATION
               ? souk_ctx_fail_field(ctx, pointer, "must be text of at most %zu characters",
                                     points_max)
               : err;
}

souk_series_t *users_series(size_t metric, const char *label) {
    return souk_metric(metric, label, NULL);
}

void users_count(size_t metric, const char *label) {
    souk_metric_add(users_series(metric, label), 1);
}
