/* A keeper without a server: starting, hurrying from several threads and ending, again and again.
 * Runs under ThreadSanitizer; what tasks do is tested with PostgreSQL (tests/integration/runtime).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/metrics.h"
#include "runtime/keeper.h"
#include "souk/log.h"

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define ROUNDS 50
#define HURRIES 200
#define THREADS 3

static souk_pg_health_t health;

static void *s_hurry(void *arg) {
    for (int i = 0; i < HURRIES; i++) {
        souk_keeper_hurry(arg, "purge_keys");
        (void)souk_pg_degraded(&health);
    }
    return NULL;
}

static void s_test_hurrying_and_ending(void) {
    const souk_keeper_task_t task = souk_keeper_purge_keys(24);
    const souk_keeper_options_t options = {
        .pg = {.url = "postgresql://nobody@127.0.0.1:1/none", .service = "lab", .health = &health},
        .tasks = &task,
        .tasks_count = 1};
    souk_keeper_t *keeper;
    CHECK(souk_keeper_new(&options, &keeper) == SOUK_OK);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, s_hurry, keeper) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    souk_keeper_destroy(&keeper);
    CHECK(keeper == NULL);
    CHECK(atomic_load(&health.up) == 0 && atomic_load(&health.away) == 0);
}

static void s_test_a_url_that_cannot_be_read(void) {
    const souk_keeper_task_t task = souk_keeper_purge_keys(24);
    const souk_keeper_options_t options = {
        .pg = {.url = "postgres://%zz", .service = "lab"}, .tasks = &task, .tasks_count = 1};
    souk_keeper_t *keeper = NULL;
    CHECK(souk_keeper_new(&options, &keeper) == SOUK_ERR_VALIDATION);
    CHECK(keeper == NULL);
}

int main(void) {
    souk_log_init("thread_keeper", SOUK_LOG_ERROR, 2);
    souk_metrics_init(souk_metric_decls, souk_metric_decls_count);
    for (int i = 0; i < ROUNDS; i++) {
        s_test_hurrying_and_ending();
    }
    s_test_a_url_that_cannot_be_read();
    souk_metrics_done();
    return 0;
}
