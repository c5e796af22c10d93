#include "gateway/idem.h"

#include <sodium.h>

souk_err_t souk_idem_check(const souk_route_t *route, souk_str_t header, souk_idem_t *ret,
                           const char **ret_reason) {
    souk_idem_t idem = {.class_ = route->class_, .key = {.data = NULL, .size = 0}};
    if (route->key_rule == SOUK_KEY_NONE) {
        *ret = idem;
        return SOUK_OK;
    }
    if (header.data == NULL) {
        if (route->key_rule == SOUK_KEY_REQUIRED) {
            *ret_reason = "is required";
            return SOUK_ERR_MALFORMED;
        }
        if (idem.class_ == SOUK_CLASS_KEYED) {
            idem.class_ = SOUK_CLASS_UNKEYED;
        }
        *ret = idem;
        return SOUK_OK;
    }
    bool visible = header.size >= 1 && header.size <= SOUK_KEY_BYTES_MAX;
    for (size_t i = 0; visible && i < header.size; i++) {
        visible = header.data[i] > ' ' && header.data[i] <= '~';
    }
    if (!visible) {
        *ret_reason = "must be 1 to 255 visible ASCII characters";
        return SOUK_ERR_MALFORMED;
    }
    idem.key = header;
    *ret = idem;
    return SOUK_OK;
}

void souk_idem_hash(souk_str_t method, souk_str_t target, souk_str_t body,
                    uint8_t ret_hash[SOUK_IDEM_HASH_BYTES]) {
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)method.data, method.size);
    crypto_hash_sha256_update(&state, (const uint8_t *)" ", 1);
    crypto_hash_sha256_update(&state, (const uint8_t *)target.data, target.size);
    crypto_hash_sha256_update(&state, (const uint8_t *)"\n", 1);
    crypto_hash_sha256_update(&state, (const uint8_t *)body.data, body.size);
    crypto_hash_sha256_final(&state, ret_hash);
}
