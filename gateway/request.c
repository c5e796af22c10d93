#include "gateway/request.h"

#include "gateway/admit.h"
#include "gateway/bind.h"
#include "gateway/gateway.h"
#include "gateway/idem.h"
#include "gateway/pages.h"
#include "gateway/problem.h"
#include "gateway/upstream.h"

static void s_problem(souk_exchange_t *exchange, souk_err_t err, const char *detail) {
    souk_problem_answer(exchange, &(souk_problem_t){.err = err, .detail = detail});
}

/* Copies text, cut to max. */
static uint16_t s_copy(char *to, size_t max, souk_str_t text) {
    size_t size = text.size < max ? text.size : max;
    if (size > 0) {
        memcpy(to, text.data, size);
    }
    return (uint16_t)size;
}

void souk_request_describe(souk_exchange_t *exchange, const souk_http1_t *http1,
                           const souk_buf_t *in) {
    const souk_gateway_t *gateway = exchange->server->gateway;
    souk_exchange_identify(exchange, souk_http1_known(http1, in, SOUK_HTTP1_REQUEST_ID),
                           souk_http1_known(http1, in, SOUK_HTTP1_TRACEPARENT));
    exchange->method = http1->method;
    exchange->minor = http1->target_size > 0 ? http1->minor : 1;
    if (http1->target_size == 0) {
        return;
    }
    exchange->head_only = http1->method == SOUK_HTTP_HEAD;
    exchange->instance_size =
        s_copy(exchange->instance, sizeof(exchange->instance), souk_http1_path(http1, in));
    souk_str_t origin = souk_http1_known(http1, in, SOUK_HTTP1_ORIGIN);
    if (origin.data != NULL) {
        exchange->allow_origin = souk_cors_allow(&gateway->cors, origin);
        exchange->cross_origin = exchange->allow_origin.data != NULL;
    }
}

/* ---- head ---- */

/* OPTIONS: what the path allows; for a preflight of an allowed origin the CORS permission too. */
static void s_answer_options(souk_exchange_t *exchange, bool preflight, const char *allow) {
    souk_exchange_answer(exchange,
                         &(souk_answer_t){.status = 204,
                                          .allow = souk_str_of(allow),
                                          .preflight = preflight && exchange->cross_origin});
}

static bool s_is_json(souk_str_t type) {
    const char *semicolon = memchr(type.data, ';', type.size);
    souk_str_t essence = {type.data,
                          semicolon != NULL ? (size_t)(semicolon - type.data) : type.size};
    while (essence.size > 0 &&
           (essence.data[essence.size - 1] == ' ' || essence.data[essence.size - 1] == '\t')) {
        essence.size--;
    }
    return souk_http_equal_nocase(essence, SOUK_STR("application/json")) ||
           souk_http_equal_nocase(essence, SOUK_STR("application/merge-patch+json"));
}

static void s_begin_route(souk_exchange_t *exchange, souk_http1_t *http1, const souk_buf_t *in) {
    const souk_route_t *route = exchange->entry->route;
    bool has_body = http1->chunked || http1->left > 0;
    if (!souk_admit_begin(exchange, http1, in)) {
        return;
    }
    if (http1->body_bytes_max > route->request_bytes_max) {
        http1->body_bytes_max = route->request_bytes_max;
    }
    souk_str_t type = souk_http1_known(http1, in, SOUK_HTTP1_CONTENT_TYPE);
    if (has_body && route->has_body && (type.data == NULL || !s_is_json(type))) {
        s_problem(exchange, SOUK_ERR_UNSUPPORTED_MEDIA_TYPE, NULL);
        return;
    }
    souk_str_t tags = souk_http1_known(http1, in, SOUK_HTTP1_IF_NONE_MATCH);
    if (tags.size <= sizeof(exchange->if_none_match) && !http1->if_none_match_twice) {
        exchange->if_none_match_size =
            s_copy(exchange->if_none_match, sizeof(exchange->if_none_match), tags);
    }
    if (route->next_field != NULL) {
        souk_buf_append_str(&exchange->query, souk_http1_query(http1, in));
    }
}

void souk_request_begin(souk_exchange_t *exchange, souk_http1_t *http1, const souk_buf_t *in) {
    const souk_gateway_t *gateway = exchange->server->gateway;
    souk_request_describe(exchange, http1, in);
    if (!souk_admit_client(exchange, http1, in)) {
        return;
    }
    souk_router_match_t match;
    souk_str_t path = souk_http1_path(http1, in);
    bool preflight = http1->known[SOUK_HTTP1_CORS_METHOD] != 0;
    if (path.size == 1 && path.data[0] == '*') {
        s_answer_options(exchange, false, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        return;
    }
    if (!souk_router_match(gateway->router, http1->method, path, &match)) {
        s_problem(exchange, SOUK_ERR_NOT_FOUND, "No resource has this path.");
        return;
    }
    if (match.entry == NULL && http1->method == SOUK_HTTP_OPTIONS) {
        s_answer_options(exchange, preflight, match.allow);
        return;
    }
    if (match.entry == NULL) {
        souk_problem_answer(
            exchange, &(souk_problem_t){.err = SOUK_ERR_METHOD_NOT_ALLOWED, .allow = match.allow});
        return;
    }
    exchange->entry = match.entry;
    if (match.entry->route != NULL) {
        s_begin_route(exchange, http1, in);
    } else {
        http1->body_bytes_max = 0;
    }
}

/* ---- whole request ---- */

static void s_answer_issues(souk_exchange_t *exchange, souk_err_t err,
                            const souk_issues_t *issues) {
    souk_problem_answer(exchange, &(souk_problem_t){.err = err, .issues = issues});
}

static void s_call(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in,
                   const void *value, const souk_idem_t *idem) {
    souk_server_t *server = exchange->server;
    const souk_route_t *route = exchange->entry->route;
    uint8_t hash[SOUK_IDEM_HASH_BYTES];
    if (!souk_admit_call(exchange, http1, in)) {
        return;
    }
    souk_req_t req = {.class_ = idem->class_,
                      .key = idem->key,
                      .address = souk_address_text(souk_admit_address(exchange))};
    if (exchange->principal.size > 0) {
        req.principal = souk_buf_str(&exchange->principal);
    }
    if (idem->key.data != NULL) {
        souk_idem_hash(souk_str_of(souk_http_method_name(http1->method)),
                       souk_http1_target(http1, in), souk_http1_body(http1, in), hash);
        req.key_hash = (souk_str_t){(const char *)hash, sizeof(hash)};
    }
    souk_buf_clear(&server->request);
    souk_schema_to_mp(route->request, value, &server->request);
    if (server->request.overflow) {
        s_problem(exchange, SOUK_ERR_TOO_LARGE, NULL);
        return;
    }
    req.body = souk_buf_str(&server->request);
    souk_upstream_call(exchange, &req);
}

static void s_run_route(souk_exchange_t *exchange, const souk_http1_t *http1,
                        const souk_buf_t *in) {
    souk_server_t *server = exchange->server;
    souk_router_match_t match;
    bool found = souk_router_match(server->gateway->router, http1->method,
                                   souk_http1_path(http1, in), &match);
    souk_assert(found && match.entry == exchange->entry);
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_idem_t idem;
    const char *reason = NULL;
    if (souk_idem_check(exchange->entry->route,
                        souk_http1_known(http1, in, SOUK_HTTP1_IDEMPOTENCY_KEY), &idem,
                        &reason) != SOUK_OK) {
        souk_issues_add(&issues, SOUK_ERR_MALFORMED, SOUK_SOURCE_HEADER, "Idempotency-Key", "%s",
                        reason);
    }
    void *value = NULL;
    const souk_bind_t request = {.match = &match, .http1 = http1, .in = in};
    souk_err_t err = souk_bind(&request, server->arena, &value, &issues);
    if (err == SOUK_ERR_NO_MEMORY) {
        s_problem(exchange, SOUK_ERR_TOO_LARGE,
                  "The request takes more memory than one request may.");
    } else if (err != SOUK_OK) {
        s_answer_issues(exchange, err, &issues);
    } else {
        s_call(exchange, http1, in, value, &idem);
    }
    souk_arena_reset(server->arena);
}

void souk_request_run(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in) {
    if (exchange->entry->route != NULL) {
        s_run_route(exchange, http1, in);
        return;
    }
    souk_pages_answer(exchange, exchange->entry->local,
                      souk_http1_known(http1, in, SOUK_HTTP1_IF_NONE_MATCH));
}
