/* The one call of place_batch: drafts -> arrays, and what came of each. */
#ifndef ORDERS_PLACE_CALL_H
#define ORDERS_PLACE_CALL_H

#include "orders/draft.h"
#include "orders/outcome.h"

typedef struct {
    souk_pg_t *pg;
    uint32_t timeout_ms;
    int64_t key_wait_ms; /* for a twin that runs elsewhere */
    souk_arena_t *arena;
    const orders_ground_t *ground;
    souk_str_t currency;
    int64_t at_us, expires_at_us;
    int64_t unpaid_max, network_max; /* 0: no limit */
    bool is_first; /* attempt: stock of which there seems to be plenty may be taken last, so that
                    * others wait for it no longer than the commit takes */
} orders_place_call_input_t;

/* inputs and drafts are parallel. Errors of souk_pg_exec and souk_pg_commit: then nothing was
 * placed, except that after SOUK_ERR_UNKNOWN_OUTCOME nobody knows. */
SOUK_MUST_CHECK souk_err_t orders_place_call(const orders_place_call_input_t *self,
                                             const orders_draft_input_t *inputs,
                                             const orders_draft_t *drafts, size_t count,
                                             orders_outcome_t *ret_outcomes);

#endif
