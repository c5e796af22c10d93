/* The catalogue's gate under threads: readers never see a half-written state, the writer never
 * waits and always gets in. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/gate.h"

#define READERS 4
#define WRITES 20000

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expr);                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static catalog_gate_t s_gate;
static long s_one,
    s_other; /* plain: the gate must order the accesses, and they must always be equal */
static atomic_bool s_over;
static atomic_long s_reads, s_freed;

static void s_on_free(void *arg) {
    (void)arg;
    atomic_fetch_add(&s_freed, 1);
}

static void *s_reader(void *arg) {
    (void)arg;
    while (!atomic_load(&s_over)) {
        catalog_gate_read(&s_gate);
        long one = s_one;
        sched_yield();
        CHECK(one == s_other);
        catalog_gate_read_end(&s_gate);
        atomic_fetch_add(&s_reads, 1);
    }
    return NULL;
}

int main(void) {
    pthread_t readers[READERS];
    long refused = 0;
    catalog_gate_init(&s_gate, s_on_free, NULL);
    for (int i = 0; i < READERS; i++) {
        CHECK(pthread_create(&readers[i], NULL, s_reader, NULL) == 0);
    }
    while (atomic_load(&s_reads) == 0) {
        sched_yield();
    }
    for (long i = 0; i < WRITES;) {
        long freed = atomic_load(&s_freed);
        if (catalog_gate_try_write(&s_gate)) {
            s_one++;
            sched_yield();
            s_other++;
            catalog_gate_write_end(&s_gate);
            i++;
            continue;
        }
        /* Refused: the readers inside leave, no new ones enter, and the last one calls. */
        refused++;
        while (atomic_load(&s_freed) == freed) {
            sched_yield();
        }
    }
    atomic_store(&s_over, true);
    for (int i = 0; i < READERS; i++) {
        CHECK(pthread_join(readers[i], NULL) == 0);
    }
    catalog_gate_done(&s_gate);
    CHECK(s_one == WRITES && s_other == WRITES);
    CHECK(refused > 0 && atomic_load(&s_reads) > 0);
    printf("gate: %d writes, %ld refused first\n", WRITES, refused);
    return 0;
}
