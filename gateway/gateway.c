#include "gateway/gateway.h"

#include <stdlib.h>

#include "gateway/pages.h"
#include "gen/metrics.h"
#include "gen/routes.h"

#define LIMIT_CELLS 65536

static void s_find_auth_stats(souk_gateway_stats_t *self) {
    static const char *const limits[SOUK_WHOS_COUNT] = {"address", "user", "guest", "key",
                                                        "address"};
    static const char *const kinds[SOUK_WHOS_COUNT] = {"nobody", "user", "guest", "api_key",
                                                       "unknown"};
    static const char *const outcomes[SOUK_AUTH_OUTCOMES_COUNT] = {
        "good", "missing", "invalid", "expired", "forbidden", "unavailable"};
    for (size_t who = 0; who < SOUK_WHOS_COUNT; who++) {
        self->rate_limited[who] =
            souk_metric(SOUK_METRIC_GATEWAY_RATE_LIMITED_TOTAL, limits[who], NULL);
        for (size_t outcome = 0; outcome < SOUK_AUTH_OUTCOMES_COUNT; outcome++) {
            self->auth[who][outcome] =
                souk_metric(SOUK_METRIC_GATEWAY_AUTH_TOTAL, kinds[who], outcomes[outcome], NULL);
        }
    }
}

static void s_find_counts(souk_gateway_stats_t *self) {
    *self = (souk_gateway_stats_t){
        .connections = souk_metric(SOUK_METRIC_GATEWAY_CONNECTIONS, NULL),
        .accepted = souk_metric(SOUK_METRIC_GATEWAY_CONNECTIONS_TOTAL, "accepted", NULL),
        .refused = souk_metric(SOUK_METRIC_GATEWAY_CONNECTIONS_TOTAL, "refused_address", NULL),
        .received_bytes = souk_metric(SOUK_METRIC_GATEWAY_RECEIVED_BYTES_TOTAL, NULL),
        .sent_bytes = souk_metric(SOUK_METRIC_GATEWAY_SENT_BYTES_TOTAL, NULL),
        .cancelled = souk_metric(SOUK_METRIC_GATEWAY_CANCELLED_TOTAL, NULL),
        .outstanding = souk_metric(SOUK_METRIC_GATEWAY_CALLS_OUTSTANDING, NULL),
    };
    s_find_auth_stats(self);
}

static void s_find_stats(souk_gateway_t *self) {
    static const char *const classes[] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};
    size_t count = souk_router_count(self->router);
    self->route_stats = calloc(count + 1, sizeof(*self->route_stats));
    souk_assert(self->route_stats != NULL);
    for (size_t i = 0; i <= count; i++) {
        const souk_router_entry_t *entry = i < count ? souk_router_entry(self->router, i) : NULL;
        const char *verb = entry != NULL ? entry->verb : "any";
        const char *path = entry != NULL ? entry->path : "none";
        for (size_t class = 0; class < SOUK_COUNT_OF(classes); class ++) {
            self->route_stats[i].requests[class] =
                souk_metric(SOUK_METRIC_GATEWAY_REQUESTS_TOTAL, verb, path, classes[class], NULL);
        }
        self->route_stats[i].seconds =
            souk_metric(SOUK_METRIC_GATEWAY_REQUEST_SECONDS, verb, path, NULL);
    }
    s_find_counts(&self->stats);
}

souk_err_t souk_gateway_init(souk_gateway_t *self, const souk_gateway_config_t *config,
                             const char **ret_cause) {
    *self = (souk_gateway_t){.config = config};
    souk_trust_board_init(&self->board);
    if (!souk_cors_init(&self->cors, souk_str_of(config->cors_origins))) {
        *ret_cause =
            "cors-origins must be origins such as https://shop.example.com, at most 32, or *";
        return SOUK_ERR_VALIDATION;
    }
    if (souk_guest_keys_parse(souk_str_of(config->guest_keys), &self->guest_keys) != SOUK_OK) {
        *ret_cause = "SOUK_GUEST_KEYS must be different keys of 64 hexadecimal digits, separated "
                     "by commas";
        return SOUK_ERR_VALIDATION;
    }
    self->http1_limits = (souk_http1_limits_t){
        .head_bytes_max = (uint32_t)config->head_bytes_max,
        .target_bytes_max = (uint32_t)config->target_bytes_max,
        .headers_max = (uint32_t)config->headers_max,
    };
    self->rate_address =
        (souk_rate_t){config->rate_per_address, config->rate_per_address * config->rate_burst_s};
    self->rate_key =
        (souk_rate_t){config->rate_per_key, config->rate_per_key * config->rate_burst_s};
    self->limit = souk_limit_new(LIMIT_CELLS);
    self->router = souk_router_new();
    souk_pages_add(self->router);
    for (size_t i = 0; i < souk_routes_count; i++) {
        souk_router_add(self->router, souk_routes[i].verb, souk_routes[i].path, &souk_routes[i],
                        NULL);
    }
    s_find_stats(self);
    return SOUK_OK;
}

void souk_gateway_done(souk_gateway_t *self) {
    souk_router_destroy(&self->router);
    souk_limit_destroy(&self->limit);
    free(self->route_stats);
    self->route_stats = NULL;
    souk_trust_board_done(&self->board);
    souk_guest_keys_done(&self->guest_keys);
}
