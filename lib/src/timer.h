/* The timers of one loop: a binary heap by the time they are due. */
#ifndef SOUK_TIMER_H
#define SOUK_TIMER_H

#include "souk/loop.h"

typedef struct {
    souk_timer_t **heap;
    size_t count;
    size_t capacity;
    size_t timers_count; /* made and not destroyed, set or not: the heap has room for all of them */
} souk_timers_t;

void souk_timers_done(souk_timers_t *self);
/* When the first is due; INT64_MAX when none is set. */
int64_t souk_timers_next_us(const souk_timers_t *self);
/* Runs what is due at now_us; what is set meanwhile waits for the next call. */
void souk_timers_run(souk_timers_t *self, int64_t now_us);

/* The timers of a loop (loop.c). */
souk_timers_t *souk_loop_timers(souk_loop_t *loop);

#endif
