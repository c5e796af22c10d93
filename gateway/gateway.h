/* What the parts of the gateway share: the process (read by all threads) and the server (one loop
 * thread and all that is its own). */
#ifndef SOUK_GATEWAY_GATEWAY_H
#define SOUK_GATEWAY_GATEWAY_H

#include <stdatomic.h>

#include "gateway/auth.h"
#include "gateway/conn.h"
#include "gateway/cors.h"
#include "gateway/exchange.h"
#include "gateway/keys_poll.h"
#include "gateway/limit.h"
#include "gateway/router.h"
#include "gen/config.h"
#include "souk/arena.h"
#include "souk/client.h"
#include "souk/loop.h"
#include "souk/metrics.h"

/* Metric series of one route, found once: by class of status, 1xx to 5xx. */
typedef struct {
    souk_series_t *requests[6];
    souk_series_t *seconds;
} souk_route_stats_t;

typedef struct {
    souk_series_t *connections, *accepted, *refused;
    souk_series_t *received_bytes, *sent_bytes;
    souk_series_t *rate_limited[SOUK_WHOS_COUNT]; /* NOBODY: by address */
    souk_series_t *auth[SOUK_WHOS_COUNT][SOUK_AUTH_OUTCOMES_COUNT];
    souk_series_t *cancelled, *outstanding;
} souk_gateway_stats_t;

typedef struct {
    const souk_gateway_config_t *config;
    souk_router_t *router;
    souk_limit_t *limit;
    souk_cors_t cors;
    souk_http1_limits_t http1_limits;
    souk_rate_t rate_address, rate_key;
    souk_guest_keys_t guest_keys;
    souk_trust_board_t board;
    souk_route_stats_t
        *route_stats; /* by entry number; the last one for requests without a route */
    souk_gateway_stats_t stats;
    _Atomic int64_t connections;
    _Atomic int64_t servers_connected; /* servers whose client has a broker */
    _Atomic bool draining;
} souk_gateway_t;

/* The shared part, from the configuration. On failure *ret_cause says what is wrong with it (static
 * text). */
SOUK_MUST_CHECK souk_err_t souk_gateway_init(souk_gateway_t *self,
                                             const souk_gateway_config_t *config,
                                             const char **ret_cause);
void souk_gateway_done(souk_gateway_t *self);

struct souk_server {
    souk_gateway_t *gateway;
    unsigned number;
    souk_loop_t *loop;
    souk_client_t *client;
    souk_auth_t *auth;
    souk_keys_poll_t *poll; /* of one server, for all; NULL where there is nobody to ask */
    souk_arena_t *arena;    /* reset after each request was handed over */
    souk_buf_t request;     /* a request's body on its way to msgpack */
    int listen_fd;
    struct event *accept_event;
    souk_timer_t *tick;
    bool connected, knows_keys;
    bool draining;
    int64_t drain_until_us;
    int64_t keys_looked_us, date_made_us, accept_paused_us;
    uint64_t access_log_count;
    uint32_t calls; /* outstanding */
    char date[40];
    souk_conn_list_t conns[SOUK_CONN_STATES_COUNT]; /* each oldest first: state is a list */
    souk_conn_t *dirty; /* have something to send at the end of the turn */
    souk_conn_t *ended; /* closed in this turn, freed at its end */
    souk_exchange_t *pool;
    size_t pool_count;
};

#endif
