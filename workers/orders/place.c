/* Placing orders, a batch at a time (docs/adr/0005-totals-before-the-call.md).
 *
 * An attempt takes some of the batch through three steps: read what the totals rest on, compute
 * every order with its reply, and make one call that verifies and writes. Each order then has an
 * outcome of its own. Orders whose ground has moved, and twins of a refused order, go through
 * another attempt. An error that no single order explains (an unexpected SQLSTATE, memory) halves
 * the attempt until the order that causes it stands alone. */
#include "gen/orders_handlers.h"
#include "orders/metrics.h"
#include "orders/place_call.h"
#include "orders/service.h"
#include "souk/clock.h"
#include "souk/log.h"

#define ATTEMPTS_MAX 4
/* A call with less than this left is not begun: it would take the whole batch's time away. */
#define REMAINING_MIN_MS 30
#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define BATCH_MAX 256

typedef struct {
    const orders_service_t *service;
    souk_pg_t *pg;
    orders_place_call_t *calls;
    int64_t deadline_us; /* the least of the calls' */
} place_t;

/* Positions in calls. */
typedef struct {
    size_t at[BATCH_MAX];
    size_t count;
} members_t;

/* What an attempt works on; parallel to its members. */
typedef struct {
    souk_arena_t *arena;
    orders_draft_input_t *inputs;
    orders_draft_t *drafts;
    orders_outcome_t *outcomes;
    orders_ground_t ground;
    int64_t at_us, expires_at_us;
} attempt_t;

static uint32_t s_left_ms(const place_t *self) {
    int64_t left_us = self->deadline_us - souk_clock_mono_us();
    return left_us > 0 ? (uint32_t)(left_us / 1000) : 0;
}

/* ---- the three steps ------------------------------------------------------------------------- */

static souk_err_t s_prepare(const place_t *self, const members_t *members, attempt_t *attempt) {
    size_t count = members->count;
    souk_arena_t *arena = attempt->arena;
    attempt->inputs = souk_arena_alloc_array(arena, count, sizeof(*attempt->inputs));
    attempt->drafts = souk_arena_alloc_array(arena, count, sizeof(*attempt->drafts));
    attempt->outcomes = souk_arena_alloc_array(arena, count, sizeof(*attempt->outcomes));
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    attempt->at_us = souk_clock_unix_us();
    attempt->expires_at_us =
        attempt->at_us + self->service->config->orders_reserve_s * (int64_t)1000000;
    for (size_t i = 0; i < count; i++) {
        orders_place_call_t *call = &self->calls[members->at[i]];
        attempt->inputs[i] = (orders_draft_input_t){.ctx = call->ctx,
                                                    .req = orders_place_call_req(call),
                                                    .subject = souk_ctx_subject(call->ctx),
                                                    .currency = self->service->currency,
                                                    .at_us = attempt->at_us,
                                                    .expires_at_us = attempt->expires_at_us,
                                                    .arena = arena};
    }
    return SOUK_OK;
}

static souk_err_t s_read(const place_t *self, size_t count, attempt_t *attempt) {
    souk_arena_t *arena = attempt->arena;
    size_t skus_max = 0;
    for (size_t i = 0; i < count; i++) {
        size_t items = 0;
        (void)orders_place_req_items(attempt->inputs[i].req, &items);
        skus_max += items;
    }
    orders_ground_wanted_t wanted = {
        .skus = souk_arena_alloc_array(arena, skus_max + 1, sizeof(souk_str_t)),
        .carts = souk_arena_alloc_array(arena, count, sizeof(souk_str_t)),
        .codes = souk_arena_alloc_array(arena, count, sizeof(souk_str_t)),
    };
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(orders_draft_want(&attempt->inputs[i], &wanted));
    }
    const orders_ground_ask_t ask = {.pg = self->pg,
                                     .timeout_ms = s_left_ms(self),
                                     .arena = arena,
                                     .reference = self->service->reference};
    return orders_ground_read(&ask, &wanted, &attempt->ground);
}

static souk_err_t s_write(const place_t *self, size_t count, attempt_t *attempt) {
    for (size_t i = 0; i < count; i++) {
        SOUK_TRY(orders_draft_make(&attempt->inputs[i], &attempt->ground,
                                   attempt->ground.numbers[i], &attempt->drafts[i]));
    }
    const orders_place_call_input_t input = {
        .pg = self->pg,
        .timeout_ms = s_left_ms(self),
        .arena = attempt->arena,
        .ground = &attempt->ground,
        .currency = self->service->currency,
        .at_us = attempt->at_us,
        .expires_at_us = attempt->expires_at_us,
        .unpaid_max = self->service->config->orders_unpaid_max,
    };
    return orders_place_call(&input, attempt->inputs, attempt->drafts, count, attempt->outcomes);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* True: answered; false: it goes through another attempt. */
static bool s_answer(const place_t *self, orders_place_call_t *call, attempt_t *attempt, size_t i) {
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
        orders_draft_too_many(draft, attempt->arena, self->service->config->orders_unpaid_max);
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

static void s_answer_all(const place_t *self, const members_t *members, attempt_t *attempt,
                         members_t *ret_again) {
    members_t waiting = {0};
    for (size_t i = 0; i < members->count; i++) {
        souk_metric_add(
            self->service->metrics.outcomes[ORDERS_METRICS_PLACE][attempt->outcomes[i].kind], 1);
        if (!s_answer(self, &self->calls[members->at[i]], attempt, i)) {
            waiting.at[waiting.count++] = i;
        }
    }
    for (size_t w = 0; w < waiting.count; w++) {
        size_t i = waiting.at[w];
        const orders_draft_t *twin = attempt->outcomes[i].kind == ORDERS_AGAIN
                                         ? s_refused_twin(attempt, members->count, i)
                                         : NULL;
        orders_place_call_t *call = &self->calls[members->at[i]];
        if (twin != NULL) {
            call->err = orders_verdict_tell(&twin->verdict, call->ctx);
        } else {
            ret_again->at[ret_again->count++] = members->at[i];
        }
    }
}

static void s_fail_all(const place_t *self, const members_t *members, souk_err_t err) {
    for (size_t i = 0; i < members->count; i++) {
        self->calls[members->at[i]].err = err;
    }
}

/* ---- attempts -------------------------------------------------------------------------------- */

static souk_err_t s_attempt(const place_t *self, const members_t *members, members_t *ret_again) {
    SOUK_CLEANUP(souk_arena_destroy) souk_arena_t *arena = souk_arena_new(ARENA_BYTES_MAX, 0);
    attempt_t attempt = {.arena = arena};
    souk_metric_add(self->service->metrics.batches[ORDERS_METRICS_PLACE], 1);
    souk_metric_add(self->service->metrics.batched[ORDERS_METRICS_PLACE], (int64_t)members->count);
    SOUK_TRY(s_prepare(self, members, &attempt));
    SOUK_TRY(s_read(self, members->count, &attempt));
    SOUK_TRY(s_write(self, members->count, &attempt));
    s_answer_all(self, members, &attempt, ret_again);
    return SOUK_OK;
}

/* Halves it while an unexpected error stands: log2(256) levels at most. */
static void s_attempt_or_bisect(const place_t *self, const members_t *members,
                                members_t *ret_again) {
    souk_err_t err = s_attempt(self, members, ret_again);
    switch ((int)err) {
    case SOUK_OK:
        return;
    case SOUK_ERR_RETRY: /* a deadlock or a serialization failure: nothing was written */
        memcpy(&ret_again->at[ret_again->count], members->at,
               members->count * sizeof(members->at[0]));
        ret_again->count += members->count;
        return;
    case SOUK_ERR_UNKNOWN_OUTCOME: /* placed or not: repeating it under its key tells */
        s_fail_all(self, members, SOUK_ERR_UNAVAILABLE);
        return;
    case SOUK_ERR_UNAVAILABLE:
    case SOUK_ERR_TIMEOUT:
        s_fail_all(self, members, err);
        return;
    default:
        break;
    }
    if (members->count == 1) {
        s_fail_all(self, members, err);
        return;
    }
    souk_metric_add(self->service->metrics.bisects, 1);
    souk_log(SOUK_LOG_ERROR, "OR-PLACE-BISECT", SOUK_F_INT("orders", members->count),
             SOUK_F_TEXT("error", souk_err_info(err)->code),
             SOUK_F_TEXT("sqlstate", souk_pg_sqlstate(self->pg)));
    members_t half = {.count = members->count / 2};
    memcpy(half.at, members->at, half.count * sizeof(half.at[0]));
    s_attempt_or_bisect(self, &half, ret_again);
    size_t rest = members->count - half.count;
    memcpy(half.at, &members->at[half.count], rest * sizeof(half.at[0]));
    half.count = rest;
    s_attempt_or_bisect(self, &half, ret_again);
}

void orders_place(souk_batch_t *self, orders_place_call_t *calls, size_t calls_count) {
    souk_assert(calls_count <= BATCH_MAX);
    place_t place = {.service = self->service, .pg = self->slot, .calls = calls};
    members_t members = {0};
    uint32_t least_ms = UINT32_MAX;
    for (size_t i = 0; i < calls_count; i++) {
        uint32_t remaining_ms = souk_ctx_remaining_ms(calls[i].ctx);
        if (remaining_ms < REMAINING_MIN_MS) {
            calls[i].err = SOUK_ERR_DEADLINE_EXCEEDED;
            continue;
        }
        members.at[members.count++] = i;
        least_ms = remaining_ms < least_ms ? remaining_ms : least_ms;
    }
    place.deadline_us = souk_clock_mono_us() + (int64_t)least_ms * 1000;
    for (size_t attempt = 0; attempt < ATTEMPTS_MAX && members.count > 0; attempt++) {
        members_t again = {0};
        if (attempt > 0) {
            souk_metric_add(place.service->metrics.repeats, (int64_t)members.count);
        }
        s_attempt_or_bisect(&place, &members, &again);
        members = again;
    }
    s_fail_all(&place, &members, SOUK_ERR_OVERLOADED); /* too much is moving: later */
}
