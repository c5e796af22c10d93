/* Never more hashes at a time than allowed; who waits too long is told so. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "password.h"

#define THREADS 8
#define ROUNDS 5

static atomic_uint s_failures, s_overloaded, s_done;

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                             \
            atomic_fetch_add(&s_failures, 1);                                                      \
        }                                                                                          \
    } while (0)

typedef struct {
    users_hasher_t *hasher;
    uint32_t running_max, timeout_ms;
} s_work_t;

static void *s_thread(void *arg) {
    const s_work_t *work = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char hash[USERS_HASH_BYTES_MAX];
        souk_err_t err =
            users_hasher_make(work->hasher, SOUK_STR("correct horse"), work->timeout_ms, hash);
        CHECK(users_hasher_running(work->hasher) <= work->running_max);
        CHECK(err == SOUK_OK || err == SOUK_ERR_OVERLOADED);
        atomic_fetch_add(err == SOUK_OK ? &s_done : &s_overloaded, 1);
    }
    return NULL;
}

static void s_run(uint32_t timeout_ms, size_t memory_bytes, uint32_t inside_max) {
    const users_hasher_options_t options = {.operations = 1,
                                            .memory_bytes = memory_bytes,
                                            .running_max = 2,
                                            .inside_max = inside_max,
                                            .wait_ms = 60000};
    s_work_t work = {
        .hasher = users_hasher_new(&options), .running_max = 2, .timeout_ms = timeout_ms};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, s_thread, &work) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(users_hasher_running(work.hasher) == 0);
    users_hasher_destroy(&work.hasher);
}

int main(void) {
    s_run(60000, 8192, THREADS);
    CHECK(atomic_load(&s_overloaded) == 0 && atomic_load(&s_done) == THREADS * ROUNDS);
    s_run(0, (size_t)1 << 24,
          THREADS); /* nobody waits: with two places for eight threads some are refused */
    CHECK(atomic_load(&s_overloaded) > 0);
    /* There is time enough, but no more than three may be inside: the others are refused at once.
     */
    unsigned before = atomic_load(&s_overloaded);
    s_run(60000, (size_t)1 << 24, 3);
    CHECK(atomic_load(&s_overloaded) > before);
    CHECK(atomic_load(&s_done) + atomic_load(&s_overloaded) == 3 * THREADS * ROUNDS);
    return atomic_load(&s_failures) == 0 ? 0 : 1;
}
