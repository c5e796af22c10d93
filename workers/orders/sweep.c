/* Expiry of unpaid orders, and their number: tasks of the keeper. Several workers run them at once:
 * who comes second finds the orders settled, and leaves them alone. */
#include "orders/parts.h"
#include "orders/settle.h"
#include "orders/tasks.h"
#include "runtime/keeper.h"
#include "souk/clock.h"
#include "souk/log.h"

#define TIMEOUT_MS 10000
/* Counting reads every unpaid order: once in so many sweeps. */
#define COUNT_EVERY 15
/* Of one transaction; more are left for the next run, at once. */
#define EXPIRE_MAX 200
/* So many that fail alone are not the orders' fault: the next run goes on behind them, after the
 * keeper's pause for tasks that fail. */
#define EXPIRE_FAILED_MAX 8

static const souk_pg_stmt_t s_due = {
    .name = "orders_due",
    .sql = "SELECT id, expires_at FROM orders WHERE status = 'placed' AND expires_at <= $1"
           " AND expires_at >= $3 AND (expires_at, id) > ($3, $4) ORDER BY expires_at, id"
           " LIMIT $2"};
static const souk_pg_stmt_t s_waiting = {
    .name = "orders_waiting",
    .sql = "SELECT count(*), min(placed_at) FROM orders WHERE status = 'placed'"};

/* ---- Expiry ---------------------------------------------------------------------------------- */

typedef struct {
    orders_service_t *service;
    orders_settle_input_t input;
    orders_settling_t *settlings;
    orders_outcome_t *outcomes;
    size_t failed, last_failed; /* alone: how many, and which */
} expiry_t;

/* False: the error is of one of the orders, which halving finds. */
static bool s_is_ours(souk_err_t err) {
    return err == SOUK_OK || err == SOUK_ERR_RETRY || err == SOUK_ERR_TIMEOUT ||
           err == SOUK_ERR_UNAVAILABLE || err == SOUK_ERR_UNKNOWN_OUTCOME;
}

static void s_count(const expiry_t *self, const orders_part_t *part) {
    orders_metrics_t *metrics = &self->service->metrics;
    for (size_t i = 0; i < part->count; i++) {
        orders_outcome_kind_t kind = self->outcomes[part->from + i].kind;
        souk_metric_add(metrics->outcomes[ORDERS_METRICS_EXPIRE][kind], 1);
    }
}

/* An order that cannot be expired is passed over, and tried again in the next pass. */
static souk_err_t s_expire_part(expiry_t *self, orders_parts_t *parts, const orders_part_t *part) {
    orders_metrics_t *metrics = &self->service->metrics;
    souk_metric_add(metrics->batches[ORDERS_METRICS_EXPIRE], 1);
    souk_metric_add(metrics->batched[ORDERS_METRICS_EXPIRE], (int64_t)part->count);
    const orders_settling_t *settlings = &self->settlings[part->from];
    souk_err_t err =
        orders_settle_call(&self->input, settlings, part->count, &self->outcomes[part->from]);
    if (s_is_ours(err)) {
        if (err == SOUK_OK) {
            s_count(self, part);
        }
        return err;
    }
    if (part->count > 1) {
        souk_metric_add(metrics->bisects, 1);
        orders_parts_halve(parts, part);
        return SOUK_OK;
    }
    souk_log(SOUK_LOG_ERROR, "OR-EXPIRE-FAILED", SOUK_F_STR("order", settlings->id),
             SOUK_F_TEXT("error", souk_err_info(err)->code),
             SOUK_F_TEXT("sqlstate", souk_pg_sqlstate(self->input.pg)));
    self->last_failed = part->from;
    self->failed++;
    return self->failed < EXPIRE_FAILED_MAX ? SOUK_OK : err;
}

static souk_err_t s_expire_all(expiry_t *self, size_t count) {
    orders_parts_t parts;
    orders_parts_init(&parts, count);
    orders_part_t part;
    while (orders_parts_next(&parts, &part)) {
        SOUK_TRY(s_expire_part(self, &parts, &part));
    }
    return SOUK_OK;
}

/* A page of those that are due, behind the last page of this pass. */
static souk_err_t s_read_due(const orders_sweep_at_t *at, const expiry_t *self,
                             const souk_pg_rows_t **ret_rows) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, self->input.arena);
    souk_pg_time(&args, self->input.at_us);
    souk_pg_int(&args, EXPIRE_MAX);
    souk_pg_time(&args, at->expires_at_us);
    souk_pg_str(&args, souk_str_of(at->id));
    return souk_pg_exec(self->input.pg, TIMEOUT_MS, self->input.arena, &s_due, &args, ret_rows);
}

static void s_go_behind(orders_sweep_at_t *at, const souk_pg_rows_t *rows, size_t row) {
    souk_str_t id = souk_pg_get_str(rows, row, 0);
    souk_assert(id.size < sizeof(at->id));
    *at = (orders_sweep_at_t){.expires_at_us = souk_pg_get_time(rows, row, 1)};
    memcpy(at->id, id.data, id.size);
}

static souk_err_t s_expire(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_service_t *service = arg;
    expiry_t self = {.service = service,
                     .input = {.pg = pg,
                               .timeout_ms = TIMEOUT_MS,
                               .arena = arena,
                               .move = ORDERS_MOVE_EXPIRE,
                               .method = "expire",
                               .at_us = souk_clock_unix_us()}};
    const souk_pg_rows_t *rows = NULL;
    SOUK_TRY(s_read_due(&service->sweep_at, &self, &rows));
    size_t count = souk_pg_count(rows);
    orders_sweep_at_t *at = &service->sweep_at;
    *at = (orders_sweep_at_t){0};
    if (count == 0) {
        return SOUK_OK;
    }
    self.settlings = souk_arena_alloc_array(arena, count, sizeof(*self.settlings));
    self.outcomes = souk_arena_alloc_array(arena, count, sizeof(*self.outcomes));
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        self.settlings[i] =
            (orders_settling_t){.id = souk_pg_get_str(rows, i, 0), .actor = SOUK_STR("system")};
    }
    souk_err_t err = s_expire_all(&self, count);
    if (self.failed == EXPIRE_FAILED_MAX) {
        s_go_behind(at, rows, self.last_failed);
    } else if (count == EXPIRE_MAX) { /* else the pass is over */
        s_go_behind(at, rows, count - 1);
    }
    return err == SOUK_OK && count == EXPIRE_MAX ? SOUK_ERR_RETRY : err;
}

/* ---- Counts ---------------------------------------------------------------------------------- */

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

souk_keeper_task_t orders_count_waiting(orders_service_t *service) {
    return (souk_keeper_task_t){.name = "unpaid",
                                .interval_ms =
                                    COUNT_EVERY * (uint32_t)service->config->orders_sweep_ms,
                                .run = s_count_waiting,
                                .arg = service};
}
