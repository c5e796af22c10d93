/* Requests in: what is admitted, deferred, refused or dropped. */
#include "worker_impl.h"

#include "souk/log.h"

int64_t souk_worker_deadline_from_us(const souk_worker_t *self) {
    return souk_loop_now_us(self->loop) + self->config->deadline_margin_ms * 1000;
}

static souk_row_t *s_find(souk_worker_t *self, souk_str_t service, souk_str_t method) {
    for (size_t i = 0; i < self->rows_count; i++) {
        souk_row_t *row = &self->rows[i];
        if (souk_str_equal(row->name, method) && souk_str_equal(row->service_name, service)) {
            return row;
        }
    }
    return NULL;
}

static void s_send_err(souk_worker_t *self, souk_link_t *link, souk_str_t corr, souk_err_t err) {
    souk_buf_t body;
    souk_buf_init(&body, 1024);
    souk_fault_write(&body, &(souk_fault_t){.err = err});
    souk_envelope_err(souk_link_begin(link), corr, -1, souk_buf_str(&body));
    if (souk_link_commit(link) != SOUK_OK) {
        souk_metric_add(self->metrics.lost, 1);
    }
    souk_buf_done(&body);
}

/* 0: admitted, else why not. */
static souk_refused_t s_check(const souk_worker_t *self, const souk_row_t *row,
                              const souk_req_t *req) {
    if (self->phase != SOUK_WORKER_RUNNING) {
        return SOUK_REFUSED_DRAINING;
    }
    const souk_standing_t *standing = &self->standing[row->service];
    if (!standing->ready ||
        standing->in_flight[row->method->lane] >= standing->room[row->method->lane]) {
        return SOUK_REFUSED_NO_ROOM;
    }
    return req->timeout_ms <= self->config->deadline_margin_ms ? SOUK_REFUSED_DEADLINE : 0;
}

/* Whether what the request says of itself holds. The broker goes by its class when a worker dies:
 * of a write that comes as a read it would make two. Unkeyed is never given away again, so it may
 * stand for each that does not live by its key. */
static bool s_is_fit(const souk_method_t *method, const souk_req_t *req) {
    if (method->key_required && (req->key.data == NULL || req->key_hash.data == NULL)) {
        return false;
    }
    return req->class_ == method->class_ || req->class_ == SOUK_CLASS_UNKEYED;
}

static void s_on_req(souk_worker_t *self, souk_link_t *link, const souk_envelope_t *envelope) {
    const souk_req_t *req = &envelope->as.req;
    souk_row_t *row = s_find(self, req->service, req->method);
    if (row == NULL) {
        s_send_err(self, link, req->corr, SOUK_ERR_UNKNOWN_METHOD);
        return;
    }
    if (!s_is_fit(row->method, req)) {
        s_send_err(self, link, req->corr, SOUK_ERR_MALFORMED);
        return;
    }
    souk_refused_t refused = s_check(self, row, req);
    if (refused != 0) {
        souk_metric_add(row->refused, 1);
        souk_worker_send_refused(self, link, req->corr, refused);
        return;
    }
    size_t index = (size_t)(row - self->rows);
    souk_ticket_t *ticket = souk_worker_take_ticket(self, index);
    ticket->link = souk_link_number(link);
    ticket->generation = souk_link_generation(link);
    ticket->received_us = souk_loop_now_us(self->loop);
    ticket->deadline_us = ticket->received_us + (int64_t)req->timeout_ms * 1000;
    bool is_inline = row->method->lane == SOUK_LANE_INLINE;
    if (is_inline && self->deferred.count == 0 && self->inline_left_us > 0) {
        souk_ctx_begin(ticket->ctx, req, ticket->deadline_us);
        souk_worker_run_inline(self, ticket);
        return;
    }
    souk_ctx_begin_copy(ticket->ctx, envelope->bytes, ticket->deadline_us);
    souk_queue_put(is_inline ? &self->deferred : &self->waiting, ticket);
}

typedef struct {
    uint32_t link, generation;
    souk_str_t corr;
} souk_origin_t;

static bool s_is_origin(const souk_ticket_t *ticket, const void *arg) {
    const souk_origin_t *origin = arg;
    return ticket->link == origin->link && ticket->generation == origin->generation &&
           souk_str_equal(souk_ctx_req(ticket->ctx)->corr, origin->corr);
}

/* Not started: dropped, answered REFUSED so that the broker's count is right. Running: flagged.
 * Unknown: answered already. */
static void s_on_cancel(souk_worker_t *self, souk_link_t *link, souk_str_t corr) {
    souk_origin_t origin = {
        .link = souk_link_number(link), .generation = souk_link_generation(link), .corr = corr};
    souk_ticket_t *found = souk_queue_take_if(&self->waiting, s_is_origin, &origin);
    if (found == NULL) {
        found = souk_queue_take_if(&self->deferred, s_is_origin, &origin);
    }
    if (found != NULL) {
        souk_metric_add(self->metrics.cancelled, 1);
        souk_worker_refuse(self, found, SOUK_REFUSED_NO_ROOM);
        return;
    }
    for (size_t i = 0; i < self->seats_count; i++) {
        size_t count;
        souk_ticket_t *const *tickets = souk_slot_tickets(self->seats[i].slot, &count);
        for (size_t j = 0; j < count; j++) {
            if (s_is_origin(tickets[j], &origin)) {
                souk_metric_add(self->metrics.cancelled, 1);
                souk_ctx_cancel(tickets[j]->ctx);
                return;
            }
        }
    }
}

void souk_worker_admit(void *arg, souk_link_t *link, const souk_envelope_t *envelope,
                       souk_err_t err) {
    souk_worker_t *self = arg;
    if (err != SOUK_OK) {
        s_send_err(self, link, envelope->as.req.corr, SOUK_ERR_MALFORMED);
    } else if (envelope->type == SOUK_MSG_REQ) {
        s_on_req(self, link, envelope);
    } else if (envelope->type == SOUK_MSG_CANCEL) {
        s_on_cancel(self, link, envelope->as.cancel.corr);
    } else if (envelope->type == SOUK_MSG_DRAINED && self->phase != SOUK_WORKER_RUNNING) {
        self->drained[souk_link_number(link)] = true;
    }
}

/* ---- What leaves the queues without being run ---------------------------------------------------
 */

static bool s_is_session(const souk_ticket_t *ticket, const void *arg) {
    const souk_origin_t *origin = arg;
    return ticket->link == origin->link && ticket->generation == origin->generation;
}

void souk_worker_drop_session(souk_worker_t *self, souk_link_t *link) {
    souk_origin_t origin = {.link = souk_link_number(link),
                            .generation = souk_link_generation(link)};
    souk_queue_t *queues[] = {&self->waiting, &self->deferred};
    for (size_t i = 0; i < SOUK_COUNT_OF(queues); i++) {
        souk_ticket_t *next;
        souk_ticket_t *ticket = souk_queue_take_if(queues[i], s_is_session, &origin);
        for (; ticket != NULL; ticket = next) {
            next = ticket->next;
            souk_metric_add(self->metrics.late, 1);
            souk_worker_release(self, ticket);
        }
    }
}

static bool s_is_late(const souk_ticket_t *ticket, const void *arg) {
    const int64_t *deadline_from_us = arg;
    return ticket->deadline_us < *deadline_from_us;
}

static bool s_is_any(const souk_ticket_t *ticket, const void *arg) {
    (void)ticket;
    (void)arg;
    return true;
}

static void s_refuse_list(souk_worker_t *self, souk_ticket_t *ticket, souk_refused_t reason) {
    souk_ticket_t *next;
    for (; ticket != NULL; ticket = next) {
        next = ticket->next;
        souk_worker_refuse(self, ticket, reason);
    }
}

void souk_worker_refuse_late(souk_worker_t *self) {
    int64_t deadline_from_us = souk_worker_deadline_from_us(self);
    s_refuse_list(self, souk_queue_take_if(&self->waiting, s_is_late, &deadline_from_us),
                  SOUK_REFUSED_DEADLINE);
}

void souk_worker_refuse_all(souk_worker_t *self, souk_queue_t *queue, souk_refused_t reason) {
    s_refuse_list(self, souk_queue_take_if(queue, s_is_any, NULL), reason);
}
