#include "orders/outcome.h"

/* "placed" of place_batch and "done" of settle_orders are the same to their callers. */
static const char *const s_names[ORDERS_OUTCOMES_COUNT] = {
    [ORDERS_DONE] = "done",      [ORDERS_REPLAYED] = "replayed", [ORDERS_REUSED] = "reused",
    [ORDERS_AGAIN] = "again",    [ORDERS_REFUSED] = "refused",   [ORDERS_STALE] = "stale",
    [ORDERS_NO_STOCK] = "stock", [ORDERS_NO_USES] = "discount",  [ORDERS_UNPAID] = "unpaid",
};

orders_outcome_kind_t orders_outcome_of(souk_str_t text) {
    if (souk_str_equal(text, SOUK_STR("placed"))) {
        return ORDERS_DONE;
    }
    for (int i = 0; i < ORDERS_OUTCOMES_COUNT; i++) {
        if (souk_str_equal(text, souk_str_of(s_names[i]))) {
            return (orders_outcome_kind_t)i;
        }
    }
    return ORDERS_STALE;
}

const char *orders_outcome_name(orders_outcome_kind_t kind) {
    return s_names[kind];
}
