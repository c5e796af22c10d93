/* One event loop for gateway threads, broker and bus actor: libevent joined with ZeroMQ sockets
 * without losing a wake-up (the descriptor of a ZeroMQ socket is edge-triggered, and any call on
 * the socket may eat the edge). A loop and all that hangs on it belong to one thread; only
 * souk_loop_stop and souk_loop_wake may be called from another thread or a signal handler. */
#ifndef SOUK_LOOP_H
#define SOUK_LOOP_H

#include "souk/base.h"
#include "souk/err.h"

struct event_base;
typedef struct souk_loop souk_loop_t;
typedef struct souk_timer souk_timer_t;

/* NULL: no memory or descriptors left. */
souk_loop_t *souk_loop_new(void);
/* Its timers and participants must be gone before. */
void souk_loop_destroy(souk_loop_t **self_p);
/* Borrowed: for events on plain descriptors. */
struct event_base *souk_loop_base(souk_loop_t *self);

/* A participant of the turn (the turn itself: loop.c). drain takes at most `burst` messages in and
 * returns how many it took; flush sends what was appended and returns how many frames left. fd only
 * wakes the loop. A participant takes part in a pass when its descriptor fired or it was marked: it
 * marks itself whenever it appended something or touched its socket outside drain and flush. One
 * without a descriptor (fd -1) takes part in every pass, after those that joined before it. */
typedef struct {
    int fd;
    size_t (*drain)(void *arg, size_t burst);
    size_t (*flush)(void *arg);
    void *arg;
} souk_turn_t;
SOUK_MUST_CHECK souk_err_t souk_loop_join(souk_loop_t *self, const souk_turn_t *turn);
/* arg names the participant. Its functions are not called again, even when this is called from one
 * of them. */
void souk_loop_leave(souk_loop_t *self, const void *arg);
/* There will be another pass before the loop sleeps, with every participant or (mark_turn) with
 * this one. */
void souk_loop_mark(souk_loop_t *self);
void souk_loop_mark_turn(souk_loop_t *self, const void *arg);

/* Runs fn(arg) on the loop's thread when another thread called souk_loop_wake (calls in between are
 * joined into one). */
void souk_loop_on_wake(souk_loop_t *self, void (*fn)(void *arg), void *arg);
void souk_loop_wake(souk_loop_t *self);

/* Runs fn(arg) on the loop's thread when the process gets the signal. Blocks the signal in the
 * calling thread and takes it from a signalfd: call this before other threads are started, so that
 * they inherit the mask. */
SOUK_MUST_CHECK souk_err_t souk_loop_on_signal(souk_loop_t *self, int signo, void (*fn)(void *arg),
                                               void *arg);

/* One-shot timers, exact to the microsecond of the loop's clock; fn runs on the loop, after the
 * messages that had arrived before. A timer may be set again or destroyed from its fn. Setting one
 * costs no system call unless it becomes the first to fire. */
souk_timer_t *souk_timer_new(souk_loop_t *loop, void (*fn)(void *arg), void *arg);
void souk_timer_destroy(souk_timer_t **self_p);
/* Replaces an earlier setting; negative counts as 0. */
void souk_timer_set(souk_timer_t *self, int64_t delay_us);
void souk_timer_clear(souk_timer_t *self);

/* Monotonic microseconds, read once a turn. */
int64_t souk_loop_now_us(souk_loop_t *self);

/* Until souk_loop_stop; may be run again after that. */
SOUK_MUST_CHECK souk_err_t souk_loop_run(souk_loop_t *self);
void souk_loop_stop(souk_loop_t *self);

#endif
