/* The parts of an HTTP request -> the typed request of a method. */
#ifndef SOUK_GATEWAY_BIND_H
#define SOUK_GATEWAY_BIND_H

#include "gateway/http1.h"
#include "gateway/router.h"
#include "souk/arena.h"
#include "souk/schema.h"

#define SOUK_BIND_PARAMETERS_MAX 200

typedef struct {
    const souk_router_match_t *match;
    const souk_http1_t *http1;
    const souk_buf_t *in; /* what http1 has parsed */
} souk_bind_t;

/* Fills a new struct of the route's request type in the arena from path, query, header and body;
 * texts are borrowed from in. All bad fields are issues. Returns SOUK_OK, issues->err, or
 * SOUK_ERR_NO_MEMORY (the arena's cap). */
SOUK_MUST_CHECK souk_err_t souk_bind(const souk_bind_t *request, souk_arena_t *arena,
                                     void **ret_value, souk_issues_t *issues);

#endif
