#include "orders/erase.h"

#include <stdlib.h>

#include "gen/metrics.h"
#include "gen/users.h"
#include "runtime/caller.h"
#include "runtime/fault_point.h"
#include "runtime/keeper.h"
#include "souk/clock.h"
#include "souk/envelope.h"
#include "souk/log.h"
#include "souk/metrics.h"
#include "souk/schema.h"

#define PAGE_MAX 500
#define ROWS_MAX 100 /* of a kind and a subject in a transaction */
#define CALL_TIMEOUT_MS 2000
#define SQL_TIMEOUT_MS 10000
#define CONNECT_TIMEOUT_MS 5000
/* A subject whose orders have not all ended is looked at again after so many intervals. */
#define AGAIN_INTERVALS 12
/* Access tokens end 10 minutes after the account; more, for clocks and for what is under way. */
#define TOKENS_S 3600

struct orders_erase {
    const souk_worker_config_t *config;
    souk_caller_t *caller;
    souk_keeper_t *keeper;
    int64_t heard_at_us; /* of the keeper's thread */
    struct {
        souk_series_t *erased, *age, *late;
    } metrics;
};

/* ---- what is new ---- */

static const souk_pg_stmt_t s_checkpoint = {
    .name = "orders_erasures_checkpoint",
    .sql = "SELECT number, user_id::text FROM erasure_checkpoint"};
static const souk_pg_stmt_t s_take = {
    .name = "orders_erasures_take",
    .sql = "SELECT erasures_take($1, $2, $3, $4::text[], $5::timestamptz[])"};

typedef struct {
    int64_t number;
    souk_str_t user; /* empty: none yet */
} checkpoint_t;

static souk_err_t s_fetch(orders_erase_t *self, souk_arena_t *arena, const checkpoint_t *after,
                          users_erasures_rep_t *ret) {
    const souk_callee_t callee = {.service = "users",
                                  .method = "erasures",
                                  .class_ = SOUK_CLASS_READ,
                                  .priority = SOUK_PRIORITY_BATCH,
                                  .timeout_ms = CALL_TIMEOUT_MS,
                                  .req_type = &users_erasures_req_type,
                                  .rep_type = &users_erasures_rep_type};
    users_erasures_req_t req = {0};
    users_erasures_req_set_after(&req, after->number);
    if (after->user.size > 0) {
        users_erasures_req_set_id(&req, after->user);
    }
    users_erasures_req_set_limit(&req, PAGE_MAX);
    return souk_caller_ask(self->caller, &callee, &req, arena, ret);
}

static souk_err_t s_write(souk_pg_t *pg, souk_arena_t *arena, const checkpoint_t *after,
                          const users_erasures_rep_t *rep) {
    size_t count = 0;
    const users_erasure_t *users = users_erasures_rep_users(rep, &count);
    if (count == 0 && !rep->restart) {
        return SOUK_OK;
    }
    if (rep->restart) {
        souk_log(SOUK_LOG_WARN, "OR-ERASE-RESTART", SOUK_F_INT("checkpoint", after->number),
                 SOUK_F_STR("user", after->user));
    }
    souk_str_t *subjects = souk_arena_alloc_array(arena, count + 1, sizeof(*subjects));
    int64_t *times = souk_arena_alloc_array(arena, count + 1, sizeof(*times));
    if (subjects == NULL || times == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        subjects[i] = users[i].id;
        times[i] = users[i].erased_at;
    }
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, after->number);
    souk_pg_int(&args, count > 0 ? users[count - 1].number : 0);
    souk_pg_str(&args, count > 0 ? users[count - 1].id : SOUK_STR(""));
    souk_pg_strs(&args, subjects, count);
    souk_pg_times(&args, times, count);
    SOUK_TRY(souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, &s_take, &args, NULL));
    return rep->more ? SOUK_ERR_RETRY : SOUK_OK;
}

/* A users service that does not answer is no failure of this task's: the age tells. */
static souk_err_t s_pull(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_erase_t *self = arg;
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, &s_checkpoint, NULL, &rows));
    const checkpoint_t after = {.number = souk_pg_get_int(rows, 0, 0),
                                .user = souk_pg_get_str(rows, 0, 1)};
    users_erasures_rep_t rep = {0};
    souk_err_t err = s_fetch(self, arena, &after, &rep);
    if (err == SOUK_OK) {
        self->heard_at_us = souk_clock_mono_us();
        err = s_write(pg, arena, &after, &rep);
    } else if (err == SOUK_ERR_NO_MEMORY) {
        return err;
    } else {
        err = SOUK_OK;
    }
    souk_metric_set_us(self->metrics.age, souk_clock_mono_us() - self->heard_at_us);
    return err;
}

/* ---- what is due ---- */

static const souk_pg_stmt_t s_next = {
    .name = "orders_erasures_next",
    .sql = "SELECT found, erased FROM erasures_next($1, make_interval(secs => $2::bigint / 1000.0),"
           " make_interval(secs => $3::bigint))"};
static const souk_pg_stmt_t s_late = {
    .name = "orders_erasures_late",
    .sql = "SELECT min(look_at) FROM erased_subjects WHERE look_at <= now()"};

static souk_err_t s_erase_next(orders_erase_t *self, souk_pg_t *pg, souk_arena_t *arena,
                               bool *ret_found) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, ROWS_MAX);
    souk_pg_int(&args, AGAIN_INTERVALS * self->config->orders_erase_ms);
    souk_pg_int(&args, TOKENS_S);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_begin(pg, SQL_TIMEOUT_MS));
    souk_err_t err = souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, &s_next, &args, &rows);
    if (err != SOUK_OK) {
        souk_pg_rollback(pg);
        return err;
    }
    souk_fault_point("orders.erase.before_commit");
    SOUK_TRY(souk_pg_commit(pg));
    *ret_found = souk_pg_get_bool(rows, 0, 0);
    souk_metric_add(self->metrics.erased, souk_pg_get_int(rows, 0, 1));
    return SOUK_OK;
}

static souk_err_t s_erase(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_erase_t *self = arg;
    bool found = false;
    SOUK_TRY(s_erase_next(self, pg, arena, &found));
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, &s_late, NULL, &rows));
    int64_t late_us =
        souk_pg_is_null(rows, 0, 0) ? 0 : souk_clock_unix_us() - souk_pg_get_time(rows, 0, 0);
    souk_metric_set_us(self->metrics.late, late_us > 0 ? late_us : 0);
    return found ? SOUK_ERR_RETRY : SOUK_OK;
}

/* ---- life ---- */

static souk_err_t s_start(orders_erase_t *self) {
    const souk_worker_config_t *config = self->config;
    SOUK_TRY(souk_caller_new(config->front, config->name, &self->caller));
    const souk_keeper_task_t tasks[] = {{.name = "pull_erasures",
                                         .interval_ms = (uint32_t)config->orders_erase_ms,
                                         .run = s_pull,
                                         .arg = self},
                                        {.name = "erase",
                                         .interval_ms = (uint32_t)config->orders_erase_ms,
                                         .run = s_erase,
                                         .arg = self}};
    return souk_keeper_new(
        &(souk_keeper_options_t){.pg = {.url = config->orders_database_url,
                                        .service = "orders",
                                        .connect_timeout_ms = CONNECT_TIMEOUT_MS},
                                 .tasks = tasks,
                                 .tasks_count = SOUK_COUNT_OF(tasks)},
        &self->keeper);
}

souk_err_t orders_erase_new(const souk_worker_config_t *config, orders_erase_t **ret_self) {
    orders_erase_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->config = config;
    self->heard_at_us = souk_clock_mono_us();
    self->metrics.erased = souk_metric(SOUK_METRIC_ORDERS_ERASED_TOTAL, NULL);
    self->metrics.age = souk_metric(SOUK_METRIC_ORDERS_ERASURES_AGE_SECONDS, NULL);
    self->metrics.late = souk_metric(SOUK_METRIC_ORDERS_ERASURES_LATE_SECONDS, NULL);
    souk_err_t err = s_start(self);
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "OR-ERASE-START-FAILED",
                 SOUK_F_TEXT("code", souk_err_info(err)->code));
        orders_erase_destroy(&self);
        return err == SOUK_ERR_MALFORMED ? SOUK_ERR_VALIDATION : err;
    }
    *ret_self = self;
    return SOUK_OK;
}

void orders_erase_destroy(orders_erase_t **self_p) {
    orders_erase_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    if (self->caller != NULL) {
        souk_caller_close(self->caller); /* what waits for the users service comes back */
    }
    souk_keeper_destroy(&self->keeper);
    souk_caller_destroy(&self->caller);
    free(self);
    *self_p = NULL;
}
