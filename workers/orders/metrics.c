#include "orders/metrics.h"

#include "gen/metrics.h"

void orders_metrics_init(orders_metrics_t *self) {
    static const char *const steps[ORDERS_METRICS_COUNT] = {"place", "cancel", "pay", "expire"};
    for (int step = 0; step < ORDERS_METRICS_COUNT; step++) {
        self->batches[step] = souk_metric(SOUK_METRIC_ORDERS_BATCHES_TOTAL, steps[step], NULL);
        self->batched[step] = souk_metric(SOUK_METRIC_ORDERS_BATCHED_TOTAL, steps[step], NULL);
        for (int kind = 0; kind < ORDERS_OUTCOMES_COUNT; kind++) {
            const char *outcome = orders_outcome_name((orders_outcome_kind_t)kind);
            self->outcomes[step][kind] =
                souk_metric(SOUK_METRIC_ORDERS_OUTCOMES_TOTAL, steps[step], outcome, NULL);
        }
    }
    self->repeats = souk_metric(SOUK_METRIC_ORDERS_REPEATS_TOTAL, NULL);
    self->bisects = souk_metric(SOUK_METRIC_ORDERS_BISECTS_TOTAL, NULL);
}
