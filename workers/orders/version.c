#include "orders/version.h"

#include <inttypes.h>
#include <stdio.h>

souk_err_t orders_require_version(souk_ctx_t *ctx, souk_str_t if_match, int64_t version) {
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRId64, version);
    souk_str_t expected = {.data = text, .size = (size_t)size};
    const char *dash = memchr(if_match.data, '-', if_match.size);
    souk_str_t given = if_match;
    if (dash != NULL) {
        given.size = (size_t)(dash - if_match.data);
    }
    if (souk_str_equal(if_match, SOUK_STR("*")) || souk_str_equal(given, expected)) {
        return SOUK_OK;
    }
    return souk_ctx_fail(ctx, SOUK_ERR_PRECONDITION_FAILED, "it is at version %s", text);
}
