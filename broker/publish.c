/* Series are looked up once for each place and made only when there is something to say, so that
 * names that clients invent do not fill the registry. Counters are set to the core's own: a service
 * that was thrown out and came back starts at zero, as after a restart. */
#include "publish.h"

#include "gen/metrics.h"
#include "souk/metrics.h"

#include <stdlib.h>

typedef struct {
    souk_series_t *counts[SOUK_COUNTS];
    souk_series_t *queued, *bytes, *inflight, *oldest, *waited;
} s_queue_series_t;

typedef struct {
    char name[SOUK_NAME_BYTES_MAX + 1];
    souk_series_t *workers, *slots, *slots_free;
    s_queue_series_t queues[SOUK_PRIORITIES_COUNT];
} s_service_series_t;

struct souk_publish {
    size_t max;
    s_service_series_t *services;
};

static const char *const s_priorities[] = {"checkout", "account", "browse", "batch"};
static const char *const s_sides[] = {"front", "back"};

souk_publish_t *souk_publish_new(size_t services_max) {
    souk_publish_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->services = calloc(services_max, sizeof(*self->services));
    souk_assert(self->services != NULL);
    self->max = services_max;
    return self;
}

void souk_publish_destroy(souk_publish_t **self_p) {
    if (*self_p != NULL) {
        free((*self_p)->services);
        free(*self_p);
        *self_p = NULL;
    }
}

/* The gauges of the service that had the place end at zero. */
static void s_zero(s_service_series_t *service) {
    souk_series_t *gauges[3 + 4 * SOUK_PRIORITIES_COUNT] = {service->workers, service->slots,
                                                            service->slots_free};
    size_t count = 3;
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        s_queue_series_t *queue = &service->queues[priority];
        gauges[count++] = queue->queued;
        gauges[count++] = queue->bytes;
        gauges[count++] = queue->inflight;
        gauges[count++] = queue->oldest;
    }
    for (size_t i = 0; i < count; i++) {
        if (gauges[i] != NULL) {
            souk_metric_set(gauges[i], 0);
        }
    }
}

void souk_publish_service(souk_publish_t *self, uint32_t index, souk_str_t name) {
    souk_assert(index < self->max && name.size <= SOUK_NAME_BYTES_MAX);
    s_service_series_t *service = &self->services[index];
    s_zero(service);
    memset(service, 0, sizeof(*service));
    memcpy(service->name, name.data, name.size);
}

void souk_publish_waited(souk_publish_t *self, uint32_t index, uint8_t priority, int64_t us) {
    s_service_series_t *service = &self->services[index];
    souk_series_t **series = &service->queues[priority].waited;
    if (*series == NULL) {
        *series = souk_metric(SOUK_METRIC_BROKER_QUEUE_SECONDS, service->name,
                              s_priorities[priority], NULL);
    }
    souk_metric_observe_us(*series, us);
}

static void s_publish_queue(s_service_series_t *service, int priority,
                            const souk_queue_view_t *view) {
    s_queue_series_t *series = &service->queues[priority];
    const char *name = service->name, *label = s_priorities[priority];
    for (int count = 0; count < SOUK_COUNTS; count++) {
        if (view->counts[count] > 0 && series->counts[count] == NULL) {
            series->counts[count] = souk_metric(SOUK_METRIC_BROKER_REQUESTS_TOTAL, name, label,
                                                souk_count_name((souk_count_t)count), NULL);
        }
        if (series->counts[count] != NULL) {
            souk_metric_set(series->counts[count], (int64_t)view->counts[count]);
        }
    }
    if (view->counts[SOUK_COUNT_ADMITTED] == 0) {
        return;
    }
    if (series->queued == NULL) {
        series->queued = souk_metric(SOUK_METRIC_BROKER_QUEUED, name, label, NULL);
        series->bytes = souk_metric(SOUK_METRIC_BROKER_QUEUED_BYTES, name, label, NULL);
        series->inflight = souk_metric(SOUK_METRIC_BROKER_INFLIGHT, name, label, NULL);
        series->oldest = souk_metric(SOUK_METRIC_BROKER_OLDEST_SECONDS, name, label, NULL);
    }
    souk_metric_set(series->queued, view->queued);
    souk_metric_set(series->bytes, (int64_t)view->queued_bytes);
    souk_metric_set(series->inflight, view->inflight);
    souk_metric_set_us(series->oldest, view->oldest_us);
}

void souk_publish_views(souk_publish_t *self, const souk_service_view_t *views,
                        size_t views_count) {
    for (size_t i = 0; i < views_count; i++) {
        s_service_series_t *service = &self->services[views[i].index];
        if (views[i].workers > 0 && service->workers == NULL) {
            service->workers = souk_metric(SOUK_METRIC_BROKER_WORKERS, service->name, NULL);
            service->slots = souk_metric(SOUK_METRIC_BROKER_SLOTS, service->name, NULL);
            service->slots_free = souk_metric(SOUK_METRIC_BROKER_SLOTS_FREE, service->name, NULL);
        }
        if (service->workers != NULL) {
            souk_metric_set(service->workers, views[i].workers);
            souk_metric_set(service->slots, views[i].slots);
            souk_metric_set(service->slots_free, views[i].slots_free);
        }
        for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
            s_publish_queue(service, priority, &views[i].queues[priority]);
        }
    }
}

static void s_bad(const char *reason, uint64_t count) {
    souk_metric_set(souk_metric(SOUK_METRIC_BROKER_BAD_MESSAGES_TOTAL, reason, NULL),
                    (int64_t)count);
}

void souk_publish_totals(const souk_core_view_t *view) {
    souk_metric_set(souk_metric(SOUK_METRIC_BROKER_HELD_REQUESTS, NULL), view->flights);
    souk_metric_set(souk_metric(SOUK_METRIC_BROKER_HELD_BYTES, NULL), (int64_t)view->bytes);
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        souk_metric_set(souk_metric(SOUK_METRIC_BROKER_PEERS, s_sides[side], NULL),
                        view->peers[side]);
        souk_metric_set(souk_metric(SOUK_METRIC_BROKER_PEERS_LOST_TOTAL, s_sides[side], NULL),
                        (int64_t)view->lost[side]);
    }
    s_bad("malformed", view->malformed);
    s_bad("unexpected", view->unexpected);
    s_bad("forged", view->forged);
    s_bad("late", view->late);
}

void souk_publish_transport(souk_side_t side, const souk_bus_stats_t *stats) {
    const char *name = s_sides[side];
    souk_metric_set(souk_metric(SOUK_METRIC_BROKER_FRAMES_TOTAL, name, "in", NULL),
                    (int64_t)stats->frames_in);
    souk_metric_set(souk_metric(SOUK_METRIC_BROKER_FRAMES_TOTAL, name, "out", NULL),
                    (int64_t)stats->frames_out);
    souk_metric_set(souk_metric(SOUK_METRIC_BROKER_BYTES_TOTAL, name, "in", NULL),
                    (int64_t)stats->bytes_in);
    souk_metric_set(souk_metric(SOUK_METRIC_BROKER_BYTES_TOTAL, name, "out", NULL),
                    (int64_t)stats->bytes_out);
    s_bad(side == SOUK_SIDE_FRONT ? "front_framing" : "back_framing", stats->frames_malformed);
    s_bad(side == SOUK_SIDE_FRONT ? "front_peers_max" : "back_peers_max", stats->peers_refused);
}
