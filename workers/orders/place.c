/* Placing orders, a batch at a time (docs/adr/0005-totals-before-the-call.md): an attempt reads
 * what the totals rest on, computes every order with its reply, and makes one call that verifies
 * and writes. */
#include "gen/orders_handlers.h"
#include "orders/batch.h"
#include "orders/place_call.h"
#include "orders/service.h"
#include "souk/address.h"
#include "souk/clock.h"

/* What an attempt works on; parallel to its members. */
typedef struct {
    const orders_service_t *service;
    souk_arena_t *arena;
    orders_draft_input_t *inputs;
    orders_draft_t *drafts;
    orders_outcome_t *outcomes;
    orders_ground_t ground;
    int64_t at_us, expires_at_us;
} attempt_t;

/* ---- the three steps ------------------------------------------------------------------------- */

/* Guests cost nothing to make, so they are counted by where they are as well. */
static souk_str_t s_network(souk_ctx_t *ctx, souk_arena_t *arena) {
    char form[SOUK_ADDRESS_FORM_BYTES];
    souk_address_form(souk_ctx_address(ctx), form);
    bool counts = souk_ctx_kind(ctx) == SOUK_PRINCIPAL_GUEST && form[0] != '\0';
    return counts ? souk_arena_copy(arena, souk_str_of(form)) : (souk_str_t){0};
}

static souk_err_t s_prepare(const orders_batch_t *batch, const orders_members_t *members,
                            attempt_t *attempt) {
    const orders_service_t *service = attempt->service;
    size_t count = members->count;
    souk_arena_t *arena = attempt->arena;
    attempt->inputs = souk_arena_alloc_array(arena, count, sizeof(*attempt->inputs));
    attempt->drafts = souk_arena_alloc_array(arena, count, sizeof(*attempt->drafts));
    attempt->outcomes = souk_arena_alloc_array(arena, count, sizeof(*attempt->outcomes));
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    attempt->at_us = souk_clock_unix_us();
    attempt->expires_at_us = attempt->at_us + service->config->orders_reserve_s * (int64_t)1000000;
    for (size_t i = 0; i < count; i++) {
        const orders_place_call_t *call = &batch->calls[members->at[i]];
        attempt->inputs[i] = (orders_draft_input_t){.ctx = call->ctx,
                                                    .req = orders_place_call_req(call),
                                                    .subject = souk_ctx_subject(call->ctx),
                                                    .network = s_network(call->ctx, arena),
                                                    .currency = service->currency,
                                                    .at_us = attempt->at_us,
                                                    .expires_at_us = attempt->expires_at_us,
                                                    .arena = arena};
    }
    return souk_arena_overflowed(arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

static souk_err_t s_read(const orders_batch_t *batch, size_t count, attempt_t *attempt) {
    souk_arena_t *arena = attempt->arena;
    size_t skus_max = 0;
    for (size_t i = 0; i < count; i++) {
        size_t items = 0;
        (void)orders_place_req_items(attempt->inputs[i].req, &items);
        skus_max += items;
    }
    orders_ground_wanted_t wanted = {
        .skus.at = souk_arena_alloc_array(arena, skus_max + 1, sizeof(souk_str_t)),
        .carts.at = souk_arena_alloc_array(arena, count, sizeof(souk_str_t)),
        .codes.at = souk_arena_alloc_array(arena, count, sizeof(souk_str_t)),
    };
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(orders_draft_want(&attempt->inputs[i], &wanted));
    }
    const orders_ground_ask_t ask = {.pg = batch->pg,
                                     .timeout_ms = orders_batch_left_ms(batch),
                                     .arena = arena,
                                     .reference = attempt->service->reference};
    return orders_ground_read(&ask, &wanted, &attempt->ground);
}

static souk_err_t s_write(const orders_batch_t *batch, size_t count, attempt_t *attempt) {
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(orders_draft_make(&attempt->inputs[i], &attempt->ground,
                                   attempt->ground.numbers[i], &attempt->drafts[i]));
    }
    const orders_place_call_input_t input = {
        .pg = batch->pg,
        .timeout_ms = orders_batch_left_ms(batch),
        .key_wait_ms = orders_batch_key_wait_ms(batch),
        .arena = attempt->arena,
        .ground = &attempt->ground,
        .currency = attempt->service->currency,
        .at_us = attempt->at_us,
        .expires_at_us = attempt->expires_at_us,
        .unpaid_max = attempt->service->config->orders_unpaid_max,
        .network_max = attempt->service->config->orders_network_unpaid_max,
        .is_first = batch->is_first,
    };
    return orders_place_call(&input, attempt->inputs, attempt->drafts, count, attempt->outcomes);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* True: answered; false: it goes through another attempt. */
static bool s_answer(orders_place_call_t *call, attempt_t *attempt, size_t i) {
    orders_draft_t *draft = &attempt->drafts[i];
    const orders_outcome_t *outcome = &attempt->outcomes[i];
    souk_ctx_t *ctx = call->ctx;
    switch (outcome->kind) {
    case ORDERS_DONE:
        souk_ctx_reply_encoded(ctx, draft->reply);
        break;
    case ORDERS_REPLAYED:
        souk_ctx_reply_encoded(ctx, outcome->reply);
        souk_ctx_mark_replayed(ctx);
        break;
    case ORDERS_REUSED:
        call->err = SOUK_ERR_KEY_REUSED;
        break;
    case ORDERS_NO_STOCK:
        orders_draft_lacks_stock(draft, attempt->arena, outcome->at, outcome->remaining);
        break;
    case ORDERS_NO_USES:
        orders_draft_lacks_uses(draft, attempt->arena);
        break;
    case ORDERS_UNPAID:
        orders_draft_too_many(draft, attempt->arena);
        break;
    case ORDERS_REFUSED:
        break;
    case ORDERS_AGAIN:
    case ORDERS_STALE:
    default:
        return false;
    }
    if (draft->verdict.err != SOUK_OK && call->err == SOUK_OK && outcome->kind != ORDERS_DONE &&
        outcome->kind != ORDERS_REPLAYED) {
        call->err = orders_verdict_tell(&draft->verdict, ctx);
    }
    return true;
}

/* The same request under the same key, refused in this attempt: NULL when there is none. */
static const orders_draft_t *s_refused_twin(const attempt_t *attempt, size_t count, size_t of) {
    souk_ctx_t *ctx = attempt->inputs[of].ctx;
    for (size_t i = 0; i < count; i++) {
        souk_ctx_t *other = attempt->inputs[i].ctx;
        if (attempt->drafts[i].verdict.err != SOUK_OK &&
            attempt->outcomes[i].kind != ORDERS_AGAIN &&
            souk_str_equal(attempt->inputs[i].subject, attempt->inputs[of].subject) &&
            souk_str_equal(souk_ctx_key(other), souk_ctx_key(ctx)) &&
            souk_str_equal(souk_ctx_key_hash(other), souk_ctx_key_hash(ctx))) {
            return &attempt->drafts[i];
        }
    }
    return NULL;
}

static void s_answer_all(const orders_batch_t *batch, const orders_members_t *members,
                         attempt_t *attempt, orders_members_t *ret_again) {
    orders_members_t waiting = {0};
    for (size_t i = 0; i < members->count; i++) {
        souk_metric_add(batch->metrics->outcomes[batch->step][attempt->outcomes[i].kind], 1);
        if (!s_answer(&batch->calls[members->at[i]], attempt, i)) {
            waiting.at[waiting.count++] = i;
        }
    }
    for (size_t w = 0; w < waiting.count; w++) {
        size_t i = waiting.at[w];
        const orders_draft_t *twin = attempt->outcomes[i].kind == ORDERS_AGAIN
                                         ? s_refused_twin(attempt, members->count, i)
                                         : NULL;
        orders_place_call_t *call = &batch->calls[members->at[i]];
        if (twin != NULL) {
            call->err = orders_verdict_tell(&twin->verdict, call->ctx);
        } else {
            ret_again->at[ret_again->count++] = members->at[i];
        }
    }
}

/* ---- the handler ----------------------------------------------------------------------------- */

static souk_err_t s_attempt(orders_batch_t *batch, const orders_members_t *members,
                            souk_arena_t *arena, orders_members_t *ret_again) {
    attempt_t attempt = {.service = batch->arg, .arena = arena};
    SOUK_TRY(s_prepare(batch, members, &attempt));
    SOUK_TRY(s_read(batch, members->count, &attempt));
    SOUK_TRY(s_write(batch, members->count, &attempt));
    s_answer_all(batch, members, &attempt, ret_again);
    return SOUK_OK;
}

void orders_place(souk_batch_t *self, orders_place_call_t *calls, size_t calls_count) {
    orders_service_t *service = self->service;
    orders_batch_t batch = {.pg = self->slot,
                            .metrics = &service->metrics,
                            .step = ORDERS_METRICS_PLACE,
                            .calls = calls,
                            .calls_count = calls_count,
                            .attempt = s_attempt,
                            .arg = service};
    orders_batch_run(&batch);
}
