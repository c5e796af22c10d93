#include "purge.h"

#include "keys.h"

#define KEYS_INTERVAL_MS 1000
#define TURN_INTERVAL_MS 60000
#define PURGE_INTERVAL_MS 30000
#define PURGE_BATCH 500

/* Each in its own transaction, at most PURGE_BATCH rows; rows that another worker removes are left
 * to it. */
#define PURGE_SQL(table, condition)                                                                \
    "DELETE FROM " table " WHERE ctid = ANY (ARRAY(SELECT ctid FROM " table " WHERE " condition    \
    " LIMIT $1 FOR UPDATE SKIP LOCKED))"

static const souk_pg_stmt_t s_purges[] = {
    {.name = "users_purge_throttle", .sql = PURGE_SQL("throttle", "full_at < now()")},
    {.name = "users_purge_sessions", .sql = PURGE_SQL("sessions", "expires_at < now()")},
    {.name = "users_purge_tokens", .sql = PURGE_SQL("one_time_tokens", "expires_at < now()")},
    {.name = "users_purge_known",
     .sql = PURGE_SQL("known_addresses", "last_at < now() - interval '180 days'")},
    /* Gateways know when they end; this makes room for others. */
    {.name = "users_purge_keys",
     .sql = "UPDATE api_keys SET revoked_at = expires_at WHERE id IN (SELECT id FROM api_keys"
            " WHERE revoked_at IS NULL AND expires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED)"},
};

static souk_err_t s_purge(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    (void)arg;
    bool more = false;
    for (size_t i = 0; i < SOUK_COUNT_OF(s_purges); i++) {
        souk_pg_args_t args;
        souk_pg_args_init(&args, arena);
        souk_pg_int(&args, PURGE_BATCH);
        const souk_pg_rows_t *rows;
        SOUK_TRY(souk_pg_exec(pg, USERS_STEP_MS, arena, &s_purges[i], &args, &rows));
        more = more || souk_pg_affected(rows) == PURGE_BATCH;
    }
    return more ? SOUK_ERR_RETRY : SOUK_OK;
}

static souk_err_t s_follow(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    return users_keys_follow(arg, pg, arena);
}

static souk_err_t s_turn(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    return users_keys_turn(arg, pg, arena);
}

void users_tasks(users_t *service, souk_keeper_task_t ret_tasks[USERS_TASKS]) {
    size_t count = 0;
    ret_tasks[count++] = (souk_keeper_task_t){
        .name = USERS_TASK_KEYS, .interval_ms = KEYS_INTERVAL_MS, .run = s_follow, .arg = service};
    ret_tasks[count++] = (souk_keeper_task_t){
        .name = "rotate_keys", .interval_ms = TURN_INTERVAL_MS, .run = s_turn, .arg = service};
    ret_tasks[count++] = (souk_keeper_task_t){
        .name = "purge", .interval_ms = PURGE_INTERVAL_MS, .run = s_purge, .arg = service};
    ret_tasks[count++] = souk_keeper_purge_keys(service->config->idempotency_keep_hours);
    souk_assert(count == USERS_TASKS);
}
