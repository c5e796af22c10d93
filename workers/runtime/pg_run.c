/* Statements and transactions: what they are wrapped in, and how long they may take. */
#include <stdio.h>

#include "pg_impl.h"
#include "souk/clock.h"

/* What is left for the rollback and the reply's way when a statement ends at its timeout: so much,
 * and a part of the whole. */
#define MARGIN_MS 10
#define MARGIN_PART 16
/* Less than this is not worth a round trip. */
#define BUDGET_MIN_MS 2
#define COMMIT_MIN_US ((int64_t)1000 * 1000)
/* A server whose rollback takes longer has lost us. */
#define ROLLBACK_US ((int64_t)2000 * 1000)

static const souk_pg_stmt_t s_set_timeout = {
    .name = "souk_set_timeout", .sql = "SELECT set_config('statement_timeout', $1::text, false)"};
static const souk_pg_stmt_t s_begin = {.name = "souk_begin",
                                       .sql = "BEGIN ISOLATION LEVEL READ COMMITTED"};
static const souk_pg_stmt_t s_commit = {.name = "souk_commit", .sql = "COMMIT"};
static const souk_pg_stmt_t s_rollback = {.name = "souk_rollback", .sql = "ROLLBACK"};

/* Rounded down to four significant bits: so the statements of a call, and of calls with the same
 * limit, mostly share a timeout, and it is set seldom. */
static uint32_t s_round(uint32_t ms) {
    uint32_t step = 1;
    while (ms / step >= 16) {
        step *= 2;
    }
    return ms / step * step;
}

static souk_err_t s_put_timeout(souk_pg_t *self, int64_t deadline_us) {
    int64_t left_ms = (deadline_us - souk_clock_mono_us()) / 1000;
    left_ms -= MARGIN_MS + left_ms / MARGIN_PART;
    if (left_ms < BUDGET_MIN_MS) {
        return SOUK_ERR_TIMEOUT;
    }
    uint32_t wanted_ms = s_round(left_ms > INT32_MAX ? INT32_MAX : (uint32_t)left_ms);
    if (wanted_ms == self->timeout_ms) {
        return SOUK_OK;
    }
    char text[16];
    int size = snprintf(text, sizeof(text), "%u", wanted_ms);
    souk_pg_args_t args = {.count = 1, .types = {SOUK_PG_TEXT}};
    args.values[0] = text;
    args.sizes[0] = size;
    SOUK_TRY(souk_pg_send(self, SOUK_PG_STEP_OWN, &s_set_timeout, &args));
    self->timeout_ms = wanted_ms;
    return SOUK_OK;
}

/* Steps that one more statement may need: PREPAREs, statement_timeout, BEGIN, itself; and COMMIT
 * behind it. */
#define STEPS_LEFT_MIN 8

souk_err_t souk_pg_put(souk_pg_t *self, int64_t deadline_us, souk_pg_step_kind_t kind,
                       const souk_pg_stmt_t *stmt, const souk_pg_args_t *args) {
    if (args != NULL && args->failed) {
        return SOUK_ERR_NO_MEMORY;
    }
    if (self->synced) {
        souk_pg_forget(self); /* results that nobody wanted */
    }
    if (self->tx == SOUK_PG_TX_FAILED) {
        return SOUK_ERR_CANCELLED;
    }
    bool is_full = self->steps_to + STEPS_LEFT_MIN > SOUK_PG_STEPS_MAX;
    if (is_full && !souk_pg_has_unread(self)) {
        SOUK_TRY(souk_pg_drain(self));
    }
    if (self->steps_from == self->steps_to) {
        if (self->tx != SOUK_PG_TX_OPEN) {
            SOUK_TRY(souk_pg_require(self, deadline_us));
        }
        self->deadline_us = deadline_us;
        SOUK_TRY(s_put_timeout(self, deadline_us));
    }
    if (self->tx == SOUK_PG_TX_WANTED) {
        SOUK_TRY(souk_pg_send(self, SOUK_PG_STEP_OWN, &s_begin, NULL));
        self->tx = SOUK_PG_TX_OPEN;
    }
    return souk_pg_send(self, kind, stmt, args);
}

/* ---- With a call ----------------------------------------------------------------------------- */

souk_pg_t *souk_pg_of(const souk_ctx_t *ctx) {
    souk_pg_t *self = souk_ctx_slot(ctx);
    souk_assert(self != NULL);
    return self;
}

int64_t souk_pg_deadline_us(const souk_ctx_t *ctx) {
    return souk_clock_mono_us() + (int64_t)souk_ctx_remaining_ms(ctx) * 1000;
}

souk_err_t souk_pg_queue(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, const souk_pg_args_t *args) {
    return souk_pg_put(souk_pg_of(ctx), souk_pg_deadline_us(ctx), SOUK_PG_STEP_STMT, stmt, args);
}

souk_err_t souk_pg_post(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, const souk_pg_args_t *args) {
    souk_assert(souk_pg_of(ctx)->tx != SOUK_PG_TX_NONE);
    return souk_pg_put(souk_pg_of(ctx), souk_pg_deadline_us(ctx), SOUK_PG_STEP_OWN, stmt, args);
}

souk_err_t souk_pg_next(souk_ctx_t *ctx, const souk_pg_rows_t **ret_rows) {
    return souk_pg_exec_next(souk_pg_of(ctx), souk_ctx_arena(ctx), ret_rows);
}

souk_err_t souk_pg_run(souk_ctx_t *ctx, const souk_pg_stmt_t *stmt, const souk_pg_args_t *args,
                       const souk_pg_rows_t **ret_rows) {
    souk_pg_disown(souk_pg_of(ctx));
    SOUK_TRY(souk_pg_queue(ctx, stmt, args));
    return souk_pg_next(ctx, ret_rows);
}

/* ---- Without one ----------------------------------------------------------------------------- */

static int64_t s_until_us(uint32_t timeout_ms) {
    return souk_clock_mono_us() + (int64_t)timeout_ms * 1000;
}

souk_err_t souk_pg_exec_queue(souk_pg_t *self, uint32_t timeout_ms, const souk_pg_stmt_t *stmt,
                              const souk_pg_args_t *args) {
    return souk_pg_put(self, s_until_us(timeout_ms), SOUK_PG_STEP_STMT, stmt, args);
}

souk_err_t souk_pg_exec_next(souk_pg_t *self, souk_arena_t *arena,
                             const souk_pg_rows_t **ret_rows) {
    if (self->steps_from == self->steps_to) {
        return SOUK_ERR_CANCELLED; /* behind an error that ended the pipeline */
    }
    PGresult *result;
    SOUK_TRY(souk_pg_receive(self, &result));
    if (ret_rows == NULL) {
        PQclear(result);
        return SOUK_OK;
    }
    return souk_pg_rows_new(arena, &result, ret_rows);
}

/* NOLINTNEXTLINE(readability-function-size): six parameters; each caller has them all. */
souk_err_t souk_pg_exec(souk_pg_t *self, uint32_t timeout_ms, souk_arena_t *arena,
                        const souk_pg_stmt_t *stmt, const souk_pg_args_t *args,
                        const souk_pg_rows_t **ret_rows) {
    souk_pg_disown(self);
    SOUK_TRY(souk_pg_exec_queue(self, timeout_ms, stmt, args));
    return souk_pg_exec_next(self, arena, ret_rows);
}

/* ---- Transactions ---------------------------------------------------------------------------- */

souk_err_t souk_pg_begin(souk_pg_t *self, uint32_t timeout_ms) {
    souk_assert(self->tx == SOUK_PG_TX_NONE);
    int64_t until_us = s_until_us(timeout_ms);
    souk_pg_forget(self);
    if (self->state != SOUK_PG_LIVE) { /* else the first statement looks */
        SOUK_TRY(souk_pg_require(self, until_us));
    }
    self->tx = SOUK_PG_TX_WANTED;
    self->tx_until_us = until_us;
    return SOUK_OK;
}

souk_err_t souk_pg_commit_until(souk_pg_t *self, int64_t until_us) {
    if (self->tx == SOUK_PG_TX_WANTED) { /* nothing was done in it */
        self->tx = SOUK_PG_TX_NONE;
        return SOUK_OK;
    }
    souk_err_t err = self->tx == SOUK_PG_TX_OPEN ? SOUK_OK : SOUK_ERR_CANCELLED;
    if (err == SOUK_OK && self->synced) {
        err = souk_pg_drain(self);
    }
    if (err == SOUK_OK) {
        err = souk_pg_send(self, SOUK_PG_STEP_OWN, &s_commit, NULL);
    }
    if (err != SOUK_OK) {
        souk_pg_rollback(self);
        return err;
    }
    self->tx = SOUK_PG_TX_NONE;
    self->deadline_us = until_us;
    err = souk_pg_drain(self);
    if (err != SOUK_OK) {
        bool is_lost = self->conn == NULL;
        souk_pg_rollback(self);
        err = is_lost ? SOUK_ERR_UNKNOWN_OUTCOME : err;
    }
    return err;
}

souk_err_t souk_pg_commit(souk_pg_t *self) {
    int64_t until_us = souk_clock_mono_us() + COMMIT_MIN_US;
    return souk_pg_commit_until(self, until_us > self->tx_until_us ? until_us : self->tx_until_us);
}

/* Drains what is left, then ROLLBACK if the server has a transaction: locks must not outlive it. */
void souk_pg_rollback(souk_pg_t *self) {
    self->deadline_us = souk_clock_mono_us() + ROLLBACK_US;
    souk_pg_forget(self);
    if (self->conn != NULL && PQtransactionStatus(self->conn) != PQTRANS_IDLE) {
        self->timeout_ms = 0;
        if (souk_pg_send(self, SOUK_PG_STEP_OWN, &s_rollback, NULL) == SOUK_OK &&
            souk_pg_drain(self) != SOUK_OK) {
            souk_pg_lose(self, "a rollback failed");
        }
    }
    self->tx = SOUK_PG_TX_NONE;
}
