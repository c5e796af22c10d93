/* Counters, gauges and histograms, declared in schemas/metrics.yaml, printed as Prometheus text
 * (exposition format 0.0.4).
 *
 * A declaration has fixed label names; a series (one combination of label values) is found or made
 * once and then updated with relaxed atomics, so that updates are safe from any thread and cost
 * nanoseconds. The series of one metric are bounded by series_max of its declaration; beyond it
 * updates go to a series whose label values are all "other". */
#ifndef SOUK_METRICS_H
#define SOUK_METRICS_H

#include "souk/base.h"
#include "souk/buf.h"

typedef enum { SOUK_METRIC_COUNTER, SOUK_METRIC_GAUGE, SOUK_METRIC_HISTOGRAM } souk_metric_kind_t;

typedef struct {
    const char *name, *help;
    souk_metric_kind_t kind;
    const char *const *labels;
    size_t labels_count;
    const int64_t
        *bounds_us; /* HISTOGRAM: ascending upper bounds in microseconds; printed in seconds */
    size_t bounds_count;
    size_t series_max;
} souk_metric_decl_t; /* generated: gen/metrics.h has enum SOUK_METRIC_... as indexes and the table
                         souk_metric_decls */

typedef struct souk_series souk_series_t;

/* Makes the registry of this process from the generated table; call once before any other. */
void souk_metrics_init(const souk_metric_decl_t *decls, size_t decls_count);
/* Sets souk_build_info and souk_process_start_time_seconds. process: "broker" and so on. */
void souk_metrics_process(const char *process);
/* Frees the registry; every series pointer is dead then. For the end of a process and for tests. */
void souk_metrics_done(void);
/* label values in the declared order. Never NULL. Keep the pointer. */
souk_series_t *souk_metric(size_t metric, ...)
    __attribute__((sentinel)); /* const char *values..., NULL */
souk_series_t *souk_metric_of(size_t metric, const souk_str_t *values, size_t values_count);
void souk_metric_add(souk_series_t *series, int64_t n);
void souk_metric_set(souk_series_t *series, int64_t value);
/* For a metric in seconds: given in microseconds, printed as seconds with six decimals. */
void souk_metric_set_us(souk_series_t *series, int64_t us);
void souk_metric_observe_us(souk_series_t *series, int64_t us);
int64_t souk_metric_value(const souk_series_t *series);
/* All series that exist, plus zero for metrics without labels. */
void souk_metrics_print(souk_buf_t *buf);

#endif
