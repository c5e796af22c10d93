/* Timers of the broker core: a hierarchical wheel. Setting, clearing and firing cost the same
 * however many timers wait. */
#ifndef SOUK_BROKER_WHEEL_H
#define SOUK_BROKER_WHEEL_H

#include "list.h"

#define SOUK_WHEEL_TICK_US 1000
#define SOUK_WHEEL_LEVELS 5
#define SOUK_WHEEL_SLOTS 64

/* Embedded in what waits; kind tells the owner what that is. Initialise with souk_wheel_timer_init.
 */
typedef struct {
    souk_link_t link;
    uint64_t due_tick;
    uint8_t level, slot;
    uint8_t kind;
    bool set;
} souk_wheel_timer_t;

typedef struct {
    uint64_t tick;  /* every timer due at or before it has fired or is in `due` */
    uint64_t count; /* timers that are set */
    souk_link_t due;
    uint64_t used[SOUK_WHEEL_LEVELS]; /* bit for each slot that is not empty */
    souk_link_t slots[SOUK_WHEEL_LEVELS][SOUK_WHEEL_SLOTS];
} souk_wheel_t;

void souk_wheel_init(souk_wheel_t *self, int64_t now_us);
void souk_wheel_timer_init(souk_wheel_timer_t *timer, uint8_t kind);

/* Sets a timer (again) to fire at at_us: never earlier, at most one tick later. At most 2^30 ticks
 * ahead (12 days), clamped. */
void souk_wheel_set(souk_wheel_t *self, souk_wheel_timer_t *timer, int64_t at_us);
void souk_wheel_clear(souk_wheel_t *self, souk_wheel_timer_t *timer);

/* The next timer that is due at now_us, cleared; NULL when none is. The caller may set and clear
 * any timer between two calls. */
souk_wheel_timer_t *souk_wheel_pop(souk_wheel_t *self, int64_t now_us);

/* When to call pop next; INT64_MAX when no timer is set. May be earlier than the earliest timer (a
 * slot to spread), never later. */
int64_t souk_wheel_next_us(const souk_wheel_t *self);

#endif
