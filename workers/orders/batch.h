/* The engine of batch handlers whose work is one call of the database.
 *
 * An attempt works on some members of the batch; each then has an outcome of its own. Members whose
 * ground has moved go through another attempt. An error that no member explains (an unexpected
 * SQLSTATE, memory) halves the attempt until the member that causes it stands alone. So does a twin
 * of a member that runs elsewhere; that member is put aside, and waits for it when all others are
 * through. An attempt has the time of the hastiest of its members; when that is over the others go
 * on without it. */
#ifndef ORDERS_BATCH_H
#define ORDERS_BATCH_H

#include "orders/metrics.h"
#include "runtime/pg.h"
#include "runtime/service.h"

#define ORDERS_BATCH_MAX 256

/* Positions in the batch's calls. */
typedef struct {
    size_t at[ORDERS_BATCH_MAX];
    size_t count;
} orders_members_t;

typedef struct orders_batch orders_batch_t;

/* One attempt: answers members, or adds them to ret_again. An error: it has answered none, and
 * nothing was written (except after SOUK_ERR_UNKNOWN_OUTCOME, when nobody knows). */
typedef souk_err_t (*orders_attempt_fn)(orders_batch_t *batch, const orders_members_t *members,
                                        souk_arena_t *arena, orders_members_t *ret_again);

struct orders_batch {
    souk_pg_t *pg;
    orders_metrics_t *metrics;
    orders_metrics_step_t step;
    souk_call_t *calls;
    size_t calls_count;
    orders_attempt_fn attempt;
    void *arg;
    /* Of orders_batch_run. */
    int64_t deadline_us; /* of the attempt: the least of its members' */
    int64_t key_wait_ms; /* of the attempt */
    bool is_patient;     /* what is left are members whose twins run elsewhere */
    bool is_first;       /* attempt of these members */
    orders_members_t aside;
};

/* Answers all calls. Those whose deadline is too near are refused before anything is done. */
void orders_batch_run(orders_batch_t *self);
/* What is left for a statement. */
uint32_t orders_batch_left_ms(const orders_batch_t *self);

/* How long the attempt may wait for a twin of one of its members that runs elsewhere. */
int64_t orders_batch_key_wait_ms(const orders_batch_t *self);
/* SOUK_ERR_KEY_IN_PROGRESS when that wait was what failed; else err. */
souk_err_t orders_batch_key_error(const souk_pg_t *pg, souk_err_t err);

#endif
