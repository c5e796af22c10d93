/* Writes: notes.
 *
 * A write with an Idempotency-Key claims the key's row before anything else: INSERT ... ON CONFLICT
 * DO NOTHING waits for a twin that has inserted it and not ended yet. If the twin rolls back, the
 * row is ours; if it commits, its hash and reply are read, in a statement of its own, because only
 * that one's snapshot is younger than the twin's commit. The reply is stored by UPDATE in the same
 * round trip as COMMIT: key, hash, reply and effect stand or fall together. A refusal rolls back
 * and so is not stored. */
#include <time.h>

#include "pg_impl.h"
#include "runtime/fault_point.h"
#include "runtime/invoke.h"
#include "souk/clock.h"
#include "souk/id.h"

#define TRIES_MAX 8
#define COMMIT_GRACE_US ((int64_t)500 * 1000)

static const souk_pg_stmt_t s_claim = {
    .name = "souk_key_claim",
    .sql = "INSERT INTO idempotency (subject, method, key, hash) VALUES ($1, $2, $3, $4)"
           " ON CONFLICT (subject, method, key) DO NOTHING"};
static const souk_pg_stmt_t s_stored = {
    .name = "souk_key_stored",
    .sql = "SELECT hash, reply FROM idempotency WHERE subject = $1 AND method = $2 AND key = $3"};
static const souk_pg_stmt_t s_store = {
    .name = "souk_key_store",
    .sql = "UPDATE idempotency SET reply = $4 WHERE subject = $1 AND method = $2 AND key = $3"};

static void s_key_args(souk_ctx_t *ctx, souk_pg_args_t *args) {
    souk_pg_args_init(args, souk_ctx_arena(ctx));
    souk_pg_str(args, souk_ctx_subject(ctx));
    souk_pg_str(args, souk_str_of(souk_ctx_method(ctx)->name));
    souk_pg_str(args, souk_ctx_key(ctx));
}

/* ---- The key --------------------------------------------------------------------------------- */

static souk_err_t s_in_progress(souk_ctx_t *ctx) {
    souk_metric_add(souk_pg_of(ctx)->metrics.in_progress, 1);
    return SOUK_ERR_KEY_IN_PROGRESS;
}

/* The twin has ended with an effect. SOUK_ERR_RETRY: its row was purged meanwhile. */
static souk_err_t s_replay(souk_ctx_t *ctx) {
    souk_pg_t *pg = souk_pg_of(ctx);
    souk_pg_args_t args;
    s_key_args(ctx, &args);
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_run(ctx, &s_stored, &args, &rows));
    if (souk_pg_count(rows) == 0) {
        return SOUK_ERR_RETRY;
    }
    if (!souk_str_equal(souk_pg_get_str(rows, 0, 0), souk_ctx_key_hash(ctx))) {
        souk_metric_add(pg->metrics.reused, 1);
        return SOUK_ERR_KEY_REUSED;
    }
    souk_str_t reply = souk_pg_get_str(rows, 0, 1);
    if (reply.data == NULL) {
        return s_in_progress(ctx);
    }
    souk_metric_add(pg->metrics.replayed, 1);
    souk_ctx_reply_encoded(ctx, reply);
    souk_ctx_mark_replayed(ctx);
    return SOUK_OK;
}

/* The server has said that it waited for so long, or for as long as an operator's lock_timeout lets
 * it: then there is a twin. Without its word there may be none: the connection was lost, or nothing
 * was asked. */
static bool s_is_twin(const souk_pg_t *pg, souk_err_t err) {
    return pg->conn != NULL && ((err == SOUK_ERR_TIMEOUT && strcmp(pg->sqlstate, "57014") == 0) ||
                                (err == SOUK_ERR_RETRY && strcmp(pg->sqlstate, "55P03") == 0));
}

static souk_err_t s_require_key(souk_ctx_t *ctx, bool *ret_replayed) {
    souk_pg_args_t args;
    s_key_args(ctx, &args);
    souk_pg_bytes(&args, souk_ctx_key_hash(ctx));
    souk_pg_t *pg = souk_pg_of(ctx);
    pg->sqlstate[0] = '\0';
    const souk_pg_rows_t *rows;
    int64_t from_us = souk_clock_mono_us();
    souk_err_t err = souk_pg_run(ctx, &s_claim, &args, &rows);
    souk_metric_observe_us(pg->metrics.key_seconds, souk_clock_mono_us() - from_us);
    if (s_is_twin(pg, err)) {
        return s_in_progress(ctx);
    }
    SOUK_TRY(err);
    if (souk_pg_affected(rows) == 1) {
        souk_metric_add(pg->metrics.claimed, 1);
        *ret_replayed = false;
        return SOUK_OK;
    }
    SOUK_TRY(s_replay(ctx));
    *ret_replayed = true;
    return SOUK_OK;
}

/* ---- A try ----------------------------------------------------------------------------------- */

/* A bug of fn's, which no client can mend. */
static souk_err_t s_went_on(souk_ctx_t *ctx) {
    return souk_ctx_fail(ctx, SOUK_ERR_INTERNAL, "the write went on after a statement had failed");
}

/* The reply must be known to fit before the effect commits. */
static souk_err_t s_finish(souk_ctx_t *ctx, bool is_keyed) {
    souk_pg_t *pg = souk_pg_of(ctx);
    if (pg->tx == SOUK_PG_TX_FAILED) {
        return s_went_on(ctx);
    }
    souk_str_t reply;
    SOUK_TRY(souk_ctx_reply_require(ctx, &reply));
    if (is_keyed) {
        souk_pg_args_t args;
        s_key_args(ctx, &args);
        souk_pg_bytes(&args, reply);
        SOUK_TRY(souk_pg_post(ctx, &s_store, &args));
    }
    souk_fault_point("write.before_commit");
    souk_err_t err = souk_pg_commit_until(pg, souk_pg_deadline_us(ctx) + COMMIT_GRACE_US);
    if (err == SOUK_OK) {
        souk_fault_point("write.after_commit");
    }
    bool repeatable = is_keyed && err == SOUK_ERR_UNKNOWN_OUTCOME;
    return repeatable ? SOUK_ERR_UNAVAILABLE : err;
}

static souk_err_t s_try(souk_ctx_t *ctx, souk_pg_fn fn, const void *req, void *ret_rep) {
    souk_pg_t *pg = souk_pg_of(ctx);
    bool is_keyed = souk_ctx_key(ctx).data != NULL;
    bool is_replayed = false;
    SOUK_TRY(souk_pg_begin(pg, souk_ctx_remaining_ms(ctx)));
    souk_err_t err = is_keyed ? s_require_key(ctx, &is_replayed) : SOUK_OK;
    if (err == SOUK_OK && !is_replayed) {
        err = fn(ctx, req, ret_rep);
        if (err == SOUK_OK) {
            err = s_finish(ctx, is_keyed);
        } else if (err == SOUK_ERR_CANCELLED && !souk_ctx_cancelled(ctx)) {
            err = s_went_on(ctx);
        }
    }
    souk_pg_rollback(pg); /* nothing to do after COMMIT */
    /* Rolled back for certain: the client may know that nothing was done. */
    return err == SOUK_ERR_TIMEOUT ? SOUK_ERR_DEADLINE_EXCEEDED : err;
}

/* A millisecond, for those that waited for us to get what we gave up: else a deadlock's victim
 * takes its locks again before they do, and the next deadlock is there. Then up to 1, 2, 4 ... ms
 * more, so that those who met do not meet again. */
static void s_pause(int tries) {
    uint32_t random;
    souk_random(&random, sizeof(random));
    uint32_t pause_us = 1000 + random % (1000U << tries);
    struct timespec pause = {.tv_nsec = (long)pause_us * 1000};
    (void)nanosleep(&pause, NULL);
}

/* What a key cannot do without. No gateway lets that pass; another client of the bus may. */
static souk_err_t s_check_key(souk_ctx_t *ctx) {
    if (souk_ctx_key(ctx).data == NULL) {
        return SOUK_OK;
    }
    if (souk_ctx_key_hash(ctx).data == NULL) {
        return souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "An Idempotency-Key needs a key_hash.");
    }
    if (souk_ctx_subject(ctx).size == 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_UNAUTHENTICATED,
                             "An Idempotency-Key needs credentials.");
    }
    return SOUK_OK;
}

souk_err_t souk_pg_write(souk_ctx_t *ctx, souk_pg_fn fn, const void *req, void *ret_rep) {
    souk_pg_t *pg = souk_pg_of(ctx);
    SOUK_TRY(s_check_key(ctx));
    souk_err_t err = SOUK_ERR_RETRY;
    for (int i = 0; i < TRIES_MAX; i++) {
        err = s_try(ctx, fn, req, ret_rep);
        if (err != SOUK_ERR_RETRY) {
            return err;
        }
        souk_metric_add(pg->metrics.retries, 1);
        s_pause(i);
        souk_ctx_begin_again(ctx);
        memset(ret_rep, 0, souk_ctx_method(ctx)->reply->struct_bytes);
    }
    return SOUK_ERR_OVERLOADED;
}
