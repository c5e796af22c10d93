/* What a handler sees of its call. Valid for the call, on the thread that runs the handler. */
#ifndef RUNTIME_CTX_H
#define RUNTIME_CTX_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"
#include "souk/log.h"

typedef struct souk_ctx souk_ctx_t;

typedef enum {
    SOUK_PRINCIPAL_ANONYMOUS,
    SOUK_PRINCIPAL_USER,
    SOUK_PRINCIPAL_GUEST,
    SOUK_PRINCIPAL_API_KEY,
} souk_principal_kind_t;

/* Freed when the reply has been encoded; its cap is the method's memory_bytes_max. */
souk_arena_t *souk_ctx_arena(souk_ctx_t *self);
/* What is left of the deadline, never negative. */
uint32_t souk_ctx_remaining_ms(const souk_ctx_t *self);
/* The client has gone; a long handler may stop with SOUK_ERR_CANCELLED. */
bool souk_ctx_cancelled(const souk_ctx_t *self);
/* What the service's start made, and what slot_start made for this slot (NULL for inline handlers).
 * Borrowed. */
void *souk_ctx_service(const souk_ctx_t *self);
void *souk_ctx_slot(const souk_ctx_t *self);

souk_str_t souk_ctx_request_id(const souk_ctx_t *self);
souk_str_t souk_ctx_traceparent(const souk_ctx_t *self);
/* Who asks: "usr_...", "gst_...", "key_..."; "" for anonymous. */
souk_str_t souk_ctx_subject(souk_ctx_t *self);
souk_principal_kind_t souk_ctx_kind(souk_ctx_t *self);
/* A user's session, "ses_..."; "" for everybody else. */
souk_str_t souk_ctx_session(souk_ctx_t *self);
/* The client's IP address as text; "" when unknown. */
souk_str_t souk_ctx_address(const souk_ctx_t *self);
/* "*" among the caller's scopes stands for all. */
bool souk_ctx_has_scope(souk_ctx_t *self, const char *scope);
bool souk_ctx_has_role(souk_ctx_t *self, const char *role);
/* Idempotency: data NULL when the request has none. */
souk_str_t souk_ctx_key(const souk_ctx_t *self);
souk_str_t souk_ctx_key_hash(const souk_ctx_t *self);

/* Says more about an error, then returns err: `return souk_ctx_fail(ctx, SOUK_ERR_SKU_TAKEN, "SKU
 * %.*s belongs to another product", ...)`. */
souk_err_t souk_ctx_fail(souk_ctx_t *self, souk_err_t err, const char *format, ...)
    SOUK_PRINTF(3, 4);
/* Adds a bad field (JSON pointer) and returns SOUK_ERR_VALIDATION. */
souk_err_t souk_ctx_fail_field(souk_ctx_t *self, const char *pointer, const char *format, ...)
    SOUK_PRINTF(3, 4);
void souk_ctx_retry_after_ms(souk_ctx_t *self, uint32_t retry_after_ms);
/* The reply was encoded before: one msgpack map, copied at once (cap: the method's
 * reply_bytes_max). The reply struct is then ignored. */
void souk_ctx_reply_encoded(souk_ctx_t *self, souk_str_t reply);
/* Encodes the call's reply struct now and settles the reply with that: for handlers that store it
 * (again after the struct has changed). Borrowed until the call's end. SOUK_ERR_BAD_REPLY: larger
 * than the method's reply_bytes_max; SOUK_ERR_NO_MEMORY: the arena was full. */
SOUK_MUST_CHECK souk_err_t souk_ctx_encode_reply(souk_ctx_t *self, souk_str_t *ret_reply);
/* The reply was stored earlier under the same key. */
void souk_ctx_mark_replayed(souk_ctx_t *self);

#endif
