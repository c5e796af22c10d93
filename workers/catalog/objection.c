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

souk_err_t catalog_object(souk_ctx_t *ctx, const catalog_objection_t *self) {
    if (self->err == SOUK_ERR_VALIDATION) {
        return souk_ctx_fail_field(ctx, self->pointer, "%s", self->detail);
    }
    return souk_ctx_fail(ctx, self->err, "%s", self->detail);
}
