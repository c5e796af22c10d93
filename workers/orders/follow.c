#include "orders/follow.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "gen/metrics.h"
#include "orders/follow_page.h"
#include "runtime/caller.h"
#include "runtime/keeper.h"
#include "souk/clock.h"
#include "souk/envelope.h"
#include "souk/id.h"
#include "souk/log.h"
#include "souk/metrics.h"
#include "souk/schema.h"
#include "souk/thread.h"

#define PAGE_CHANGES_MAX 500
#define SLICE_SKUS 500
#define CALL_TIMEOUT_MS 2000
#define SQL_TIMEOUT_MS 2000
#define MEMORY_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define RECORD_BYTES_MAX 64
#define US_PER_MS ((int64_t)1000)
/* Catalogue workers lag behind each other for a moment. All of them so far behind the checkpoint
 * for so long: an older state of the record was put back. */
#define WENT_BACK_US (10 * 1000 * US_PER_MS)
/* A holder that cannot reach the catalogue for so long lets another worker try, which may. */
#define AWAY_US (5 * 1000 * US_PER_MS)
#define AWAY_LOGGED_US (1000 * US_PER_MS)
#define LEASE_RENEWALS 3 /* so often in its time */
#define LEAVE_MS 500
#define TASK "follow_catalog"

typedef enum { PHASE_RESET, PHASE_LOAD, PHASE_SWEEP, PHASE_FOLLOW } phase_t;

struct orders_follow {
    const souk_worker_config_t *config;
    souk_caller_t *caller;
    souk_keeper_t *keeper;
    char holder[SOUK_ID_BYTES_MAX]; /* of this process and of no other */
    pthread_mutex_t mutex;
    pthread_cond_t left;
    bool leaving, has_left; /* under mutex */
    /* The keeper's thread alone from here on. What the row of the lease says, while it is held. */
    bool held;
    int64_t epoch, checkpoint, renew_at_us;
    phase_t phase;
    char record[RECORD_BYTES_MAX + 1];
    char slice_sku[256]; /* RESET and SWEEP: how far they are */
    int64_t singly_to;   /* up to this revision a change at a time: one of them fails */
    int64_t page_max;    /* changes: halved by what is too much at once, doubled by success */
    bool away;           /* logged */
    int64_t away_since_us, back_since_us; /* of this holding; 0: not */
    int64_t shy_until_us;
    struct {
        souk_series_t *holder, *lag, *changes, *skipped;
    } metrics;
};

/* ---- the lease ---- */

static const souk_pg_stmt_t s_hold_stmt = {
    .name = "orders_follow_hold",
    .sql = "UPDATE follower_lease SET epoch = epoch + (holder <> $1)::integer, holder = $1,"
           " expires_at = clock_timestamp() + $2 * interval '1 millisecond'"
           " WHERE holder = $1 OR expires_at < clock_timestamp()"
           " RETURNING epoch, record::text, checkpoint, phase"};
static const souk_pg_stmt_t s_release_stmt = {
    .name = "orders_follow_release",
    .sql = "UPDATE follower_lease SET expires_at = '-infinity' WHERE holder = $1"};

static void s_let_go(orders_follow_t *self, const char *why) {
    if (self->held) {
        souk_log(SOUK_LOG_INFO, "OR-FOLLOW-LEASE-LOST", SOUK_F_TEXT("why", why),
                 SOUK_F_INT("epoch", self->epoch), SOUK_F_INT("checkpoint", self->checkpoint));
    }
    self->held = false;
    self->back_since_us = 0;
    souk_metric_set(self->metrics.holder, 0);
    souk_metric_set(self->metrics.lag, 0);
}

static void s_take(orders_follow_t *self, const souk_pg_rows_t *rows) {
    souk_str_t record = souk_pg_get_str(rows, 0, 1), phase = souk_pg_get_str(rows, 0, 3);
    self->epoch = souk_pg_get_int(rows, 0, 0);
    self->checkpoint = souk_pg_get_int(rows, 0, 2);
    self->phase = souk_str_equal(phase, SOUK_STR("reset"))  ? PHASE_RESET
                  : souk_str_equal(phase, SOUK_STR("load")) ? PHASE_LOAD
                                                            : PHASE_FOLLOW;
    self->record[0] = '\0';
    if (record.size <= RECORD_BYTES_MAX) {
        memcpy(self->record, record.data, record.size);
        self->record[record.size] = '\0';
    }
    self->slice_sku[0] = '\0';
    self->singly_to = 0;
    self->page_max = PAGE_CHANGES_MAX;
    self->away_since_us = 0;
    self->held = true;
    souk_metric_set(self->metrics.holder, 1);
    souk_log(SOUK_LOG_INFO, "OR-FOLLOW-LEASE", SOUK_F_INT("epoch", self->epoch),
             SOUK_F_INT("checkpoint", self->checkpoint), SOUK_F_STR("phase", phase));
}

/* Takes the lease or prolongs it; held says how that went. */
static souk_err_t s_hold(orders_follow_t *self, souk_pg_t *pg, souk_arena_t *arena) {
    int64_t now_us = souk_clock_mono_us();
    int64_t lease_us = self->config->orders_lease_ms * US_PER_MS;
    if (now_us < (self->held ? self->renew_at_us : self->shy_until_us)) {
        return SOUK_OK;
    }
    souk_pg_args_t args;
    const souk_pg_rows_t *rows;
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, souk_str_of(self->holder));
    souk_pg_int(&args, self->config->orders_lease_ms);
    SOUK_TRY(souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, &s_hold_stmt, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        s_let_go(self, "taken");
        return SOUK_OK;
    }
    self->renew_at_us = now_us + lease_us / LEASE_RENEWALS;
    if (!self->held) {
        s_take(self, rows);
    }
    return SOUK_OK;
}

static souk_err_t s_release(orders_follow_t *self, souk_pg_t *pg, souk_arena_t *arena,
                            const char *why) {
    souk_pg_args_t args;
    if (!self->held) {
        return SOUK_OK;
    }
    s_let_go(self, why);
    souk_pg_args_init(&args, arena);
    souk_pg_str(&args, souk_str_of(self->holder));
    return souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, &s_release_stmt, &args, NULL);
}

/* ---- another catalogue ---- */

static const souk_pg_stmt_t s_begin_stmt = {.name = "orders_follow_begin",
                                            .sql = "SELECT follower_begin($1, $2)"};
static const souk_pg_stmt_t s_reset_stmt = {.name = "orders_follow_reset",
                                            .sql = "SELECT follower_reset($1, $2, $3)"};
static const souk_pg_stmt_t s_sweep_stmt = {.name = "orders_follow_sweep",
                                            .sql = "SELECT follower_sweep($1, $2, $3)"};

/* The next slice of SKUs. At the end the row says how to go on, so it is read again. */
static souk_err_t s_slice(orders_follow_t *self, const souk_pg_stmt_t *stmt, souk_pg_t *pg,
                          souk_arena_t *arena) {
    souk_pg_args_t args;
    const souk_pg_rows_t *rows;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, self->epoch);
    souk_pg_str(&args, souk_str_of(self->slice_sku));
    souk_pg_int(&args, SLICE_SKUS);
    SOUK_TRY(souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, stmt, &args, &rows));
    souk_str_t last = souk_pg_get_str(rows, 0, 0);
    if (last.data == NULL) {
        self->held = false;
        self->renew_at_us = 0;
        return SOUK_ERR_RETRY;
    }
    if (last.size >= sizeof(self->slice_sku)) {
        return SOUK_ERR_INTERNAL; /* none that came from the catalogue is so long */
    }
    memcpy(self->slice_sku, last.data, last.size);
    self->slice_sku[last.size] = '\0';
    return SOUK_ERR_RETRY;
}

static souk_err_t s_begin(orders_follow_t *self, souk_pg_t *pg, souk_arena_t *arena,
                          const catalog_changes_rep_t *rep) {
    souk_pg_args_t args;
    souk_log(self->record[0] == '\0' ? SOUK_LOG_INFO : SOUK_LOG_WARN, "OR-FOLLOW-OTHER-CATALOGUE",
             SOUK_F_TEXT("was", self->record), SOUK_F_STR("is", rep->record),
             SOUK_F_INT("checkpoint", self->checkpoint), SOUK_F_INT("revision", rep->revision));
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, self->epoch);
    souk_pg_str(&args, rep->record);
    SOUK_TRY(souk_pg_exec(pg, SQL_TIMEOUT_MS, arena, &s_begin_stmt, &args, NULL));
    self->back_since_us = 0;
    self->held = false; /* the row is read again */
    self->renew_at_us = 0;
    return SOUK_ERR_RETRY;
}

/* ---- pages ---- */

static souk_err_t s_fetch(orders_follow_t *self, souk_arena_t *arena, catalog_changes_rep_t *ret) {
    const souk_callee_t callee = {.service = "catalog",
                                  .method = "changes",
                                  .class_ = SOUK_CLASS_READ,
                                  .priority = SOUK_PRIORITY_BATCH,
                                  .timeout_ms = CALL_TIMEOUT_MS,
                                  .req_type = &catalog_changes_req_type,
                                  .rep_type = &catalog_changes_rep_type};
    catalog_changes_req_t req = {0};
    catalog_changes_req_set_after(&req, self->checkpoint);
    catalog_changes_req_set_limit(&req, self->checkpoint < self->singly_to ? 1 : self->page_max);
    return souk_caller_ask(self->caller, &callee, &req, arena, ret);
}

/* Says once that the catalogue has not answered for a while (a moment is none: a worker that starts
 * has no broker yet), and once that it does again. */
static void s_note_answer(orders_follow_t *self, souk_err_t err) {
    int64_t now_us = souk_clock_mono_us();
    if (err == SOUK_OK) {
        if (self->away) {
            souk_log(SOUK_LOG_INFO, "OR-FOLLOW-BACK", SOUK_F_INT("checkpoint", self->checkpoint));
        }
        self->away_since_us = 0;
        self->away = false;
        return;
    }
    if (self->away_since_us == 0) {
        self->away_since_us = now_us;
    }
    if (!self->away && now_us - self->away_since_us >= AWAY_LOGGED_US) {
        self->away = true;
        souk_log(SOUK_LOG_WARN, "OR-FOLLOW-AWAY", SOUK_F_TEXT("code", souk_err_info(err)->code),
                 SOUK_F_INT("checkpoint", self->checkpoint));
    }
}

static bool s_is_other_catalogue(orders_follow_t *self, const catalog_changes_rep_t *rep) {
    int64_t now_us = souk_clock_mono_us();
    if (!souk_str_equal(rep->record, souk_str_of(self->record))) {
        return rep->record.size > 0 && rep->record.size <= RECORD_BYTES_MAX;
    }
    if (rep->revision >= self->checkpoint) {
        self->back_since_us = 0;
        return false;
    }
    if (self->back_since_us == 0) {
        self->back_since_us = now_us;
    }
    return now_us - self->back_since_us >= WENT_BACK_US;
}

/* The same change will be refused for ever: a value out of bounds (SQLSTATE class 22), a constraint
 * (23), options that are too large. Whatever else fails may work later. */
static bool s_is_of_content(const souk_pg_t *pg, souk_err_t err) {
    const char *sqlstate = souk_pg_sqlstate(pg);
    return err == SOUK_ERR_TOO_LARGE || strncmp(sqlstate, "22", 2) == 0 ||
           strncmp(sqlstate, "23", 2) == 0;
}

/* A page that PostgreSQL will not take for its content is taken change by change, and the one that
 * it is about is left out: the others must not wait for it. Its product is not sold until a later
 * change of it is taken, since nobody knows at what price. A page that fails otherwise is halved;
 * a change that fails so alone is tried again until it does not. */
static souk_err_t s_write(orders_follow_t *self, orders_follow_page_t *page, souk_pg_t *pg,
                          souk_arena_t *arena, bool *ret_held) {
    souk_err_t err = orders_follow_page_write(page, pg, arena, ret_held);
    if (err == SOUK_OK) {
        self->page_max =
            self->page_max * 2 < PAGE_CHANGES_MAX ? self->page_max * 2 : PAGE_CHANGES_MAX;
        return SOUK_OK;
    }
    if (err == SOUK_ERR_UNAVAILABLE || err == SOUK_ERR_RETRY || page->changes_count == 0) {
        return err;
    }
    const catalog_change_item_t *last = &page->changes[page->changes_count - 1];
    bool is_of_content = s_is_of_content(pg, err);
    if (page->changes_count > 1) {
        self->singly_to = is_of_content ? last->revision : self->singly_to;
        self->page_max = is_of_content ? self->page_max : (int64_t)page->changes_count / 2;
        return SOUK_ERR_RETRY;
    }
    if (!is_of_content) {
        return err;
    }
    souk_log(SOUK_LOG_ERROR, "OR-FOLLOW-SKIPPED", SOUK_F_INT("revision", last->revision),
             SOUK_F_STR("product", last->product_id),
             SOUK_F_TEXT("code", souk_err_info(err)->code));
    souk_metric_add(self->metrics.skipped, 1);
    page->withdraw = true;
    return orders_follow_page_write(page, pg, arena, ret_held);
}

static souk_err_t s_apply(orders_follow_t *self, souk_pg_t *pg, souk_arena_t *arena,
                          const catalog_changes_rep_t *rep) {
    orders_follow_page_t page = {
        .epoch = self->epoch, .after = self->checkpoint, .next = rep->next};
    page.changes = catalog_changes_rep_changes(rep, &page.changes_count);
    souk_metric_set(self->metrics.lag,
                    rep->revision > self->checkpoint ? rep->revision - self->checkpoint : 0);
    if (page.next <= self->checkpoint) {
        return SOUK_OK; /* nothing new, or a catalogue worker that lags */
    }
    size_t count = page.changes_count;
    bool held = false;
    SOUK_TRY(s_write(self, &page, pg, arena, &held));
    if (!held) {
        s_let_go(self, "fenced");
        return SOUK_OK;
    }
    self->checkpoint = page.next;
    souk_metric_add(self->metrics.changes, (int64_t)count);
    souk_metric_set(self->metrics.lag, rep->revision - self->checkpoint);
    return rep->more ? SOUK_ERR_RETRY : SOUK_OK;
}

static souk_err_t s_follow(orders_follow_t *self, souk_pg_t *pg, souk_arena_t *arena) {
    catalog_changes_rep_t rep = {0};
    souk_err_t err = s_fetch(self, arena, &rep);
    if (err == SOUK_ERR_CANCELLED || err == SOUK_ERR_CLOSED) {
        return SOUK_OK; /* we leave */
    }
    s_note_answer(self, err);
    if (err != SOUK_OK) {
        int64_t now_us = souk_clock_mono_us();
        if (now_us - self->away_since_us < AWAY_US) {
            return SOUK_OK;
        }
        self->shy_until_us = now_us + self->config->orders_lease_ms * US_PER_MS / LEASE_RENEWALS;
        return s_release(self, pg, arena, "the catalogue does not answer");
    }
    if (s_is_other_catalogue(self, &rep)) {
        return s_begin(self, pg, arena, &rep);
    }
    err = s_apply(self, pg, arena, &rep);
    if (err == SOUK_OK && self->held && self->phase == PHASE_LOAD &&
        rep.revision >= self->checkpoint) {
        self->phase = PHASE_SWEEP;
        self->slice_sku[0] = '\0';
        return SOUK_ERR_RETRY;
    }
    return err;
}

/* ---- the task ---- */

static bool s_is_leaving(orders_follow_t *self) {
    pthread_mutex_lock(&self->mutex);
    bool leaving = self->leaving;
    pthread_mutex_unlock(&self->mutex);
    return leaving;
}

static souk_err_t s_leave(orders_follow_t *self, souk_pg_t *pg, souk_arena_t *arena) {
    souk_err_t err = s_release(self, pg, arena, "stop");
    pthread_mutex_lock(&self->mutex);
    self->has_left = true;
    pthread_cond_signal(&self->left);
    pthread_mutex_unlock(&self->mutex);
    return err;
}

static souk_err_t s_run(souk_pg_t *pg, souk_arena_t *arena, void *arg) {
    orders_follow_t *self = arg;
    if (s_is_leaving(self)) {
        return s_leave(self, pg, arena);
    }
    SOUK_TRY(s_hold(self, pg, arena));
    if (!self->held) {
        return SOUK_OK;
    }
    switch (self->phase) {
    case PHASE_RESET:
        return s_slice(self, &s_reset_stmt, pg, arena);
    case PHASE_SWEEP:
        return s_slice(self, &s_sweep_stmt, pg, arena);
    case PHASE_LOAD:
    case PHASE_FOLLOW:
    default:
        return s_follow(self, pg, arena);
    }
}

/* ---- life ---- */

static void s_free(orders_follow_t *self) {
    souk_caller_destroy(&self->caller);
    pthread_cond_destroy(&self->left);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

souk_err_t orders_follow_new(const souk_worker_config_t *config, orders_follow_t **ret_self) {
    orders_follow_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->config = config;
    (void)souk_id_new("wrk_", self->holder);
    souk_cond_init(&self->left);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    self->metrics.holder = souk_metric(SOUK_METRIC_ORDERS_FOLLOW_HOLDER, NULL);
    self->metrics.lag = souk_metric(SOUK_METRIC_ORDERS_FOLLOW_LAG_REVISIONS, NULL);
    self->metrics.changes = souk_metric(SOUK_METRIC_ORDERS_FOLLOW_CHANGES_TOTAL, NULL);
    self->metrics.skipped = souk_metric(SOUK_METRIC_ORDERS_FOLLOW_SKIPPED_TOTAL, NULL);
    souk_err_t err = souk_caller_new(config->front, config->name, &self->caller);
    if (err == SOUK_OK) {
        const souk_keeper_task_t task = {.name = TASK,
                                         .interval_ms = (uint32_t)config->orders_follow_ms,
                                         .run = s_run,
                                         .arg = self};
        err = souk_keeper_new(&(souk_keeper_options_t){.pg = {.url = config->orders_database_url,
                                                              .service = "orders",
                                                              .connect_timeout_ms = SQL_TIMEOUT_MS},
                                                       .tasks = &task,
                                                       .tasks_count = 1,
                                                       .memory_bytes_max = MEMORY_BYTES_MAX},
                              &self->keeper);
    }
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "OR-FOLLOW-START-FAILED",
                 SOUK_F_TEXT("code", souk_err_info(err)->code),
                 SOUK_F_TEXT("needs", "SOUK_BROKER_FRONT and SOUK_ORDERS_DATABASE_URL"));
        s_free(self);
        return err == SOUK_ERR_MALFORMED ? SOUK_ERR_VALIDATION : err;
    }
    *ret_self = self;
    return SOUK_OK;
}

void orders_follow_destroy(orders_follow_t **self_p) {
    souk_assert(self_p != NULL);
    orders_follow_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)LEAVE_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    souk_caller_close(self->caller); /* what waits for the catalogue comes back */
    pthread_mutex_lock(&self->mutex);
    self->leaving = true;
    pthread_mutex_unlock(&self->mutex);
    souk_keeper_hurry(self->keeper, TASK);
    pthread_mutex_lock(&self->mutex);
    int rc = 0;
    while (rc == 0 && !self->has_left) {
        rc = pthread_cond_timedwait(&self->left, &self->mutex, &until);
    }
    pthread_mutex_unlock(&self->mutex);
    souk_keeper_destroy(&self->keeper);
    s_free(self);
    *self_p = NULL;
}
