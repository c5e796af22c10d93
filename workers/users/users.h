/* What the handlers of the users service share: its state, who acts, and how an account's row is
 * read. docs/security.md says why things are as they are. */
#ifndef USERS_USERS_H
#define USERS_USERS_H

#include "gen/config.h"
#include "gen/users.h"
#include "password.h"
#include "runtime/ctx.h"
#include "runtime/pg.h"
#include "seal.h"
#include "souk/metrics.h"

#define USERS_STEP_MS 5000 /* budget of a background statement */

typedef struct users_keys users_keys_t;
typedef struct souk_keeper souk_keeper_t;

#define USERS_TASK_KEYS "keys" /* the keeper's, which reads keys when they have changed */

typedef struct {
    const souk_worker_config_t *config;
    users_secret_t secret;
    users_hasher_t *hasher;
    users_keys_t *keys;
    souk_keeper_t *keeper;
    souk_pg_health_t health;
    souk_series_t *hashes, *hashes_running, *keys_age;
} users_t;

/* An account's row. Texts live as long as the call; data NULL: null. */
typedef struct {
    souk_str_t id, email, email_folded, name, locale, password_hash, status;
    souk_str_t totp_sealed, totp_pending;
    uint32_t roles; /* bit i: souk_user_roles[i] */
    int64_t totp_step, version;
    bool email_verified;
    bool session_second_factor; /* of the session that acts; users_actor_* only */
} users_account_t;

/* The columns that users_account_read reads, of users AS u; further ones begin at
 * USERS_ACCOUNT_COLUMNS. */
#define USERS_ACCOUNT_SQL                                                                          \
    "u.id, u.email, u.email_folded, u.password_hash, u.status, u.totp_sealed, u.totp_pending, "    \
    "u.totp_step, u.version, u.email_verified_at IS NOT NULL, array_to_string(u.roles, ' '),"      \
    " u.name, u.locale"
#define USERS_ACCOUNT_COLUMNS 13

void users_account_read(const souk_pg_rows_t *rows, size_t row, users_account_t *ret_account);

/* ---- who acts ---- */

/* The signed-in user, whose session still stands and who is active; SOUK_ERR_UNAUTHENTICATED
 * otherwise: in this service a session's end counts at once. lock: inside souk_pg_write, keeps the
 * row until its end. */
SOUK_MUST_CHECK souk_err_t users_actor(souk_ctx_t *ctx, bool lock, users_account_t *ret_account);
/* As above, and password is theirs; SOUK_ERR_PASSWORD_WRONG, throttled by session. Outside of
 * souk_pg_write: it hashes. */
SOUK_MUST_CHECK souk_err_t users_actor_prove(souk_ctx_t *ctx, souk_str_t password,
                                             users_account_t *ret_account);
/* Inside souk_pg_write: the row of proven, locked; SOUK_ERR_PASSWORD_WRONG when its password has
 * changed since. */
SOUK_MUST_CHECK souk_err_t users_actor_again(souk_ctx_t *ctx, const users_account_t *proven,
                                             users_account_t *ret_account);
/* Inside souk_pg_write: runs a DELETE of one row ($1: id) of the actor's ($2); SOUK_ERR_NOT_FOUND
 * when they have no such row. */
SOUK_MUST_CHECK souk_err_t users_actor_delete(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt,
                                              souk_str_t id);

/* ---- passwords ---- */

SOUK_MUST_CHECK souk_err_t users_password_hash(souk_ctx_t *ctx, souk_str_t password,
                                               souk_str_t *ret_hash);
/* hash: data NULL for nobody's. */
SOUK_MUST_CHECK souk_err_t users_password_check(souk_ctx_t *ctx, souk_str_t hash,
                                                souk_str_t password, bool *ret_right);
/* A new password's form, or a bad field. */
SOUK_MUST_CHECK souk_err_t users_password_new(souk_ctx_t *ctx, souk_str_t given,
                                              souk_str_t email_folded, souk_str_t *ret_password);

/* ---- roles ---- */

uint32_t users_roles_of(souk_str_t names); /* names joined by spaces */
#define USERS_ROLES_MAX 16
/* Their names; returns how many. */
size_t users_roles_names(uint32_t roles, souk_str_t ret_names[USERS_ROLES_MAX]);
uint32_t users_role_bit(const char *name);
/* One of the roles has the scope. */
bool users_roles_have(uint32_t roles, souk_str_t scope);
/* The scope, or "*", stands among scopes, which are joined by spaces. */
bool users_scopes_have(souk_str_t scopes, souk_str_t scope);
/* The first of texts that are joined by spaces; *joined is what is behind it. Texts there are while
 * joined->size > 0. */
souk_str_t users_next_word(souk_str_t *joined);

/* ---- small things ---- */

/* Appends an outbox row about a user, inside souk_pg_write that holds the user's row. payload: a
 * JSON object. */
SOUK_MUST_CHECK souk_err_t users_event(souk_ctx_t *ctx, const char *type, souk_str_t user_id,
                                       souk_str_t payload);
/* Instead of such a row, for somebody whom there is nothing to tell about: the transaction reaches
 * the disk all the same, so that the time of an answer does not tell whether there was a row. */
SOUK_MUST_CHECK souk_err_t users_event_of_nobody(souk_ctx_t *ctx);
/* If-Match against a version; data NULL: no condition. */
SOUK_MUST_CHECK souk_err_t users_require_version(souk_str_t if_match, int64_t version);
/* A field's line (text.h) or a bad field. absent or null: data NULL. */
SOUK_MUST_CHECK souk_err_t users_line(souk_ctx_t *ctx, const char *pointer, souk_str_t text,
                                      size_t points_max, souk_str_t *ret_line);
souk_series_t *users_series(size_t metric, const char *label);
void users_count(size_t metric, const char *label);

/* A JSON object in text, for payloads and the audit log; in the arena at the end. */
typedef struct {
    souk_buf_t buf;
} users_json_t;

void users_json_begin(users_json_t *self);
/* data NULL: null */
void users_json_str(users_json_t *self, const char *name, souk_str_t value);
void users_json_int(users_json_t *self, const char *name, int64_t value);
void users_json_time(users_json_t *self, const char *name, int64_t unix_us);
void users_json_strs(users_json_t *self, const char *name, const souk_str_t *values, size_t count);
SOUK_MUST_CHECK souk_err_t users_json_end(users_json_t *self, souk_arena_t *arena,
                                          souk_str_t *ret_text);

#endif
