/* Cancelling and paying orders, a batch at a time, in the shape of place.c: read the orders,
 * compute what becomes of each with its reply, make one call that verifies and writes. */
#include "orders/settle.h"

#include "gen/orders_handlers.h"
#include "orders/batch.h"
#include "orders/service.h"
#include "souk/clock.h"

typedef struct {
    orders_move_t move;
    const char *method;
    bool staff; /* else the owner */
    /* The order's id of a call's request. */
    souk_str_t (*id)(const souk_call_t *call);
    orders_service_t *service;
} settle_t;

/* Parallel to the attempt's members. */
typedef struct {
    souk_arena_t *arena;
    orders_record_t *records;
    orders_verdict_t *verdicts;
    orders_settling_t *settlings;
    orders_outcome_t *outcomes;
    int64_t at_us;
} attempt_t;

static souk_err_t s_read(const orders_batch_t *batch, const orders_members_t *members,
                         attempt_t *attempt) {
    const settle_t *self = batch->arg;
    size_t count = members->count;
    souk_arena_t *arena = attempt->arena;
    attempt->records = souk_arena_alloc_array(arena, count, sizeof(*attempt->records));
    attempt->verdicts = souk_arena_alloc_array(arena, count, sizeof(*attempt->verdicts));
    attempt->settlings = souk_arena_alloc_array(arena, count, sizeof(*attempt->settlings));
    attempt->outcomes = souk_arena_alloc_array(arena, count, sizeof(*attempt->outcomes));
    souk_str_t *ids = souk_arena_alloc_array(arena, count, sizeof(*ids));
    souk_str_t *owners = souk_arena_alloc_array(arena, count, sizeof(*owners));
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        const souk_call_t *call = &batch->calls[members->at[i]];
        souk_str_t subject = souk_ctx_subject(call->ctx);
        ids[i] = self->id(call);
        owners[i] = self->staff ? (souk_str_t){0} : subject;
        attempt->settlings[i] = (orders_settling_t){
            .id = ids[i],
            .subject = subject,
            .key = souk_ctx_key(call->ctx),
            .key_hash = souk_ctx_key_hash(call->ctx),
            .owner = owners[i],
            .actor = subject,
            .audited = self->staff,
            .traceparent = souk_ctx_traceparent(call->ctx),
            .request_id = souk_ctx_request_id(call->ctx),
        };
    }
    const orders_records_ask_t ask = {
        .pg = batch->pg, .timeout_ms = orders_batch_left_ms(batch), .arena = arena};
    return orders_records_read(&ask, ids, owners, count, attempt->records);
}

static souk_err_t s_compute(const settle_t *self, size_t count, attempt_t *attempt) {
    for (size_t i = 0; i < count; i++) {
        orders_record_t *record = &attempt->records[i];
        orders_verdict_t *verdict = &attempt->verdicts[i];
        orders_settling_t *settling = &attempt->settlings[i];
        if (record->id.data == NULL) {
            (void)orders_verdict_refuse(verdict, attempt->arena, SOUK_ERR_NOT_FOUND,
                                        "No order %.*s", (int)settling->id.size, settling->id.data);
        } else {
            settling->version = record->version;
            orders_record_move(record, self->move, attempt->at_us, attempt->arena, verdict);
        }
        settling->refused = verdict->err != SOUK_OK;
        if (!settling->refused) {
            SOUK_TRY(orders_record_encode(record, attempt->arena, &settling->reply));
        }
    }
    return SOUK_OK;
}

/* True: answered. */
static bool s_answer(souk_call_t *call, const attempt_t *attempt, size_t i) {
    const orders_outcome_t *outcome = &attempt->outcomes[i];
    switch (outcome->kind) {
    case ORDERS_DONE:
        souk_ctx_reply_encoded(call->ctx, attempt->settlings[i].reply);
        return true;
    case ORDERS_REPLAYED:
        souk_ctx_reply_encoded(call->ctx, outcome->reply);
        souk_ctx_mark_replayed(call->ctx);
        return true;
    case ORDERS_REUSED:
        call->err = SOUK_ERR_KEY_REUSED;
        return true;
    case ORDERS_REFUSED:
        call->err = orders_verdict_tell(&attempt->verdicts[i], call->ctx);
        return true;
    default:
        return false;
    }
}

/* The same request under the same key, refused in this attempt: NULL when there is none. */
static const orders_verdict_t *s_refused_twin(const attempt_t *attempt, size_t count, size_t of) {
    const orders_settling_t *own = &attempt->settlings[of];
    for (size_t i = 0; i < count && attempt->outcomes[of].kind == ORDERS_AGAIN; i++) {
        const orders_settling_t *other = &attempt->settlings[i];
        if (attempt->outcomes[i].kind == ORDERS_REFUSED &&
            souk_str_equal(other->subject, own->subject) && souk_str_equal(other->key, own->key) &&
            souk_str_equal(other->key_hash, own->key_hash)) {
            return &attempt->verdicts[i];
        }
    }
    return NULL;
}

static souk_err_t s_attempt(orders_batch_t *batch, const orders_members_t *members,
                            souk_arena_t *arena, orders_members_t *ret_again) {
    const settle_t *self = batch->arg;
    attempt_t attempt = {.arena = arena, .at_us = souk_clock_unix_us()};
    SOUK_TRY(s_read(batch, members, &attempt));
    SOUK_TRY(s_compute(self, members->count, &attempt));
    const orders_settle_input_t input = {.pg = batch->pg,
                                         .timeout_ms = orders_batch_left_ms(batch),
                                         .key_wait_ms = orders_batch_key_wait_ms(batch),
                                         .arena = arena,
                                         .move = self->move,
                                         .method = self->method,
                                         .at_us = attempt.at_us};
    SOUK_TRY(orders_settle_call(&input, attempt.settlings, members->count, attempt.outcomes));
    for (size_t i = 0; i < members->count; i++) {
        orders_outcome_kind_t kind = attempt.outcomes[i].kind;
        souk_metric_add(batch->metrics->outcomes[batch->step][kind], 1);
        if (kind == ORDERS_DONE && self->move == ORDERS_MOVE_PAY) {
            souk_metric_add(batch->metrics->revenue, attempt.records[i].grand_total);
        }
        souk_call_t *call = &batch->calls[members->at[i]];
        const orders_verdict_t *twins = s_refused_twin(&attempt, members->count, i);
        if (twins != NULL) {
            call->err = orders_verdict_tell(twins, call->ctx);
        } else if (!s_answer(call, &attempt, i)) {
            ret_again->at[ret_again->count++] = members->at[i];
        }
    }
    return SOUK_OK;
}

static void s_run(settle_t *self, souk_batch_t *given, souk_call_t *calls, size_t calls_count) {
    self->service = given->service;
    orders_batch_t batch = {.pg = given->slot,
                            .metrics = &self->service->metrics,
                            .step = self->move == ORDERS_MOVE_PAY ? ORDERS_METRICS_PAY
                                                                  : ORDERS_METRICS_CANCEL,
                            .calls = calls,
                            .calls_count = calls_count,
                            .attempt = s_attempt,
                            .arg = self};
    orders_batch_run(&batch);
}

/* ---- handlers -------------------------------------------------------------------------------- */

static souk_str_t s_cancel_id(const souk_call_t *call) {
    return orders_cancel_call_req(call)->id;
}

void orders_cancel(souk_batch_t *self, orders_cancel_call_t *calls, size_t calls_count) {
    settle_t settle = {.move = ORDERS_MOVE_CANCEL, .method = "cancel", .id = s_cancel_id};
    s_run(&settle, self, calls, calls_count);
}

static souk_str_t s_admin_cancel_id(const souk_call_t *call) {
    return orders_admin_cancel_call_req(call)->id;
}

void orders_admin_cancel(souk_batch_t *self, orders_admin_cancel_call_t *calls,
                         size_t calls_count) {
    settle_t settle = {.move = ORDERS_MOVE_CANCEL,
                       .method = "admin_cancel",
                       .staff = true,
                       .id = s_admin_cancel_id};
    s_run(&settle, self, calls, calls_count);
}

static souk_str_t s_pay_id(const souk_call_t *call) {
    return orders_admin_pay_call_req(call)->id;
}

void orders_admin_pay(souk_batch_t *self, orders_admin_pay_call_t *calls, size_t calls_count) {
    settle_t settle = {
        .move = ORDERS_MOVE_PAY, .method = "admin_pay", .staff = true, .id = s_pay_id};
    s_run(&settle, self, calls, calls_count);
}
