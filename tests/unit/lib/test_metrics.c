#include "souk/metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { REQUESTS, DEPTH, DELAY, PLAIN, AGE };
static const char *const method_labels[] = {"service", "method"};
static const char *const one_label[] = {"service"};
static const int64_t bounds[] = {1000, 50000, 1000000};
static const souk_metric_decl_t decls[] = {
    [REQUESTS] = {.name = "t_requests_total",
                  .help = "Requests.",
                  .kind = SOUK_METRIC_COUNTER,
                  .labels = method_labels,
                  .labels_count = 2,
                  .series_max = 3},
    [DEPTH] = {.name = "t_depth",
               .help = "Depth.",
               .kind = SOUK_METRIC_GAUGE,
               .labels = one_label,
               .labels_count = 1,
               .series_max = 8},
    [DELAY] = {.name = "t_delay_seconds",
               .help = "Delay.",
               .kind = SOUK_METRIC_HISTOGRAM,
               .labels = one_label,
               .labels_count = 1,
               .bounds_us = bounds,
               .bounds_count = 3,
               .series_max = 8},
    [PLAIN] = {.name = "t_plain_total",
               .help = "Plain.",
               .kind = SOUK_METRIC_COUNTER,
               .series_max = 1},
    [AGE] = {.name = "t_age_seconds", .help = "Age.", .kind = SOUK_METRIC_GAUGE, .series_max = 1},
};

static souk_buf_t text;

static void setup(void) {
    souk_metrics_init(decls, SOUK_COUNT_OF(decls));
    souk_buf_init(&text, 1 << 16);
}

static void teardown(void) {
    souk_metrics_done();
    souk_buf_done(&text);
}

TestSuite(metrics, .init = setup, .fini = teardown);

static bool printed(const char *line) {
    souk_buf_clear(&text);
    souk_metrics_print(&text);
    return memmem(text.data, text.size, line, strlen(line)) != NULL;
}

Test(metrics, the_same_labels_give_the_same_series) {
    souk_series_t *a = souk_metric(REQUESTS, "catalog", "get", NULL);
    cr_assert_eq(a, souk_metric(REQUESTS, "catalog", "get", NULL));
    cr_assert_neq(a, souk_metric(REQUESTS, "catalog", "list", NULL));
    souk_metric_add(a, 2);
    souk_metric_add(a, 3);
    cr_assert_eq(souk_metric_value(a), 5);
    cr_assert(printed("# HELP t_requests_total Requests.\n# TYPE t_requests_total counter\n"
                      "t_requests_total{service=\"catalog\",method=\"get\"} 5\n"));
}

Test(metrics, a_metric_without_labels_is_there_from_the_start) {
    cr_assert(printed("t_plain_total 0\n"));
    cr_assert_not(printed("t_depth"));
}

Test(metrics, beyond_series_max_updates_go_to_other) {
    char name[16];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        souk_metric_add(souk_metric(REQUESTS, "s", name, NULL), 1);
    }
    cr_assert(printed("t_requests_total{service=\"s\",method=\"m2\"} 1\n"));
    cr_assert(printed("t_requests_total{service=\"other\",method=\"other\"} 7\n"));
    cr_assert_not(printed("m3"));
    souk_metric_add(souk_metric(REQUESTS, "s", "m0", NULL), 1);
    cr_assert(printed("t_requests_total{service=\"s\",method=\"m0\"} 2\n"));
}

Test(metrics, label_values_are_escaped_and_cut) {
    char longer[300];
    memset(longer, 'y', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    souk_metric_set(souk_metric(DEPTH, "a\"b\\c\nd", NULL), -4);
    souk_metric_set(souk_metric(DEPTH, longer, NULL), 1);
    cr_assert(printed("t_depth{service=\"a\\\"b\\\\c\\nd\"} -4\n"));
    longer[128] = '\0';
    cr_assert(printed(longer));
    longer[128] = 'y';
    longer[129] = '\0';
    cr_assert_not(printed(longer));
}

Test(metrics, a_histogram_counts_cumulatively_with_inclusive_bounds) {
    souk_series_t *series = souk_metric(DELAY, "s", NULL);
    int64_t us[] = {0, 1000, 1001, 50000, 999999, 1000001};
    for (size_t i = 0; i < SOUK_COUNT_OF(us); i++) {
        souk_metric_observe_us(series, us[i]);
    }
    cr_assert(printed("t_delay_seconds_bucket{service=\"s\",le=\"0.001000\"} 2\n"
                      "t_delay_seconds_bucket{service=\"s\",le=\"0.050000\"} 4\n"
                      "t_delay_seconds_bucket{service=\"s\",le=\"1.000000\"} 5\n"
                      "t_delay_seconds_bucket{service=\"s\",le=\"+Inf\"} 6\n"
                      "t_delay_seconds_sum{service=\"s\"} 2.052001\n"
                      "t_delay_seconds_count{service=\"s\"} 6\n"));
}

Test(metrics, seconds_may_be_set_in_microseconds) {
    souk_metric_set_us(souk_metric(AGE, NULL), 1500000);
    cr_assert(printed("t_age_seconds 1.500000\n"));
}
