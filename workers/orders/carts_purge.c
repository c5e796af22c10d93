#include "gen/metrics.h"
#include "orders/tasks.h"
#include "souk/metrics.h"

#define BATCH 500
#define TIMEOUT_MS 5000

/* SKIP LOCKED: a cart that somebody changes just now lives on, and two workers share the work. */
static const souk_pg_stmt_t s_purge = {
    .name = "orders_carts_purge",
    .sql = "DELETE FROM carts WHERE id IN (SELECT id FROM carts WHERE expires_at <= now()"
           " ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)"};

static souk_err_t s_run(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    (void)arg;
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, BATCH);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, TIMEOUT_MS, arena, &s_purge, &args, &rows));
    size_t gone = souk_pg_affected(rows);
    souk_metric_add(souk_metric(SOUK_METRIC_CARTS_PURGED_TOTAL, NULL), (int64_t)gone);
    return gone == BATCH ? SOUK_ERR_RETRY : SOUK_OK;
}

souk_keeper_task_t orders_carts_purge(const souk_worker_config_t *config) {
    return (souk_keeper_task_t){
        .name = "carts_purge", .interval_ms = (uint32_t)config->carts_purge_ms, .run = s_run};
}
