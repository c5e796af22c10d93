/* Why an order is refused, kept until it is known that the refusal is what the client gets: a
 * stored reply under the same key wins over it. */
#ifndef ORDERS_VERDICT_H
#define ORDERS_VERDICT_H

#include "runtime/ctx.h"
#include "souk/schema.h"

typedef struct {
    souk_err_t err;    /* SOUK_OK: not refused */
    souk_str_t detail; /* in the arena */
    size_t count;
    struct {
        souk_str_t pointer, reason; /* in the arena */
    } fields[SOUK_ISSUES_MAX];
} orders_verdict_t;

/* Refuses, unless it is refused already: the first reason stands. Returns err. */
souk_err_t orders_verdict_refuse(orders_verdict_t *self, souk_arena_t *arena, souk_err_t err,
                                 const char *format, ...) SOUK_PRINTF(4, 5);
/* Names a field, by JSON pointer; more than SOUK_ISSUES_MAX are left out. */
void orders_verdict_field(orders_verdict_t *self, souk_arena_t *arena, const char *pointer,
                          const char *format, ...) SOUK_PRINTF(4, 5);
/* Gives it to the call as its answer; returns its error. */
souk_err_t orders_verdict_tell(const orders_verdict_t *self, souk_ctx_t *ctx);

#endif
