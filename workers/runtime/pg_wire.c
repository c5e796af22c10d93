/* The pipeline: notes.
 *
 * Commands go into libpq's buffer (nothing is sent yet); the first receive closes the pipeline with
 * a Sync and sends all of it in one write. The results come in the order of the commands; each step
 * that waits for one stands in steps[]. After an error the server skips everything up to the Sync,
 * and libpq says so for each step.
 *
 * The wait has a bound of its own, a little behind the statement_timeout that the server keeps: a
 * server that does not answer even then costs the connection, not the slot. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "pg_impl.h"
#include "souk/clock.h"
#include "souk/log.h"

/* How long behind the deadline the server's own timeout is waited for. */
#define GRACE_US ((int64_t)500 * 1000)
/* More results than an error and its end in front of a Sync's: we are out of step. */
#define SYNC_RESULTS_MAX 4
#define KNOWN_MIN 64
#define KNOWN_MAX 1024

/* ---- Prepared statements --------------------------------------------------------------------- */

static souk_pg_known_t *s_slot(souk_pg_known_t *rows, size_t capacity, const souk_pg_stmt_t *stmt) {
    size_t at = ((uintptr_t)stmt >> 4) * 0x9e3779b97f4a7c15U >> 32 & (capacity - 1);
    while (rows[at].stmt != NULL && rows[at].stmt != stmt) {
        at = (at + 1) & (capacity - 1);
    }
    return &rows[at];
}

static void s_grow_known(souk_pg_t *self) {
    size_t capacity = self->known_capacity == 0 ? KNOWN_MIN : self->known_capacity * 2;
    souk_assert(capacity <= KNOWN_MAX);
    souk_pg_known_t *rows = calloc(capacity, sizeof(*rows));
    souk_assert(rows != NULL);
    for (size_t i = 0; i < self->known_capacity; i++) {
        if (self->known[i].stmt != NULL) {
            *s_slot(rows, capacity, self->known[i].stmt) = self->known[i];
        }
    }
    free(self->known);
    self->known = rows;
    self->known_capacity = capacity;
}

/* stmt NULL in the row: not prepared yet. */
static souk_pg_known_t *s_known(souk_pg_t *self, const souk_pg_stmt_t *stmt) {
    if (self->known_count * 2 >= self->known_capacity) {
        s_grow_known(self);
    }
    return s_slot(self->known, self->known_capacity, stmt);
}

/* PREPARE was answered: rows that the server does not have are asked for again at their next use
 * (they keep their place, for what stands behind them). */
static void s_prepared(souk_pg_t *self, const souk_pg_stmt_t *stmt, bool ready) {
    s_slot(self->known, self->known_capacity, stmt)->state =
        ready ? SOUK_PG_KNOWN_READY : SOUK_PG_KNOWN_NOT;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void s_push(souk_pg_t *self, souk_pg_step_kind_t kind, const souk_pg_stmt_t *stmt) {
    souk_assert(self->steps_to < SOUK_PG_STEPS_MAX);
    self->steps[self->steps_to++] = (souk_pg_step_t){.kind = kind, .stmt = stmt};
}

static bool s_prepare(souk_pg_t *self, const souk_pg_stmt_t *stmt, const souk_pg_args_t *args) {
    souk_pg_known_t *known = s_known(self, stmt);
    if (known->state != SOUK_PG_KNOWN_NOT) {
        return true;
    }
    if (PQsendPrepare(self->conn, stmt->name, stmt->sql, args != NULL ? (int)args->count : 0,
                      args != NULL ? args->types : NULL) != 1) {
        return false;
    }
    self->known_count += known->stmt == NULL;
    *known = (souk_pg_known_t){.stmt = stmt, .state = SOUK_PG_KNOWN_ASKED};
    s_push(self, SOUK_PG_STEP_PREPARE, stmt);
    return true;
}

/* All parameters and results are binary. */
static const int s_binary[SOUK_PG_ARGS_MAX] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

souk_err_t souk_pg_send(souk_pg_t *self, souk_pg_step_kind_t kind, const souk_pg_stmt_t *stmt,
                        const souk_pg_args_t *args) {
    souk_assert(self->conn != NULL && !self->synced);
    bool sent = s_prepare(self, stmt, args) &&
                PQsendQueryPrepared(self->conn, stmt->name, args != NULL ? (int)args->count : 0,
                                    args != NULL ? args->values : NULL,
                                    args != NULL ? args->sizes : NULL, s_binary, 1) == 1;
    if (!sent) {
        souk_pg_lose(self, "a command could not be sent");
        return SOUK_ERR_UNAVAILABLE;
    }
    s_push(self, kind, stmt);
    return SOUK_OK;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static souk_err_t s_late(souk_pg_t *self) {
    souk_pg_lose(self, "no answer in time");
    souk_metric_add(self->metrics.timeout, 1);
    return SOUK_ERR_TIMEOUT;
}

static souk_err_t s_broken(souk_pg_t *self) {
    souk_pg_lose(self, "the connection broke");
    souk_metric_add(self->metrics.unavailable, 1);
    return SOUK_ERR_UNAVAILABLE;
}

/* Until PQgetResult would not wait. */
static souk_err_t s_await(souk_pg_t *self) {
    int64_t until_us = self->deadline_us + GRACE_US;
    for (;;) {
        int flush = PQflush(self->conn);
        if (flush < 0) {
            return s_broken(self);
        }
        if (flush == 0 && PQisBusy(self->conn) == 0) {
            return SOUK_OK;
        }
        int64_t left_us = until_us - souk_clock_mono_us();
        if (left_us <= 0) {
            return s_late(self);
        }
        struct pollfd fd = {.fd = PQsocket(self->conn),
                            .events = (short)(flush == 0 ? POLLIN : POLLIN | POLLOUT)};
        int rc = poll(&fd, 1, (int)(left_us / 1000 + 1));
        if (rc < 0 && errno != EINTR) {
            return s_broken(self);
        }
        if (rc > 0 && (fd.revents & ~POLLOUT) != 0 && PQconsumeInput(self->conn) == 0) {
            return s_broken(self);
        }
    }
}

/* The next result; NULL ends a command's. */
static souk_err_t s_result(souk_pg_t *self, PGresult **ret_result) {
    SOUK_TRY(s_await(self));
    PGresult *result = PQgetResult(self->conn);
    if (result == NULL && PQstatus(self->conn) != CONNECTION_OK) {
        return s_broken(self);
    }
    *ret_result = result;
    return SOUK_OK;
}

static souk_err_t s_sync(souk_pg_t *self) {
    self->synced = true;
    if (PQpipelineSync(self->conn) != 1) {
        return s_broken(self);
    }
    return SOUK_OK;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool s_is_good(ExecStatusType status) {
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* Up to the Sync's answer. An error on the way is COMMIT's of an implicit transaction (deferred
 * constraints). */
static souk_err_t s_read_sync(souk_pg_t *self) {
    souk_err_t err = SOUK_OK;
    for (int i = 0; i < SYNC_RESULTS_MAX; i++) {
        PGresult *result = NULL;
        SOUK_TRY(s_result(self, &result));
        ExecStatusType status = PQresultStatus(result);
        if (result != NULL && status != PGRES_PIPELINE_SYNC && err == SOUK_OK) {
            err = souk_pg_map(self, NULL, result);
        }
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC || self->conn == NULL) {
            return err;
        }
    }
    souk_pg_lose(self, "results out of step");
    return err == SOUK_OK ? SOUK_ERR_INTERNAL : err;
}

static souk_err_t s_end_pipeline(souk_pg_t *self) {
    souk_err_t err = s_read_sync(self);
    if (self->conn == NULL) {
        return err;
    }
    self->steps_from = self->steps_to = 0;
    self->synced = false;
    self->failure = SOUK_OK;
    /* Whoever began a transaction ends it: until then one that is gone takes no statements, which
     * would run outside of it. */
    PGTransactionStatusType status = PQtransactionStatus(self->conn);
    if (status == PQTRANS_INERROR || (status == PQTRANS_IDLE && self->tx == SOUK_PG_TX_OPEN)) {
        self->tx = SOUK_PG_TX_FAILED;
    }
    return err;
}

/* One step's result, whose NULL is consumed too. */
static souk_err_t s_step(souk_pg_t *self, PGresult **ret_result) {
    const souk_pg_step_t *step = &self->steps[self->steps_from];
    PGresult *result = NULL, *end = NULL;
    SOUK_TRY(s_result(self, &result));
    ExecStatusType status = PQresultStatus(result);
    souk_err_t err = SOUK_OK;
    if (status == PGRES_PIPELINE_ABORTED) {
        err = SOUK_ERR_CANCELLED;
    } else if (!s_is_good(status)) {
        err = souk_pg_map(self, step->stmt, result);
        self->timeout_ms = 0; /* set_config is undone with the rest */
    }
    if (self->conn != NULL && result != NULL) {
        souk_err_t end_err = s_result(self, &end);
        if (end_err == SOUK_OK && end != NULL) {
            PQclear(end);
            souk_pg_lose(self, "a result of an unknown kind");
            end_err = SOUK_ERR_INTERNAL;
        }
        err = err == SOUK_OK ? end_err : err;
    }
    if (self->conn != NULL) {
        if (step->kind == SOUK_PG_STEP_PREPARE) {
            s_prepared(self, step->stmt, err == SOUK_OK);
        }
        self->steps_from++;
    }
    if (err != SOUK_OK) {
        PQclear(result);
        return err;
    }
    *ret_result = result;
    return SOUK_OK;
}

/* Steps up to the next STMT's result. */
static souk_err_t s_next_stmt(souk_pg_t *self, PGresult **ret_result) {
    for (;;) {
        souk_assert(self->steps_from < self->steps_to);
        souk_pg_step_kind_t kind = self->steps[self->steps_from].kind;
        PGresult *result = NULL;
        souk_err_t err = s_step(self, &result);
        if (self->conn == NULL) {
            return err;
        }
        if (err == SOUK_ERR_CANCELLED && self->failure != SOUK_OK) {
            err = self->failure; /* of the step before: this is the first to hear of it */
        }
        if (kind == SOUK_PG_STEP_STMT) {
            self->failure = SOUK_OK;
            *ret_result = result;
            return err;
        }
        PQclear(result);
        self->failure = err != SOUK_OK ? err : self->failure;
    }
}

bool souk_pg_has_unread(const souk_pg_t *self) {
    for (size_t i = self->steps_from; i < self->steps_to; i++) {
        if (self->steps[i].kind == SOUK_PG_STEP_STMT) {
            return true;
        }
    }
    return false;
}

void souk_pg_disown(souk_pg_t *self) {
    for (size_t i = self->steps_from; i < self->steps_to; i++) {
        if (self->steps[i].kind == SOUK_PG_STEP_STMT) {
            self->steps[i].kind = SOUK_PG_STEP_OWN;
        }
    }
}

souk_err_t souk_pg_drain(souk_pg_t *self) {
    if (self->steps_from == self->steps_to && !self->synced) {
        return SOUK_OK;
    }
    if (!self->synced) {
        SOUK_TRY(s_sync(self));
    }
    souk_err_t first = self->failure;
    while (self->steps_from < self->steps_to) {
        PGresult *result = NULL;
        souk_err_t err = s_step(self, &result);
        if (err == SOUK_OK) {
            PQclear(result);
        } else if (first == SOUK_OK) {
            first = err;
        }
        if (self->conn == NULL) {
            return first;
        }
    }
    souk_err_t err = s_end_pipeline(self);
    return first == SOUK_OK ? err : first;
}

void souk_pg_forget(souk_pg_t *self) {
    if (self->steps_from != self->steps_to && !self->synced && self->tx == SOUK_PG_TX_NONE) {
        souk_pg_lose(self, "statements were queued and never run");
    }
    if (self->conn != NULL) {
        souk_err_t told = souk_pg_drain(self);
        (void)told;
    }
}

souk_err_t souk_pg_receive(souk_pg_t *self, PGresult **ret_result) {
    int64_t from_us = souk_clock_mono_us();
    bool first = !self->synced;
    if (first) {
        SOUK_TRY(s_sync(self));
    }
    PGresult *result = NULL;
    souk_err_t err = s_next_stmt(self, &result);
    if (self->conn != NULL && (err != SOUK_OK || !souk_pg_has_unread(self))) {
        souk_err_t end_err = souk_pg_drain(self);
        err = err == SOUK_OK ? end_err : err;
    }
    if (first) {
        souk_metric_observe_us(self->metrics.seconds, souk_clock_mono_us() - from_us);
    }
    if (err != SOUK_OK) {
        PQclear(result);
        return err;
    }
    souk_metric_add(self->metrics.ok, 1);
    *ret_result = result;
    return SOUK_OK;
}
