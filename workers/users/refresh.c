/* Exchange of refresh tokens, and the end of sessions. A token is good once. The one before the
 * newest, sent again within the grace, is a client that raced with itself or lost an answer: it is
 * told so and nothing happens. Any other former token is in hands that it was not given to, or its
 * thief's successor is: the session ends. */
#include "gen/metrics.h"
#include "gen/users_handlers.h"
#include "session.h"
#include "souk/id.h"
#include "token.h"

typedef enum { OUTCOME_OK, OUTCOME_UNKNOWN, OUTCOME_RACED, OUTCOME_REUSED } outcome_t;

static const char *const s_outcomes[] = {"ok", "unknown", "raced", "reused"};

typedef struct {
    users_refresh_t given;
    uint8_t family[16];
    /* A refusal commits too, when it ends the session: hence no error, but this. */
    outcome_t *outcome;
} refresh_t;

static const souk_pg_stmt_t s_lock = {
    .name = "users_refresh_lock",
    .sql = "SELECT " USERS_ACCOUNT_SQL ", s.family, s.current, s.previous,"
           " s.rotated_at > now() - make_interval(secs => $2), s.second_factor"
           " FROM sessions s JOIN users u ON u.id = s.user_id"
           " WHERE s.id = $1 AND s.expires_at > now() AND u.status = 'active' FOR UPDATE OF s"};
static const souk_pg_stmt_t s_rotate = {
    .name = "users_refresh_rotate",
    .sql = "UPDATE sessions SET previous = current, current = $2, rotated_at = now(),"
           " expires_at = LEAST(ends_at, now() + make_interval(days => $3::integer))"
           " WHERE id = $1 RETURNING expires_at"};
static const souk_pg_stmt_t s_end = {.name = "users_refresh_end",
                                     .sql = "DELETE FROM sessions WHERE id = $1"};
static const souk_pg_stmt_t s_audit = {
    .name = "users_refresh_audit",
    .sql = "INSERT INTO audit (id, actor, action, target, before, request_id) VALUES ($1, $2,"
           " 'session.token_reused', $3, jsonb_build_object('session', $4::text), $5)"};
static const souk_pg_stmt_t s_logout = {
    .name = "users_logout", .sql = "DELETE FROM sessions WHERE id = $1 AND user_id = $2"};

static outcome_t s_judge(const refresh_t *self, const souk_pg_rows_t *rows) {
    const int at = USERS_ACCOUNT_COLUMNS;
    if (souk_pg_count(rows) == 0 ||
        !users_hash_matches(&self->given.family, souk_pg_get_str(rows, 0, at))) {
        return OUTCOME_UNKNOWN;
    }
    if (users_hash_matches(&self->given.current, souk_pg_get_str(rows, 0, at + 1))) {
        return OUTCOME_OK;
    }
    bool is_previous = users_hash_matches(&self->given.current, souk_pg_get_str(rows, 0, at + 2));
    return is_previous && souk_pg_get_bool(rows, 0, at + 3) ? OUTCOME_RACED : OUTCOME_REUSED;
}

static souk_err_t s_end_family(souk_ctx_t *ctx, const refresh_t *self, souk_str_t user_id) {
    souk_str_t session = souk_str_of(self->given.session);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, session);
    SOUK_TRY(souk_pg_post(ctx, &s_end, &args));
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("aud_", id);
    souk_pg_args_t audit;
    souk_pg_args_init(&audit, souk_ctx_arena(ctx));
    souk_pg_str(&audit, (souk_str_t){.data = id, .size = size});
    souk_pg_str(&audit, SOUK_STR("anonymous"));
    souk_pg_str(&audit, user_id);
    souk_pg_str(&audit, session);
    souk_pg_str(&audit, souk_ctx_request_id(ctx));
    SOUK_TRY(souk_pg_post(ctx, &s_audit, &audit));
    souk_log(SOUK_LOG_WARN, "US-TOKEN-REUSED", SOUK_F_STR("user_id", user_id),
             SOUK_F_STR("session", session), SOUK_F_STR("request_id", souk_ctx_request_id(ctx)));
    return SOUK_OK;
}

static souk_err_t s_exchange(souk_ctx_t *ctx, const refresh_t *self, const souk_pg_rows_t *rows,
                             users_tokens_t *ret_tokens) {
    const users_t *service = souk_ctx_service(ctx);
    char text[USERS_REFRESH_CHARS + 1];
    users_refresh_t next;
    users_refresh_make(self->given.session, self->family, text, &next);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_str_of(next.session));
    souk_pg_bytes(&args, users_hash_str(&next.current));
    souk_pg_int(&args, service->config->users_refresh_days);
    const souk_pg_rows_t *rotated;
    SOUK_TRY(souk_pg_run(ctx, &s_rotate, &args, &rotated));
    users_account_t account = {0};
    users_account_read(rows, 0, &account);
    const users_session_grant_t grant = {
        .session = souk_str_of(next.session),
        .refresh_token = souk_str_of(text),
        .expires_us = souk_pg_get_time(rotated, 0, 0),
        .second_factor = souk_pg_get_bool(rows, 0, USERS_ACCOUNT_COLUMNS + 4),
    };
    return users_session_grant(ctx, &account, &grant, ret_tokens);
}

static souk_err_t s_refresh(souk_ctx_t *ctx, const void *arg, void *ret_rep) {
    const refresh_t *self = arg;
    const users_t *service = souk_ctx_service(ctx);
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_str_of(self->given.session));
    souk_pg_int(&args, service->config->users_refresh_grace_s);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_lock, &args, &rows));
    *self->outcome = s_judge(self, rows);
    if (*self->outcome == OUTCOME_OK) {
        return s_exchange(ctx, self, rows, ret_rep);
    }
    return *self->outcome == OUTCOME_REUSED ? s_end_family(ctx, self, souk_pg_get_str(rows, 0, 0))
                                            : SOUK_OK;
}

souk_err_t users_refresh(souk_ctx_t *ctx, const users_refresh_req_t *req,
                         users_refresh_rep_t *ret_rep) {
    outcome_t outcome = OUTCOME_UNKNOWN;
    refresh_t refresh = {.outcome = &outcome};
    if (users_refresh_parse(req->refresh_token, &refresh.given, refresh.family)) {
        SOUK_TRY(souk_pg_write(ctx, s_refresh, &refresh, ret_rep));
    }
    users_count(SOUK_METRIC_USERS_REFRESHES_TOTAL, s_outcomes[outcome]);
    switch (outcome) {
    case OUTCOME_OK:
        return SOUK_OK;
    case OUTCOME_RACED:
        return SOUK_ERR_REFRESH_RACED;
    case OUTCOME_REUSED:
        return souk_ctx_fail(ctx, SOUK_ERR_UNAUTHENTICATED,
                             "the token was used before: its session has been ended");
    case OUTCOME_UNKNOWN:
        break;
    }
    return souk_ctx_fail(ctx, SOUK_ERR_UNAUTHENTICATED, "the session has ended");
}

/* ---- ends ---- */

static souk_err_t s_logout_do(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    souk_pg_args_t args;
    souk_pg_args_init(&args, souk_ctx_arena(ctx));
    souk_pg_str(&args, souk_ctx_session(ctx));
    souk_pg_str(&args, souk_ctx_subject(ctx));
    return souk_pg_post(ctx, &s_logout, &args);
}

souk_err_t users_logout(souk_ctx_t *ctx, const users_logout_req_t *req,
                        users_logout_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_logout_do, req, ret_rep);
}

static souk_err_t s_logout_all_do(souk_ctx_t *ctx, const void *req, void *ret_rep) {
    (void)req;
    (void)ret_rep;
    users_account_t account = {0};
    SOUK_TRY(users_actor(ctx, true, &account));
    return users_sessions_end(ctx, account.id, SOUK_STR(""));
}

souk_err_t users_logout_all(souk_ctx_t *ctx, const users_logout_all_req_t *req,
                            users_logout_all_rep_t *ret_rep) {
    return souk_pg_write(ctx, s_logout_all_do, req, ret_rep);
}
