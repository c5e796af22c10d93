#include "gateway/cors.h"

#include "gateway/http1.h"

/* scheme "://" host [":" port], without a path: what browsers send. */
static bool s_origin_ok(souk_str_t origin) {
    const char *mark = memmem(origin.data, origin.size, "://", 3);
    if (mark == NULL || mark == origin.data || origin.size > SOUK_CORS_ORIGIN_BYTES_MAX) {
        return false;
    }
    souk_str_t host = {mark + 3, origin.size - (size_t)(mark - origin.data) - 3};
    for (size_t i = 0; i < host.size; i++) {
        if (host.data[i] <= ' ' || host.data[i] > '~' || host.data[i] == '/') {
            return false;
        }
    }
    return host.size > 0;
}

bool souk_cors_init(souk_cors_t *self, souk_str_t text) {
    *self = (souk_cors_t){.any = false};
    souk_str_t origin;
    while (souk_http_next_element(&text, &origin)) {
        if (souk_str_equal(origin, SOUK_STR("*"))) {
            self->any = true;
            continue;
        }
        if (!s_origin_ok(origin) || self->count == SOUK_CORS_ORIGINS_MAX) {
            return false;
        }
        self->origins[self->count++] = origin;
    }
    return true;
}

souk_str_t souk_cors_allow(const souk_cors_t *self, souk_str_t origin) {
    if (self->any) {
        return SOUK_STR("*");
    }
    for (size_t i = 0; i < self->count; i++) {
        if (souk_str_equal(self->origins[i], origin)) {
            return self->origins[i];
        }
    }
    return (souk_str_t){.data = NULL, .size = 0};
}
