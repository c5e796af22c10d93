#include "orders/metrics.h"

#include "gen/metrics.h"

static const char *const s_steps[ORDERS_METRICS_COUNT] = {"place", "cancel", "pay", "expire"};

const char *orders_metrics_step_name(orders_metrics_step_t step) {
    return s_steps[step];
}

void orders_metrics_init(orders_metrics_t *self, const char *currency) {
    for (int step = 0; step < ORDERS_METRICS_COUNT; step++) {
        self->batches[step] = souk_metric(SOUK_METRIC_ORDERS_BATCHES_TOTAL, s_steps[step], NULL);
        self->batched[step] = souk_metric(SOUK_METRIC_ORDERS_BATCHED_TOTAL, s_steps[step], NULL);
        for (int kind = 0; kind < ORDERS_OUTCOMES_COUNT; kind++) {
            const char *outcome = orders_outcome_name((orders_outcome_kind_t)kind);
            self->outcomes[step][kind] =
                souk_metric(SOUK_METRIC_ORDERS_OUTCOMES_TOTAL, s_steps[step], outcome, NULL);
        }
    }
    self->repeats = souk_metric(SOUK_METRIC_ORDERS_REPEATS_TOTAL, NULL);
    self->bisects = souk_metric(SOUK_METRIC_ORDERS_BISECTS_TOTAL, NULL);
    self->revenue = souk_metric(SOUK_METRIC_ORDERS_REVENUE_MINOR_TOTAL, currency, NULL);
    self->imbalances = souk_metric(SOUK_METRIC_ORDERS_IMBALANCES, NULL);
    self->unpaid = souk_metric(SOUK_METRIC_ORDERS_UNPAID, NULL);
    self->oldest_unpaid = souk_metric(SOUK_METRIC_ORDERS_OLDEST_UNPAID_SECONDS, NULL);
}
