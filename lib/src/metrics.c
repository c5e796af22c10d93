/* Design note. Updates touch one series with relaxed atomics and take no lock. Finding or making a
 * series takes the registry's mutex: callers keep the pointer, so this is off the hot path. Series
 * are never freed: their number is bounded by the declarations. A scrape reads the atomics one by
 * one: the numbers of one scrape may be a few updates apart, and each is monotonic. */
#include "souk/metrics.h"

#include "gen/metrics.h"
#include "souk/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#define S_BUCKETS 1024
#define S_LABELS_MAX 8
#define S_VALUE_BYTES_MAX 128

struct souk_series {
    const souk_metric_decl_t *decl;
    souk_series_t *next;      /* of the same metric, in order of birth */
    souk_series_t *same_hash; /* chain of the look-up table */
    uint64_t hash;
    souk_str_t labels;        /* name="value",... as printed, escaped; owned */
    atomic_bool in_us;        /* set in microseconds, printed in seconds */
    _Atomic int64_t value;    /* histogram: sum of microseconds */
    _Atomic uint64_t *counts; /* histogram: one for each bound and one above */
};

typedef struct {
    souk_series_t *first, *last;
    size_t count;
} s_metric_t;

static struct {
    pthread_mutex_t lock;
    const souk_metric_decl_t *decls;
    size_t decls_count;
    s_metric_t *metrics;
    souk_series_t *table[S_BUCKETS];
} s_registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void s_free_series(souk_series_t *series) {
    free((void *)(uintptr_t)series->labels.data);
    free(series->counts);
    free(series);
}

void souk_metrics_done(void) {
    for (size_t i = 0; i < s_registry.decls_count; i++) {
        for (souk_series_t *series = s_registry.metrics[i].first, *next; series != NULL;
             series = next) {
            next = series->next;
            s_free_series(series);
        }
    }
    free(s_registry.metrics);
    s_registry.metrics = NULL;
    s_registry.decls_count = 0;
    memset(s_registry.table, 0, sizeof(s_registry.table));
}

void souk_metrics_init(const souk_metric_decl_t *decls, size_t decls_count) {
    souk_metrics_done();
    s_registry.decls = decls;
    s_registry.decls_count = decls_count;
    s_registry.metrics = calloc(decls_count + 1, sizeof(*s_registry.metrics));
    souk_assert(s_registry.metrics != NULL);
    for (size_t i = 0; i < decls_count; i++) {
        souk_assert(decls[i].labels_count <= S_LABELS_MAX);
        if (decls[i].labels_count == 0) {
            (void)souk_metric_of(i, NULL, 0);
        }
    }
}

void souk_metrics_process(const char *process) {
    souk_metric_set(souk_metric(SOUK_METRIC_BUILD_INFO, souk_version(), process, NULL), 1);
    souk_metric_set_us(souk_metric(SOUK_METRIC_PROCESS_START_TIME_SECONDS, NULL),
                       souk_clock_unix_us());
}

/* Label values are cut at S_VALUE_BYTES_MAX, so that no input can grow a series without bound. */
static void s_append_labels(souk_buf_t *buf, const souk_metric_decl_t *decl,
                            const souk_str_t *values) {
    for (size_t i = 0; i < decl->labels_count; i++) {
        souk_buf_printf(buf, "%s%s=\"", i == 0 ? "" : ",", decl->labels[i]);
        for (size_t k = 0; k < values[i].size && k < S_VALUE_BYTES_MAX; k++) {
            char byte = values[i].data[k];
            if (byte == '\n') {
                souk_buf_append_str(buf, SOUK_STR("\\n"));
                continue;
            }
            if (byte == '"' || byte == '\\') {
                souk_buf_append_byte(buf, '\\');
            }
            souk_buf_append_byte(buf, (uint8_t)byte);
        }
        souk_buf_append_byte(buf, '"');
    }
}

static uint64_t s_hash(size_t metric, souk_str_t labels) {
    uint64_t hash = 14695981039346656037ULL ^ metric; /* FNV-1a */
    for (size_t i = 0; i < labels.size; i++) {
        hash = (hash ^ (uint8_t)labels.data[i]) * 1099511628211ULL;
    }
    return hash ^ (hash >> 29);
}

static souk_series_t *s_find(const souk_metric_decl_t *decl, uint64_t hash, souk_str_t labels) {
    souk_series_t *series = s_registry.table[hash % S_BUCKETS];
    while (series != NULL && !(series->hash == hash && series->decl == decl &&
                               souk_str_equal(series->labels, labels))) {
        series = series->same_hash;
    }
    return series;
}

static souk_series_t *s_make(size_t metric, uint64_t hash, souk_str_t labels) {
    const souk_metric_decl_t *decl = &s_registry.decls[metric];
    souk_series_t *series = calloc(1, sizeof(*series));
    char *copy = malloc(labels.size + 1);
    souk_assert(series != NULL && copy != NULL);
    if (labels.size > 0) {
        memcpy(copy, labels.data, labels.size);
    }
    copy[labels.size] = '\0';
    series->decl = decl;
    series->hash = hash;
    series->labels = (souk_str_t){.data = copy, .size = labels.size};
    if (decl->kind == SOUK_METRIC_HISTOGRAM) {
        series->counts = calloc(decl->bounds_count + 1, sizeof(*series->counts));
        souk_assert(series->counts != NULL);
    }
    s_metric_t *self = &s_registry.metrics[metric];
    if (self->last != NULL) {
        self->last->next = series;
    } else {
        self->first = series;
    }
    self->last = series;
    self->count++;
    series->same_hash = s_registry.table[hash % S_BUCKETS];
    s_registry.table[hash % S_BUCKETS] = series;
    return series;
}

/* NULL when the series does not exist and series_max are there already. */
static souk_series_t *s_require(size_t metric, const souk_str_t *values, size_t series_max) {
    const souk_metric_decl_t *decl = &s_registry.decls[metric];
    souk_buf_t text;
    souk_buf_init(&text, S_LABELS_MAX * (2 * S_VALUE_BYTES_MAX + 128));
    s_append_labels(&text, decl, values);
    uint64_t hash = s_hash(metric, souk_buf_str(&text));
    souk_series_t *series = s_find(decl, hash, souk_buf_str(&text));
    if (series == NULL && s_registry.metrics[metric].count < series_max) {
        series = s_make(metric, hash, souk_buf_str(&text));
    }
    souk_buf_done(&text);
    return series;
}

souk_series_t *souk_metric_of(size_t metric, const souk_str_t *values, size_t values_count) {
    souk_assert(metric < s_registry.decls_count);
    const souk_metric_decl_t *decl = &s_registry.decls[metric];
    souk_assert(values_count == decl->labels_count);
    pthread_mutex_lock(&s_registry.lock);
    souk_series_t *series = s_require(metric, values, decl->series_max > 0 ? decl->series_max : 1);
    if (series == NULL) {
        souk_str_t other[S_LABELS_MAX];
        for (size_t i = 0; i < S_LABELS_MAX; i++) {
            other[i] = SOUK_STR("other");
        }
        series = s_require(metric, other, SIZE_MAX);
    }
    pthread_mutex_unlock(&s_registry.lock);
    return series;
}

souk_series_t *souk_metric(size_t metric, ...) {
    souk_str_t values[S_LABELS_MAX] = {{0}};
    size_t count = 0;
    va_list args;
    va_start(args, metric);
    for (const char *value = va_arg(args, const char *); value != NULL;
         value = va_arg(args, const char *)) {
        souk_assert(count < S_LABELS_MAX);
        values[count++] = souk_str_of(value);
    }
    va_end(args);
    return souk_metric_of(metric, values, count);
}

void souk_metric_add(souk_series_t *series, int64_t n) {
    atomic_fetch_add_explicit(&series->value, n, memory_order_relaxed);
}

void souk_metric_set(souk_series_t *series, int64_t value) {
    atomic_store_explicit(&series->value, value, memory_order_relaxed);
}

void souk_metric_set_us(souk_series_t *series, int64_t us) {
    atomic_store_explicit(&series->in_us, true, memory_order_relaxed);
    atomic_store_explicit(&series->value, us, memory_order_relaxed);
}

void souk_metric_observe_us(souk_series_t *series, int64_t us) {
    const souk_metric_decl_t *decl = series->decl;
    souk_assert(decl->kind == SOUK_METRIC_HISTOGRAM);
    size_t low = 0, high = decl->bounds_count; /* the first bound >= us */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (decl->bounds_us[middle] < us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    atomic_fetch_add_explicit(&series->counts[low], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->value, us, memory_order_relaxed);
}

int64_t souk_metric_value(const souk_series_t *series) {
    return atomic_load_explicit(&series->value, memory_order_relaxed);
}

static void s_print_us(souk_buf_t *buf, int64_t us) {
    uint64_t size = us < 0 ? (uint64_t)-us : (uint64_t)us;
    souk_buf_printf(buf, "%s%" PRIu64 ".%06" PRIu64, us < 0 ? "-" : "", size / 1000000,
                    size % 1000000);
}

static void s_print_histogram(souk_buf_t *buf, const souk_series_t *series) {
    const souk_metric_decl_t *decl = series->decl;
    const char *labels = series->labels.data;
    const char *comma = series->labels.size > 0 ? "," : "";
    uint64_t total = 0;
    for (size_t i = 0; i <= decl->bounds_count; i++) {
        total += atomic_load_explicit(&series->counts[i], memory_order_relaxed);
        souk_buf_printf(buf, "%s_bucket{%s%sle=\"", decl->name, labels, comma);
        if (i < decl->bounds_count) {
            s_print_us(buf, decl->bounds_us[i]);
        } else {
            souk_buf_append_str(buf, SOUK_STR("+Inf"));
        }
        souk_buf_printf(buf, "\"} %" PRIu64 "\n", total);
    }
    const char *open = series->labels.size > 0 ? "{" : "",
               *shut = series->labels.size > 0 ? "}" : "";
    souk_buf_printf(buf, "%s_sum%s%s%s ", decl->name, open, labels, shut);
    s_print_us(buf, souk_metric_value(series));
    souk_buf_printf(buf, "\n%s_count%s%s%s %" PRIu64 "\n", decl->name, open, labels, shut, total);
}

static void s_print_series(souk_buf_t *buf, const souk_series_t *series) {
    if (series->decl->kind == SOUK_METRIC_HISTOGRAM) {
        s_print_histogram(buf, series);
        return;
    }
    souk_buf_append_str(buf, souk_str_of(series->decl->name));
    if (series->labels.size > 0) {
        souk_buf_printf(buf, "{%s}", series->labels.data);
    }
    souk_buf_append_byte(buf, ' ');
    if (atomic_load_explicit(&series->in_us, memory_order_relaxed)) {
        s_print_us(buf, souk_metric_value(series));
    } else {
        souk_buf_printf(buf, "%" PRId64, souk_metric_value(series));
    }
    souk_buf_append_byte(buf, '\n');
}

void souk_metrics_print(souk_buf_t *buf) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    pthread_mutex_lock(&s_registry.lock);
    for (size_t i = 0; i < s_registry.decls_count; i++) {
        const souk_metric_decl_t *decl = &s_registry.decls[i];
        if (s_registry.metrics[i].first == NULL) {
            continue;
        }
        souk_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", decl->name, decl->help, decl->name,
                        kinds[decl->kind]);
        for (const souk_series_t *series = s_registry.metrics[i].first; series != NULL;
             series = series->next) {
            s_print_series(buf, series);
        }
    }
    pthread_mutex_unlock(&s_registry.lock);
}
