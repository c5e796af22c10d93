/* Design note. The core says when it wants to be woken; the timer is only ever moved forward, since
 * almost every request has a later deadline than the one before: a wake that comes too early finds
 * nothing due and sets the next. */
#include "reactor.h"

#include "notes.h"
#include "publish.h"

#include "gen/metrics.h"
#include "souk/admin.h"
#include "souk/clock.h"
#include "souk/id.h"
#include "souk/log.h"
#include "souk/loop.h"
#include "souk/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <zmq.h>

#define S_PUBLISH_US 200000
#define S_LINGER_MS 1000

struct souk_reactor {
    souk_loop_t *loop;
    souk_core_t *core;
    souk_bus_t *buses[SOUK_SIDES_COUNT];
    souk_out_t out;
    souk_timer_t *wake, *publish_timer;
    int64_t wake_us; /* when the timer fires; INT64_MAX: not set */
    int64_t settled_us;
    souk_publish_t *publish;
    souk_status_t *status; /* borrowed */
    souk_service_view_t *views;
    size_t views_max;
};

static souk_buf_t *s_begin(void *arg, souk_side_t side, souk_peer_t peer) {
    souk_reactor_t *self = arg;
    return souk_bus_begin(self->buses[side], peer);
}

static souk_err_t s_commit(void *arg, souk_side_t side, souk_peer_t peer) {
    souk_reactor_t *self = arg;
    (void)peer;
    return souk_bus_commit(self->buses[side]);
}

static void s_forget(void *arg, souk_side_t side, souk_peer_t peer) {
    souk_reactor_t *self = arg;
    souk_bus_forget(self->buses[side], peer);
}

static void s_note(void *arg, const souk_note_t *note) {
    souk_reactor_t *self = arg;
    souk_note_log(note);
    if (note->kind == SOUK_NOTE_SERVICE_MADE) {
        souk_publish_service(self->publish, note->index, note->service);
    } else if (note->kind == SOUK_NOTE_POISON) {
        souk_metric_add(souk_metric_of(SOUK_METRIC_BROKER_POISON_TOTAL, &note->service, 1), 1);
    }
}

static void s_waited(void *arg, uint32_t index, uint8_t priority, int64_t us) {
    souk_reactor_t *self = arg;
    souk_publish_waited(self->publish, index, priority, us);
}

static void s_step(souk_reactor_t *self, const souk_event_t *event) {
    int64_t now_us = souk_loop_now_us(self->loop);
    souk_core_step(self->core, event, now_us, &self->out);
    if (souk_core_finished(self->core)) {
        souk_loop_stop(self->loop);
        return;
    }
    int64_t next_us = souk_core_next_wake_us(self->core);
    if (next_us < self->wake_us) {
        self->wake_us = next_us;
        souk_timer_set(self->wake, next_us - now_us);
    }
}

static void s_on_wake(void *arg) {
    souk_reactor_t *self = arg;
    self->wake_us = INT64_MAX;
    s_step(self, &(souk_event_t){.kind = SOUK_EVENT_TICK});
}

static void s_on_front(void *arg, souk_peer_t peer, souk_str_t frame) {
    s_step(arg,
           &(souk_event_t){
               .kind = SOUK_EVENT_FRAME, .side = SOUK_SIDE_FRONT, .peer = peer, .frame = frame});
}

static void s_on_back(void *arg, souk_peer_t peer, souk_str_t frame) {
    s_step(arg,
           &(souk_event_t){
               .kind = SOUK_EVENT_FRAME, .side = SOUK_SIDE_BACK, .peer = peer, .frame = frame});
}

static void s_on_front_gone(void *arg, souk_peer_t peer) {
    s_step(arg, &(souk_event_t){.kind = SOUK_EVENT_GONE, .side = SOUK_SIDE_FRONT, .peer = peer});
}

static void s_on_back_gone(void *arg, souk_peer_t peer) {
    s_step(arg, &(souk_event_t){.kind = SOUK_EVENT_GONE, .side = SOUK_SIDE_BACK, .peer = peer});
}

static void s_on_signal(void *arg) {
    souk_health_set(SOUK_HEALTH_DRAINING, NULL);
    s_step(arg, &(souk_event_t){.kind = SOUK_EVENT_STOP});
}

static void s_publish_all(souk_reactor_t *self) {
    int64_t now_us = souk_loop_now_us(self->loop);
    souk_core_view_t view;
    souk_core_view(self->core, &view);
    size_t count = souk_core_services(self->core, now_us, self->views, self->views_max);
    bool settled = view.served || now_us >= self->settled_us;
    souk_status_put(self->status, self->views, count, settled);
    souk_publish_views(self->publish, self->views, count);
    souk_publish_totals(&view);
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        souk_bus_stats_t stats;
        souk_bus_stats(self->buses[side], &stats);
        souk_publish_transport((souk_side_t)side, &stats);
    }
}

static void s_on_publish(void *arg) {
    souk_reactor_t *self = arg;
    s_publish_all(self);
    souk_timer_set(self->publish_timer, S_PUBLISH_US);
}

static souk_core_options_t s_core_options(const souk_broker_config_t *config) {
    souk_core_options_t options = {
        .name = config->name,
        .epoch = (uint64_t)souk_clock_unix_us(),
        .peers_max = (uint32_t)config->peers_max,
        .services_max = (uint32_t)config->services_max,
        .flights_max = (uint32_t)config->requests_max,
        .queue_count_max = (uint32_t)config->queue_max,
        .queue_bytes_max = (size_t)config->queue_bytes_max,
        .bytes_max = (size_t)config->bytes_max,
        .envelope_bytes_max = (uint32_t)config->envelope_bytes_max,
        .heartbeat_min_ms = (uint32_t)config->heartbeat_min_ms,
        .heartbeat_ms = (uint32_t)config->heartbeat_ms,
        .heartbeat_max_ms = (uint32_t)config->heartbeat_max_ms,
        .cold_start_ms = (uint32_t)config->cold_start_ms,
        .reserve_ms = (uint32_t)config->dispatch_reserve_ms,
        .retry_after_ms = (uint32_t)config->retry_after_ms,
        .refusals_max = (uint32_t)config->refusals_max,
        .deaths_max = (uint32_t)config->deaths_max,
        .floor = (uint32_t)config->priority_floor,
        .stop_ms = (uint32_t)config->stop_ms,
    };
    souk_random(&options.hash_seed, sizeof(options.hash_seed));
    return options;
}

static souk_err_t s_bind(souk_reactor_t *self, souk_side_t side,
                         const souk_broker_config_t *config) {
    bool front = side == SOUK_SIDE_FRONT;
    const char *endpoint = front ? config->front : config->back;
    const souk_bus_options_t options = {
        .endpoint = endpoint,
        .bind = true,
        .peers_max = (size_t)config->peers_max + 64, /* some that have no session and are told so */
        /* one envelope always fits, whatever waits already is within the bound */
        .pending_bytes_max = (size_t)(config->pending_bytes_max + config->envelope_bytes_max),
        .frame_bytes_max = (size_t)config->envelope_bytes_max,
        .heartbeat_ms = (int)config->heartbeat_ms,
        .linger_ms = S_LINGER_MS,
        .on_frame = front ? s_on_front : s_on_back,
        .on_gone = front ? s_on_front_gone : s_on_back_gone,
        .arg = self,
    };
    if (strchr(endpoint, ',') != NULL) {
        souk_log(SOUK_LOG_ERROR, "BR-BIND", SOUK_F_TEXT("endpoint", endpoint),
                 SOUK_F_TEXT("reason", "a broker binds one endpoint, not a list"));
        return SOUK_ERR_IO;
    }
    if (souk_bus_open(self->loop, &options, &self->buses[side]) != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "BR-BIND", SOUK_F_TEXT("endpoint", endpoint),
                 SOUK_F_TEXT("reason", zmq_strerror(errno)));
        return SOUK_ERR_IO;
    }
    souk_log(SOUK_LOG_INFO, "BR-BOUND", SOUK_F_TEXT("side", front ? "front" : "back"),
             SOUK_F_TEXT("endpoint", souk_bus_endpoint(self->buses[side])));
    return SOUK_OK;
}

static souk_err_t s_start(souk_reactor_t *self, const souk_broker_config_t *config) {
    self->loop = souk_loop_new();
    if (self->loop == NULL) {
        return SOUK_ERR_IO;
    }
    int64_t now_us = souk_loop_now_us(self->loop);
    souk_core_options_t options = s_core_options(config);
    self->core = souk_core_new(&options, now_us);
    self->settled_us = now_us + config->settle_ms * 1000;
    self->wake = souk_timer_new(self->loop, s_on_wake, self);
    self->publish_timer = souk_timer_new(self->loop, s_on_publish, self);
    if (self->wake == NULL || self->publish_timer == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    SOUK_TRY(souk_loop_on_signal(self->loop, SIGTERM, s_on_signal, self));
    SOUK_TRY(souk_loop_on_signal(self->loop, SIGINT, s_on_signal, self));
    SOUK_TRY(s_bind(self, SOUK_SIDE_FRONT, config));
    SOUK_TRY(s_bind(self, SOUK_SIDE_BACK, config));
    s_on_publish(self);
    return SOUK_OK;
}

souk_err_t souk_reactor_new(const souk_broker_config_t *config, souk_status_t *status,
                            souk_reactor_t **ret_self) {
    souk_reactor_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->status = status;
    self->wake_us = INT64_MAX;
    self->views_max = (size_t)config->services_max;
    self->views = calloc(self->views_max, sizeof(*self->views));
    souk_assert(self->views != NULL);
    self->publish = souk_publish_new(self->views_max);
    self->out = (souk_out_t){.arg = self,
                             .begin = s_begin,
                             .commit = s_commit,
                             .forget = s_forget,
                             .note = s_note,
                             .waited = s_waited};
    souk_err_t err = s_start(self, config);
    if (err != SOUK_OK) {
        souk_reactor_destroy(&self);
        return err;
    }
    *ret_self = self;
    return SOUK_OK;
}

souk_err_t souk_reactor_run(souk_reactor_t *self) {
    SOUK_TRY(souk_loop_run(self->loop));
    s_publish_all(self);
    return SOUK_OK;
}

void souk_reactor_destroy(souk_reactor_t **self_p) {
    souk_reactor_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        souk_bus_close(&self->buses[side]);
    }
    souk_timer_destroy(&self->wake);
    souk_timer_destroy(&self->publish_timer);
    souk_core_destroy(&self->core);
    souk_loop_destroy(&self->loop);
    souk_publish_destroy(&self->publish);
    free(self->views);
    free(self);
    *self_p = NULL;
}
