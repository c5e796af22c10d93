/* Accounts as admins see and change them. Every change leaves a row in the audit log, which holds
 * ids, roles and states and no personal data: so it outlives an erasure as it is. */
#include <stdio.h>

#include "admin.h"
#include "gen/users_handlers.h"
#include "runtime/keeper.h"
#include "session.h"
#include "souk/id.h"
#include "souk/roles.h"
#include "souk/text.h"

#define USER_SQL                                                                                   \
    "u.id, u.version, u.email, u.email_verified_at IS NOT NULL, u.name,"                           \
    " array_to_string(u.roles, ' '), u.status, u.totp_sealed IS NOT NULL,"                         \
    " (SELECT count(*) FROM sessions s WHERE s.user_id = u.id AND s.expires_at > now()),"          \
    " u.created_at, u.updated_at, u.erased_at"
#define FILTER_SQL                                                                                 \
    " ($1::text IS NULL OR u.id < $1) AND ($2::text IS NULL OR $2 = ANY (u.roles))"                \
    " AND ($3::text IS NULL OR u.status = $3)"
#define STATE_SQL " RETURNING id, version, array_to_string(roles, ' '), status"
#define ORDER_SQL " ORDER BY u.id DESC LIMIT $4"

static const souk_pg_stmt_t s_list = {.name = "users_admin_list",
                                      .sql = "SELECT " USER_SQL
                                             " FROM users u WHERE" FILTER_SQL ORDER_SQL};
static const souk_pg_stmt_t s_search = {
    .name = "users_admin_search",
    .sql =
        "SELECT " USER_SQL " FROM users u WHERE ((u.email_folded >= $5 AND u.email_folded < $6)"
        " OR (u.name_folded >= $5 AND u.name_folded < $6) OR u.id = $7) AND" FILTER_SQL ORDER_SQL};
static const souk_pg_stmt_t s_get = {.name = "users_admin_get",
                                     .sql = "SELECT " USER_SQL " FROM users u WHERE u.id = $1"};
static const souk_pg_stmt_t s_lock_admins = {
    .name = "users_lock_with_admins",
    .sql = "SELECT id, 'admin' = ANY (roles) AND status = 'active' FROM users"
           " WHERE id = $1 OR id = $2 OR ('admin' = ANY (roles) AND status = 'active')"
           " ORDER BY id FOR NO KEY UPDATE"};
static const souk_pg_stmt_t s_set_roles = {.name = "users_admin_set_roles",
                                           .sql =
                                               "UPDATE users SET roles = $2, version = version + "
                                               "1, updated_at = now() WHERE id = $1" STATE_SQL};
static const souk_pg_stmt_t s_set_status = {.name = "users_admin_set_status",
                                            .sql =
                                                "UPDATE users SET status = $2, version = version + "
                                                "1, updated_at = now() WHERE id = $1" STATE_SQL};

/* ---- replies ---- */

static void s_fill_texts(const souk_pg_rows_t *rows, size_t row, users_user_t *user) {
    souk_str_t email = souk_pg_get_str(rows, row, 2), name = souk_pg_get_str(rows, row, 4);
    users_user_set_email(user, email);
    if (email.data == NULL) {
        souk_bits_set_nil(&user->bits, USERS_USER_EMAIL_BIT);
    }
    users_user_set_name(user, name);
    if (name.data == NULL) {
        souk_bits_set_nil(&user->bits, USERS_USER_NAME_BIT);
    }
}

static int32_t s_status(souk_str_t text) {
    if (souk_str_equal(text, SOUK_STR("active"))) {
        return USERS_USER_STATUS_ACTIVE;
    }
    return souk_str_equal(text, SOUK_STR("disabled")) ? USERS_USER_STATUS_DISABLED
                                                      : USERS_USER_STATUS_ERASED;
}

static souk_err_t s_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t row,
                         users_user_t *user) {
    users_user_set_id(user, souk_pg_get_str(rows, row, 0));
    users_user_set_version(user, souk_pg_get_int(rows, row, 1));
    s_fill_texts(rows, row, user);
    users_user_set_email_verified(user, souk_pg_get_bool(rows, row, 3));
    souk_str_t names[USERS_ROLES_MAX];
    size_t count = users_roles_names(users_roles_of(souk_pg_get_str(rows, row, 5)), names);
    souk_str_t *roles = users_user_new_roles(user, souk_ctx_arena(ctx), count);
    if (roles == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    memcpy(roles, names, count * sizeof(*roles));
    users_user_set_status(user, s_status(souk_pg_get_str(rows, row, 6)));
    users_user_set_second_factor(user, souk_pg_get_bool(rows, row, 7));
    users_user_set_sessions(user, souk_pg_get_int(rows, row, 8));
    users_user_set_created_at(user, souk_pg_get_time(rows, row, 9));
    users_user_set_updated_at(user, souk_pg_get_time(rows, row, 10));
    users_user_set_erased_at(user, souk_pg_get_time(rows, row, 11));
    if (souk_pg_is_null(rows, row, 11)) {
        souk_bits_set_nil(&user->bits, USERS_USER_ERASED_AT_BIT);
    }
    return SOUK_OK;
}

souk_err_t users_slice(const souk_pg_rows_t *rows, int64_t limit, users_slice_t *ret_slice,
                       size_t *ret_count) {
    size_t count = souk_pg_count(rows);
    bool is_last = count <= (size_t)limit;
    count = is_last ? count : (size_t)limit;
    users_slice_set_limit(ret_slice, limit);
    if (is_last) {
        souk_bits_set_nil(&ret_slice->bits, USERS_SLICE_NEXT_BIT);
    } else {
        users_slice_set_next(ret_slice, souk_pg_get_str(rows, count - 1, 0));
    }
    *ret_count = count;
    return SOUK_OK;
}

souk_err_t users_cursor(souk_ctx_t *ctx, souk_str_t cursor, const char *prefix) {
    return cursor.data == NULL || souk_id_valid(cursor, prefix)
               ? SOUK_OK
               : souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "the cursor is not one of this list");
}

/* ---- reads ---- */

static souk_err_t s_search_args(souk_ctx_t *ctx, souk_str_t q, souk_pg_args_t *args) {
    souk_str_t line = {0}, from = {0};
    souk_err_t err = souk_text_line(souk_ctx_arena(ctx), q, 254, &line);
    if (err == SOUK_ERR_VALIDATION) {
        return souk_ctx_fail(ctx, err, "q is nothing to look for");
    }
    SOUK_TRY(err);
    SOUK_TRY(souk_text_fold(souk_ctx_arena(ctx), line, &from));
    /* Behind every text that begins so: no text holds U+10FFFF. */
    souk_str_t to =
        souk_arena_printf(souk_ctx_arena(ctx), "%.*s\xf4\x8f\xbf\xbf", (int)from.size, from.data);
    souk_pg_str(args, from);
    souk_pg_str(args, to);
    souk_pg_str(args, line);
    return SOUK_OK;
}

souk_err_t users_admin_list(souk_ctx_t *ctx, const users_admin_list_req_t *req,
                            users_admin_list_rep_t *ret_rep) {
    static const char *const statuses[] = {"active", "disabled", "erased"};
    users_rights_t rights = {0};
    SOUK_TRY(users_rights(ctx, "users:read", &rights));
    SOUK_TRY(users_cursor(ctx, req->cursor, "usr_"));
    bool has_status = souk_bits_has(&req->bits, USERS_ADMIN_LIST_REQ_STATUS_BIT);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, req->cursor);
    souk_pg_str(&args, req->role);
    souk_pg_str(&args, has_status ? souk_str_of(statuses[req->status]) : (souk_str_t){0});
    souk_pg_int(&args, req->limit + 1);
    bool searches = req->q.data != NULL;
    if (searches) {
        SOUK_TRY(s_search_args(ctx, req->q, &args));
    }
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, searches ? &s_search : &s_list, &args, &rows));
    size_t count = 0;
    SOUK_TRY(users_slice(rows, req->limit, &ret_rep->page, &count));
    souk_bits_set(&ret_rep->bits, USERS_ADMIN_LIST_REP_PAGE_BIT);
    users_user_t *items = users_admin_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(s_fill(ctx, rows, i, &items[i]));
    }
    return SOUK_OK;
}

static souk_err_t s_read(souk_ctx_t *ctx, souk_str_t id, users_user_t *ret_user) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_get, &args, &rows));
    return souk_pg_count(rows) == 1 ? s_fill(ctx, rows, 0, ret_user) : SOUK_ERR_NOT_FOUND;
}

souk_err_t users_admin_get(souk_ctx_t *ctx, const users_admin_get_req_t *req,
                           users_admin_get_rep_t *ret_rep) {
    users_rights_t rights = {0};
    SOUK_TRY(users_rights(ctx, "users:read", &rights));
    return s_read(ctx, req->id, ret_rep);
}

/* ---- writes ---- */

souk_err_t users_lock_with_admins(souk_ctx_t *ctx, souk_str_t user_id, bool *ret_is_last) {
    souk_str_t actor = {0};
    SOUK_TRY(users_rights_owner(ctx, &actor));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, user_id);
    souk_pg_str(&args, actor);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_lock_admins, &args, &rows));
    bool is_admin = false;
    size_t others = 0;
    for (size_t i = 0; i < souk_pg_count(rows); i++) {
        bool is_user = souk_str_equal(souk_pg_get_str(rows, i, 0), user_id);
        bool counts = souk_pg_get_bool(rows, i, 1);
        is_admin = is_admin || (is_user && counts);
        others += !is_user && counts;
    }
    *ret_is_last = is_admin && others == 0;
    return SOUK_OK;
}

/* Somebody whom whoever acts may act on, under lock. */
typedef struct {
    users_rights_t rights; /* of whoever acts */
    users_user_t user;
    uint32_t roles;
    bool is_last; /* the only active admin */
} target_t;

static souk_err_t s_target(souk_ctx_t *ctx, souk_str_t id, target_t *ret_target) {
    target_t target = {0};
    SOUK_TRY(users_lock_with_admins(ctx, id, &target.is_last));
    SOUK_TRY(users_rights(ctx, "users:write", &target.rights));
    SOUK_TRY(s_read(ctx, id, &target.user));
    if (target.user.status == USERS_USER_STATUS_ERASED) {
        return SOUK_ERR_NOT_FOUND;
    }
    size_t count = 0;
    const souk_str_t *names = users_user_roles(&target.user, &count);
    for (size_t i = 0; i < count; i++) {
        target.roles |= users_roles_of(names[i]);
    }
    if (!users_rights_govern(ctx, &target.rights, target.roles)) {
        return souk_ctx_fail(ctx, SOUK_ERR_FORBIDDEN, "the user may do what you may not");
    }
    *ret_target = target;
    return SOUK_OK;
}

/* The reply holds ids, roles and states alone: it is stored with the call's key, under whoever
 * acts, where the erasure of the user does not find it. */
static souk_err_t s_reply(souk_ctx_t *ctx, const souk_pg_rows_t *rows, users_user_state_t *ret) {
    users_user_state_set_id(ret, souk_pg_get_str(rows, 0, 0));
    users_user_state_set_version(ret, souk_pg_get_int(rows, 0, 1));
    users_user_state_set_status(ret, souk_str_equal(souk_pg_get_str(rows, 0, 3), SOUK_STR("active"))
                                         ? USERS_USER_STATE_STATUS_ACTIVE
                                         : USERS_USER_STATE_STATUS_DISABLED);
    souk_str_t names[USERS_ROLES_MAX];
    size_t count = users_roles_names(users_roles_of(souk_pg_get_str(rows, 0, 2)), names);
    souk_str_t *roles = users_user_state_new_roles(ret, souk_ctx_arena(ctx), count);
    if (roles == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    memcpy(roles, names, count * sizeof(*roles));
    return SOUK_OK;
}

static souk_err_t s_audit_roles(souk_ctx_t *ctx, souk_str_t id, uint32_t before, uint32_t after) {
    souk_str_t texts[2];
    for (size_t i = 0; i < 2; i++) {
        souk_str_t names[USERS_ROLES_MAX];
        size_t count = users_roles_names(i == 0 ? before : after, names);
        users_json_t json;
        users_json_begin(&json);
        users_json_strs(&json, "roles", names, count);
        SOUK_TRY(users_json_end(&json, souk_ctx_arena(ctx), &texts[i]));
    }
    return souk_pg_audit(ctx, "user.roles", id, texts[0], texts[1]);
}

static souk_err_t s_wanted_roles(souk_ctx_t *ctx, const users_admin_roles_req_t *req,
                                 uint32_t *ret_roles) {
    size_t count = 0;
    const souk_str_t *names = users_admin_roles_req_roles(req, &count);
    uint32_t roles = users_role_bit("customer");
    for (size_t i = 0; i < count; i++) {
        size_t role = souk_user_role_of(names[i]);
        if (role >= souk_user_roles_count) {
            char pointer[32];
            snprintf(pointer, sizeof(pointer), "/roles/%zu", i);
            return souk_ctx_fail_field(ctx, pointer, "is no role");
        }
        roles |= (uint32_t)1 << role;
    }
    *ret_roles = roles;
    return SOUK_OK;
}

static souk_err_t s_roles(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_admin_roles_req_t *req = arg;
    uint32_t wanted = 0;
    SOUK_TRY(s_wanted_roles(ctx, req, &wanted));
    target_t target = {0};
    SOUK_TRY(s_target(ctx, req->id, &target));
    if (!users_rights_govern(ctx, &target.rights, wanted)) {
        return souk_ctx_fail(ctx, SOUK_ERR_FORBIDDEN, "a role may do what you may not");
    }
    if (target.is_last && (wanted & users_role_bit("admin")) == 0) {
        return SOUK_ERR_LAST_ADMIN;
    }
    souk_str_t names[USERS_ROLES_MAX];
    size_t count = users_roles_names(wanted, names);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, req->id);
    souk_pg_strs(&args, names, count);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_set_roles, &args, &rows));
    SOUK_TRY(s_audit_roles(ctx, req->id, target.roles, wanted));
    SOUK_TRY(users_keys_end_excess(ctx, req->id, wanted));
    return s_reply(ctx, rows, ret_rep);
}

souk_err_t users_admin_roles(souk_ctx_t *ctx, const users_admin_roles_req_t *req,
                             users_admin_roles_rep_t *ret_rep) {
    users_t *service = souk_ctx_service(ctx);
    SOUK_TRY(souk_pg_write(ctx, s_roles, req, ret_rep));
    souk_keeper_hurry(service->keeper, USERS_TASK_KEYS);
    return SOUK_OK;
}

static souk_err_t s_change_status(souk_ctx_t *ctx, souk_str_t id, const char *from, const char *to,
                                  users_user_state_t *ret_state) {
    bool disables = strcmp(to, "disabled") == 0;
    target_t target = {0};
    SOUK_TRY(s_target(ctx, id, &target));
    if (target.is_last && disables) {
        return SOUK_ERR_LAST_ADMIN;
    }
    if (target.user.status != s_status(souk_str_of(from))) {
        return souk_ctx_fail(ctx, SOUK_ERR_CONFLICT, "the user is %s already", to);
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, id);
    souk_pg_str(&args, souk_str_of(to));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_set_status, &args, &rows));
    if (disables) {
        SOUK_TRY(users_sessions_end(ctx, id, SOUK_STR("")));
    }
    souk_arena_t *arena = souk_ctx_arena(ctx);
    SOUK_TRY(souk_pg_audit(ctx, disables ? "user.disable" : "user.enable", id,
                           souk_arena_printf(arena, "{\"status\":\"%s\"}", from),
                           souk_arena_printf(arena, "{\"status\":\"%s\"}", to)));
    return s_reply(ctx, rows, ret_state);
}

static souk_err_t s_disable(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_admin_disable_req_t *req = arg;
    return s_change_status(ctx, req->id, "active", "disabled", ret_rep);
}

souk_err_t users_admin_disable(souk_ctx_t *ctx, const users_admin_disable_req_t *req,
                               users_admin_disable_rep_t *ret_rep) {
    users_t *service = souk_ctx_service(ctx);
    SOUK_TRY(souk_pg_write(ctx, s_disable, req, ret_rep));
    souk_keeper_hurry(service->keeper, USERS_TASK_KEYS);
    return SOUK_OK;
}

static souk_err_t s_enable(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_admin_enable_req_t *req = arg;
    return s_change_status(ctx, req->id, "disabled", "active", ret_rep);
}

souk_err_t users_admin_enable(souk_ctx_t *ctx, const users_admin_enable_req_t *req,
                              users_admin_enable_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_enable, req, ret_rep);
}

static souk_err_t s_sessions_end(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const users_admin_sessions_end_req_t *req = arg;
    target_t target = {0};
    SOUK_TRY(s_target(ctx, req->id, &target));
    SOUK_TRY(users_sessions_end(ctx, req->id, SOUK_STR("")));
    souk_str_t before = souk_arena_printf(souk_ctx_arena(ctx), "{\"sessions\":%lld}",
                                          (long long)target.user.sessions);
    return souk_pg_audit(ctx, "user.sessions_end", req->id, before, (souk_str_t){0});
}

souk_err_t users_admin_sessions_end(souk_ctx_t *ctx, const users_admin_sessions_end_req_t *req,
                                    users_admin_sessions_end_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_sessions_end, req, ret_rep);
}

static souk_err_t s_second_factor_end(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const users_admin_second_factor_end_req_t *req = arg;
    target_t target = {0};
    SOUK_TRY(s_target(ctx, req->id, &target));
    if (!target.user.second_factor) {
        return SOUK_ERR_TOTP_INACTIVE;
    }
    SOUK_TRY(users_second_factor_end(ctx, req->id));
    SOUK_TRY(users_sessions_end(ctx, req->id, SOUK_STR("")));
    return souk_pg_audit(ctx, "user.second_factor_end", req->id,
                         SOUK_STR("{\"second_factor\":true}"),
                         SOUK_STR("{\"second_factor\":false}"));
}

souk_err_t users_admin_second_factor_end(souk_ctx_t *ctx,
                                         const users_admin_second_factor_end_req_t *req,
                                         users_admin_second_factor_end_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_second_factor_end, req, ret_rep);
}
