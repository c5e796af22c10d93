/* The series of orders, made once. */
#ifndef ORDERS_METRICS_H
#define ORDERS_METRICS_H

#include "orders/outcome.h"
#include "souk/metrics.h"

typedef enum {
    ORDERS_METRICS_PLACE,
    ORDERS_METRICS_CANCEL,
    ORDERS_METRICS_PAY,
    ORDERS_METRICS_EXPIRE,
    ORDERS_METRICS_COUNT
} orders_metrics_step_t;

typedef struct {
    souk_series_t *outcomes[ORDERS_METRICS_COUNT][ORDERS_OUTCOMES_COUNT];
    souk_series_t *batches[ORDERS_METRICS_COUNT], *batched[ORDERS_METRICS_COUNT];
    souk_series_t *repeats, *bisects;
    souk_series_t *revenue;
    souk_series_t *imbalances, *unpaid, *oldest_unpaid;
} orders_metrics_t;

const char *orders_metrics_step_name(orders_metrics_step_t step);
void orders_metrics_init(orders_metrics_t *self, const char *currency);

#endif
