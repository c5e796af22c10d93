/* Verified access tokens, so that a token's signature is checked once and not for each request. Of
 * one thread; fixed memory.
 *
 * A token is found by its SHA-256, which chooses a row of eight entries. A full row loses an entry
 * that has ended, else the one that was used longest ago. Only good tokens come in: strangers can
 * neither fill it nor push others out. */
#ifndef SOUK_GATEWAY_TOKEN_CACHE_H
#define SOUK_GATEWAY_TOKEN_CACHE_H

#include "souk/base.h"
#include "souk/id.h"

#define SOUK_TOKEN_HASH_BYTES 32
#define SOUK_TOKEN_CACHE_WAYS 8

typedef struct souk_token_cache souk_token_cache_t;

typedef struct {
    uint32_t roles;
    int64_t until_s;      /* unix: from then on it is not found */
    souk_str_t subject;   /* at most SOUK_ID_BYTES_MAX */
    souk_str_t principal; /* at most principal_bytes_max */
} souk_token_t;

/* count: entries, at least; a power of two of rows is made. 0: nothing is ever found. */
souk_token_cache_t *souk_token_cache_new(size_t count, size_t principal_bytes_max);
void souk_token_cache_destroy(souk_token_cache_t **self_p);

/* False: not there. The texts are borrowed until the next put. */
bool souk_token_cache_get(souk_token_cache_t *self, const uint8_t hash[SOUK_TOKEN_HASH_BYTES],
                          int64_t now_s, souk_token_t *ret);
/* Copies the token; one that is longer than its bounds is not kept. */
void souk_token_cache_put(souk_token_cache_t *self, const uint8_t hash[SOUK_TOKEN_HASH_BYTES],
                          const souk_token_t *token, int64_t now_s);
void souk_token_cache_clear(souk_token_cache_t *self);

#endif
