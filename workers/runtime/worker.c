/* The bus actor: notes.
 *
 * One thread runs the loop. Frames come in through the links (link.c), one DEALER each; every REQ
 * becomes a ticket or is refused at once (admit.c). Inline calls run on the spot; when the turn's
 * budget is used up, the rest waits for the next turn, so that pongs leave in time. Calls for slots
 * wait in one queue until the end of the turn, so that what came in one burst can share a batch,
 * and go to idle slots (serve.c). A slot that is done puts itself into the done mailbox and wakes
 * the loop; the answers leave in that turn.
 *
 * What is bounded: tickets, by the windows that were given (a broker that sends more gets REFUSED
 * no_room); the bytes that a socket does not take, by pending_bytes_max (beyond it the answer is
 * lost and counted, and the broker's deadline answers for us). Only this thread touches the tickets
 * of waiting calls, so neither queue nor windows need a lock.
 *
 * A session that is lost drops what waits; what runs goes on, and its answer is dropped: the broker
 * treats it as lost, by class. */
#include "worker_impl.h"

#include <stdlib.h>

#include "gen/metrics.h"
#include "souk/admin.h"
#include "souk/log.h"

#define TICK_US ((int64_t)100 * 1000)

/* ---- Drain -------------------------------------------------------------------------------------
 */

static void s_begin_drain(souk_worker_t *self) {
    self->phase = SOUK_WORKER_DRAINING;
    self->drain_until_us = souk_loop_now_us(self->loop) + self->config->drain_timeout_ms * 1000;
    souk_health_set(SOUK_HEALTH_DRAINING, "stopping");
    souk_log(SOUK_LOG_INFO, "WK-DRAIN", SOUK_F_INT("busy", self->busy),
             SOUK_F_INT("waiting", self->waiting.count + self->deferred.count));
    for (size_t i = 0; i < self->links_count; i++) {
        if (!souk_link_up(self->links[i])) {
            continue;
        }
        souk_envelope_drain(souk_link_begin(self->links[i]));
        if (souk_link_commit(self->links[i]) != SOUK_OK) {
            souk_metric_add(self->metrics.lost, 1);
        }
    }
    souk_worker_refuse_all(self, &self->waiting, SOUK_REFUSED_DRAINING);
    souk_worker_refuse_all(self, &self->deferred, SOUK_REFUSED_DRAINING);
}

/* Brokers that are away cannot say DRAINED, and have given our calls to others. */
static bool s_is_drained(const souk_worker_t *self) {
    bool drained = self->busy == 0;
    for (size_t i = 0; i < self->links_count; i++) {
        drained = drained && (self->drained[i] || !souk_link_up(self->links[i]));
    }
    return drained;
}

static void s_drain(souk_worker_t *self) {
    if (self->phase == SOUK_WORKER_RUNNING && atomic_load(&self->drain_asked)) {
        s_begin_drain(self);
    }
    if (self->phase != SOUK_WORKER_DRAINING) {
        return;
    }
    bool late = souk_loop_now_us(self->loop) >= self->drain_until_us;
    if (late || s_is_drained(self)) {
        self->phase = SOUK_WORKER_DRAINED;
        souk_log(late ? SOUK_LOG_ERROR : SOUK_LOG_INFO, "WK-DRAINED", SOUK_F_BOOL("late", late),
                 SOUK_F_INT("busy", self->busy));
        souk_loop_stop(self->loop);
    }
}

/* ---- The loop's callbacks ----------------------------------------------------------------------
 */

static void s_on_up(void *arg, souk_link_t *link) {
    souk_worker_t *self = arg;
    souk_worker_introduce(self, link);
}

static void s_on_down(void *arg, souk_link_t *link) {
    souk_worker_t *self = arg;
    souk_worker_drop_session(self, link);
}

/* Joined behind the links, so it runs when a turn's frames were read. */
static size_t s_on_turn(void *arg, size_t burst) {
    (void)burst;
    souk_worker_serve(arg);
    s_drain(arg); /* a frame may have said DRAINED */
    return 0;
}

static size_t s_on_flush(void *arg) {
    (void)arg;
    return 0;
}

/* A slot is done or has (dis)connected, a service wants a turn, or the drain was asked for. */
static void s_on_wake(void *arg) {
    souk_worker_t *self = arg;
    souk_worker_collect(self);
    souk_worker_review(self);
    s_drain(self);
    souk_loop_mark_turn(self->loop, self); /* idle slots get jobs at the end of this turn */
}

static void s_notify(void *arg) {
    souk_loop_wake(arg);
}

static void s_on_tick(void *arg) {
    souk_worker_t *self = arg;
    souk_worker_refuse_late(self);
    souk_worker_watch(self);
    souk_worker_review(self);
    souk_worker_report(self);
    s_drain(self);
    souk_timer_set(self->tick, TICK_US);
}

/* ---- Life --------------------------------------------------------------------------------------
 */

void souk_worker_ask_drain(souk_worker_t *self) {
    atomic_store(&self->drain_asked, true);
    souk_loop_wake(self->loop);
}

souk_err_t souk_worker_run(souk_worker_t *self) {
    souk_timer_set(self->tick, 0);
    SOUK_TRY(souk_loop_run(self->loop));
    return self->busy == 0 ? SOUK_OK : SOUK_ERR_TIMEOUT;
}

/* ---- Construction ------------------------------------------------------------------------------
 */

/* Calls fn for each item of a comma-separated list. */
static souk_err_t s_for_each(const char *list, souk_err_t (*fn)(void *arg, souk_str_t item),
                             void *arg) {
    const char *at = list;
    for (;;) {
        const char *comma = strchrnul(at, ',');
        souk_str_t item = {.data = at, .size = (size_t)(comma - at)};
        if (item.size > 0) {
            SOUK_TRY(fn(arg, item));
        }
        if (*comma == '\0') {
            return SOUK_OK;
        }
        at = comma + 1;
    }
}

typedef struct {
    souk_worker_t *self;
    const souk_service_t *const *services;
} souk_pick_t;

static souk_err_t s_pick_service(void *arg, souk_str_t name) {
    const souk_pick_t *pick = arg;
    souk_worker_t *self = pick->self;
    for (size_t i = 0; i < self->served_count; i++) {
        if (souk_str_equal(souk_str_of(self->served[i].service->name), name)) {
            return SOUK_OK; /* named twice */
        }
    }
    for (const souk_service_t *const *at = pick->services; *at != NULL; at++) {
        if (!souk_str_equal(souk_str_of((*at)->name), name)) {
            continue;
        }
        souk_assert(self->served_count < SOUK_SERVED_MAX);
        self->served[self->served_count++].service = *at;
        self->rows_count += (*at)->methods_count;
        return SOUK_OK;
    }
    souk_log(SOUK_LOG_ERROR, "WK-UNKNOWN-SERVICE", SOUK_F_STR("service", name));
    return SOUK_ERR_VALIDATION;
}

static void s_describe_row(souk_worker_t *self, souk_row_t *row) {
    const char *service = self->served[row->service].service->name;
    const char *method = row->method->name;
    bool is_batch = row->method->lane == SOUK_LANE_BATCH;
    row->ok = souk_metric(SOUK_METRIC_WORKER_CALLS_TOTAL, service, method, "ok", NULL);
    row->failed = souk_metric(SOUK_METRIC_WORKER_CALLS_TOTAL, service, method, "error", NULL);
    row->refused = souk_metric(SOUK_METRIC_WORKER_CALLS_TOTAL, service, method, "refused", NULL);
    row->seconds = souk_metric(SOUK_METRIC_WORKER_CALL_SECONDS, service, method, NULL);
    if (row->method->lane == SOUK_LANE_INLINE) {
        row->overruns =
            souk_metric(SOUK_METRIC_WORKER_INLINE_OVERRUNS_TOTAL, service, method, NULL);
    } else {
        row->wait_seconds = souk_metric(SOUK_METRIC_WORKER_WAIT_SECONDS, service, method, NULL);
    }
    if (is_batch) {
        row->batches = souk_metric(SOUK_METRIC_WORKER_BATCHES_TOTAL, service, method, NULL);
    }
    size_t line = (size_t)(row - self->rows);
    souk_queue_describe(&self->waiting, line, row->service, is_batch);
    souk_queue_describe(&self->deferred, line, row->service, false);
}

/* The most that the windows of all brokers can add up to. */
static uint32_t s_room(const souk_worker_t *self, souk_lane_t lane) {
    souk_credit_t full = {.open = true,
                          .slots_working = (uint32_t)self->config->slots,
                          .inline_window = (uint32_t)self->config->inline_window,
                          .batch_max = (uint32_t)self->config->batch_max,
                          .brokers = 1};
    uint32_t room = souk_credit_window(&full, lane);
    return room > SOUK_LINKS_MAX ? room : SOUK_LINKS_MAX;
}

static void s_make_rows(souk_worker_t *self) {
    souk_assert(self->rows_count <= SOUK_METHODS_MAX);
    self->rows = calloc(self->rows_count, sizeof(*self->rows));
    souk_assert(self->rows != NULL);
    souk_queue_init(&self->waiting, self->rows_count);
    souk_queue_init(&self->deferred, self->rows_count);
    souk_row_t *row = self->rows;
    for (size_t i = 0; i < self->served_count; i++) {
        const souk_service_t *service = self->served[i].service;
        for (size_t j = 0; j < service->methods_count; j++, row++) {
            row->method = &service->methods[j];
            row->name = souk_str_of(row->method->name);
            row->service_name = souk_str_of(service->name);
            row->service = (uint32_t)i;
            self->standing[i].room[row->method->lane] = s_room(self, row->method->lane);
            s_describe_row(self, row);
        }
        self->standing[i].slots_started =
            souk_metric(SOUK_METRIC_WORKER_SLOTS_STARTED, service->name, NULL);
    }
}

static void s_make_metrics(souk_worker_t *self) {
    static const char *const reasons[] = {
        [SOUK_REFUSED_NO_ROOM] = "no_room",
        [SOUK_REFUSED_DRAINING] = "draining",
        [SOUK_REFUSED_DEADLINE] = "deadline",
    };
    for (size_t i = SOUK_REFUSED_NO_ROOM; i < SOUK_COUNT_OF(reasons); i++) {
        self->metrics.refused[i] = souk_metric(SOUK_METRIC_WORKER_REFUSED_TOTAL, reasons[i], NULL);
    }
    self->metrics.waiting = souk_metric(SOUK_METRIC_WORKER_WAITING, NULL);
    self->metrics.busy = souk_metric(SOUK_METRIC_WORKER_SLOTS_BUSY, NULL);
    self->metrics.stalled = souk_metric(SOUK_METRIC_WORKER_SLOTS_STALLED, NULL);
    self->metrics.stalls = souk_metric(SOUK_METRIC_WORKER_STALLS_TOTAL, NULL);
    self->metrics.sessions = souk_metric(SOUK_METRIC_WORKER_SESSIONS, NULL);
    self->metrics.cancelled = souk_metric(SOUK_METRIC_WORKER_CANCELLED_TOTAL, NULL);
    self->metrics.late = souk_metric(SOUK_METRIC_WORKER_LATE_ANSWERS_TOTAL, NULL);
    self->metrics.lost = souk_metric(SOUK_METRIC_WORKER_LOST_ANSWERS_TOTAL, NULL);
    souk_metric_set(souk_metric(SOUK_METRIC_WORKER_SLOTS, NULL), self->config->slots);
}

static souk_err_t s_start_services(souk_worker_t *self) {
    for (size_t i = 0; i < self->served_count; i++) {
        souk_served_t *served = &self->served[i];
        souk_err_t err = SOUK_OK;
        if (served->service->start != NULL) {
            err = served->service->start(self->config, self->loop, &served->state);
        }
        if (err != SOUK_OK) {
            souk_log(SOUK_LOG_ERROR, "WK-SERVICE-FAILED",
                     SOUK_F_TEXT("service", served->service->name),
                     SOUK_F_TEXT("error", souk_err_info(err)->code));
            return err;
        }
        self->started_count = i + 1;
    }
    return SOUK_OK;
}

static souk_err_t s_start_slots(souk_worker_t *self) {
    size_t count = (size_t)self->config->slots;
    self->seats = calloc(count, sizeof(*self->seats));
    souk_assert(self->seats != NULL);
    self->done = souk_mailbox_new(count, s_notify, self->loop);
    while (self->seats_count < count) {
        souk_slot_options_t options = {.served = self->served,
                                       .served_count = self->served_count,
                                       .done = self->done,
                                       .on_change = s_notify,
                                       .arg = self->loop,
                                       .number = (uint32_t)self->seats_count};
        SOUK_TRY(souk_slot_new(&options, &self->seats[self->seats_count].slot));
        self->seats_count++;
    }
    return SOUK_OK;
}

static souk_err_t s_start_link(void *arg, souk_str_t endpoint) {
    souk_worker_t *self = arg;
    if (self->links_count == SOUK_LINKS_MAX) {
        souk_log(SOUK_LOG_ERROR, "WK-TOO-MANY-BROKERS", SOUK_F_INT("max", SOUK_LINKS_MAX));
        return SOUK_ERR_VALIDATION;
    }
    souk_link_options_t options = {.name = self->config->name,
                                   .heartbeat_ms = (uint32_t)self->config->heartbeat_ms,
                                   .pending_bytes_max = (size_t)self->config->pending_bytes_max,
                                   .number = (uint32_t)self->links_count,
                                   .on_up = s_on_up,
                                   .on_down = s_on_down,
                                   .on_envelope = souk_worker_admit,
                                   .arg = self};
    souk_err_t err = souk_link_new(self->loop, endpoint, &options, &self->links[self->links_count]);
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "WK-BAD-ENDPOINT", SOUK_F_STR("endpoint", endpoint),
                 SOUK_F_TEXT("error", souk_err_info(err)->code));
        return SOUK_ERR_VALIDATION;
    }
    self->links_count++;
    return SOUK_OK;
}

static souk_err_t s_start(souk_worker_t *self, const souk_service_t *const *services) {
    souk_pick_t pick = {.self = self, .services = services};
    SOUK_TRY(s_for_each(self->config->services, s_pick_service, &pick));
    if (self->served_count == 0) {
        souk_log(SOUK_LOG_ERROR, "WK-NO-SERVICE", SOUK_F_TEXT("services", self->config->services));
        return SOUK_ERR_VALIDATION;
    }
    s_make_metrics(self);
    s_make_rows(self);
    SOUK_TRY(s_start_services(self));
    SOUK_TRY(s_start_slots(self));
    souk_loop_on_wake(self->loop, s_on_wake, self);
    SOUK_TRY(s_for_each(self->config->back, s_start_link, self));
    if (self->links_count == 0) {
        souk_log(SOUK_LOG_ERROR, "WK-NO-BROKER", SOUK_F_TEXT("back", self->config->back));
        return SOUK_ERR_VALIDATION;
    }
    souk_turn_t turn = {.fd = -1, .drain = s_on_turn, .flush = s_on_flush, .arg = self};
    SOUK_TRY(souk_loop_join(self->loop, &turn));
    self->joined = true;
    return SOUK_OK;
}

souk_err_t souk_worker_new(souk_loop_t *loop, const souk_worker_config_t *config,
                           const souk_service_t *const *services, souk_worker_t **ret_self) {
    souk_worker_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->loop = loop;
    self->config = config;
    self->tick = souk_timer_new(loop, s_on_tick, self);
    souk_err_t err = s_start(self, services);
    if (err != SOUK_OK) {
        souk_worker_destroy(&self);
        return err;
    }
    *ret_self = self;
    return SOUK_OK;
}

static void s_free_rows(souk_worker_t *self) {
    for (size_t i = 0; i < self->rows_count && self->rows != NULL; i++) {
        souk_ticket_t *next;
        for (souk_ticket_t *ticket = self->rows[i].spare; ticket != NULL; ticket = next) {
            next = ticket->next;
            souk_ctx_destroy(&ticket->ctx);
            free(ticket);
        }
    }
    if (self->rows != NULL) {
        souk_queue_done(&self->waiting);
        souk_queue_done(&self->deferred);
    }
    free(self->rows);
}

void souk_worker_destroy(souk_worker_t **self_p) {
    souk_worker_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    souk_assert(self->busy == 0);
    souk_loop_on_wake(self->loop, NULL, NULL);
    if (self->joined) {
        souk_loop_leave(self->loop, self);
    }
    for (size_t i = 0; i < self->seats_count; i++) {
        souk_slot_destroy(&self->seats[i].slot);
    }
    free(self->seats);
    souk_mailbox_destroy(&self->done, NULL);
    for (size_t i = 0; i < self->links_count; i++) {
        souk_link_destroy(&self->links[i]);
    }
    for (size_t i = 0; i < self->started_count; i++) {
        const souk_service_t *service = self->served[i].service;
        if (service->stop != NULL) {
            service->stop(self->served[i].state);
        }
    }
    s_free_rows(self);
    souk_timer_destroy(&self->tick);
    free(self);
    *self_p = NULL;
}
