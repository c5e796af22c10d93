#include "gateway/upstream.h"

#include "gateway/gateway.h"
#include "gateway/problem.h"
#include "gateway/reply.h"

static void s_count(souk_server_t *server, int by) {
    server->calls = (uint32_t)((int64_t)server->calls + by);
    souk_metric_add(server->gateway->stats.outstanding, by);
}

static void s_on_outcome(void *arg, const souk_outcome_t *outcome) {
    souk_exchange_t *exchange = arg;
    souk_assert(exchange->calling);
    exchange->calling = false;
    s_count(exchange->server, -1);
    souk_reply_answer(exchange, outcome);
}

void souk_upstream_call(souk_exchange_t *exchange, souk_req_t *req) {
    const souk_route_t *route = exchange->entry->route;
    souk_server_t *server = exchange->server;
    req->timeout_ms = route->timeout_ms;
    req->priority = route->priority;
    req->service = souk_str_of(route->service);
    req->method = souk_str_of(route->method);
    req->traceparent = souk_exchange_traceparent(exchange);
    req->request_id = souk_exchange_request_id(exchange);
    souk_err_t err = souk_client_call(server->client, req, s_on_outcome, exchange, &exchange->call);
    if (err != SOUK_OK) {
        souk_problem_answer(exchange, &(souk_problem_t){.err = err});
        return;
    }
    exchange->calling = true;
    s_count(server, 1);
}

void souk_upstream_cancel(souk_exchange_t *exchange) {
    if (exchange->calling) {
        exchange->calling = false;
        s_count(exchange->server, -1);
        souk_metric_add(exchange->server->gateway->stats.cancelled, 1);
        souk_client_cancel(exchange->server->client, exchange->call);
    }
}
