#include "runtime/keeper.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "gen/metrics.h"
#include "pg_impl.h"
#include "souk/clock.h"
#include "souk/id.h"
#include "souk/log.h"
#include "souk/thread.h"

#define MEMORY_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define MEMORY_KEEP_BYTES ((size_t)64 * 1024)
#define CONNECT_PAUSE_FIRST_US ((int64_t)100 * 1000)
#define CONNECT_PAUSE_MAX_US ((int64_t)2 * 1000 * 1000)
#define FIRST_RUN_WITHIN_US ((int64_t)2 * 1000 * 1000)
#define FAILED_PAUSE_FIRST_US ((int64_t)5 * 1000 * 1000)
#define FAILED_PAUSE_MAX_US ((int64_t)300 * 1000 * 1000)

typedef struct {
    souk_keeper_task_t task;
    int64_t next_us;
    int64_t failed_pause_us; /* 0: the last run did well */
    bool hurried;            /* under mutex */
    souk_series_t *ok, *failed, *seconds;
} souk_keeper_row_t;

struct souk_keeper {
    souk_pg_options_t options;
    souk_pg_health_t health; /* when the service gave none: an outage is logged once in a while */
    souk_keeper_row_t rows[SOUK_KEEPER_TASKS_MAX];
    size_t rows_count;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool stopping; /* under mutex */
    /* Of the thread alone. */
    souk_pg_t *pg;
    souk_arena_t *arena;
    int64_t connect_at_us, connect_pause_us;
};

static int64_t s_random(int64_t below) {
    uint32_t random;
    souk_random(&random, sizeof(random));
    return (int64_t)((uint64_t)random * (uint64_t)below >> 32);
}

static int64_t s_spread(int64_t us) {
    return us - us / 10 + s_random(us / 5 + 1);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static bool s_require_connection(souk_keeper_t *self) {
    if (self->pg != NULL && souk_pg_ok(self->pg)) {
        return true;
    }
    if (souk_clock_mono_us() < self->connect_at_us) {
        return false;
    }
    souk_pg_close(&self->pg);
    souk_err_t err = souk_pg_open(&self->options, &self->pg);
    souk_assert(err == SOUK_OK); /* the url was read before */
    if (souk_pg_ok(self->pg)) {
        self->connect_pause_us = 0;
        return true;
    }
    self->connect_pause_us =
        self->connect_pause_us == 0 ? CONNECT_PAUSE_FIRST_US : self->connect_pause_us * 2;
    if (self->connect_pause_us > CONNECT_PAUSE_MAX_US) {
        self->connect_pause_us = CONNECT_PAUSE_MAX_US;
    }
    self->connect_at_us = souk_clock_mono_us() + s_spread(self->connect_pause_us);
    return false;
}

/* The task that waits longest, hurried ones first. */
static souk_keeper_row_t *s_pick(souk_keeper_t *self) {
    souk_keeper_row_t *found = &self->rows[0];
    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < self->rows_count; i++) {
        souk_keeper_row_t *row = &self->rows[i];
        if (row->hurried) {
            row->hurried = false;
            row->next_us = 0;
        }
        found = row->next_us < found->next_us ? row : found;
    }
    pthread_mutex_unlock(&self->mutex);
    return found;
}

static void s_note_failure(souk_keeper_t *self, souk_keeper_row_t *row, souk_err_t err) {
    int64_t interval_us = (int64_t)row->task.interval_ms * 1000;
    int64_t pause_us = row->failed_pause_us == 0 ? FAILED_PAUSE_FIRST_US : row->failed_pause_us * 2;
    int64_t max_us = interval_us < FAILED_PAUSE_MAX_US ? interval_us : FAILED_PAUSE_MAX_US;
    row->failed_pause_us = pause_us < max_us ? pause_us : max_us;
    souk_metric_add(row->failed, 1);
    souk_log(SOUK_LOG_WARN, "PG-TASK-FAILED", SOUK_F_TEXT("service", self->options.service),
             SOUK_F_TEXT("task", row->task.name), SOUK_F_TEXT("error", souk_err_info(err)->code),
             SOUK_F_TEXT("sqlstate", souk_pg_sqlstate(self->pg)),
             SOUK_F_INT("retry_ms", row->failed_pause_us / 1000));
}

/* A deadlock is SOUK_ERR_RETRY too; run at once again and again, it might never end. */
static bool s_is_failure(const souk_keeper_t *self, souk_err_t err) {
    bool is_conflict = err == SOUK_ERR_RETRY && souk_pg_sqlstate(self->pg)[0] != '\0';
    return is_conflict || (err != SOUK_OK && err != SOUK_ERR_RETRY);
}

static void s_run(souk_keeper_t *self, souk_keeper_row_t *row) {
    int64_t from_us = souk_clock_mono_us();
    self->pg->sqlstate[0] = '\0';
    souk_err_t err = row->task.run(self->pg, self->arena, row->task.arg);
    souk_pg_rollback(self->pg); /* a task that failed may leave its transaction to us */
    souk_arena_reset(self->arena);
    int64_t now_us = souk_clock_mono_us();
    souk_metric_observe_us(row->seconds, now_us - from_us);
    if (s_is_failure(self, err)) {
        s_note_failure(self, row, err);
        row->next_us = now_us + s_spread(row->failed_pause_us);
        return;
    }
    souk_metric_add(row->ok, 1);
    row->failed_pause_us = 0;
    row->next_us =
        err == SOUK_OK ? now_us + s_spread((int64_t)row->task.interval_ms * 1000) : now_us;
}

/* One step. Returns when there is something to do next. */
static int64_t s_turn(souk_keeper_t *self) {
    if (!s_require_connection(self)) {
        return self->connect_at_us;
    }
    souk_keeper_row_t *row = s_pick(self);
    if (row->next_us <= souk_clock_mono_us()) {
        s_run(self, row);
        return 0;
    }
    return row->next_us;
}

static bool s_is_hurried(const souk_keeper_t *self) {
    for (size_t i = 0; i < self->rows_count; i++) {
        if (self->rows[i].hurried) {
            return true;
        }
    }
    return false;
}

/* Hurrying does not help against a server that is away. False: stop. */
static bool s_sleep_until(souk_keeper_t *self, int64_t until_us) {
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    bool is_away = !(self->pg != NULL && souk_pg_ok(self->pg));
    int rc = 0;
    pthread_mutex_lock(&self->mutex);
    while (rc == 0 && !self->stopping && (is_away || !s_is_hurried(self)) &&
           souk_clock_mono_us() < until_us) {
        rc = pthread_cond_timedwait(&self->woken, &self->mutex, &until);
    }
    bool go_on = !self->stopping;
    pthread_mutex_unlock(&self->mutex);
    return go_on;
}

static void *s_main(void *arg) {
    souk_keeper_t *self = arg;
    while (s_sleep_until(self, s_turn(self))) {
    }
    souk_pg_close(&self->pg);
    return NULL;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void s_make_rows(souk_keeper_t *self, const souk_keeper_options_t *options) {
    souk_assert(options->tasks_count > 0 && options->tasks_count <= SOUK_KEEPER_TASKS_MAX);
    self->rows_count = options->tasks_count;
    int64_t now_us = souk_clock_mono_us();
    const char *service = options->pg.service;
    for (size_t i = 0; i < self->rows_count; i++) {
        souk_keeper_row_t *row = &self->rows[i];
        row->task = options->tasks[i];
        const char *name = row->task.name;
        int64_t interval_us = (int64_t)row->task.interval_ms * 1000;
        row->next_us = now_us + s_random(interval_us < FIRST_RUN_WITHIN_US ? interval_us
                                                                           : FIRST_RUN_WITHIN_US);
        row->ok = souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, service, name, "ok", NULL);
        row->failed = souk_metric(SOUK_METRIC_KEEPER_RUNS_TOTAL, service, name, "error", NULL);
        row->seconds = souk_metric(SOUK_METRIC_KEEPER_SECONDS, service, name, NULL);
    }
}

static void s_free(souk_keeper_t *self) {
    souk_arena_destroy(&self->arena);
    pthread_cond_destroy(&self->woken);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

souk_err_t souk_keeper_new(const souk_keeper_options_t *options, souk_keeper_t **ret_self) {
    if (!souk_pg_url_valid(options->pg.url)) {
        return SOUK_ERR_VALIDATION;
    }
    souk_keeper_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->options = options->pg;
    self->options.health = options->pg.health != NULL ? options->pg.health : &self->health;
    s_make_rows(self, options);
    size_t memory = options->memory_bytes_max != 0 ? options->memory_bytes_max : MEMORY_BYTES_MAX;
    self->arena = souk_arena_new(memory, memory < MEMORY_KEEP_BYTES ? memory : MEMORY_KEEP_BYTES);
    souk_cond_init(&self->woken);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    if (!souk_thread_start(&self->thread, s_main, self)) {
        s_free(self);
        return SOUK_ERR_IO;
    }
    *ret_self = self;
    return SOUK_OK;
}

void souk_keeper_destroy(souk_keeper_t **self_p) {
    souk_keeper_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_signal(&self->woken);
    pthread_mutex_unlock(&self->mutex);
    (void)pthread_join(self->thread, NULL);
    s_free(self);
    *self_p = NULL;
}

void souk_keeper_hurry(souk_keeper_t *self, const char *name) {
    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < self->rows_count; i++) {
        self->rows[i].hurried = self->rows[i].hurried || strcmp(self->rows[i].task.name, name) == 0;
    }
    pthread_cond_signal(&self->woken);
    pthread_mutex_unlock(&self->mutex);
}

/* ---- Keys that nobody asks for any more ------------------------------------------------------ */

#define PURGE_INTERVAL_MS 60000
#define PURGE_TIMEOUT_MS 10000
#define PURGE_BATCH 500

/* Several workers purge beside each other: each takes rows that no other has. */
static const souk_pg_stmt_t s_purge = {
    .name = "souk_key_purge",
    .sql = "DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency"
           " WHERE created_at < now() - make_interval(hours => $1::integer)"
           " ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))"};

static souk_err_t s_purge_keys(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, (int64_t)(intptr_t)arg);
    souk_pg_int(&args, PURGE_BATCH);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, PURGE_TIMEOUT_MS, arena, &s_purge, &args, &rows));
    return souk_pg_affected(rows) == PURGE_BATCH ? SOUK_ERR_RETRY : SOUK_OK;
}

souk_keeper_task_t souk_keeper_purge_keys(int64_t keep_hours) {
    return (souk_keeper_task_t){.name = "purge_keys",
                                .interval_ms = PURGE_INTERVAL_MS,
                                .run = s_purge_keys,
                                .arg = (void *)(intptr_t)keep_hours};
}
