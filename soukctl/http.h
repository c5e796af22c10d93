/* HTTP to the gateway, for commands that work as an API client: one connection that is kept,
 * retries where the gateway asks for them. */
#ifndef SOUKCTL_HTTP_H
#define SOUKCTL_HTTP_H

#include "souk/base.h"
#include "souk/buf.h"

typedef struct souk_http souk_http_t;

/* url: the gateway's base (http://127.0.0.1:8080). token: the API key; may be NULL. Both are
 * borrowed. */
souk_http_t *souk_http_new(const char *url, const char *token);
void souk_http_destroy(souk_http_t **self_p);

typedef struct {
    const char *verb, *path;
    souk_str_t body;      /* data NULL: none */
    const char *if_match; /* NULL: none */
    const char *key;      /* Idempotency-Key; NULL: none */
    /* The request may be repeated although its answer was lost. */
    bool repeatable;
} souk_http_request_t;

/* Returns the status and the body in ret (cleared first), or 0 when the gateway cannot be reached:
 * souk_http_error says why. 429 and 503 are tried again after Retry-After, and so is a lost
 * connection of a repeatable request, within a minute in all. */
long souk_http_send(souk_http_t *self, const souk_http_request_t *request, souk_buf_t *ret);
const char *souk_http_error(const souk_http_t *self);

#endif
