/* Redelivery after a worker's death.
 *
 * Design note. When a worker dies with several requests in its hands, one of them may have killed
 * it. Given to another worker together, they would kill that one too, and all would be blamed. So
 * each is given, one at a time, to a worker that is set aside for it: it gets nothing else from the
 * moment it is chosen, and gets the suspect when its hands are empty. If it dies then, the cause is
 * known, and only such deaths count against a request. At most half of a service's workers are set
 * aside at a time, so that the rest of the work goes on. */
#include "state.h"

static souk_seat_t *s_seat_of(const souk_peer_state_t *worker, const souk_method_t *method) {
    for (uint32_t i = 0; i < worker->seats_count; i++) {
        souk_seat_t *seat = worker->seats[i];
        bool lists = (seat->methods[method->index / 64] >> (method->index % 64) & 1) != 0;
        if (seat->pool->service == method->service && lists && seat->window > 0 && !seat->blocked) {
            return seat;
        }
    }
    return NULL;
}

/* The worker with the least in its hands that can take the flight. */
static souk_peer_state_t *s_choose(const souk_flight_t *flight) {
    souk_service_t *service = flight->method->service;
    souk_peer_state_t *best = NULL;
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        const souk_link_t *seats = &service->pools[lane].seats;
        for (souk_link_t *at = seats->next; at != seats; at = at->next) {
            souk_peer_state_t *worker = SOUK_OBJECT_OF(at, souk_seat_t, pool_link)->worker;
            if (worker->trial == NULL && worker->doom == NULL &&
                s_seat_of(worker, flight->method) != NULL &&
                (best == NULL || worker->inflight < best->inflight)) {
                best = worker;
            }
        }
    }
    return best;
}

void souk_suspects_assign(souk_core_t *core, souk_service_t *service) {
    uint32_t trials_max = service->workers / 2 > 0 ? service->workers / 2 : 1;
    souk_link_t *next = service->suspects.next;
    while (next != &service->suspects && service->trials < trials_max) {
        souk_flight_t *flight = SOUK_OBJECT_OF(next, souk_flight_t, place);
        next = next->next;
        souk_peer_state_t *worker = s_choose(flight);
        if (worker == NULL) {
            continue;
        }
        souk_flight_assign(core, flight, worker);
        if (worker->inflight == 0) {
            souk_trial_start(core, worker);
        }
    }
}

void souk_trial_start(souk_core_t *core, souk_peer_state_t *worker) {
    souk_flight_t *flight = worker->trial;
    souk_seat_t *seat = s_seat_of(worker, flight->method);
    if (flight->deadline_us - core->now_us < (int64_t)core->options.reserve_ms * 1000) {
        souk_flight_timer(core, flight);
    } else if (seat == NULL || !souk_dispatch_send(core, flight, seat)) {
        souk_flight_suspect(core, flight, false);
    }
}

void souk_trial_release(souk_core_t *core, souk_peer_state_t *worker) {
    souk_service_t *service = worker->trial->method->service;
    worker->trial = NULL;
    service->trials--;
    souk_worker_refresh(core, worker);
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        souk_pool_mark(core, &service->pools[lane]);
    }
}
