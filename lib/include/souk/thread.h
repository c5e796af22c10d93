/* What every thread of ours needs: no signals, and waits that a change of the clock does not move.
 */
#ifndef SOUK_THREAD_H
#define SOUK_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* A condition whose timed waits go by CLOCK_MONOTONIC. */
void souk_cond_init(pthread_cond_t *ret_cond);

/* Starts a thread that takes no signals but its own faults: they belong to the main loop. False:
 * there is no room for another thread. */
bool souk_thread_start(pthread_t *ret_thread, void *(*run)(void *arg), void *arg);

#endif
