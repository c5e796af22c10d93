/* Timers: notes.
 *
 * A heap of our own instead of libevent's: libevent compares with a coarse clock (4 ms), would arm
 * the kernel for each change, and gives no order between a timer and a message that arrived before
 * it fired. Here a deadline costs two heap moves and no system call, so that each outstanding call
 * may have a timer. Memory for a timer's place in the heap is taken when the timer is made: setting
 * one cannot fail. */
#include "timer.h"

#include <stdlib.h>

#define NOT_SET SIZE_MAX
#define TIMERS_FIRST_CAPACITY 16

struct souk_timer {
    souk_loop_t *loop;
    void (*fn)(void *arg);
    void *arg;
    int64_t due_us;
    uint64_t order; /* equal times fire in the order in which they were set */
    size_t at;      /* place in the heap, or NOT_SET */
};

static bool s_before(const souk_timer_t *a, const souk_timer_t *b) {
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

static void s_place(souk_timers_t *self, souk_timer_t *timer, size_t at) {
    self->heap[at] = timer;
    timer->at = at;
}

static void s_rise(souk_timers_t *self, souk_timer_t *timer, size_t at) {
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!s_before(timer, self->heap[parent])) {
            break;
        }
        s_place(self, self->heap[parent], at);
        at = parent;
    }
    s_place(self, timer, at);
}

static void s_sink(souk_timers_t *self, souk_timer_t *timer, size_t at) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= self->count) {
            break;
        }
        if (child + 1 < self->count && s_before(self->heap[child + 1], self->heap[child])) {
            child++;
        }
        if (!s_before(self->heap[child], timer)) {
            break;
        }
        s_place(self, self->heap[child], at);
        at = child;
    }
    s_place(self, timer, at);
}

static void s_remove(souk_timers_t *self, souk_timer_t *timer) {
    size_t at = timer->at;
    timer->at = NOT_SET;
    souk_timer_t *last = self->heap[--self->count];
    if (last == timer) {
        return;
    }
    if (at > 0 && s_before(last, self->heap[(at - 1) / 2])) {
        s_rise(self, last, at);
    } else {
        s_sink(self, last, at);
    }
}

void souk_timers_done(souk_timers_t *self) {
    souk_assert(self->timers_count == 0);
    free(self->heap);
    self->heap = NULL;
}

int64_t souk_timers_next_us(const souk_timers_t *self) {
    return self->count > 0 ? self->heap[0]->due_us : INT64_MAX;
}

void souk_timers_run(souk_timers_t *self, int64_t now_us) {
    while (self->count > 0 && self->heap[0]->due_us <= now_us) {
        souk_timer_t *timer = self->heap[0];
        s_remove(self, timer);
        timer->fn(timer->arg); /* may set or destroy it */
    }
}

souk_timer_t *souk_timer_new(souk_loop_t *loop, void (*fn)(void *arg), void *arg) {
    souk_assert(fn != NULL);
    souk_timers_t *timers = souk_loop_timers(loop);
    if (timers->timers_count == timers->capacity) {
        size_t capacity =
            timers->capacity > 0 ? timers->capacity * 2 : (size_t)TIMERS_FIRST_CAPACITY;
        souk_timer_t **heap = realloc(timers->heap, capacity * sizeof(*heap));
        if (heap == NULL) {
            return NULL;
        }
        timers->heap = heap;
        timers->capacity = capacity;
    }
    souk_timer_t *self = malloc(sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    *self = (souk_timer_t){.loop = loop, .fn = fn, .arg = arg, .at = NOT_SET};
    timers->timers_count++;
    return self;
}

void souk_timer_destroy(souk_timer_t **self_p) {
    souk_timer_t *self = *self_p;
    if (self != NULL) {
        souk_timer_clear(self);
        souk_loop_timers(self->loop)->timers_count--;
        free(self);
        *self_p = NULL;
    }
}

void souk_timer_set(souk_timer_t *self, int64_t delay_us) {
    static _Thread_local uint64_t order;
    souk_timers_t *timers = souk_loop_timers(self->loop);
    souk_timer_clear(self);
    int64_t now_us = souk_loop_now_us(self->loop);
    /* At least one microsecond: a timer that is set again from its fn waits for the next turn. */
    delay_us = delay_us > 1 ? delay_us : 1;
    self->due_us = delay_us < INT64_MAX - now_us ? now_us + delay_us : INT64_MAX - 1;
    self->order = order++;
    s_rise(timers, self, timers->count++);
}

void souk_timer_clear(souk_timer_t *self) {
    if (self->at != NOT_SET) {
        s_remove(souk_loop_timers(self->loop), self);
    }
}
