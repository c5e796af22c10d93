/* What others may see of the core: views for status and metrics, and the walk that checks its
 * invariants. */
#include "state.h"

const char *souk_count_name(souk_count_t count) {
    static const char *const names[SOUK_COUNTS] = {
        [SOUK_COUNT_ADMITTED] = "admitted",
        [SOUK_COUNT_REPLIED] = "replied",
        [SOUK_COUNT_FAILED] = "failed",
        [SOUK_COUNT_EXPIRED] = "expired",
        [SOUK_COUNT_TIMEOUT] = "timeout",
        [SOUK_COUNT_NO_WORKER] = "no_worker",
        [SOUK_COUNT_UNKNOWN_METHOD] = "unknown_method",
        [SOUK_COUNT_REFUSED_OUT] = "refused_out",
        [SOUK_COUNT_WORKER_LOST] = "worker_lost",
        [SOUK_COUNT_UNKNOWN_OUTCOME] = "unknown_outcome",
        [SOUK_COUNT_CANCELLED] = "cancelled",
        [SOUK_COUNT_ABANDONED] = "abandoned",
        [SOUK_COUNT_STOPPED] = "stopped",
        [SOUK_COUNT_OVERLOADED] = "overloaded",
        [SOUK_COUNT_REJECTED] = "rejected",
        [SOUK_COUNT_DISPATCHED] = "dispatched",
        [SOUK_COUNT_REFUSED] = "refused",
        [SOUK_COUNT_REDELIVERED] = "redelivered",
        [SOUK_COUNT_ORPHANED] = "orphaned",
    };
    return names[count];
}

void souk_core_view(const souk_core_t *self, souk_core_view_t *ret) {
    *ret = (souk_core_view_t){.services = self->services_count,
                              .flights = self->flights_count,
                              .bytes = self->bytes,
                              .served = self->served,
                              .malformed = self->malformed,
                              .unexpected = self->unexpected,
                              .forged = self->forged,
                              .late = self->late};
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        ret->peers[side] = self->sessions_count[side];
        ret->lost[side] = self->lost[side];
    }
}

static int64_t s_oldest_us(const souk_service_t *service, int priority, int64_t now_us) {
    int64_t since_us = now_us;
    const souk_link_t *lines = &service->queues[priority].lines;
    for (souk_link_t *at = lines->next; at != lines; at = at->next) {
        const souk_line_t *line = SOUK_OBJECT_OF(at, souk_line_t, active);
        const souk_flight_t *head = SOUK_OBJECT_OF(line->flights.next, souk_flight_t, place);
        since_us = head->queued_us < since_us ? head->queued_us : since_us;
    }
    return now_us - since_us;
}

static void s_view(const souk_service_t *service, int64_t now_us, souk_service_view_t *ret) {
    *ret = (souk_service_view_t){.index = service->index, .workers = service->workers};
    memcpy(ret->name, service->name, service->name_size);
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        const souk_link_t *seats = &service->pools[lane].seats;
        for (souk_link_t *at = seats->next; at != seats; at = at->next) {
            const souk_seat_t *seat = SOUK_OBJECT_OF(at, souk_seat_t, pool_link);
            ret->slots += seat->window;
            ret->slots_free +=
                souk_list_empty(&seat->free_link) ? 0 : seat->window - seat->inflight;
        }
    }
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        const souk_queue_t *queue = &service->queues[priority];
        souk_queue_view_t *view = &ret->queues[priority];
        view->queued = queue->queued;
        view->queued_bytes = queue->bytes;
        view->inflight = queue->inflight;
        view->oldest_us = s_oldest_us(service, priority, now_us);
        memcpy(view->counts, queue->counts, sizeof(view->counts));
    }
}

size_t souk_core_services(const souk_core_t *self, int64_t now_us, souk_service_view_t *ret,
                          size_t services_max) {
    size_t count = 0;
    for (uint32_t i = 0; i < self->options.services_max && count < services_max; i++) {
        if (self->services[i] != NULL) {
            s_view(self->services[i], now_us, &ret[count++]);
        }
    }
    return count;
}

static void s_check_worker(const souk_peer_state_t *self) {
    uint32_t inflight = 0, of_seats = 0;
    for (souk_link_t *at = self->flights.next; at != &self->flights; at = at->next) {
        const souk_flight_t *flight = SOUK_OBJECT_OF(at, souk_flight_t, place);
        souk_assert(flight->state == S_FLIGHT_INFLIGHT && flight->worker == self);
        inflight++;
    }
    for (uint32_t i = 0; i < self->seats_count; i++) {
        const souk_seat_t *seat = self->seats[i];
        bool free_credit =
            seat->serving && !seat->blocked && self->trial == NULL && seat->inflight < seat->window;
        of_seats += seat->inflight;
        souk_assert(free_credit == !souk_list_empty(&seat->free_link));
        souk_assert(!(self->draining && seat->serving));
    }
    souk_assert(inflight == self->inflight && of_seats == inflight);
    souk_assert(self->trial == NULL || self->trial->worker == self);
    souk_assert(self->trial == NULL || self->trial->state == S_FLIGHT_TRIAL || self->inflight == 1);
}

typedef struct {
    uint32_t queued[SOUK_PRIORITIES_COUNT], inflight[SOUK_PRIORITIES_COUNT];
    uint32_t flights, suspects, trials;
    size_t bytes[SOUK_PRIORITIES_COUNT];
} s_tally_t;

static void s_tally(const souk_flight_t *flight, s_tally_t *tally) {
    tally->flights++;
    if (flight->state == S_FLIGHT_INFLIGHT) {
        tally->inflight[flight->priority]++;
    } else {
        tally->queued[flight->priority]++;
        tally->bytes[flight->priority] += flight->bytes_size;
        souk_assert(flight->client != NULL);
    }
    tally->suspects += flight->state == S_FLIGHT_SUSPECT ? 1 : 0;
    tally->trials += flight->worker != NULL && flight->worker->trial == flight ? 1 : 0;
    souk_assert((flight->client != NULL) == flight->deadline.set);
    souk_assert((flight->client != NULL) == (flight->bytes != NULL));
}

/* No request waits while a seat that could take it is free. */
static void s_check_idle(const souk_service_t *service) {
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        const souk_pool_t *pool = &service->pools[lane];
        for (souk_link_t *at = pool->seats.next; at != &pool->seats; at = at->next) {
            const souk_seat_t *seat = SOUK_OBJECT_OF(at, souk_seat_t, pool_link);
            for (int k = 0; k < S_METHODS_MAX && !souk_list_empty(&seat->free_link); k++) {
                bool lists = (seat->methods[k / 64] >> (k % 64) & 1) != 0;
                souk_assert(!lists || service->methods[k]->waiting == 0);
            }
        }
    }
}

static void s_check_service(const souk_core_t *self, const souk_service_t *service) {
    s_tally_t tally = {0};
    for (uint32_t slot = 0; slot < self->chunks_count * S_CHUNK; slot++) {
        const souk_flight_t *flight = souk_flight_at(self, slot);
        if (flight->state != S_FLIGHT_FREE && flight->method->service == service) {
            s_tally(flight, &tally);
        }
    }
    uint32_t queued = 0;
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT; priority++) {
        const souk_queue_t *queue = &service->queues[priority];
        queued += queue->queued;
        souk_assert(queue->queued == tally.queued[priority] &&
                    queue->bytes == tally.bytes[priority]);
        souk_assert(queue->inflight == tally.inflight[priority]);
        souk_assert(queue->queued <= self->options.queue_count_max +
                                         queue->counts[SOUK_COUNT_REDELIVERED] +
                                         queue->counts[SOUK_COUNT_REFUSED]);
        uint64_t ended = 0;
        for (int count = SOUK_COUNT_REPLIED; count <= SOUK_COUNT_STOPPED; count++) {
            ended += queue->counts[count];
        }
        souk_assert(queue->counts[SOUK_COUNT_ADMITTED] >= ended);
    }
    s_check_idle(service);
    souk_assert(service->queued == queued && service->flights == tally.flights);
    souk_assert(service->suspects_count == tally.suspects && service->trials == tally.trials);
}

void souk_core_check(const souk_core_t *self) {
    size_t bytes = 0;
    uint32_t flights = 0, waiting = 0;
    for (int side = 0; side < SOUK_SIDES_COUNT; side++) {
        uint32_t sessions = 0;
        for (size_t i = 0; i < self->peers_size[side]; i++) {
            const souk_peer_state_t *peer = self->peers[side][i];
            sessions += peer != NULL && peer->session ? 1 : 0;
            if (peer != NULL && side == SOUK_SIDE_BACK) {
                s_check_worker(peer);
            }
        }
        souk_assert(sessions == self->sessions_count[side]);
    }
    for (uint32_t slot = 0; slot < self->chunks_count * S_CHUNK; slot++) {
        const souk_flight_t *flight = souk_flight_at(self, slot);
        bytes += flight->state != S_FLIGHT_FREE ? flight->bytes_size : 0;
        flights += flight->state != S_FLIGHT_FREE ? 1 : 0;
        waiting += flight->state != S_FLIGHT_FREE && flight->client != NULL ? 1 : 0;
    }
    souk_assert(bytes == self->bytes && flights == self->flights_count &&
                waiting == self->waiting_count);
    for (uint32_t i = 0; i < self->options.services_max; i++) {
        if (self->services[i] != NULL) {
            s_check_service(self, self->services[i]);
        }
    }
}
