#include "gateway/pages.h"

#include <sodium.h>
#include <stdio.h>

#include "gateway/etag.h"
#include "gateway/gateway.h"
#include "gateway/page_docs.h"
#include "gateway/problem.h"
#include "gen/openapi.h"
#include "souk/admin.h"
#include "souk/id.h"

typedef enum { PAGE_INDEX, PAGE_DOCS, PAGE_OPENAPI, PAGE_HEALTHZ, PAGE_READYZ, PAGES_COUNT } page_t;

static const struct {
    const char *path;
    const char *content_type; /* NULL: made for each request */
    const char *content_policy;
} s_pages[PAGES_COUNT] = {
    [PAGE_INDEX] = {"/", "application/json", NULL},
    [PAGE_DOCS] =
        {"/docs", "text/html; charset=utf-8",
         "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
         "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    [PAGE_OPENAPI] = {"/openapi.json", "application/json", NULL},
    [PAGE_HEALTHZ] = {"/healthz", NULL, NULL},
    [PAGE_READYZ] = {"/readyz", NULL, NULL},
};

/* Content and tag of the fixed pages; written once, before there are threads. */
static struct {
    souk_str_t body;
    char etag[SOUK_ETAG_BYTES_MAX];
    size_t etag_size;
} s_fixed[PAGES_COUNT];

static void s_fix(page_t page, const void *data, size_t bytes) {
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[32];
    crypto_hash_sha256(hash, data, bytes);
    souk_hex(hash, sizeof(hex) / 2, hex);
    s_fixed[page].body = (souk_str_t){data, bytes};
    s_fixed[page].etag_size = souk_etag_make((souk_str_t){hex, sizeof(hex)}, s_fixed[page].etag);
}

void souk_pages_add(souk_router_t *router) {
    static const char index[] =
        "{\"name\":\"Souk\",\"docs\":\"/docs\",\"openapi\":\"/openapi.json\","
        "\"products\":\"/v1/products\",\"categories\":\"/v1/categories\"}";
    s_fix(PAGE_INDEX, index, sizeof(index) - 1);
    s_fix(PAGE_DOCS, souk_page_docs, souk_page_docs_size);
    s_fix(PAGE_OPENAPI, souk_openapi_json, souk_openapi_json_size);
    for (page_t page = 0; page < PAGES_COUNT; page++) {
        souk_router_add(router, "GET", s_pages[page].path, NULL, &s_pages[page]);
    }
}

static const char *s_health_name(souk_health_state_t state) {
    switch (state) {
    case SOUK_HEALTH_STARTING:
        return "starting";
    case SOUK_HEALTH_READY:
        return "ready";
    case SOUK_HEALTH_DEGRADED:
        return "degraded";
    case SOUK_HEALTH_DRAINING:
        return "draining";
    case SOUK_HEALTH_FAILED:
        return "failed";
    }
    return "failed";
}

static void s_answer_health(souk_exchange_t *exchange, bool ready_asked) {
    souk_health_state_t state = souk_health_get();
    bool ready = state == SOUK_HEALTH_READY || state == SOUK_HEALTH_DEGRADED;
    souk_buf_t *body = &exchange->own_body;
    souk_buf_clear(body);
    body->max = 256;
    souk_buf_printf(body, "{\"status\":\"%s\"}", ready_asked ? s_health_name(state) : "ok");
    souk_exchange_answer(exchange, &(souk_answer_t){.status = ready || !ready_asked ? 200 : 503,
                                                    .content_type = "application/json",
                                                    .body = souk_buf_str(body)});
}

void souk_pages_answer(souk_exchange_t *exchange, const void *local, souk_str_t if_none_match) {
    page_t page = 0;
    while (page < PAGES_COUNT && local != &s_pages[page]) {
        page++;
    }
    souk_assert(page < PAGES_COUNT);
    if (s_pages[page].content_type == NULL) {
        s_answer_health(exchange, page == PAGE_READYZ);
        return;
    }
    souk_answer_t answer = {.status = 200,
                            .content_type = s_pages[page].content_type,
                            .content_policy = s_pages[page].content_policy,
                            .body = s_fixed[page].body,
                            .etag = {s_fixed[page].etag, s_fixed[page].etag_size},
                            .cache_control = "no-cache"};
    if (if_none_match.data != NULL && souk_etag_matches(if_none_match, answer.etag)) {
        answer.status = 304;
        answer.content_type = NULL;
    }
    souk_exchange_answer(exchange, &answer);
}
