/* One event loop for gateway threads, broker and bus actor: libevent joined with ZeroMQ sockets without losing a wake-up (the
 * descriptor of a ZeroMQ socket is edge-triggered, and any call on the socket may eat the edge). A loop and all that hangs on it belong to one thread;
 * only souk_loop_stop and souk_loop_wake may be called from another thread or a signal handler. */
#ifndef SOUK_LOOP_H
#define SOUK_LOOP_H

#include "souk/base.h"
#include "souk/err.h"

struct event_base;
typedef struct souk_loop souk_loop_t;
typedef struct souk_timer souk_timer_t;

souk_loop_t *souk_loop_new(void);
void souk_loop_destroy(souk_loop_t **self_p);
/* Borrowed: for events on plain descriptors. */
struct event_base *souk_loop_base(souk_loop_t *self);

/* A participant of the turn, run as references in docs/architecture.md say: drain takes at most `burst` messages in and returns how many it took;
 * flush sends what was appended and returns how many frames left. fd only wakes the loop (-1: none). mark is set by the participant
 * through souk_loop_mark whenever it appended something or touched its socket. */
typedef struct {
    int fd;
    size_t (*drain)(void *arg, size_t burst);
    size_t (*flush)(void *arg);
    void *arg;
} souk_turn_t;
SOUK_MUST_CHECK souk_err_t souk_loop_join(souk_loop_t *self, const souk_turn_t *turn);
void souk_loop_leave(souk_loop_t *self, void *arg);
void souk_loop_mark(souk_loop_t *self);

/* Runs fn(arg) on the loop's thread when another thread called souk_loop_wake (calls in between are joined into one). */
void souk_loop_on_wake(souk_loop_t *self, void (*fn)(void *arg), void *arg);
void souk_loop_wake(souk_loop_t *self);

/* One-shot timers; fn runs on the loop. A timer may be set again from its fn. */
souk_timer_t *souk_timer_new(souk_loop_t *loop, void (*fn)(void *arg), void *arg);
void souk_timer_destroy(souk_timer_t **self_p);
void souk_timer_set(souk_timer_t *self, int64_t delay_us);
void souk_timer_clear(souk_timer_t *self);

/* Monotonic microseconds, read once a turn. */
int64_t souk_loop_now_us(const souk_loop_t *self);

/* Until souk_loop_stop. */
SOUK_MUST_CHECK souk_err_t souk_loop_run(souk_loop_t *self);
void souk_loop_stop(souk_loop_t *self);

#endif
