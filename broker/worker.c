/* What workers say about themselves: READY, CREDIT, DRAIN; and what their end means for the
 * requests in their hands. */
#include "state.h"

#include <stdlib.h>

static bool s_lists(const souk_seat_t *self, const souk_method_t *method) {
    return (self->methods[method->index / 64] >> (method->index % 64) & 1) != 0;
}

static souk_seat_t *s_seat_find(const souk_peer_state_t *self, const souk_service_t *service,
                                souk_lane_t lane) {
    for (uint32_t i = 0; i < self->seats_count; i++) {
        if (self->seats[i]->pool == &service->pools[lane]) {
            return self->seats[i];
        }
    }
    return NULL;
}

static souk_seat_t *s_seat_require(souk_peer_state_t *self, souk_service_t *service,
                                   souk_lane_t lane) {
    souk_seat_t *seat = s_seat_find(self, service, lane);
    if (seat != NULL || self->seats_count == S_SEATS_MAX) {
        return seat;
    }
    if (self->seats == NULL) {
        self->seats = calloc(S_SEATS_MAX, sizeof(souk_seat_t *));
        souk_assert(self->seats != NULL);
    }
    seat = calloc(1, sizeof(*seat));
    souk_assert(seat != NULL);
    seat->worker = self;
    seat->pool = &service->pools[lane];
    souk_link_init(&seat->pool_link);
    souk_link_init(&seat->free_link);
    service->seats++;
    self->seats[self->seats_count++] = seat;
    return seat;
}

static void s_unlist(souk_core_t *core, souk_seat_t *seat, souk_method_t *method) {
    seat->methods[method->index / 64] &= ~(1ULL << (method->index % 64));
    method->servers[seat->pool->lane]--;
    if (!souk_method_served(method)) {
        souk_method_unserved(core, method);
    }
}

/* True for the first serving seat of its service in the worker's list. */
static bool s_counts_worker(const souk_peer_state_t *self, uint32_t at) {
    for (uint32_t i = 0; i < at; i++) {
        if (self->seats[i]->serving &&
            self->seats[i]->pool->service == self->seats[at]->pool->service) {
            return false;
        }
    }
    return self->seats[at]->serving;
}

/* The worker serves nothing any more; what is in its hands stays there. */
static void s_unserve(souk_core_t *core, souk_peer_state_t *self) {
    for (uint32_t i = self->seats_count; i-- > 0;) {
        souk_seat_t *seat = self->seats[i];
        souk_service_t *service = seat->pool->service;
        if (!seat->serving) {
            continue;
        }
        service->workers -= s_counts_worker(self, i) ? 1 : 0;
        for (int k = 0; k < S_METHODS_MAX; k++) {
            if (service->methods[k] != NULL && s_lists(seat, service->methods[k])) {
                s_unlist(core, seat, service->methods[k]);
            }
        }
        seat->serving = false;
        seat->pool->serving--;
        souk_link_remove(&seat->pool_link);
        souk_seat_refresh(core, seat);
    }
}

/* False when a bound was met. */
static bool s_list(souk_core_t *core, souk_peer_state_t *self, souk_service_t *service,
                   souk_str_t name, souk_lane_t lane) {
    souk_method_t *method = service != NULL ? souk_method_require(core, service, name) : NULL;
    souk_seat_t *seat = method != NULL ? s_seat_require(self, service, lane) : NULL;
    if (seat == NULL) {
        return false;
    }
    for (int other = 0; other < SOUK_LANES_COUNT; other++) { /* named twice: the last one counts */
        souk_seat_t *twin = s_seat_find(self, service, (souk_lane_t)other);
        if (twin != NULL && s_lists(twin, method)) {
            s_unlist(core, twin, method);
        }
    }
    seat->methods[method->index / 64] |= 1ULL << (method->index % 64);
    method->servers[lane]++;
    method->known = true;
    souk_wheel_clear(&core->wheel, &method->cold);
    return true;
}

static void s_serve(souk_core_t *core, souk_peer_state_t *self) {
    for (uint32_t i = 0; i < self->seats_count; i++) {
        souk_seat_t *seat = self->seats[i];
        for (int word = 0; word < S_METHOD_WORDS; word++) {
            seat->serving = seat->serving || seat->methods[word] != 0;
        }
        if (seat->serving) {
            seat->pool->serving++;
            souk_list_append(&seat->pool->seats, &seat->pool_link);
        }
        seat->pool->service->workers += s_counts_worker(self, i) ? 1 : 0;
    }
    for (uint32_t i = 0; i < self->seats_count; i++) {
        souk_service_t *service = self->seats[i]->pool->service;
        souk_seat_refresh(core, self->seats[i]);
        /* requests that came when nobody served the service, for a method that its workers do not
         * know */
        for (int k = 0; k < S_METHODS_MAX && service->workers > 0; k++) {
            if (service->methods[k] != NULL && !service->methods[k]->known &&
                service->methods[k]->waiting > 0) {
                souk_method_fail_waiting(core, service->methods[k], SOUK_ERR_UNKNOWN_METHOD,
                                         SOUK_COUNT_UNKNOWN_METHOD);
            }
        }
    }
}

void souk_worker_ready(souk_core_t *core, souk_peer_state_t *self,
                       const souk_envelope_t *envelope) {
    s_unserve(core, self);
    self->draining = self->drained = false;
    souk_ready_iter_t at;
    souk_str_t service_name, method_name;
    souk_lane_t lane;
    int64_t listed = 0, left_out = 0;
    souk_ready_iter_init(&at, envelope);
    while (souk_ready_next(&at, &service_name, &method_name, &lane)) {
        souk_service_t *service = souk_service_require(core, service_name, true);
        bool ok = s_list(core, self, service, method_name, lane);
        listed += ok ? 1 : 0;
        left_out += ok ? 0 : 1;
    }
    s_serve(core, self);
    core->served = core->served || listed > 0;
    souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_WORKER_READY, .count = listed}, self);
    if (left_out > 0) {
        souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_READY_LIMIT, .count = left_out}, self);
    }
}

void souk_worker_credit(souk_core_t *core, souk_peer_state_t *self,
                        const souk_envelope_t *envelope) {
    souk_credit_iter_t at;
    souk_str_t name;
    souk_lane_t lane;
    uint32_t window;
    souk_credit_iter_init(&at, envelope);
    while (souk_credit_next(&at, &name, &lane, &window)) {
        souk_service_t *service = souk_service_require(core, name, true);
        souk_seat_t *seat = service != NULL ? s_seat_require(self, service, lane) : NULL;
        if (seat != NULL) {
            seat->window = window;
            seat->blocked = false;
            souk_seat_refresh(core, seat);
        }
    }
}

void souk_worker_refresh(souk_core_t *core, souk_peer_state_t *self) {
    for (uint32_t i = 0; i < self->seats_count; i++) {
        souk_seat_refresh(core, self->seats[i]);
    }
}

static void s_drained(souk_core_t *core, souk_peer_state_t *self) {
    self->drained = true;
    souk_envelope_drained(souk_core_begin(core, self));
    if (!souk_core_commit(core, self)) {
        souk_core_doom(core, self, "slow");
    }
    souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_WORKER_DRAINED}, self);
}

void souk_worker_drain(souk_core_t *core, souk_peer_state_t *self) {
    if (self->draining) {
        return;
    }
    self->draining = true;
    s_unserve(core, self);
    souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_WORKER_DRAIN, .count = self->inflight},
                   self);
    if (self->trial != NULL && self->trial->state == S_FLIGHT_TRIAL) {
        souk_flight_suspect(core, self->trial, true);
    }
    if (self->inflight == 0) {
        s_drained(core, self);
    }
}

void souk_worker_relieved(souk_core_t *core, souk_peer_state_t *self) {
    if (self->inflight > 0) {
        return;
    }
    if (self->draining && !self->drained) {
        s_drained(core, self);
    }
    if (self->trial != NULL && self->trial->state == S_FLIGHT_TRIAL) {
        souk_trial_start(core, self);
    }
}

/* One request whose worker died. alone: it was the only one in the worker's hands, so that only it
 * can have been the cause. */
static void s_bereaved(souk_core_t *core, souk_flight_t *flight, bool alone) {
    if (flight->client == NULL) {
        souk_flight_free(core, flight);
        return;
    }
    if (flight->class_ == SOUK_CLASS_UNKEYED) {
        souk_flight_suspect(core, flight, true); /* out of the dead hands */
        souk_flight_fail(core, flight, SOUK_ERR_UNKNOWN_OUTCOME, SOUK_COUNT_UNKNOWN_OUTCOME);
        return;
    }
    flight->attempt++;
    flight->deaths += alone ? 1 : 0;
    souk_flight_suspect(core, flight, true);
    if (flight->deaths >= core->options.deaths_max) {
        souk_method_t *method = flight->method;
        souk_core_note(core,
                       (souk_note_t){.kind = SOUK_NOTE_POISON,
                                     .service = {method->service->name, method->service->name_size},
                                     .method = {method->name, method->name_size},
                                     .request_id = souk_flight_request_id(flight),
                                     .count = flight->deaths},
                       NULL);
        souk_flight_fail(core, flight, SOUK_ERR_WORKER_LOST, SOUK_COUNT_WORKER_LOST);
        return;
    }
    flight->method->service->queues[flight->priority].counts[SOUK_COUNT_REDELIVERED]++;
}

void souk_worker_end(souk_core_t *core, souk_peer_state_t *self) {
    s_unserve(core, self);
    bool alone = self->inflight == 1;
    if (self->inflight > 0) {
        souk_core_note(core, (souk_note_t){.kind = SOUK_NOTE_WORKER_DIED, .count = self->inflight},
                       self);
    }
    if (self->trial != NULL && self->trial->state == S_FLIGHT_TRIAL) {
        souk_flight_suspect(core, self->trial, true);
    }
    while (!souk_list_empty(
        &self->flights)) { /* the newest first: each goes to the head of the suspects */
        s_bereaved(core, SOUK_OBJECT_OF(self->flights.prev, souk_flight_t, place), alone);
    }
    for (uint32_t i = 0; i < self->seats_count; i++) {
        souk_seat_t *seat = self->seats[i];
        seat->window = 0;
        souk_seat_refresh(core, seat);
        seat->pool->service->seats--;
        souk_pool_mark(core, seat->pool);
        free(seat);
    }
    free(self->seats);
    self->seats = NULL;
    self->seats_count = 0;
}
