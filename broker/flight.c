/* Flights: admission, the table, the states, and what clients are told.
 *
 * Design note. A flight's slot and a generation that changes with every dispatch make the
 * correlation id that workers see; so look-up is an index, an answer to an earlier dispatch never
 * fits, and nobody can forge a return address. s_leave and s_enter own every transition between
 * states: lists and counts change nowhere else, so they cannot drift apart. */
#include "state.h"

#include <stdlib.h>

void souk_flights_init(souk_core_t *core) {
    uint32_t chunks = (core->options.flights_max + S_CHUNK - 1) / S_CHUNK;
    core->chunks = calloc(chunks, sizeof(souk_flight_t *));
    uint64_t buckets = 64;
    while (buckets < core->options.flights_max) {
        buckets *= 2;
    }
    core->corrs = calloc(buckets, sizeof(souk_link_t));
    souk_assert(core->chunks != NULL && core->corrs != NULL);
    for (uint64_t i = 0; i < buckets; i++) {
        souk_link_init(&core->corrs[i]);
    }
    core->corrs_mask = buckets - 1;
    souk_link_init(&core->free_flights);
}

void souk_flights_done(souk_core_t *core) {
    for (uint32_t i = 0; i < core->chunks_count; i++) {
        free(core->chunks[i]);
    }
    free(core->chunks);
    free(core->corrs);
}

souk_flight_t *souk_flight_at(const souk_core_t *core, uint32_t slot) {
    return slot < core->chunks_count * S_CHUNK ? &core->chunks[slot / S_CHUNK][slot % S_CHUNK]
                                               : NULL;
}

static void s_grow(souk_core_t *core) {
    souk_flight_t *chunk = calloc(S_CHUNK, sizeof(*chunk));
    souk_assert(chunk != NULL);
    uint32_t first = core->chunks_count * S_CHUNK;
    core->chunks[core->chunks_count++] = chunk;
    for (uint32_t i = 0; i < S_CHUNK; i++) {
        chunk[i].slot = first + i;
        souk_link_init(&chunk[i].of_client);
        souk_link_init(&chunk[i].same_hash);
        souk_wheel_timer_init(&chunk[i].deadline, S_TIMER_FLIGHT);
        souk_list_append(&core->free_flights, &chunk[i].place);
    }
}

static souk_queue_t *s_queue(const souk_flight_t *self) {
    return &self->method->service->queues[self->priority];
}

static void s_leave_queued(souk_flight_t *self) {
    souk_service_t *service = self->method->service;
    s_queue(self)->queued--;
    s_queue(self)->bytes -= self->bytes_size;
    service->queued--;
}

static void s_enter_queued(souk_flight_t *self) {
    souk_service_t *service = self->method->service;
    s_queue(self)->queued++;
    s_queue(self)->bytes += self->bytes_size;
    service->queued++;
}

static void s_leave(souk_core_t *core, souk_flight_t *self) {
    souk_peer_state_t *worker = self->worker;
    souk_link_remove(&self->place);
    switch (self->state) {
    case S_FLIGHT_FREE:
        break;
    case S_FLIGHT_QUEUED: {
        souk_line_t *line = &self->method->lines[self->priority];
        s_leave_queued(self);
        self->method->waiting--;
        if (souk_list_empty(&line->flights)) {
            souk_link_remove(&line->active);
        }
        break;
    }
    case S_FLIGHT_SUSPECT:
        s_leave_queued(self);
        self->method->service->suspects_count--;
        break;
    case S_FLIGHT_TRIAL:
        s_leave_queued(self);
        break;
    case S_FLIGHT_INFLIGHT:
        worker->inflight--;
        self->seat->inflight--;
        s_queue(self)->inflight--;
        souk_seat_refresh(core, self->seat);
        break;
    }
    self->seat = NULL;
}

/* Whatever the flight becomes, its worker is no longer set aside for it. */
static void s_leave_worker(souk_core_t *core, souk_flight_t *self) {
    souk_peer_state_t *worker = self->worker;
    self->worker = NULL;
    if (worker != NULL && worker->trial == self) {
        souk_trial_release(core, worker);
    }
}

void souk_flight_queue(souk_core_t *core, souk_flight_t *self, bool at_head) {
    souk_line_t *line = &self->method->lines[self->priority];
    s_leave(core, self);
    self->state = S_FLIGHT_QUEUED;
    if (souk_list_empty(&line->flights)) {
        souk_list_append(&s_queue(self)->lines, &line->active);
    }
    if (at_head) {
        souk_list_prepend(&line->flights, &self->place);
    } else {
        souk_list_append(&line->flights, &self->place);
    }
    self->method->waiting++;
    s_enter_queued(self);
    s_leave_worker(core, self);
    souk_method_waits(core, self->method);
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        if (self->method->servers[lane] > 0) {
            souk_pool_mark(core, &self->method->service->pools[lane]);
        }
    }
}

void souk_flight_suspect(souk_core_t *core, souk_flight_t *self, bool at_head) {
    souk_service_t *service = self->method->service;
    s_leave(core, self);
    self->state = S_FLIGHT_SUSPECT;
    if (at_head) {
        souk_list_prepend(&service->suspects, &self->place);
    } else {
        souk_list_append(&service->suspects, &self->place);
    }
    service->suspects_count++;
    s_enter_queued(self);
    s_leave_worker(core, self);
    for (int lane = 0; lane < SOUK_LANES_COUNT; lane++) {
        souk_pool_mark(core, &service->pools[lane]);
    }
}

void souk_flight_assign(souk_core_t *core, souk_flight_t *self, souk_peer_state_t *worker) {
    s_leave(core, self);
    self->state = S_FLIGHT_TRIAL;
    self->worker = worker;
    s_enter_queued(self);
    worker->trial = self;
    self->method->service->trials++;
    souk_worker_refresh(core, worker);
}

void souk_flight_take_off(souk_core_t *core, souk_flight_t *self, souk_seat_t *seat) {
    s_leave(core, self);
    self->state = S_FLIGHT_INFLIGHT;
    self->seat = seat;
    self->worker = seat->worker;
    self->was_dispatched = true;
    souk_list_append(&seat->worker->flights, &self->place);
    seat->worker->inflight++;
    seat->inflight++;
    s_queue(self)->inflight++;
    s_queue(self)->counts[SOUK_COUNT_DISPATCHED]++;
    souk_seat_refresh(core, seat);
}

static void s_forget_bytes(souk_core_t *core, souk_flight_t *self) {
    core->bytes -= self->bytes_size;
    free(self->bytes);
    self->bytes = NULL;
    self->bytes_size = 0;
}

/* Nobody waits for it any more. */
static void s_detach(souk_core_t *core, souk_flight_t *self) {
    souk_link_remove(&self->of_client);
    souk_link_remove(&self->same_hash);
    souk_wheel_clear(&core->wheel, &self->deadline);
    self->client = NULL;
    core->waiting_count--;
}

void souk_flight_free(souk_core_t *core, souk_flight_t *self) {
    souk_method_t *method = self->method;
    s_leave(core, self);
    s_leave_worker(core, self);
    if (self->client != NULL) {
        s_detach(core, self);
    }
    s_forget_bytes(core, self);
    self->state = S_FLIGHT_FREE;
    self->method = NULL;
    core->flights_count--;
    /* at the end of the free list: a slot rests as long as possible */
    souk_list_append(&core->free_flights, &self->place);
    method->service->flights--;
    method->flights--;
    souk_method_release(core, method);
}

void souk_flight_corr(const souk_core_t *core, const souk_flight_t *self,
                      uint8_t ret_corr[SOUK_CORR_BYTES]) {
    memcpy(ret_corr, &core->options.epoch, 8);
    memcpy(ret_corr + 8, &self->slot, 4);
    memcpy(ret_corr + 12, &self->generation, 4);
}

souk_str_t souk_flight_request_id(const souk_flight_t *self) {
    if (self->request_id_size == 0 || self->bytes == NULL) {
        return (souk_str_t){0};
    }
    return (souk_str_t){.data = (const char *)self->bytes + self->request_id_at,
                        .size = self->request_id_size};
}

static const char *s_detail(souk_err_t err) {
    switch ((int)err) {
    case SOUK_ERR_MALFORMED:
        return "The request does not follow the message protocol.";
    case SOUK_ERR_TOO_LARGE:
        return "The request does not fit an envelope.";
    case SOUK_ERR_OVERLOADED:
        return "The queue of this service is full; the request was not run.";
    case SOUK_ERR_NO_WORKER:
        return "Nobody serves this at the moment; the request was not run.";
    case SOUK_ERR_UNKNOWN_METHOD:
        return "The workers of this service do not know the method; the request was not run.";
    case SOUK_ERR_DEADLINE_EXCEEDED:
        return "The request waited too long in the queue and was not run.";
    case SOUK_ERR_TIMEOUT:
        return "A worker has the request but did not answer in time.";
    case SOUK_ERR_UNKNOWN_OUTCOME:
        return "The worker died with the request in its hands; it may have run.";
    case SOUK_ERR_WORKER_LOST:
        return "The workers died that had the request in their hands.";
    default:
        return "The broker is stopping; the request was not run.";
    }
}

void souk_fail(souk_core_t *core, souk_peer_state_t *client, souk_str_t corr, souk_err_t err) {
    bool retry = souk_err_info(err)->retry;
    souk_fault_t fault = {.err = err,
                          .detail = souk_str_of(s_detail(err)),
                          .retry_after_ms = retry ? core->options.retry_after_ms : 0};
    souk_buf_clear(&core->scratch);
    souk_fault_write(&core->scratch, &fault);
    souk_envelope_err(souk_core_begin(core, client), corr, -1, souk_buf_str(&core->scratch));
    if (!souk_core_commit(core, client)) {
        souk_core_doom(core, client, "slow");
    }
}

void souk_flight_drop(souk_core_t *core, souk_flight_t *self, souk_count_t count) {
    s_queue(self)->counts[count]++;
    if (self->state != S_FLIGHT_INFLIGHT) {
        souk_flight_free(core, self);
        return;
    }
    uint8_t corr[SOUK_CORR_BYTES];
    souk_flight_corr(core, self, corr);
    souk_envelope_cancel(souk_core_begin(core, self->worker),
                         (souk_str_t){(const char *)corr, sizeof(corr)});
    (void)souk_core_commit(core, self->worker); /* best effort: the worker answers anyway */
    s_detach(core, self);
    s_forget_bytes(core, self);
}

void souk_flight_fail(souk_core_t *core, souk_flight_t *self, souk_err_t err, souk_count_t count) {
    souk_fail(core, self->client, (souk_str_t){(const char *)self->corr, self->corr_size}, err);
    souk_flight_drop(core, self, count);
}

void souk_flight_timer(souk_core_t *core, souk_flight_t *self) {
    if (self->was_dispatched) {
        souk_flight_fail(core, self, SOUK_ERR_TIMEOUT, SOUK_COUNT_TIMEOUT);
    } else {
        souk_flight_fail(core, self, SOUK_ERR_DEADLINE_EXCEEDED, SOUK_COUNT_EXPIRED);
    }
}

static souk_link_t *s_corr_bucket(const souk_core_t *core, const souk_peer_state_t *client,
                                  souk_str_t corr) {
    return &core->corrs[souk_core_hash(core, corr.data, corr.size, client->serial + 2) &
                        core->corrs_mask];
}

static souk_flight_t *s_find(const souk_core_t *core, const souk_peer_state_t *client,
                             souk_str_t corr) {
    const souk_link_t *head = s_corr_bucket(core, client, corr);
    for (souk_link_t *at = head->next; at != head; at = at->next) {
        souk_flight_t *self = SOUK_OBJECT_OF(at, souk_flight_t, same_hash);
        if (self->client == client && self->corr_size == corr.size &&
            memcmp(self->corr, corr.data, corr.size) == 0) {
            return self;
        }
    }
    return NULL;
}

/* NULL: a bound was met. */
static souk_flight_t *s_make(souk_core_t *core, souk_peer_state_t *client, souk_method_t *method,
                             const souk_req_t *req) {
    souk_queue_t *queue = &method->service->queues[req->priority];
    const souk_core_options_t *options = &core->options;
    if (core->flights_count >= options->flights_max || queue->queued >= options->queue_count_max ||
        queue->bytes + req->tail.size > options->queue_bytes_max ||
        core->bytes + req->tail.size > options->bytes_max) {
        return NULL;
    }
    if (souk_list_empty(&core->free_flights)) {
        s_grow(core);
    }
    souk_flight_t *self = SOUK_OBJECT_OF(core->free_flights.next, souk_flight_t, place);
    self->bytes = malloc(req->tail.size);
    souk_assert(self->bytes != NULL);
    memcpy(self->bytes, req->tail.data, req->tail.size);
    self->bytes_size = (uint32_t)req->tail.size;
    self->elements = req->count;
    self->flags = req->flags;
    self->class_ = req->class_;
    self->priority = req->priority;
    self->corr_size = (uint8_t)req->corr.size;
    memcpy(self->corr, req->corr.data, req->corr.size);
    self->request_id_size = (uint8_t)req->request_id.size;
    self->request_id_at =
        req->request_id.size > 0 ? (uint32_t)(req->request_id.data - req->tail.data) : 0;
    self->client = client;
    self->method = method;
    self->was_dispatched = false;
    self->attempt = self->deaths = self->refusals = 0;
    self->queued_us = core->now_us;
    self->deadline_us = core->now_us + (int64_t)req->timeout_ms * 1000;
    core->bytes += req->tail.size;
    core->flights_count++;
    core->waiting_count++;
    method->flights++;
    method->service->flights++;
    souk_list_append(&client->flights, &self->of_client);
    souk_list_append(s_corr_bucket(core, client, req->corr), &self->same_hash);
    return self;
}

/* The method that a request names, or the error to answer. */
static souk_err_t s_resolve(souk_core_t *core, const souk_req_t *req, souk_method_t **ret_method) {
    souk_service_t *service = souk_service_require(core, req->service, false);
    if (service == NULL) {
        return SOUK_ERR_NO_WORKER;
    }
    souk_method_t *method = souk_method_find(service, req->method);
    if (method == NULL && service->workers == 0) {
        method = souk_method_require(core, service, req->method);
    }
    if (method == NULL) {
        service->queues[req->priority].counts[SOUK_COUNT_REJECTED]++;
        return service->workers > 0 ? SOUK_ERR_UNKNOWN_METHOD : SOUK_ERR_NO_WORKER;
    }
    *ret_method = method;
    return SOUK_OK;
}

void souk_flight_request(souk_core_t *core, souk_peer_state_t *client, const souk_req_t *req) {
    souk_method_t *method = NULL;
    souk_err_t err = SOUK_OK;
    if (core->stopping) {
        err = SOUK_ERR_DRAINING;
    } else if (s_find(core, client, req->corr) != NULL) {
        err = SOUK_ERR_MALFORMED; /* two requests with one name: the answers could not be told apart
                                   */
        core->unexpected++;
    } else if (req->tail.size + S_HEAD_BYTES_MAX > core->options.envelope_bytes_max) {
        err = SOUK_ERR_TOO_LARGE; /* with our own head it would not fit an envelope towards the
                                     worker */
    } else {
        err = s_resolve(core, req, &method);
    }
    if (err != SOUK_OK) {
        souk_fail(core, client, req->corr, err);
        return;
    }
    souk_flight_t *self = s_make(core, client, method, req);
    if (self == NULL) {
        method->service->queues[req->priority].counts[SOUK_COUNT_OVERLOADED]++;
        souk_fail(core, client, req->corr, SOUK_ERR_OVERLOADED);
        souk_method_release(core, method);
        return;
    }
    s_queue(self)->counts[SOUK_COUNT_ADMITTED]++;
    souk_wheel_set(&core->wheel, &self->deadline, self->deadline_us);
    souk_flight_queue(core, self, false);
}

void souk_flight_cancel(souk_core_t *core, souk_peer_state_t *client, souk_str_t corr) {
    souk_flight_t *self = s_find(core, client, corr);
    if (self != NULL) {
        souk_flight_drop(core, self, SOUK_COUNT_CANCELLED);
    }
}
