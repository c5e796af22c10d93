/* Rate limits and connection counts by client, in tables of atomics that all threads share.
 *
 * Rates: GCRA (a leaky bucket kept as one time, the "theoretical arrival time"). A client has no
 * entry of its own: two keyed hashes choose two cells, and the lesser of both times counts (a
 * count-min sketch). So memory is fixed, nothing has to be evicted, and a client is held back by
 * others only when it shares both cells with busy ones. The hash key is random per process: nobody
 * can aim at a cell. */
#ifndef SOUK_GATEWAY_LIMIT_H
#define SOUK_GATEWAY_LIMIT_H

#include "souk/base.h"

typedef struct souk_limit souk_limit_t;

/* rate: requests per second, 0 = off; burst: how many may come at once. */
typedef struct {
    int64_t rate;
    int64_t burst;
} souk_rate_t;

typedef struct {
    bool allowed;
    int64_t limit;         /* burst; 0: no limit is set */
    int64_t remaining;     /* requests that may come at once now */
    int64_t reset_s;       /* until the whole burst is there again, rounded up */
    int64_t retry_after_s; /* when not allowed: until one more is, rounded up */
} souk_limit_state_t;

/* cells_count: a power of two. Owned by the caller. */
souk_limit_t *souk_limit_new(size_t cells_count);
void souk_limit_destroy(souk_limit_t **self_p);

/* Takes one request of who (an address's bytes, a key's id; kind keeps them apart) at now_us. */
souk_limit_state_t souk_limit_take(souk_limit_t *self, char kind, souk_str_t who, souk_rate_t rate,
                                   int64_t now_us);

/* Counts a connection of who; false when that would be more than max (0: no limit): then nothing
 * was counted. */
bool souk_limit_connect(souk_limit_t *self, souk_str_t who, int64_t max);
void souk_limit_disconnect(souk_limit_t *self, souk_str_t who);

#endif
