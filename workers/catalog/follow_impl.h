/* The follower's state, for its two files: follow.c (thread, loading, housekeeping) and catch_up.c
 * (finding what is new). */
#ifndef CATALOG_FOLLOW_IMPL_H
#define CATALOG_FOLLOW_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "follow.h"
#include "souk/arena.h"
#include "store.h"

#define US_PER_MS 1000
#define APPLY_WAIT_MS 500

struct catalog_follow {
    catalog_follow_options_t options;
    catalog_apply_t *apply;
    catalog_store_t *store;
    souk_arena_t *arena;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop, hurried; /* under mutex */
    int64_t known;      /* under mutex: a revision that exists */
    atomic_int link;
    char identity[CATALOG_IDENTITY_CHARS + 1]; /* of what the index holds; "" at first */
    bool prepared, loaded;
    int64_t sent;   /* the last revision that was offered to the index */
    int64_t head;   /* the hint when it was last read */
    int64_t barren; /* a hint beyond which nothing was found: it is not believed again */
    int64_t look_past_at_us;
    int64_t scan_at_us;                 /* not before */
    int64_t scan_cost_us, find_cost_us; /* of the last ones; 0: not known */
    int64_t snapshot_at_us, snapshot_revision;
    int64_t trim_at_us;
};

/* arg: the follower. */
bool catalog_follow_stopping(void *arg);
/* Builds a new index from the whole record and hands it over. */
SOUK_MUST_CHECK souk_err_t catalog_follow_load(catalog_follow_t *self);

/* catch_up.c: what has come to the record since the last time, offered to the index. Another
 * database, or one that was put back, only unsets `prepared`. */
SOUK_MUST_CHECK souk_err_t catalog_catch_up(catalog_follow_t *self);

#endif
