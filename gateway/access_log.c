#include "gateway/access_log.h"

#include "gateway/gateway.h"
#include "souk/log.h"

static bool s_sampled(souk_server_t *server, uint16_t status) {
    int64_t sample = server->gateway->config->access_log_sample;
    if (sample == 0) {
        return false;
    }
    bool turn = ++server->access_log_count >= (uint64_t)sample;
    if (turn) {
        server->access_log_count = 0;
    }
    return turn || status >= 500;
}

void souk_access_log(souk_exchange_t *exchange, size_t bytes) {
    souk_server_t *server = exchange->server;
    const souk_gateway_t *gateway = server->gateway;
    int64_t took_us = souk_loop_now_us(server->loop) - exchange->started_us;
    size_t number =
        exchange->entry != NULL ? exchange->entry->number : souk_router_count(gateway->router);
    souk_route_stats_t *stats = &gateway->route_stats[number];
    souk_metric_add(stats->requests[exchange->status / 100], 1);
    souk_metric_observe_us(stats->seconds, took_us);
    if (!s_sampled(server, exchange->status)) {
        return;
    }
    souk_log(SOUK_LOG_INFO, "GW-ACCESS",
             SOUK_F_TEXT("method", souk_http_method_name(exchange->method)),
             SOUK_F_TEXT("route", exchange->entry != NULL ? exchange->entry->path : "none"),
             SOUK_F_INT("status", exchange->status),
             SOUK_F_TEXT("code", souk_err_info(exchange->err)->code), SOUK_F_INT("bytes", bytes),
             SOUK_F_INT("duration_us", took_us),
             SOUK_F_STR("request_id", souk_exchange_request_id(exchange)),
             SOUK_F_STR("trace_id", souk_exchange_trace_id(exchange)));
}
