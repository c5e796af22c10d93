#include "souk/thread.h"

#include <signal.h>
#include <time.h>

#include "souk/base.h"

/* Of the thread itself: blocked they would end the process without its handler. */
static const int s_faults[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

void souk_cond_init(pthread_cond_t *ret_cond) {
    pthread_condattr_t attr;
    souk_assert(pthread_condattr_init(&attr) == 0);
    souk_assert(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    souk_assert(pthread_cond_init(ret_cond, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

bool souk_thread_start(pthread_t *ret_thread, void *(*run)(void *arg), void *arg) {
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < SOUK_COUNT_OF(s_faults); i++) {
        sigdelset(&all, s_faults[i]);
    }
    souk_assert(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    bool started = pthread_create(ret_thread, NULL, run, arg) == 0;
    souk_assert(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return started;
}
