/* Expiry of unpaid orders, and the books: tasks of the keeper. Several workers run them at once:
 * who comes second finds the orders settled, and leaves them alone. */
#include "orders/settle.h"
#include "orders/tasks.h"
#include "runtime/keeper.h"
#include "souk/clock.h"
#include "souk/log.h"

#define TIMEOUT_MS 10000
/* Of one transaction; more are left for the next run, at once. */
#define EXPIRE_MAX 200

static const souk_pg_stmt_t s_due = {
    .name = "orders_due",
    .sql = "SELECT id FROM orders WHERE status = 'placed' AND expires_at <= $1"
           " ORDER BY expires_at LIMIT $2"};
static const souk_pg_stmt_t s_books = {.name = "orders_books",
                                       .sql = "SELECT what, id, actual, expected,"
                                              " count(*) OVER () FROM stock_imbalances"
                                              " LIMIT 10"};
static const souk_pg_stmt_t s_waiting = {
    .name = "orders_waiting",
    .sql = "SELECT count(*), min(placed_at) FROM orders WHERE status = 'placed'"};

static souk_err_t s_expire(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_service_t *service = arg;
    int64_t now_us = souk_clock_unix_us();
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_time(&args, now_us);
    souk_pg_int(&args, EXPIRE_MAX);
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(souk_pg_exec(pg, TIMEOUT_MS, arena, &s_due, &args, &rows));
    size_t count = souk_pg_count(rows);
    if (count == 0) {
        return SOUK_OK;
    }
    orders_settling_t *settlings = souk_arena_alloc_array(arena, count, sizeof(*settlings));
    orders_outcome_t *outcomes = souk_arena_alloc_array(arena, count, sizeof(*outcomes));
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        settlings[i] =
            (orders_settling_t){.id = souk_pg_get_str(rows, i, 0), .actor = SOUK_STR("system")};
    }
    const orders_settle_input_t input = {.pg = pg,
                                         .timeout_ms = TIMEOUT_MS,
                                         .arena = arena,
                                         .move = ORDERS_MOVE_EXPIRE,
                                         .method = "expire",
                                         .at_us = now_us};
    SOUK_TRY(orders_settle_call(&input, settlings, count, outcomes));
    orders_metrics_t *metrics = &service->metrics;
    souk_metric_add(metrics->batches[ORDERS_METRICS_EXPIRE], 1);
    souk_metric_add(metrics->batched[ORDERS_METRICS_EXPIRE], (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        souk_metric_add(metrics->outcomes[ORDERS_METRICS_EXPIRE][outcomes[i].kind], 1);
    }
    return count == EXPIRE_MAX ? SOUK_ERR_RETRY : SOUK_OK;
}

static souk_err_t s_check_books(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_service_t *service = arg;
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(souk_pg_exec(pg, TIMEOUT_MS, arena, &s_books, NULL, &rows));
    souk_metric_set(service->metrics.imbalances,
                    souk_pg_count(rows) > 0 ? souk_pg_get_int(rows, 0, 4) : 0);
    for (size_t i = 0; i < souk_pg_count(rows); i++) {
        souk_log(SOUK_LOG_ERROR, "OR-IMBALANCE", SOUK_F_STR("what", souk_pg_get_str(rows, i, 0)),
                 SOUK_F_STR("id", souk_pg_get_str(rows, i, 1)),
                 SOUK_F_INT("actual", souk_pg_get_int(rows, i, 2)),
                 SOUK_F_INT("expected", souk_pg_get_int(rows, i, 3)));
    }
    return SOUK_OK;
}

static souk_err_t s_count_waiting(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_service_t *service = arg;
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(souk_pg_exec(pg, TIMEOUT_MS, arena, &s_waiting, NULL, &rows));
    int64_t oldest = souk_pg_get_time(rows, 0, 1);
    int64_t age_us = oldest == ORDERS_NO_TIME ? 0 : souk_clock_unix_us() - oldest;
    souk_metric_set(service->metrics.unpaid, souk_pg_get_int(rows, 0, 0));
    souk_metric_set_us(service->metrics.oldest_unpaid, age_us > 0 ? age_us : 0);
    return SOUK_OK;
}

souk_keeper_task_t orders_sweep(orders_service_t *service) {
    return (souk_keeper_task_t){.name = "expire",
                                .interval_ms = (uint32_t)service->config->orders_sweep_ms,
                                .run = s_expire,
                                .arg = service};
}

souk_keeper_task_t orders_check_books(orders_service_t *service) {
    return (souk_keeper_task_t){.name = "books",
                                .interval_ms = (uint32_t)service->config->orders_books_ms,
                                .run = s_check_books,
                                .arg = service};
}

souk_keeper_task_t orders_count_waiting(orders_service_t *service) {
    return (souk_keeper_task_t){.name = "unpaid",
                                .interval_ms = (uint32_t)service->config->orders_sweep_ms,
                                .run = s_count_waiting,
                                .arg = service};
}
