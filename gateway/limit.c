#include "gateway/limit.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

struct souk_limit {
    uint8_t key[crypto_shorthash_KEYBYTES];
    size_t mask;
    _Atomic int64_t *times; /* theoretical arrival times, microseconds */
    _Atomic int64_t *connections;
};

souk_limit_t *souk_limit_new(size_t cells_count) {
    souk_assert(cells_count > 0 && (cells_count & (cells_count - 1)) == 0);
    souk_limit_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->mask = cells_count - 1;
    self->times = calloc(cells_count, sizeof(*self->times));
    self->connections = calloc(cells_count, sizeof(*self->connections));
    souk_assert(self->times != NULL && self->connections != NULL);
    crypto_shorthash_keygen(self->key);
    return self;
}

void souk_limit_destroy(souk_limit_t **self_p) {
    souk_limit_t *self = *self_p;
    if (self != NULL) {
        free(self->times);
        free(self->connections);
        free(self);
        *self_p = NULL;
    }
}

static uint64_t s_hash(const souk_limit_t *self, char kind, souk_str_t who) {
    uint8_t text[64] = {(uint8_t)kind};
    size_t size = who.size < sizeof(text) - 1 ? who.size : sizeof(text) - 1;
    memcpy(text + 1, who.data, size);
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, text, size + 1, self->key);
    uint64_t hash;
    memcpy(&hash, out, sizeof(hash));
    return hash;
}

static int64_t s_seconds_up(int64_t us) {
    return us <= 0 ? 0 : (us + 999999) / 1000000;
}

/* Raises a cell to value, never lowers it. */
static void s_raise(_Atomic int64_t *cell, int64_t value) {
    int64_t seen = atomic_load_explicit(cell, memory_order_relaxed);
    while (seen < value && !atomic_compare_exchange_weak_explicit(
                               cell, &seen, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

souk_limit_state_t souk_limit_take(souk_limit_t *self, char kind, souk_str_t who, souk_rate_t rate,
                                   int64_t now_us) {
    souk_limit_state_t state = {.allowed = true, .limit = 0};
    if (rate.rate <= 0) {
        return state;
    }
    uint64_t hash = s_hash(self, kind, who);
    _Atomic int64_t *lesser = &self->times[hash & self->mask];
    _Atomic int64_t *other = &self->times[(hash >> 32) & self->mask];
    int64_t step = 1000000 / rate.rate > 0 ? 1000000 / rate.rate : 1;
    int64_t depth = step * (rate.burst > 0 ? rate.burst : 1);
    int64_t seen = atomic_load_explicit(lesser, memory_order_relaxed);
    int64_t seen_other = atomic_load_explicit(other, memory_order_relaxed);
    if (seen_other < seen) {
        _Atomic int64_t *swap = lesser;
        lesser = other;
        other = swap;
        seen = seen_other;
    }
    int64_t base, next;
    do { /* on a lost race seen is read anew */
        base = seen > now_us ? seen : now_us;
        next = base + step;
        if (next - now_us > depth) {
            state.allowed = false;
            break;
        }
    } while (!atomic_compare_exchange_weak_explicit(lesser, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    if (state.allowed) {
        s_raise(other, next);
        base = next;
    } else {
        state.retry_after_s = s_seconds_up(next - now_us - depth);
    }
    state.limit = rate.burst > 0 ? rate.burst : 1;
    state.remaining = (depth - (base - now_us)) / step;
    state.reset_s = s_seconds_up(base - now_us);
    return state;
}

bool souk_limit_connect(souk_limit_t *self, souk_str_t who, int64_t max) {
    _Atomic int64_t *cell = &self->connections[s_hash(self, 'c', who) & self->mask];
    int64_t before = atomic_fetch_add_explicit(cell, 1, memory_order_relaxed);
    if (max > 0 && before >= max) {
        atomic_fetch_sub_explicit(cell, 1, memory_order_relaxed);
        return false;
    }
    return true;
}

void souk_limit_disconnect(souk_limit_t *self, souk_str_t who) {
    _Atomic int64_t *cell = &self->connections[s_hash(self, 'c', who) & self->mask];
    int64_t before = atomic_fetch_sub_explicit(cell, 1, memory_order_relaxed);
    souk_assert(before > 0);
}
