/* Asks the auth_source for keys, over the bus, again and again, and puts what is new on the trust
 * board. One loop thread does it for all. */
#ifndef SOUK_GATEWAY_KEYS_POLL_H
#define SOUK_GATEWAY_KEYS_POLL_H

#include "gateway/trust.h"
#include "souk/client.h"

typedef struct souk_keys_poll souk_keys_poll_t;

typedef struct {
    souk_loop_t *loop; /* borrowed, all three */
    souk_client_t *client;
    souk_trust_board_t *board;
    int64_t interval_us;
    int64_t stale_us; /* as of souk_auth_options_t */
} souk_keys_poll_options_t;

souk_keys_poll_t *souk_keys_poll_new(const souk_keys_poll_options_t *options);
/* Before the client: a question that is open is cancelled. */
void souk_keys_poll_destroy(souk_keys_poll_t **self_p);

/* A set older than the one that stands is of a source that lags behind, and would bring back what
 * was revoked: it is not taken, until the one that stands has become stale (the source's database
 * may have been put back).
 *
 * Asks when it is time: after the interval; at most once a second when the last question had no
 * good answer, or somebody wants an unknown key. Often, and cheap. */
void souk_keys_poll_tick(souk_keys_poll_t *self);

#endif
