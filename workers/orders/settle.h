/* Moves that end the waiting of placed orders: pay, cancel, expire; a batch in one call of
 * settle_orders. */
#ifndef ORDERS_SETTLE_H
#define ORDERS_SETTLE_H

#include "orders/outcome.h"
#include "orders/record.h"
#include "orders/verdict.h"

typedef enum { ORDERS_MOVE_PAY, ORDERS_MOVE_CANCEL, ORDERS_MOVE_EXPIRE } orders_move_t;

/* One order to settle. Texts are borrowed; data NULL where there is none. */
typedef struct {
    souk_str_t id;
    souk_str_t subject, key, key_hash, reply; /* of the client's Idempotency-Key */
    int64_t version;                          /* that it was read at; 0: any (expire) */
    bool refused;
    souk_str_t owner; /* whose it has to be; NULL: anybody's */
    souk_str_t actor;
    bool audited; /* done by staff */
    souk_str_t traceparent, request_id;
} orders_settling_t;

typedef struct {
    souk_pg_t *pg;
    uint32_t timeout_ms;
    int64_t key_wait_ms; /* for a twin that runs elsewhere; of no use without keys */
    souk_arena_t *arena;
    orders_move_t move;
    const char *method; /* of the keys */
    int64_t at_us;
} orders_settle_input_t;

/* One transaction. Errors of souk_pg_exec and souk_pg_commit, as of orders_place_call. */
SOUK_MUST_CHECK souk_err_t orders_settle_call(const orders_settle_input_t *self,
                                              const orders_settling_t *settlings, size_t count,
                                              orders_outcome_t *ret_outcomes);

/* The record as the move leaves it, or a refusal that names machine, state and move. */
void orders_record_move(orders_record_t *self, orders_move_t move, int64_t at_us,
                        souk_arena_t *arena, orders_verdict_t *verdict);

#endif
