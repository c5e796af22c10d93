/* What may touch a loop from outside its thread: wake, stop, signals; also under TSan. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "souk/loop.h"
#include "souk/mailbox.h"

#define WAKERS 3
#define ITEMS_EACH 20000
#define WATCHDOG_S 100

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expr);                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static souk_loop_t *s_loop;
static souk_mailbox_t *s_box;
static int s_got; /* plain: only the loop's thread touches it */

static void s_notify(void *arg) {
    souk_loop_wake(arg);
}

static void s_collect(void *arg) {
    void *items[16];
    size_t count;
    do {
        count = souk_mailbox_take_all(arg, items, SOUK_COUNT_OF(items));
        for (size_t i = 0; i < count; i++) {
            free(items[i]);
        }
        s_got += (int)count;
    } while (count == SOUK_COUNT_OF(items));
    if (s_got == WAKERS * ITEMS_EACH) {
        souk_loop_stop(s_loop);
    }
}

static void *s_waker(void *arg) {
    (void)arg;
    for (int i = 0; i < ITEMS_EACH; i++) {
        void *item = malloc(1);
        CHECK(item != NULL);
        while (souk_mailbox_put(s_box, item) == SOUK_ERR_OVERLOADED) {
            sched_yield();
        }
    }
    return NULL;
}

/* Loop and mailbox together, as the bus actor has them: a lost wake-up would hang here. */
static void s_wakes_are_not_lost(void) {
    s_loop = souk_loop_new();
    CHECK(s_loop != NULL);
    s_box = souk_mailbox_new(32, s_notify, s_loop);
    CHECK(s_box != NULL);
    souk_loop_on_wake(s_loop, s_collect, s_box);
    pthread_t wakers[WAKERS];
    for (int i = 0; i < WAKERS; i++) {
        CHECK(pthread_create(&wakers[i], NULL, s_waker, NULL) == 0);
    }
    CHECK(souk_loop_run(s_loop) == SOUK_OK);
    CHECK(s_got == WAKERS * ITEMS_EACH);
    for (int i = 0; i < WAKERS; i++) {
        pthread_join(wakers[i], NULL);
    }
    souk_mailbox_destroy(&s_box, NULL);
    souk_loop_destroy(&s_loop);
}

static void *s_stopper(void *arg) {
    souk_loop_stop(arg);
    return NULL;
}

static void s_stop_from_another_thread(void) {
    for (int i = 0; i < 200; i++) {
        souk_loop_t *loop = souk_loop_new();
        CHECK(loop != NULL);
        pthread_t stopper;
        CHECK(pthread_create(&stopper, NULL, s_stopper, loop) == 0);
        CHECK(souk_loop_run(loop) == SOUK_OK); /* also when the stop came first */
        pthread_join(stopper, NULL);
        souk_loop_destroy(&loop);
    }
}

static int s_terms;

static void s_on_term(void *arg) {
    s_terms++;
    souk_loop_stop(arg);
}

static void *s_killer(void *arg) {
    (void)arg;
    CHECK(kill(getpid(), SIGTERM) == 0);
    return NULL;
}

static void s_signals_reach_the_loop(void) {
    souk_loop_t *loop = souk_loop_new();
    CHECK(loop != NULL);
    CHECK(souk_loop_on_signal(loop, SIGTERM, s_on_term, loop) == SOUK_OK);
    pthread_t killer; /* inherits the mask */
    CHECK(pthread_create(&killer, NULL, s_killer, NULL) == 0);
    CHECK(souk_loop_run(loop) == SOUK_OK);
    pthread_join(killer, NULL);
    CHECK(s_terms == 1);
    souk_loop_destroy(&loop);
    sigset_t now;
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0);
    CHECK(sigismember(&now, SIGTERM) == 0); /* as before */
}

int main(void) {
    alarm(WATCHDOG_S); /* a lost wake-up hangs: end by SIGALRM */
    s_wakes_are_not_lost();
    s_stop_from_another_thread();
    s_signals_reach_the_loop();
    printf("loop: passed\n");
    return 0;
}
