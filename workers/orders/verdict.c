#include "orders/verdict.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_BYTES 256

SOUK_PRINTF(2, 0)
static souk_str_t s_print(souk_arena_t *arena, const char *format, va_list args) {
    char text[TEXT_BYTES];
    int length = vsnprintf(text, sizeof(text), format, args);
    size_t size = length < 0                      ? 0
                  : (size_t)length < sizeof(text) ? (size_t)length
                                                  : sizeof(text) - 1;
    return souk_arena_copy(arena, (souk_str_t){.data = text, .size = size});
}

souk_err_t orders_verdict_refuse(orders_verdict_t *self, souk_arena_t *arena, souk_err_t err,
                                 const char *format, ...) {
    if (self->err == SOUK_OK) {
        va_list args;
        va_start(args, format);
        self->detail = s_print(arena, format, args);
        va_end(args);
        self->err = err;
    }
    return self->err;
}

void orders_verdict_field(orders_verdict_t *self, souk_arena_t *arena, const char *pointer,
                          const char *format, ...) {
    if (self->count == SOUK_COUNT_OF(self->fields)) {
        return;
    }
    va_list args;
    va_start(args, format);
    self->fields[self->count].reason = s_print(arena, format, args);
    va_end(args);
    self->fields[self->count++].pointer = souk_arena_copy(arena, souk_str_of(pointer));
}

souk_err_t orders_verdict_tell(const orders_verdict_t *self, souk_ctx_t *ctx) {
    for (size_t i = 0; i < self->count; i++) {
        souk_str_t reason = self->fields[i].reason;
        if (self->fields[i].pointer.data != NULL && reason.data != NULL) {
            (void)souk_ctx_fail_field(ctx, self->fields[i].pointer.data, "%.*s", (int)reason.size,
                                      reason.data);
        }
    }
    return souk_ctx_fail(ctx, self->err, "%.*s", (int)self->detail.size, self->detail.data);
}
