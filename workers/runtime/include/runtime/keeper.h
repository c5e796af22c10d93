/* A thread of a service's that runs its background tasks (purges, sweepers, followers) one after
 * the other, each at its interval, with a connection of its own. While PostgreSQL is away it tries
 * to connect with growing pauses, up to two seconds, and runs nothing. */
#ifndef RUNTIME_KEEPER_H
#define RUNTIME_KEEPER_H

#include "runtime/pg.h"

#define SOUK_KEEPER_TASKS_MAX 16

/* One run: a small piece of work in short transactions. SOUK_OK: done until the next interval.
 * SOUK_ERR_RETRY: there is more, again as soon as the others had their turn. Any other error, and a
 * deadlock, is logged, and the task tried again after five seconds, then twice as long, up to its
 * interval or five minutes. The arena is reset after each run. */
typedef souk_err_t (*souk_keeper_fn)(souk_pg_t *pg, souk_arena_t *arena, void *arg);

typedef struct {
    const char *name;     /* for metrics and logs; borrowed */
    uint32_t interval_ms; /* from the end of a run to the next; spread by a tenth either way, so
                             that workers that started together do not run together */
    souk_keeper_fn run;
    void *arg;
} souk_keeper_task_t;

typedef struct {
    souk_pg_options_t pg;            /* what it points to is borrowed for the keeper's life */
    const souk_keeper_task_t *tasks; /* copied; 1 to SOUK_KEEPER_TASKS_MAX */
    size_t tasks_count;
    size_t memory_bytes_max; /* of a run's arena; 0: 16 MiB */
} souk_keeper_options_t;

typedef struct souk_keeper souk_keeper_t;

/* Starts the thread; for souk_service_t.start. SOUK_ERR_VALIDATION: the url cannot be read.
 * SOUK_ERR_IO: no thread. */
SOUK_MUST_CHECK souk_err_t souk_keeper_new(const souk_keeper_options_t *options,
                                           souk_keeper_t **ret_self);
/* Waits for the run in progress. */
void souk_keeper_destroy(souk_keeper_t **self_p);
/* Any thread: runs the task of that name now, or once more when it runs already. */
void souk_keeper_hurry(souk_keeper_t *self, const char *name);

/* The task that every service with a table `idempotency` has: removes keys older than keep_hours
 * (config->idempotency_keep_hours), some hundreds in each transaction. */
souk_keeper_task_t souk_keeper_purge_keys(int64_t keep_hours);

#endif
