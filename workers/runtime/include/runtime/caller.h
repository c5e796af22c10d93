/* Calls to other services from a service's own background threads, which may block. The caller has
 * a thread with a loop and a bus client of its own; handlers do not use it: a slot that waits for
 * another service is a slot less, and two services that wait for each other have none left. */
#ifndef RUNTIME_CALLER_H
#define RUNTIME_CALLER_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/err.h"
#include "souk/schema.h"

typedef struct souk_caller souk_caller_t;

/* Calls that may wait for their answer at a time; further ones are SOUK_ERR_OVERLOADED. */
#define SOUK_CALLER_CALLS_MAX 64

/* front: the brokers' endpoints for clients, separated by commas; name: for the brokers' logs. Both
 * are copied. SOUK_ERR_MALFORMED: front names none or too many; SOUK_ERR_IO: no descriptors left.
 * Connects, and connects again, by itself. */
SOUK_MUST_CHECK souk_err_t souk_caller_new(const char *front, const char *name,
                                           souk_caller_t **ret_self);
/* Calls that wait end with SOUK_ERR_CANCELLED, later ones with SOUK_ERR_CLOSED: for the end of a
 * service, before it joins the threads that call. From any thread. */
void souk_caller_close(souk_caller_t *self);
/* Closes. No other thread is in a call any more. */
void souk_caller_destroy(souk_caller_t **self_p);

typedef struct {
    const char *service, *method;
    uint8_t class_, priority; /* souk_class_t, souk_priority_t: as the method's schema says */
    uint32_t timeout_ms;
    const souk_type_t *req_type, *rep_type; /* of souk_caller_ask */
} souk_callee_t;

/* Blocks until the answer is there, a little beyond timeout_ms at most. body is one msgpack map,
 * borrowed; the reply's map is copied to the arena. The service's error as it came, or
 * SOUK_ERR_NO_BROKER (at once), SOUK_ERR_TIMEOUT, SOUK_ERR_NO_MEMORY (the arena) and the others of
 * souk_client_call. From any thread but a loop's. */
SOUK_MUST_CHECK souk_err_t souk_caller_call(souk_caller_t *self, const souk_callee_t *callee,
                                            souk_str_t body, souk_arena_t *arena,
                                            souk_str_t *ret_reply);

/* The same by schema: *req, a small one, and *ret_rep, zeroed before, are of the callee's types;
 * the latter borrows from the arena. SOUK_ERR_TOO_LARGE: the request is not small; also the errors
 * of souk_schema_from_mp. */
SOUK_MUST_CHECK souk_err_t souk_caller_ask(souk_caller_t *self, const souk_callee_t *callee,
                                           const void *req, souk_arena_t *arena, void *ret_rep);

#endif
