/* Calls that run: inline on this thread within a budget, the rest in slots; and the answers. */
#include "worker_impl.h"

#include <stdlib.h>

#include "souk/clock.h"
#include "souk/log.h"

#define STATUS_SERVER_ERROR 500
/* Around the body of a REP: array, version, type, corr, flags, meta, length. */
#define ANSWER_HEAD_BYTES_MAX 64

/* ---- Tickets --------------------------------------------------------------------------------- */

souk_ticket_t *souk_worker_take_ticket(souk_worker_t *self, size_t index) {
    souk_row_t *row = &self->rows[index];
    souk_ticket_t *ticket = row->spare;
    if (ticket != NULL) {
        row->spare = ticket->next;
        ticket->next = NULL;
    } else {
        ticket = calloc(1, sizeof(*ticket));
        souk_assert(ticket != NULL);
        ticket->ctx = souk_ctx_new(row->method);
        ticket->method = index;
        ticket->service = row->service;
    }
    self->standing[row->service].in_flight[row->method->lane]++;
    return ticket;
}

void souk_worker_release(souk_worker_t *self, souk_ticket_t *ticket) {
    souk_row_t *row = &self->rows[ticket->method];
    souk_assert(self->standing[row->service].in_flight[row->method->lane] > 0);
    self->standing[row->service].in_flight[row->method->lane]--;
    souk_ctx_end(ticket->ctx);
    ticket->next = row->spare;
    row->spare = ticket;
}

/* The ticket's session, or NULL when it has ended. */
static souk_link_t *s_session(const souk_worker_t *self, const souk_ticket_t *ticket) {
    souk_link_t *link = self->links[ticket->link];
    bool same = souk_link_up(link) && souk_link_generation(link) == ticket->generation;
    return same ? link : NULL;
}

/* ---- Answers --------------------------------------------------------------------------------- */

void souk_worker_send_refused(souk_worker_t *self, souk_link_t *link, souk_str_t corr,
                              souk_refused_t reason) {
    souk_metric_add(self->metrics.refused[reason], 1);
    souk_envelope_refused(souk_link_begin(link), corr, reason);
    if (souk_link_commit(link) != SOUK_OK) {
        souk_metric_add(self->metrics.lost, 1);
    }
}

void souk_worker_refuse(souk_worker_t *self, souk_ticket_t *ticket, souk_refused_t reason) {
    souk_link_t *link = s_session(self, ticket);
    if (link != NULL) {
        souk_worker_send_refused(self, link, souk_ctx_req(ticket->ctx)->corr, reason);
    }
    souk_metric_add(self->rows[ticket->method].refused, 1);
    souk_worker_release(self, ticket);
}

/* A client's errors are in its answer, and a dependency that is away is told once by its service
 * (degraded): what is left are faults of ours, which only the log can tell. */
static bool s_is_fault(souk_err_t err) {
    const souk_err_info_t *info = souk_err_info(err);
    return info->status >= STATUS_SERVER_ERROR && !info->retry && err != SOUK_ERR_CANCELLED;
}

static void s_log_call(const souk_row_t *row, souk_ctx_t *ctx, souk_err_t err) {
    bool fault = s_is_fault(err);
    souk_log(fault ? SOUK_LOG_ERROR : SOUK_LOG_DEBUG, fault ? "WK-CALL-FAILED" : "WK-CALL",
             SOUK_F_STR("service", row->service_name), SOUK_F_STR("method", row->name),
             SOUK_F_TEXT("error", souk_err_info(err)->code),
             SOUK_F_STR("detail", souk_ctx_detail(ctx)),
             SOUK_F_INT("exec_us", souk_ctx_exec_us(ctx)),
             SOUK_F_STR("request_id", souk_ctx_request_id(ctx)),
             SOUK_F_STR("traceparent", souk_ctx_traceparent(ctx)));
}

static souk_err_t s_write_answer(souk_link_t *link, souk_ctx_t *ctx, souk_err_t err,
                                 souk_str_t body) {
    souk_str_t corr = souk_ctx_req(ctx)->corr;
    souk_buf_t *out = souk_link_begin(link);
    if (err == SOUK_OK) {
        uint32_t flags = souk_ctx_replayed(ctx) ? SOUK_REP_REPLAYED : 0;
        souk_envelope_rep(out, corr, flags, souk_ctx_exec_us(ctx), body);
    } else {
        souk_envelope_err(out, corr, souk_ctx_exec_us(ctx), body);
    }
    return souk_link_commit(link);
}

/* A reply that does not fit the session's envelope or the socket's bound: the broker hears of it,
 * if that fits. */
static void s_answer_lost(souk_worker_t *self, souk_link_t *link, souk_ctx_t *ctx) {
    souk_buf_t body;
    souk_buf_init(&body, 1024);
    souk_fault_write(&body, &(souk_fault_t){.err = SOUK_ERR_BAD_REPLY});
    souk_metric_add(self->metrics.lost, 1);
    souk_err_t err = s_write_answer(link, ctx, SOUK_ERR_BAD_REPLY, souk_buf_str(&body));
    souk_log(SOUK_LOG_ERROR, "WK-ANSWER-LOST", SOUK_F_BOOL("told", err == SOUK_OK),
             SOUK_F_STR("request_id", souk_ctx_request_id(ctx)));
    souk_buf_done(&body);
}

static void s_answer(souk_worker_t *self, souk_ticket_t *ticket) {
    souk_row_t *row = &self->rows[ticket->method];
    souk_str_t body;
    souk_err_t outcome = souk_ctx_outcome(ticket->ctx, &body);
    souk_metric_add(outcome == SOUK_OK ? row->ok : row->failed, 1);
    souk_metric_observe_us(row->seconds, souk_ctx_exec_us(ticket->ctx));
    s_log_call(row, ticket->ctx, outcome);
    souk_link_t *link = s_session(self, ticket);
    if (link == NULL) {
        souk_metric_add(self->metrics.late, 1);
    } else if (body.size + ANSWER_HEAD_BYTES_MAX > souk_link_envelope_bytes_max(link) ||
               s_write_answer(link, ticket->ctx, outcome, body) != SOUK_OK) {
        s_answer_lost(self, link, ticket->ctx);
    }
    souk_worker_release(self, ticket);
}

/* ---- Inline ---------------------------------------------------------------------------------- */

void souk_worker_run_inline(souk_worker_t *self, souk_ticket_t *ticket) {
    souk_row_t *row = &self->rows[ticket->method];
    souk_ctx_run(ticket->ctx, self->served[row->service].state, NULL);
    int64_t exec_us = souk_ctx_exec_us(ticket->ctx);
    self->inline_left_us -= exec_us;
    if (exec_us > self->config->inline_budget_us) {
        souk_metric_add(row->overruns, 1);
        souk_log(SOUK_LOG_DEBUG, "WK-INLINE-OVERRUN", SOUK_F_TEXT("method", row->method->name),
                 SOUK_F_INT("exec_us", exec_us),
                 SOUK_F_STR("request_id", souk_ctx_request_id(ticket->ctx)));
    }
    s_answer(self, ticket);
}

static void s_run_deferred(souk_worker_t *self) {
    souk_queue_pick_t pick = {.services = UINT64_MAX,
                              .batch_max = 1,
                              .deadline_from_us = souk_worker_deadline_from_us(self)};
    while (self->deferred.count > 0 && self->inline_left_us > 0) {
        souk_ticket_t *ticket, *late, *next;
        size_t count = souk_queue_take(&self->deferred, &pick, &ticket, &late);
        for (; late != NULL; late = next) {
            next = late->next;
            souk_worker_refuse(self, late, SOUK_REFUSED_DEADLINE);
        }
        if (count > 0) {
            souk_worker_run_inline(self, ticket);
        }
    }
}

/* ---- Slots ----------------------------------------------------------------------------------- */

static void s_give_job(souk_worker_t *self, souk_seat_t *seat) {
    souk_queue_pick_t pick = {.services = souk_slot_started(seat->slot),
                              .batch_max = (size_t)self->config->batch_max,
                              .deadline_from_us = souk_worker_deadline_from_us(self)};
    souk_ticket_t **tickets = souk_slot_job(seat->slot);
    souk_ticket_t *late, *next;
    size_t count = souk_queue_take(&self->waiting, &pick, tickets, &late);
    for (; late != NULL; late = next) {
        next = late->next;
        souk_worker_refuse(self, late, SOUK_REFUSED_DEADLINE);
    }
    if (count == 0) {
        return;
    }
    souk_row_t *row = &self->rows[tickets[0]->method];
    int64_t now_us = souk_clock_mono_us();
    seat->deadline_us = 0;
    for (size_t i = 0; i < count; i++) {
        souk_metric_observe_us(row->wait_seconds, now_us - tickets[i]->received_us);
        if (tickets[i]->deadline_us > seat->deadline_us) {
            seat->deadline_us = tickets[i]->deadline_us;
        }
    }
    if (row->batches != NULL) {
        souk_metric_add(row->batches, 1);
    }
    self->busy++;
    souk_slot_run(seat->slot, count);
}

static bool s_is_idle(const souk_seat_t *seat) {
    size_t count;
    souk_slot_tickets(seat->slot, &count);
    return count == 0 && !souk_slot_connecting(seat->slot);
}

void souk_worker_serve(souk_worker_t *self) {
    self->inline_left_us = self->config->inline_budget_us;
    s_run_deferred(self);
    if (self->deferred.count > 0) {
        souk_loop_mark_turn(self->loop, self); /* the next turn goes on */
    }
    for (size_t i = 0; i < self->seats_count && self->waiting.count > 0; i++) {
        if (s_is_idle(&self->seats[i])) {
            s_give_job(self, &self->seats[i]);
        }
    }
}

static souk_seat_t *s_seat(souk_worker_t *self, const souk_slot_t *slot) {
    souk_seat_t *seat = &self->seats[souk_slot_number(slot)];
    souk_assert(seat->slot == slot);
    return seat;
}

void souk_worker_collect(souk_worker_t *self) {
    void *item;
    while (souk_mailbox_take_all(self->done, &item, 1) == 1) {
        souk_slot_t *slot = item;
        souk_seat_t *seat = s_seat(self, slot);
        size_t count;
        souk_ticket_t *const *tickets = souk_slot_tickets(slot, &count);
        for (size_t i = 0; i < count; i++) {
            s_answer(self, tickets[i]);
        }
        souk_slot_clear(slot);
        self->busy--;
        if (seat->stalled) {
            seat->stalled = false;
            self->stalled--;
            souk_log(SOUK_LOG_INFO, "WK-SLOT-UNSTALLED",
                     SOUK_F_INT("slot", souk_slot_number(slot)));
        }
    }
}

/* A stalled slot cannot be taken back from C code that does not return; it can be seen. */
void souk_worker_watch(souk_worker_t *self) {
    int64_t now_us = souk_loop_now_us(self->loop);
    int64_t grace_us = self->config->stall_grace_ms * 1000;
    for (size_t i = 0; i < self->seats_count; i++) {
        souk_seat_t *seat = &self->seats[i];
        size_t count;
        souk_ticket_t *const *tickets = souk_slot_tickets(seat->slot, &count);
        if (count == 0 || seat->stalled || now_us < seat->deadline_us + grace_us) {
            continue;
        }
        seat->stalled = true;
        self->stalled++;
        souk_metric_add(self->metrics.stalls, 1);
        const souk_row_t *row = &self->rows[tickets[0]->method];
        souk_log(SOUK_LOG_ERROR, "WK-SLOT-STALLED", SOUK_F_INT("slot", i),
                 SOUK_F_TEXT("service", self->served[row->service].service->name),
                 SOUK_F_TEXT("method", row->method->name), SOUK_F_INT("calls", count),
                 SOUK_F_STR("request_id", souk_ctx_req(tickets[0]->ctx)->request_id));
    }
    if (self->stalled == self->seats_count) {
        souk_worker_refuse_all(self, &self->waiting, SOUK_REFUSED_NO_ROOM);
    }
}
