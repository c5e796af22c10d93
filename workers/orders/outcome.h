/* What place_batch and settle_orders say of each element (deploy/migrations/orders/). */
#ifndef ORDERS_OUTCOME_H
#define ORDERS_OUTCOME_H

#include "runtime/pg.h"

typedef enum {
    ORDERS_DONE,     /* placed, settled */
    ORDERS_REPLAYED, /* reply is what was stored */
    ORDERS_REUSED,   /* the key was used for another request */
    ORDERS_AGAIN,    /* its twin was refused: the key is free */
    ORDERS_REFUSED,  /* as the caller's verdict says */
    ORDERS_STALE,    /* what it rests on has moved */
    ORDERS_NO_STOCK, /* at: the line; remaining: what is left */
    ORDERS_NO_USES,  /* the discount code is used up */
    ORDERS_UNPAID,   /* the client has too many unpaid orders */
    ORDERS_OUTCOMES_COUNT
} orders_outcome_kind_t;

typedef struct {
    orders_outcome_kind_t kind;
    int64_t at, remaining;
    souk_str_t reply; /* borrowed from the arena */
} orders_outcome_t;

/* Of the function's text; an unknown one is a function of another version: STALE. */
orders_outcome_kind_t orders_outcome_of(souk_str_t text);
/* For metrics. */
const char *orders_outcome_name(orders_outcome_kind_t kind);

#endif
