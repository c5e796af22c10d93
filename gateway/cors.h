/* Cross-origin rules (fetch.spec.whatwg.org, 3.2): which web pages may read our answers. */
#ifndef SOUK_GATEWAY_CORS_H
#define SOUK_GATEWAY_CORS_H

#include "souk/base.h"

#define SOUK_CORS_ORIGINS_MAX 32
#define SOUK_CORS_ORIGIN_BYTES_MAX 256

typedef struct {
    bool any; /* "*" */
    size_t count;
    souk_str_t origins[SOUK_CORS_ORIGINS_MAX]; /* borrowed from the text given to init */
} souk_cors_t;

/* text: "" (no cross-origin access), "*", or origins separated by commas
 * ("https://shop.example.com"); borrowed. False: malformed or too many. */
bool souk_cors_init(souk_cors_t *self, souk_str_t text);

/* Value for Access-Control-Allow-Origin: "*", the origin itself, or data NULL when it is not
 * allowed. */
souk_str_t souk_cors_allow(const souk_cors_t *self, souk_str_t origin);

/* True when answers differ by origin and so need Vary. */
static inline bool souk_cors_varies(const souk_cors_t *self) {
    return !self->any && self->count > 0;
}

#endif
