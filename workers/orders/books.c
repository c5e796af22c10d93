/* The books: whether stock agrees with its ledger and with what orders hold. The view reads whole
 * tables, so this has a keeper of its own, on which nothing else waits, and one worker does it for
 * all: the one whose connection holds an advisory lock, which ends with the connection. */
#include "orders/tasks.h"
#include "souk/log.h"

#define TIMEOUT_MS 30000 /* a stop of the worker waits so long for a look in progress */
#define LOCK_TIMEOUT_MS 2000
/* The gauge while this worker does not know: another one looks, or the last look failed. */
#define UNKNOWN (-1)

/* Held by the session from the first time on. "souk" in ASCII, and which of its locks. */
static const souk_pg_stmt_t s_hold = {
    .name = "orders_books_hold",
    .sql = "SELECT CASE WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'"
           " AND pid = pg_backend_pid() AND classid = 1936684395 AND objid = 1 AND objsubid = 2"
           " AND granted) THEN true ELSE pg_try_advisory_lock(1936684395, 1) END"};
static const souk_pg_stmt_t s_books = {.name = "orders_books",
                                       .sql = "SELECT what, id, actual, expected,"
                                              " count(*) OVER () FROM stock_imbalances"
                                              " LIMIT 10"};

static souk_err_t s_look(souk_pg_t *pg, souk_arena_t *arena, int64_t *ret_imbalances) {
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(souk_pg_exec(pg, LOCK_TIMEOUT_MS, arena, &s_hold, NULL, &rows));
    if (!souk_pg_get_bool(rows, 0, 0)) {
        return SOUK_OK;
    }
    SOUK_TRY(souk_pg_exec(pg, TIMEOUT_MS, arena, &s_books, NULL, &rows));
    for (size_t i = 0; i < souk_pg_count(rows); i++) {
        souk_log(SOUK_LOG_ERROR, "OR-IMBALANCE", SOUK_F_STR("what", souk_pg_get_str(rows, i, 0)),
                 SOUK_F_STR("id", souk_pg_get_str(rows, i, 1)),
                 SOUK_F_INT("actual", souk_pg_get_int(rows, i, 2)),
                 SOUK_F_INT("expected", souk_pg_get_int(rows, i, 3)));
    }
    *ret_imbalances = souk_pg_count(rows) > 0 ? souk_pg_get_int(rows, 0, 4) : 0;
    return SOUK_OK;
}

static souk_err_t s_check(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_service_t *service = arg;
    int64_t imbalances = UNKNOWN;
    souk_err_t err = s_look(pg, arena, &imbalances);
    souk_metric_set(service->metrics.imbalances, imbalances);
    return err;
}

souk_keeper_task_t orders_check_books(orders_service_t *service) {
    souk_metric_set(service->metrics.imbalances, UNKNOWN);
    return (souk_keeper_task_t){.name = "books",
                                .interval_ms = (uint32_t)service->config->orders_books_ms,
                                .run = s_check,
                                .arg = service};
}
