/* Design note. Level 0 has a slot for each of the next 64 ticks; a slot of level n covers 64^n
 * ticks. A timer sits at the level of the highest 6-bit digit in which its due tick differs from
 * the current tick, so that a slot of level n is spread over the levels below exactly when the
 * current tick reaches the slot's first tick. Bitmaps of used slots let the wheel jump over empty
 * time. */
#include "wheel.h"

#define S_BITS 6
#define S_MASK (SOUK_WHEEL_SLOTS - 1)
#define S_AHEAD_MAX (1ULL << (S_BITS * SOUK_WHEEL_LEVELS))

void souk_wheel_init(souk_wheel_t *self, int64_t now_us) {
    memset(self, 0, sizeof(*self));
    self->tick = (uint64_t)(now_us / SOUK_WHEEL_TICK_US);
    souk_link_init(&self->due);
    for (int level = 0; level < SOUK_WHEEL_LEVELS; level++) {
        for (int slot = 0; slot < SOUK_WHEEL_SLOTS; slot++) {
            souk_link_init(&self->slots[level][slot]);
        }
    }
}

void souk_wheel_timer_init(souk_wheel_timer_t *timer, uint8_t kind) {
    *timer = (souk_wheel_timer_t){.kind = kind};
    souk_link_init(&timer->link);
}

static void s_put(souk_wheel_t *self, souk_wheel_timer_t *timer) {
    if (timer->due_tick <= self->tick) {
        timer->level = SOUK_WHEEL_LEVELS;
        souk_list_append(&self->due, &timer->link);
        return;
    }
    int highest_bit = 63 - __builtin_clzll(timer->due_tick ^ self->tick);
    int level = highest_bit / S_BITS;
    level = level < SOUK_WHEEL_LEVELS ? level : SOUK_WHEEL_LEVELS - 1;
    uint64_t slot = (timer->due_tick >> (level * S_BITS)) & S_MASK;
    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)slot;
    souk_list_append(&self->slots[level][slot], &timer->link);
    self->used[level] |= 1ULL << slot;
}

void souk_wheel_clear(souk_wheel_t *self, souk_wheel_timer_t *timer) {
    if (!timer->set) {
        return;
    }
    timer->set = false;
    self->count--;
    souk_link_remove(&timer->link);
    if (timer->level < SOUK_WHEEL_LEVELS &&
        souk_list_empty(&self->slots[timer->level][timer->slot])) {
        self->used[timer->level] &= ~(1ULL << timer->slot);
    }
}

void souk_wheel_set(souk_wheel_t *self, souk_wheel_timer_t *timer, int64_t at_us) {
    souk_wheel_clear(self, timer);
    uint64_t due = at_us <= 0 ? 0 : ((uint64_t)at_us + SOUK_WHEEL_TICK_US - 1) / SOUK_WHEEL_TICK_US;
    uint64_t latest = self->tick + S_AHEAD_MAX / 2;
    timer->due_tick = due < latest ? due : latest;
    timer->set = true;
    self->count++;
    s_put(self, timer);
}

/* The first tick after the current one at which a slot has to be fired or spread; UINT64_MAX when
 * all are empty. */
static uint64_t s_next_tick(const souk_wheel_t *self) {
    for (int level = 0; level < SOUK_WHEEL_LEVELS; level++) {
        if (self->used[level] == 0) {
            continue;
        }
        int shift = level * S_BITS;
        uint64_t here = (self->tick >> shift) & S_MASK;
        uint64_t ahead = here == S_MASK ? 0 : self->used[level] & (~0ULL << (here + 1));
        uint64_t turn = (self->tick >> (shift + S_BITS)) << (shift + S_BITS);
        if (ahead != 0) {
            return turn + ((uint64_t)__builtin_ctzll(ahead) << shift);
        }
        /* Only the highest level can have slots behind the current one: they belong to its next
         * turn. */
        return turn + (1ULL << (shift + S_BITS)) +
               ((uint64_t)__builtin_ctzll(self->used[level]) << shift);
    }
    return UINT64_MAX;
}

static void s_spread(souk_wheel_t *self, int level, uint64_t slot) {
    souk_link_t *head = &self->slots[level][slot];
    self->used[level] &= ~(1ULL << slot);
    while (!souk_list_empty(head)) {
        souk_wheel_timer_t *timer = SOUK_OBJECT_OF(head->next, souk_wheel_timer_t, link);
        souk_link_remove(&timer->link);
        s_put(self, timer);
    }
}

static void s_advance(souk_wheel_t *self, uint64_t tick) {
    self->tick = tick;
    for (int level = SOUK_WHEEL_LEVELS - 1; level >= 0; level--) {
        uint64_t slot = (tick >> (level * S_BITS)) & S_MASK;
        if ((self->used[level] & (1ULL << slot)) != 0) {
            s_spread(self, level, slot);
        }
    }
}

souk_wheel_timer_t *souk_wheel_pop(souk_wheel_t *self, int64_t now_us) {
    uint64_t now_tick = (uint64_t)(now_us / SOUK_WHEEL_TICK_US);
    while (souk_list_empty(&self->due)) {
        uint64_t next = s_next_tick(self);
        if (next > now_tick) {
            self->tick = now_tick > self->tick ? now_tick : self->tick;
            return NULL;
        }
        s_advance(self, next);
    }
    souk_wheel_timer_t *timer = SOUK_OBJECT_OF(self->due.next, souk_wheel_timer_t, link);
    souk_wheel_clear(self, timer);
    return timer;
}

int64_t souk_wheel_next_us(const souk_wheel_t *self) {
    if (!souk_list_empty(&self->due)) {
        return (int64_t)self->tick * SOUK_WHEEL_TICK_US;
    }
    uint64_t next = s_next_tick(self);
    return next == UINT64_MAX ? INT64_MAX : (int64_t)next * SOUK_WHEEL_TICK_US;
}
