/* What brokers and operators are told: READY, CREDIT, /readyz and the gauges. */
#include "worker_impl.h"

#include <stdio.h>

#include "souk/admin.h"
#include "souk/log.h"

/* ---- Windows --------------------------------------------------------------------------------- */

static void s_windows(const souk_worker_t *self, size_t service, uint32_t ret_windows[]) {
    souk_credit_t credit = {
        .open = self->standing[service].ready && self->phase == SOUK_WORKER_RUNNING,
        .inline_window = (uint32_t)self->config->inline_window,
        .batch_max = (uint32_t)self->config->batch_max,
        .brokers = (uint32_t)self->links_count,
    };
    for (size_t i = 0; i < self->seats_count; i++) {
        const souk_seat_t *seat = &self->seats[i];
        if ((souk_slot_started(seat->slot) >> service & 1) != 0) {
            credit.slots_working++;
            credit.slots_stalled += seat->stalled;
        }
    }
    souk_metric_set(self->standing[service].slots_started, credit.slots_working);
    for (size_t lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        bool used = self->standing[service].room[lane] > 0;
        ret_windows[lane] = used ? souk_credit_window(&credit, (souk_lane_t)lane) : 0;
    }
}

typedef struct {
    souk_credit_row_t rows[SOUK_SERVED_MAX * SOUK_LANES_COUNT];
    size_t count;
} souk_credit_rows_t;

static void s_send_credit(souk_worker_t *self, souk_link_t *link, const souk_credit_rows_t *rows) {
    if (rows->count == 0 || !souk_link_up(link)) {
        return;
    }
    souk_envelope_credit(souk_link_begin(link), rows->rows, rows->count);
    if (souk_link_commit(link) != SOUK_OK) {
        souk_metric_add(self->metrics.lost, 1);
    }
}

static void s_send_ready(souk_worker_t *self, souk_link_t *link) {
    if (!souk_link_up(link)) {
        return;
    }
    souk_ready_row_t rows[SOUK_METHODS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < self->rows_count; i++) {
        const souk_row_t *row = &self->rows[i];
        if (self->standing[row->service].announced) {
            rows[count++] =
                (souk_ready_row_t){.service = souk_str_of(self->served[row->service].service->name),
                                   .method = souk_str_of(row->method->name),
                                   .lane = row->method->lane};
        }
    }
    souk_envelope_ready(souk_link_begin(link), rows, count);
    if (souk_link_commit(link) != SOUK_OK) {
        souk_metric_add(self->metrics.lost, 1);
    }
}

static void s_add_row(const souk_worker_t *self, souk_credit_rows_t *rows, size_t service,
                      size_t lane) {
    rows->rows[rows->count++] =
        (souk_credit_row_t){.service = souk_str_of(self->served[service].service->name),
                            .lane = (souk_lane_t)lane,
                            .window = self->standing[service].window[lane]};
}

void souk_worker_introduce(souk_worker_t *self, souk_link_t *link) {
    if (self->phase != SOUK_WORKER_RUNNING) {
        self->drained[souk_link_number(link)] = true; /* nothing was dispatched in this session */
        return;
    }
    souk_credit_rows_t rows = {.count = 0};
    bool any = false;
    for (size_t i = 0; i < self->served_count; i++) {
        any = any || self->standing[i].announced;
        for (size_t lane = 0; self->standing[i].announced && lane < SOUK_LANES_COUNT; lane++) {
            if (self->standing[i].room[lane] > 0) {
                s_add_row(self, &rows, i, lane);
            }
        }
    }
    if (any) { /* else READY follows when there is something to say */
        s_send_ready(self, link);
        s_send_credit(self, link, &rows);
    }
}

/* Less credit is said before READY, more after it: a window never stands for a service that is not
 * announced. */
static void s_tell_brokers(souk_worker_t *self) {
    souk_credit_rows_t less = {.count = 0};
    souk_credit_rows_t more = {.count = 0};
    bool changed = false;
    for (size_t i = 0; i < self->served_count; i++) {
        souk_standing_t *standing = &self->standing[i];
        uint32_t windows[SOUK_LANES_COUNT];
        s_windows(self, i, windows);
        for (size_t lane = 0; lane < SOUK_LANES_COUNT; lane++) {
            uint32_t before = standing->window[lane];
            standing->window[lane] = windows[lane];
            if (windows[lane] != before) {
                s_add_row(self, windows[lane] < before ? &less : &more, i, lane);
            }
        }
        if (standing->announced != standing->ready) {
            standing->announced = standing->ready;
            changed = true;
            souk_log(SOUK_LOG_INFO, standing->ready ? "WK-SERVICE-READY" : "WK-SERVICE-NOT-READY",
                     SOUK_F_TEXT("service", self->served[i].service->name));
        }
    }
    for (size_t i = 0; i < self->links_count; i++) {
        s_send_credit(self, self->links[i], &less);
        if (changed) {
            s_send_ready(self, self->links[i]);
        }
        s_send_credit(self, self->links[i], &more);
    }
}

/* ---- Health ---------------------------------------------------------------------------------- */

static size_t s_sessions(const souk_worker_t *self) {
    size_t count = 0;
    for (size_t i = 0; i < self->links_count; i++) {
        count += souk_link_up(self->links[i]);
    }
    return count;
}

#define REASON_BYTES 160

typedef struct {
    souk_health_state_t state;
    char reason[REASON_BYTES];
} souk_health_view_t;

/* READY: nothing is wrong. The worst comes last. */
static souk_health_view_t s_health(const souk_worker_t *self) {
    souk_health_view_t view = {.state = SOUK_HEALTH_READY};
    bool has_inline = false;
    for (size_t i = 0; i < self->served_count; i++) {
        const souk_service_t *service = self->served[i].service;
        const char *why =
            service->degraded != NULL ? service->degraded(self->served[i].state) : NULL;
        has_inline = has_inline || self->standing[i].room[SOUK_LANE_INLINE] > 0;
        if (!self->standing[i].ready) {
            view.state = SOUK_HEALTH_STARTING;
            (void)snprintf(view.reason, sizeof(view.reason), "%s is not ready", service->name);
            return view;
        }
        if (why != NULL && view.state == SOUK_HEALTH_READY) {
            view.state = SOUK_HEALTH_DEGRADED;
            (void)snprintf(view.reason, sizeof(view.reason), "%s: %s", service->name, why);
        }
    }
    if (self->stalled == self->seats_count) {
        view.state = has_inline ? SOUK_HEALTH_DEGRADED : SOUK_HEALTH_FAILED;
        (void)snprintf(view.reason, sizeof(view.reason), "all slots are stalled");
    }
    if (s_sessions(self) == 0) {
        view.state = SOUK_HEALTH_STARTING;
        (void)snprintf(view.reason, sizeof(view.reason), "no broker has welcomed this worker");
    }
    return view;
}

void souk_worker_report(souk_worker_t *self) {
    for (size_t i = 0; i < self->links_count; i++) {
        souk_link_count(self->links[i]);
    }
    souk_metric_set(self->metrics.sessions, (int64_t)s_sessions(self));
    souk_metric_set(self->metrics.waiting, (int64_t)(self->waiting.count + self->deferred.count));
    souk_metric_set(self->metrics.busy, (int64_t)self->busy);
    souk_metric_set(self->metrics.stalled, (int64_t)self->stalled);
    if (self->phase == SOUK_WORKER_RUNNING) { /* a drain has said so itself */
        souk_health_view_t view = s_health(self);
        souk_health_set(view.state, view.reason);
    }
}

void souk_worker_review(souk_worker_t *self) {
    bool more = false;
    for (size_t i = 0; i < self->served_count; i++) {
        const souk_service_t *service = self->served[i].service;
        void *state = self->served[i].state;
        if (service->turn != NULL) {
            more = service->turn(state) || more;
        }
        self->standing[i].ready = service->ready == NULL || service->ready(state);
    }
    if (self->phase == SOUK_WORKER_RUNNING) {
        s_tell_brokers(self);
    }
    if (more) {
        souk_loop_wake(self->loop);
    }
}
