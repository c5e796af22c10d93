#include "objection.h"

#include <stdarg.h>
#include <stdio.h>

souk_err_t catalog_refuse(catalog_objection_t *self, souk_err_t err, const char *pointer,
                          const char *format, ...) {
    va_list args;
    va_start(args, format);
    self->err = err;
    (void)snprintf(self->pointer, sizeof self->pointer, "%s", pointer);
    (void)vsnprintf(self->detail, sizeof self->detail, format, args);
    va_end(args);
    return err;
}

souk_err_t catalog_require_version(catalog_objection_t *self, souk_str_t if_match,
                                   int64_t version) {
    char text[24];
    int size = snprintf(text, sizeof text, "%lld", (long long)version);
    if (souk_str_equal(if_match, SOUK_STR("*")) ||
        souk_str_equal(if_match, (souk_str_t){.data = text, .size = (size_t)size})) {
        return SOUK_OK;
    }
    return catalog_refuse(self, SOUK_ERR_PRECONDITION_FAILED, "", "it is at version %s", text);
}

souk_err_t catalog_object(souk_ctx_t *ctx, const catalog_objection_t *self) {
    if (self->err == SOUK_ERR_VALIDATION) {
        return souk_ctx_fail_field(ctx, self->pointer, "%s", self->detail);
    }
    return souk_ctx_fail(ctx, self->err, "%s", self->detail);
}
