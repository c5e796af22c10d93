#include "orders/batch.h"

#include "orders/parts.h"
#include "souk/clock.h"
#include "souk/log.h"

#define ATTEMPTS_MAX 4
/* A call with less than this left is not begun: an attempt has the time of the hastiest of its
 * calls, and locks are waited for in it. */
#define REMAINING_MIN_MS 250
/* Of one attempt; a batch that needs more is halved. */
#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* How long a twin of one of them that runs elsewhere is waited for: by all; by a part, which was
 * made to find it; by those that were put aside, together, while the others' answers wait. */
#define KEY_WAIT_MS 200
#define KEY_WAIT_PART_MS 25
#define KEY_WAIT_ASIDE_MS 2000
#define LOCK_NOT_AVAILABLE "55P03"

int64_t orders_batch_key_wait_ms(const orders_batch_t *self) {
    int64_t most_ms = (int64_t)orders_batch_left_ms(self) * 3 / 4; /* before its own timeout */
    most_ms = self->key_wait_ms < most_ms ? self->key_wait_ms : most_ms;
    return most_ms > 1 ? most_ms : 1; /* 0 would be for ever */
}

souk_err_t orders_batch_key_error(const souk_pg_t *pg, souk_err_t err) {
    bool waited = err == SOUK_ERR_RETRY && strcmp(souk_pg_sqlstate(pg), LOCK_NOT_AVAILABLE) == 0;
    return waited ? SOUK_ERR_KEY_IN_PROGRESS : err;
}

uint32_t orders_batch_left_ms(const orders_batch_t *self) {
    int64_t left_us = self->deadline_us - souk_clock_mono_us();
    return left_us > 0 ? (uint32_t)(left_us / 1000) : 0;
}

static void s_fail(const orders_batch_t *self, const orders_members_t *members, souk_err_t err) {
    for (size_t i = 0; i < members->count; i++) {
        self->calls[members->at[i]].err = err;
    }
}

static void s_append(orders_members_t *self, const orders_members_t *members) {
    souk_assert(self->count + members->count <= ORDERS_BATCH_MAX);
    memcpy(&self->at[self->count], members->at, members->count * sizeof(members->at[0]));
    self->count += members->count;
}

/* What the hastiest of them has left. */
static uint32_t s_least_ms(const orders_batch_t *self, const orders_members_t *members) {
    uint32_t least_ms = UINT32_MAX;
    for (size_t i = 0; i < members->count; i++) {
        uint32_t left_ms = souk_ctx_remaining_ms(self->calls[members->at[i]].ctx);
        least_ms = left_ms < least_ms ? left_ms : least_ms;
    }
    return least_ms;
}

/* Answers those whose time is over: nothing was written for them. Returns how many. */
static size_t s_drop_late(const orders_batch_t *self, orders_members_t *members) {
    size_t count = members->count;
    members->count = 0;
    for (size_t i = 0; i < count; i++) {
        souk_call_t *call = &self->calls[members->at[i]];
        if (souk_ctx_remaining_ms(call->ctx) < REMAINING_MIN_MS) {
            call->err = SOUK_ERR_DEADLINE_EXCEEDED;
        } else {
            members->at[members->count++] = members->at[i];
        }
    }
    return count - members->count;
}

static souk_err_t s_attempt(orders_batch_t *self, const orders_members_t *members,
                            orders_members_t *ret_again) {
    self->deadline_us = souk_clock_mono_us() + (int64_t)s_least_ms(self, members) * 1000;
    SOUK_CLEANUP(souk_arena_destroy) souk_arena_t *arena = souk_arena_new(ARENA_BYTES_MAX, 0);
    souk_metric_add(self->metrics->batches[self->step], 1);
    souk_metric_add(self->metrics->batched[self->step], (int64_t)members->count);
    return self->attempt(self, members, arena, ret_again);
}

/* False: the error is of one of the members, which halving finds. */
static bool s_is_settled(orders_batch_t *self, const orders_members_t *members, souk_err_t err,
                         orders_members_t *ret_again) {
    switch ((int)err) {
    case SOUK_OK:
        return true;
    case SOUK_ERR_RETRY:   /* a deadlock or a serialization failure */
    case SOUK_ERR_TIMEOUT: /* nothing was written; some have more time than the hastiest */
        s_append(ret_again, members);
        return true;
    case SOUK_ERR_UNKNOWN_OUTCOME: /* repeating it under its key tells */
        s_fail(self, members, SOUK_ERR_UNAVAILABLE);
        return true;
    case SOUK_ERR_UNAVAILABLE:
        s_fail(self, members, err);
        return true;
    case SOUK_ERR_KEY_IN_PROGRESS:
        if (members->count == 1 && !self->is_patient) {
            s_append(&self->aside, members);
            return true;
        }
        break;
    default:
        break;
    }
    if (members->count == 1) {
        s_fail(self, members, err);
        return true;
    }
    if (err == SOUK_ERR_KEY_IN_PROGRESS) {
        return false;
    }
    souk_metric_add(self->metrics->bisects, 1);
    souk_log(SOUK_LOG_ERROR, "OR-PLACE-BISECT",
             SOUK_F_TEXT("step", orders_metrics_step_name(self->step)),
             SOUK_F_INT("orders", members->count), SOUK_F_TEXT("error", souk_err_info(err)->code),
             SOUK_F_TEXT("sqlstate", souk_pg_sqlstate(self->pg)));
    return false;
}

static void s_run(orders_batch_t *self, const orders_members_t *members,
                  orders_members_t *ret_again) {
    orders_parts_t parts;
    orders_parts_init(&parts, members->count);
    orders_part_t part;
    while (orders_parts_next(&parts, &part)) {
        if (!self->is_patient) {
            self->key_wait_ms = part.count == members->count ? KEY_WAIT_MS : KEY_WAIT_PART_MS;
        }
        orders_members_t some = {.count = part.count};
        memcpy(some.at, &members->at[part.from], part.count * sizeof(some.at[0]));
        if (!s_is_settled(self, &some, s_attempt(self, &some, ret_again), ret_again)) {
            orders_parts_halve(&parts, &part);
        }
    }
}

/* A timeout takes at least one call's time away, which bounds how often that happens: it does not
 * cost the others an attempt. */
static void s_run_all(orders_batch_t *self, orders_members_t members) {
    size_t attempts = 0;
    self->is_first = true;
    (void)s_drop_late(self, &members);
    while (attempts < ATTEMPTS_MAX && members.count > 0) {
        orders_members_t again = {0};
        s_run(self, &members, &again);
        attempts += s_drop_late(self, &again) == 0;
        souk_metric_add(self->metrics->repeats, (int64_t)again.count);
        self->is_first = false;
        members = again;
    }
    s_fail(self, &members, SOUK_ERR_OVERLOADED); /* too much is moving: later */
}

/* ---- Those whose twin runs elsewhere --------------------------------------------------------- */

/* The others' answers leave with theirs. */
static int64_t s_patience_ms(const orders_batch_t *self) {
    int64_t least_ms = UINT32_MAX;
    for (size_t i = 0; i < self->calls_count; i++) {
        uint32_t left_ms = souk_ctx_remaining_ms(self->calls[i].ctx);
        if (left_ms >= REMAINING_MIN_MS) { /* else it was refused for that */
            least_ms = left_ms < least_ms ? left_ms : least_ms;
        }
    }
    return least_ms / 2 < KEY_WAIT_ASIDE_MS ? least_ms / 2 : KEY_WAIT_ASIDE_MS;
}

static void s_run_aside(orders_batch_t *self) {
    int64_t until_us = souk_clock_mono_us() + s_patience_ms(self) * 1000;
    self->is_patient = true;
    for (size_t i = 0; i < self->aside.count; i++) {
        int64_t left_ms = (until_us - souk_clock_mono_us()) / 1000;
        self->key_wait_ms = left_ms / (int64_t)(self->aside.count - i);
        s_run_all(self, (orders_members_t){.at = {self->aside.at[i]}, .count = 1});
    }
}

/* What no gateway lets pass; another client of the bus may. */
static souk_err_t s_check(souk_ctx_t *ctx) {
    if (souk_ctx_subject(ctx).size == 0) {
        return souk_ctx_fail(ctx, SOUK_ERR_UNAUTHENTICATED, "Nobody asks.");
    }
    if (souk_ctx_key(ctx).data == NULL || souk_ctx_key_hash(ctx).data == NULL) {
        return souk_ctx_fail(ctx, SOUK_ERR_MALFORMED, "This needs a key and its key_hash.");
    }
    return SOUK_OK;
}

void orders_batch_run(orders_batch_t *self) {
    souk_assert(self->calls_count <= ORDERS_BATCH_MAX);
    orders_members_t members = {0};
    for (size_t i = 0; i < self->calls_count; i++) {
        self->calls[i].err = s_check(self->calls[i].ctx);
        if (self->calls[i].err == SOUK_OK) {
            members.at[members.count++] = i;
        }
    }
    self->is_patient = self->calls_count == 1; /* nobody waits for it */
    self->key_wait_ms = INT64_MAX;
    s_run_all(self, members);
    s_run_aside(self);
}
