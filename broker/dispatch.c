/* Who gets what. A pool keeps its seats with free credit in lists by free share, so that choosing a
 * worker costs the same however many there are; among equals the one that was left alone longest
 * comes first.
 *
 * Priorities are strict, with a floor: a priority with waiting work is passed over at most `floor`
 * times in a row by a pool. */
#include "state.h"

static bool s_eligible(const souk_seat_t *self) {
    return self->serving && !self->blocked && self->worker->trial == NULL &&
           self->inflight < self->window;
}

void souk_pool_mark(souk_core_t *core, souk_pool_t *self) {
    if (souk_list_empty(&self->dirty) && (self->service->queued > 0)) {
        souk_list_append(&core->dirty, &self->dirty);
    }
}

void souk_seat_refresh(souk_core_t *core, souk_seat_t *self) {
    souk_pool_t *pool = self->pool;
    if (!souk_list_empty(&self->free_link)) {
        souk_link_remove(&self->free_link);
        if (souk_list_empty(&pool->free[self->share])) {
            pool->free_mask &= ~(1U << self->share);
        }
    }
    if (!s_eligible(self)) {
        return;
    }
    self->share =
        (uint8_t)((uint64_t)(self->window - self->inflight) * (S_SHARES - 1) / self->window);
    souk_list_append(&pool->free[self->share], &self->free_link);
    pool->free_mask |= 1U << self->share;
    souk_pool_mark(core, pool);
}

static bool s_lists(const souk_seat_t *self, const souk_method_t *method) {
    return (self->methods[method->index / 64] >> (method->index % 64) & 1) != 0;
}

/* The best free seat for the method. Where all workers serve the same methods it is the first one
 * looked at. */
static souk_seat_t *s_seat_for(const souk_pool_t *pool, const souk_method_t *method) {
    if (method->servers[pool->lane] == 0) {
        return NULL;
    }
    for (uint32_t mask = pool->free_mask; mask != 0;) {
        int share = 31 - __builtin_clz(mask);
        const souk_link_t *head = &pool->free[share];
        for (souk_link_t *at = head->next; at != head; at = at->next) {
            souk_seat_t *seat = SOUK_OBJECT_OF(at, souk_seat_t, free_link);
            if (s_lists(seat, method)) {
                return seat;
            }
        }
        mask &= ~(1U << share);
    }
    return NULL;
}

static souk_flight_t *s_head(const souk_line_t *line) {
    return SOUK_OBJECT_OF(line->flights.next, souk_flight_t, place);
}

/* The oldest request of a priority that a free seat of the pool can take. */
static souk_flight_t *s_oldest(const souk_pool_t *pool, int priority, souk_seat_t **ret_seat) {
    const souk_link_t *lines = &pool->service->queues[priority].lines;
    souk_flight_t *oldest = NULL;
    for (souk_link_t *at = lines->next; at != lines; at = at->next) {
        souk_line_t *line = SOUK_OBJECT_OF(at, souk_line_t, active);
        souk_flight_t *head = s_head(line);
        if (oldest != NULL && oldest->queued_us <= head->queued_us) {
            continue;
        }
        souk_seat_t *seat = s_seat_for(pool, line->method);
        if (seat != NULL) {
            oldest = head;
            *ret_seat = seat;
        }
    }
    return oldest;
}

static souk_flight_t *s_pick(const souk_core_t *core, souk_pool_t *pool, souk_seat_t **ret_seat) {
    const souk_queue_t *queues = pool->service->queues;
    souk_flight_t *flight = NULL;
    int chosen = 0;
    for (int priority = SOUK_PRIORITIES_COUNT - 1; priority > 0 && flight == NULL; priority--) {
        if (pool->passed[priority] >= core->options.floor && queues[priority].queued > 0) {
            flight = s_oldest(pool, priority, ret_seat);
            chosen = priority;
        }
    }
    for (int priority = 0; priority < SOUK_PRIORITIES_COUNT && flight == NULL; priority++) {
        flight = queues[priority].queued > 0 ? s_oldest(pool, priority, ret_seat) : NULL;
        chosen = priority;
    }
    if (flight == NULL) {
        return NULL;
    }
    pool->passed[chosen] = 0;
    for (int priority = chosen + 1; priority < SOUK_PRIORITIES_COUNT; priority++) {
        pool->passed[priority] = queues[priority].queued > 0 ? pool->passed[priority] + 1 : 0;
    }
    return flight;
}

bool souk_dispatch_send(souk_core_t *core, souk_flight_t *flight, souk_seat_t *seat) {
    uint8_t corr[SOUK_CORR_BYTES];
    int64_t left_us = flight->deadline_us - core->now_us;
    souk_req_t req = {.flags = flight->flags,
                      .tail = {(const char *)flight->bytes, flight->bytes_size},
                      .count = flight->elements};
    flight->generation++;
    souk_flight_corr(core, flight, corr);
    souk_envelope_req_forward(souk_core_begin(core, seat->worker), &req, corr,
                              (uint32_t)(left_us / 1000), flight->attempt);
    if (!souk_core_commit(core, seat->worker)) {
        seat->blocked = true;
        souk_seat_refresh(core, seat);
        return false;
    }
    if (!flight->was_dispatched && flight->refusals == 0) {
        core->out->waited(core->out->arg, flight->method->service->index, flight->priority,
                          core->now_us - flight->queued_us);
    }
    souk_flight_take_off(core, flight, seat);
    return true;
}

void souk_dispatch(souk_core_t *core, souk_pool_t *pool) {
    while (pool->free_mask != 0 && pool->service->queued > 0) {
        souk_seat_t *seat = NULL;
        souk_flight_t *flight = s_pick(core, pool, &seat);
        if (flight == NULL) {
            return;
        }
        if (flight->deadline_us - core->now_us < (int64_t)core->options.reserve_ms * 1000) {
            souk_flight_timer(core, flight);
        } else {
            (void)souk_dispatch_send(core, flight, seat);
        }
    }
}
