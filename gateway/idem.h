/* Idempotency-Key: which requests carry one, and the hash that tells a repeated request from
 * another one under the same key. */
#ifndef SOUK_GATEWAY_IDEM_H
#define SOUK_GATEWAY_IDEM_H

#include "souk/envelope.h"
#include "souk/route.h"

#define SOUK_IDEM_HASH_BYTES 32

typedef struct {
    uint8_t class_; /* what the request travels as */
    souk_str_t key; /* data NULL: none; borrowed from the header */
} souk_idem_t;

/* header: the field's value, data NULL when absent. On SOUK_ERR_MALFORMED *ret_reason says why
 * (static text): the key is required and missing, or is not 1 to 255 visible ASCII characters. A
 * key on a route without keys is ignored. */
SOUK_MUST_CHECK souk_err_t souk_idem_check(const souk_route_t *route, souk_str_t header,
                                           souk_idem_t *ret, const char **ret_reason);

/* SHA-256 over method, SP, target as sent, LF, raw body. */
void souk_idem_hash(souk_str_t method, souk_str_t target, souk_str_t body,
                    uint8_t ret_hash[SOUK_IDEM_HASH_BYTES]);

#endif
