#include "orders/batch.h"

#include "souk/clock.h"
#include "souk/log.h"

#define ATTEMPTS_MAX 4
/* A call with less than this left is not begun: it would take the whole batch's time away. */
#define REMAINING_MIN_MS 30
/* Of one attempt; a batch that needs more is halved. */
#define ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

#define KEY_WAIT_MS 200
#define LOCK_NOT_AVAILABLE "55P03"

int64_t orders_batch_key_wait_ms(uint32_t left_ms, size_t count) {
    int64_t most_ms = (int64_t)left_ms * 3 / 4; /* before the statement's own timeout */
    most_ms = most_ms > 1 ? most_ms : 1;
    return count > 1 && most_ms > KEY_WAIT_MS ? KEY_WAIT_MS : most_ms;
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

static souk_err_t s_attempt(orders_batch_t *self, const orders_members_t *members,
                            orders_members_t *ret_again) {
    SOUK_CLEANUP(souk_arena_destroy) souk_arena_t *arena = souk_arena_new(ARENA_BYTES_MAX, 0);
    souk_metric_add(self->metrics->batches[self->step], 1);
    souk_metric_add(self->metrics->batched[self->step], (int64_t)members->count);
    return self->attempt(self, members, arena, ret_again);
}

/* False: the error is of one of the members, which halving finds. */
static bool s_is_settled(const orders_batch_t *self, const orders_members_t *members,
                         souk_err_t err, orders_members_t *ret_again) {
    switch ((int)err) {
    case SOUK_OK:
        return true;
    case SOUK_ERR_RETRY: /* a deadlock or a serialization failure */
        s_append(ret_again, members);
        return true;
    case SOUK_ERR_UNKNOWN_OUTCOME: /* repeating it under its key tells */
        s_fail(self, members, SOUK_ERR_UNAVAILABLE);
        return true;
    case SOUK_ERR_UNAVAILABLE:
    case SOUK_ERR_TIMEOUT:
        s_fail(self, members, err);
        return true;
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

/* Parts of the batch that wait for their turn: each halving leaves one more, at most log2 of the
 * batch. */
#define PARTS_MAX 9

static void s_run(orders_batch_t *self, const orders_members_t *members,
                  orders_members_t *ret_again) {
    struct {
        size_t from, count;
    } parts[PARTS_MAX] = {{.from = 0, .count = members->count}};
    size_t parts_count = 1;
    while (parts_count > 0) {
        size_t from = parts[parts_count - 1].from, count = parts[parts_count - 1].count;
        orders_members_t part = {.count = count};
        memcpy(part.at, &members->at[from], count * sizeof(part.at[0]));
        parts_count--;
        if (s_is_settled(self, &part, s_attempt(self, &part, ret_again), ret_again)) {
            continue;
        }
        souk_assert(parts_count + 2 <= PARTS_MAX);
        size_t half = count / 2;
        parts[parts_count].from = from + half;
        parts[parts_count++].count = count - half;
        parts[parts_count].from = from;
        parts[parts_count++].count = half;
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
    return souk_ctx_remaining_ms(ctx) < REMAINING_MIN_MS ? SOUK_ERR_DEADLINE_EXCEEDED : SOUK_OK;
}

void orders_batch_run(orders_batch_t *self) {
    souk_assert(self->calls_count <= ORDERS_BATCH_MAX);
    orders_members_t members = {0};
    uint32_t least_ms = UINT32_MAX;
    for (size_t i = 0; i < self->calls_count; i++) {
        self->calls[i].err = s_check(self->calls[i].ctx);
        if (self->calls[i].err != SOUK_OK) {
            continue;
        }
        uint32_t remaining_ms = souk_ctx_remaining_ms(self->calls[i].ctx);
        members.at[members.count++] = i;
        least_ms = remaining_ms < least_ms ? remaining_ms : least_ms;
    }
    self->deadline_us = souk_clock_mono_us() + (int64_t)least_ms * 1000;
    for (size_t attempt = 0; attempt < ATTEMPTS_MAX && members.count > 0; attempt++) {
        if (attempt > 0) {
            souk_metric_add(self->metrics->repeats, (int64_t)members.count);
        }
        orders_members_t again = {0};
        s_run(self, &members, &again);
        members = again;
    }
    s_fail(self, &members, SOUK_ERR_OVERLOADED); /* too much is moving: later */
}
