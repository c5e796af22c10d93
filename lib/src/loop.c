/* The loop: notes.
 *
 * The descriptor of a ZeroMQ socket is edge-triggered, and every call on the socket may eat the
 * edge, a send as well as a receive: a loop that reads when the descriptor fires sooner or later
 * sleeps on a message that has arrived. So the descriptor's event here does nothing but mark the
 * participant dirty, and the loop works in turns:
 *
 *     passes, while somebody is dirty, at most PASSES_MAX:
 *         all dirty participants: clean, then drain at most BURST messages; a full burst leaves it
 * dirty the same ones and those marked meanwhile: flush; frames that left make it dirty (sending
 * may have eaten an edge) timers that are due events: wait only if nobody is dirty
 *
 * A participant becomes clean only by a pass in which its drain met the end of what had arrived and
 * its flush sent nothing: then no call since that drain can have eaten an edge. (A flush that sends
 * nothing but touches its socket, as when the socket is full, looks at ZMQ_EVENTS itself and marks
 * itself again: bus_zmq.c.) All drains come before all flushes, so that what one socket's messages
 * cause on another leaves as one frame. The number of passes is bounded, so that plain descriptors
 * are served however busy the sockets are.
 *
 * Timers run after the messages that had arrived before, so that a process which was stopped for a
 * while reads the reply before it finds the deadline passed. One timerfd stands for all timers and
 * is only armed when an earlier one comes first. */
#include "souk/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "souk/clock.h"
#include "timer.h"

#define BURST 256
#define PASSES_MAX 4

typedef struct s_joined {
    souk_turn_t turn;
    struct event *event; /* NULL: no descriptor */
    bool dirty;
    bool in_pass;
    bool left; /* freed when no pass runs */
    struct s_joined *next;
} s_joined_t;

typedef struct s_signal {
    int signo;
    int fd;
    struct event *event;
    bool was_blocked;
    void (*fn)(void *arg);
    void *arg;
    struct s_signal *next;
} s_signal_t;

struct souk_loop {
    struct event_base *base;
    s_joined_t *joined; /* in the order of joining */
    s_signal_t *signals;
    souk_timers_t timers;
    int timer_fd;
    struct event *timer_event;
    int64_t armed_us; /* what timer_fd is set to; INT64_MAX: nothing */
    int64_t now_us;   /* 0: read the clock when somebody asks */
    bool running;
    int wake_fd;
    struct event *wake_event;
    atomic_bool wake_pending;
    atomic_bool stopping;
    void (*on_wake)(void *arg);
    void *on_wake_arg;
};

/* ---- Life --------------------------------------------------------------------------------------
 */

/* Empties an eventfd or timerfd. */
static void s_read_counter(int fd) {
    uint64_t count;
    ssize_t got;
    do {
        got = read(fd, &count, sizeof(count));
    } while (got < 0 && errno == EINTR);
}

static void s_on_wake_fd(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    souk_loop_t *self = arg;
    s_read_counter(fd);
    /* Cleared before fn runs: who calls souk_loop_wake from here on writes again. */
    if (atomic_exchange(&self->wake_pending, false) && self->on_wake != NULL) {
        self->on_wake(self->on_wake_arg);
    }
}

static void s_on_timer_fd(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    souk_loop_t *self = arg;
    s_read_counter(fd);
    self->armed_us = INT64_MAX; /* the timers themselves run in the turn */
}

static struct event_base *s_base_new(void) {
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    struct event_base *base = NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0) {
        base = event_base_new_with_config(config);
    }
    event_config_free(config);
    return base;
}

static struct event *s_watch(souk_loop_t *self, int fd, event_callback_fn fn, void *arg) {
    struct event *event = event_new(self->base, fd, EV_READ | EV_PERSIST, fn, arg);
    if (event != NULL && event_add(event, NULL) != 0) {
        event_free(event);
        event = NULL;
    }
    return event;
}

souk_loop_t *souk_loop_new(void) {
    souk_loop_t *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    self->armed_us = INT64_MAX;
    self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    self->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    self->base = s_base_new();
    if (self->wake_fd >= 0 && self->timer_fd >= 0 && self->base != NULL) {
        self->wake_event = s_watch(self, self->wake_fd, s_on_wake_fd, self);
        self->timer_event = s_watch(self, self->timer_fd, s_on_timer_fd, self);
    }
    if (self->wake_event == NULL || self->timer_event == NULL) {
        souk_loop_destroy(&self);
    }
    return self;
}

static void s_event_free(struct event *event) {
    if (event != NULL) {
        event_free(event);
    }
}

static void s_fd_close(int fd) {
    if (fd >= 0) {
        close(fd);
    }
}

static void s_signal_free(s_signal_t *self) {
    s_event_free(self->event);
    s_fd_close(self->fd);
    if (!self->was_blocked) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, self->signo);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    free(self);
}

/* Frees those that left. Only while no pass walks the list. */
static void s_reap(souk_loop_t *self) {
    s_joined_t **at = &self->joined;
    while (*at != NULL) {
        s_joined_t *joined = *at;
        if (joined->left) {
            *at = joined->next;
            free(joined);
        } else {
            at = &joined->next;
        }
    }
}

void souk_loop_destroy(souk_loop_t **self_p) {
    souk_loop_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    souk_assert(!self->running);
    s_reap(self);
    souk_assert(self->joined == NULL);
    while (self->signals != NULL) {
        s_signal_t *next = self->signals->next;
        s_signal_free(self->signals);
        self->signals = next;
    }
    s_event_free(self->wake_event);
    s_event_free(self->timer_event);
    if (self->base != NULL) {
        event_base_free(self->base);
    }
    s_fd_close(self->wake_fd);
    s_fd_close(self->timer_fd);
    souk_timers_done(&self->timers);
    free(self);
}

struct event_base *souk_loop_base(souk_loop_t *self) {
    return self->base;
}

souk_timers_t *souk_loop_timers(souk_loop_t *self) {
    return &self->timers;
}

int64_t souk_loop_now_us(souk_loop_t *self) {
    if (!self->running) {
        return souk_clock_mono_us();
    }
    if (self->now_us == 0) {
        self->now_us = souk_clock_mono_us();
    }
    return self->now_us;
}

/* ---- Participants ------------------------------------------------------------------------------
 */

static void s_on_descriptor(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    s_joined_t *joined = arg;
    joined->dirty = true;
}

souk_err_t souk_loop_join(souk_loop_t *self, const souk_turn_t *turn) {
    s_joined_t *joined = calloc(1, sizeof(*joined));
    if (joined == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    joined->turn = *turn;
    joined->dirty = true;
    if (turn->fd >= 0) {
        joined->event = s_watch(self, turn->fd, s_on_descriptor, joined);
        if (joined->event == NULL) {
            free(joined);
            return SOUK_ERR_IO;
        }
    }
    s_joined_t **at = &self->joined;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = joined;
    return SOUK_OK;
}

static s_joined_t *s_find(souk_loop_t *self, const void *arg) {
    s_joined_t *joined = self->joined;
    while (joined != NULL && (joined->left || joined->turn.arg != arg)) {
        joined = joined->next;
    }
    return joined;
}

void souk_loop_leave(souk_loop_t *self, const void *arg) {
    s_joined_t *joined = s_find(self, arg);
    souk_assert(joined != NULL);
    s_event_free(joined->event); /* before the owner closes the descriptor */
    joined->event = NULL;
    joined->left = true;
    if (!self->running) {
        s_reap(self);
    }
}

void souk_loop_mark(souk_loop_t *self) {
    for (s_joined_t *joined = self->joined; joined != NULL; joined = joined->next) {
        joined->dirty = true;
    }
}

void souk_loop_mark_turn(souk_loop_t *self, const void *arg) {
    s_joined_t *joined = s_find(self, arg);
    souk_assert(joined != NULL);
    joined->dirty = true;
}

/* ---- From other threads ------------------------------------------------------------------------
 */

/* Also from signal handlers: keeps errno. A full counter is as good as a written one. */
static void s_poke(const souk_loop_t *self) {
    int saved = errno;
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(self->wake_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    errno = saved;
}

void souk_loop_on_wake(souk_loop_t *self, void (*fn)(void *arg), void *arg) {
    self->on_wake = fn;
    self->on_wake_arg = arg;
}

void souk_loop_wake(souk_loop_t *self) {
    if (!atomic_exchange(&self->wake_pending, true)) {
        s_poke(self);
    }
}

void souk_loop_stop(souk_loop_t *self) {
    atomic_store(&self->stopping, true);
    s_poke(self);
}

/* ---- Signals -----------------------------------------------------------------------------------
 */

static void s_on_signal_fd(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    s_signal_t *handler = arg;
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        handler->fn(handler->arg);
    }
}

souk_err_t souk_loop_on_signal(souk_loop_t *self, int signo, void (*fn)(void *arg), void *arg) {
    s_signal_t *handler = calloc(1, sizeof(*handler));
    if (handler == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, signo);
    if (pthread_sigmask(SIG_BLOCK, &set, &before) != 0) {
        free(handler);
        return SOUK_ERR_IO;
    }
    handler->signo = signo;
    handler->was_blocked = sigismember(&before, signo) == 1;
    handler->fn = fn;
    handler->arg = arg;
    handler->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (handler->fd >= 0) {
        handler->event = s_watch(self, handler->fd, s_on_signal_fd, handler);
    }
    if (handler->event == NULL) {
        s_signal_free(handler);
        return SOUK_ERR_IO;
    }
    handler->next = self->signals;
    self->signals = handler;
    return SOUK_OK;
}

/* ---- The turn ----------------------------------------------------------------------------------
 */

static bool s_any_dirty(const souk_loop_t *self) {
    const s_joined_t *joined = self->joined;
    while (joined != NULL && (joined->left || !joined->dirty)) {
        joined = joined->next;
    }
    return joined != NULL;
}

static void s_pass(souk_loop_t *self) {
    for (s_joined_t *joined = self->joined; joined != NULL; joined = joined->next) {
        joined->in_pass = !joined->left && (joined->dirty || joined->event == NULL);
        if (joined->in_pass) {
            joined->dirty = false;
            if (joined->turn.drain(joined->turn.arg, BURST) == BURST) {
                joined->dirty = true;
            }
        }
    }
    for (s_joined_t *joined = self->joined; joined != NULL; joined = joined->next) {
        if (!joined->left && (joined->in_pass || joined->dirty) &&
            joined->turn.flush(joined->turn.arg) > 0) {
            joined->dirty = true;
        }
    }
    s_reap(self);
}

static void s_arm(souk_loop_t *self) {
    int64_t next_us = souk_timers_next_us(&self->timers);
    if (next_us >= self->armed_us) {
        return; /* it fires early at worst, and is armed again then */
    }
    struct itimerspec at = {
        .it_value = {.tv_sec = next_us / 1000000, .tv_nsec = next_us % 1000000 * 1000}};
    int rc = timerfd_settime(self->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    souk_assert(rc == 0);
    self->armed_us = next_us;
}

souk_err_t souk_loop_run(souk_loop_t *self) {
    souk_assert(!self->running);
    souk_err_t err = SOUK_OK;
    self->running = true;
    while (err == SOUK_OK && !atomic_load(&self->stopping)) {
        self->now_us = 0;
        for (int pass = 0; pass < PASSES_MAX && s_any_dirty(self); pass++) {
            s_pass(self);
        }
        self->now_us = 0;
        souk_timers_run(&self->timers, souk_loop_now_us(self));
        s_arm(self);
        self->now_us = 0;
        int mode = EVLOOP_ONCE | (s_any_dirty(self) ? EVLOOP_NONBLOCK : 0);
        if (event_base_loop(self->base, mode) < 0) {
            err = SOUK_ERR_IO;
        }
    }
    atomic_store(&self->stopping, false);
    self->running = false;
    s_reap(self);
    return err;
}
