/* One's own account and sessions. */
#include "me.h"

#include "gen/users_handlers.h"
#include "session.h"
#include "souk/text.h"

#define ME_SQL                                                                                     \
    "u.id, u.version, u.email, u.email_verified_at IS NOT NULL, u.name, u.phone, u.locale,"        \
    " array_to_string(u.roles, ' '), u.totp_sealed IS NOT NULL,"                                   \
    " (SELECT count(*) FROM recovery_codes r WHERE r.user_id = u.id), u.created_at, u.updated_at"

static const souk_pg_stmt_t s_me = {
    .name = "users_me",
    .sql = "SELECT " ME_SQL " FROM users u WHERE u.id = $1 AND u.status = 'active'"
           " AND EXISTS (SELECT FROM sessions s WHERE s.id = $2 AND s.user_id = u.id"
           " AND s.expires_at > now())"};
static const souk_pg_stmt_t s_update = {
    .name = "users_me_update",
    .sql = "UPDATE users u SET name = CASE WHEN $2 THEN $3 ELSE name END,"
           " name_folded = CASE WHEN $2 THEN $4 ELSE name_folded END,"
           " phone = CASE WHEN $5 THEN $6 ELSE phone END,"
           " locale = CASE WHEN $7 THEN $8 ELSE locale END,"
           " version = version + 1, updated_at = now() WHERE u.id = $1 RETURNING " ME_SQL};

static void s_set_text(souk_str_t text, unsigned bit, users_me_t *me,
                       void (*set)(users_me_t *me, souk_str_t value)) {
    if (text.data != NULL) {
        set(me, text);
    } else {
        souk_bits_set_nil(&me->bits, bit);
    }
}

static souk_err_t s_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows, users_me_t *me) {
    users_me_set_id(me, souk_pg_get_str(rows, 0, 0));
    users_me_set_version(me, souk_pg_get_int(rows, 0, 1));
    users_me_set_email(me, souk_pg_get_str(rows, 0, 2));
    users_me_set_email_verified(me, souk_pg_get_bool(rows, 0, 3));
    s_set_text(souk_pg_get_str(rows, 0, 4), USERS_ME_NAME_BIT, me, users_me_set_name);
    s_set_text(souk_pg_get_str(rows, 0, 5), USERS_ME_PHONE_BIT, me, users_me_set_phone);
    s_set_text(souk_pg_get_str(rows, 0, 6), USERS_ME_LOCALE_BIT, me, users_me_set_locale);
    souk_str_t names[USERS_ROLES_MAX];
    size_t count = users_roles_names(users_roles_of(souk_pg_get_str(rows, 0, 7)), names);
    souk_str_t *roles = users_me_new_roles(me, souk_ctx_arena(ctx), count);
    if (roles == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    memcpy(roles, names, count * sizeof(*roles));
    users_me_set_second_factor(me, souk_pg_get_bool(rows, 0, 8));
    users_me_set_recovery_codes_left(me, souk_pg_get_int(rows, 0, 9));
    users_me_set_created_at(me, souk_pg_get_time(rows, 0, 10));
    users_me_set_updated_at(me, souk_pg_get_time(rows, 0, 11));
    return SOUK_OK;
}

souk_err_t users_me_read(souk_ctx_t *ctx, users_me_t *ret_me) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_ctx_subject(ctx));
    souk_pg_str(&args, souk_ctx_session(ctx));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_me, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_UNAUTHENTICATED, "the session has ended");
    }
    return s_fill(ctx, rows, ret_me);
}

souk_err_t users_me_get(souk_ctx_t *ctx, const users_me_get_req_t *req,
                        users_me_get_rep_t *ret_rep) {
    (void)req;
    return users_me_read(ctx, ret_rep);
}

static souk_err_t s_me_update(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const users_me_update_req_t *req = arg;
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    SOUK_TRY(users_require_version(req->if_match, account.version));
    souk_str_t name = {0}, phone = req->phone, folded = {0};
    SOUK_TRY(users_line(ctx, "/name", req->name, 200, &name));
    if (name.data != NULL) {
        SOUK_TRY(souk_text_fold(souk_ctx_arena(ctx), name, &folded));
    }
    if (phone.data != NULL && !souk_phone_valid(phone)) {
        return souk_ctx_fail_field(ctx, "/phone", "must be a phone number");
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account.id);
    souk_pg_bool(&args, souk_bits_has(&req->bits, USERS_ME_UPDATE_REQ_NAME_BIT));
    souk_pg_str(&args, name);
    souk_pg_str(&args, folded);
    souk_pg_bool(&args, souk_bits_has(&req->bits, USERS_ME_UPDATE_REQ_PHONE_BIT));
    souk_pg_str(&args, phone);
    souk_pg_bool(&args, souk_bits_has(&req->bits, USERS_ME_UPDATE_REQ_LOCALE_BIT));
    souk_pg_str(&args, req->locale);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_update, &args, &rows));
    return s_fill(ctx, rows, ret_rep);
}

souk_err_t users_me_update(souk_ctx_t *ctx, const users_me_update_req_t *req,
                           users_me_update_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_me_update, req, ret_rep);
}

/* ---- sessions ---- */

const souk_pg_stmt_t users_sessions_of = {
    .name = "users_sessions_of",
    .sql = "SELECT id, device, address, second_factor, created_at, rotated_at, expires_at"
           " FROM sessions WHERE user_id = $1 AND expires_at > now() ORDER BY id DESC LIMIT 100"};
static const souk_pg_stmt_t s_delete = {
    .name = "users_session_delete", .sql = "DELETE FROM sessions WHERE id = $1 AND user_id = $2"};

souk_err_t users_sessions_fill(souk_ctx_t *ctx, const souk_pg_rows_t *rows, size_t row,
                               users_session_t *ret_session) {
    souk_str_t id = souk_pg_get_str(rows, row, 0), device = souk_pg_get_str(rows, row, 1);
    souk_str_t address = souk_pg_get_str(rows, row, 2);
    users_session_set_id(ret_session, id);
    users_session_set_current(ret_session, souk_str_equal(id, souk_ctx_session(ctx)));
    users_session_set_device(ret_session, device);
    if (device.data == NULL) {
        souk_bits_set_nil(&ret_session->bits, USERS_SESSION_DEVICE_BIT);
    }
    users_session_set_address(ret_session, address);
    if (address.data == NULL) {
        souk_bits_set_nil(&ret_session->bits, USERS_SESSION_ADDRESS_BIT);
    }
    users_session_set_second_factor(ret_session, souk_pg_get_bool(rows, row, 3));
    users_session_set_created_at(ret_session, souk_pg_get_time(rows, row, 4));
    users_session_set_used_at(ret_session, souk_pg_get_time(rows, row, 5));
    users_session_set_expires_at(ret_session, souk_pg_get_time(rows, row, 6));
    return SOUK_OK;
}

souk_err_t users_sessions_list(souk_ctx_t *ctx, const users_sessions_list_req_t *req,
                               users_sessions_list_rep_t *ret_rep) {
    (void)req;
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, false, &account));
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, account.id);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &users_sessions_of, &args, &rows));
    size_t count = souk_pg_count(rows);
    users_session_t *items = users_sessions_list_rep_new_data(ret_rep, souk_ctx_arena(ctx), count);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(users_sessions_fill(ctx, rows, i, &items[i]));
    }
    return SOUK_OK;
}

static souk_err_t s_sessions_delete(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    (void)ret_rep;
    const users_sessions_delete_req_t *req = arg;
    return users_actor_delete(ctx, &s_delete, req->id);
}

souk_err_t users_sessions_delete(souk_ctx_t *ctx, const users_sessions_delete_req_t *req,
                                 users_sessions_delete_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_sessions_delete, req, ret_rep);
}
