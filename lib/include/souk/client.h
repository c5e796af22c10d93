/* The requesting side of the bus: sends REQ, matches replies, keeps deadlines. On one loop, one DEALER per broker. */
#ifndef SOUK_CLIENT_H
#define SOUK_CLIENT_H

#include "souk/base.h"
#include "souk/envelope.h"
#include "souk/err.h"
#include "souk/loop.h"

typedef struct souk_client souk_client_t;

typedef struct {
    const char *endpoints; /* the brokers' fronts, separated by commas */
    const char *name;
    uint32_t outstanding_max; /* calls in flight; further ones fail at once with SOUK_ERR_OVERLOADED */
    uint32_t heartbeat_ms;
    size_t pending_bytes_max;
} souk_client_options_t;

SOUK_MUST_CHECK souk_err_t souk_client_new(souk_loop_t *loop, const souk_client_options_t *options, souk_client_t **ret_self);
/* Outstanding calls end with SOUK_ERR_CANCELLED, their callbacks run. */
void souk_client_destroy(souk_client_t **self_p);

/* The outcome of a call, borrowed for the callback. err SOUK_OK: body is the reply's msgpack map, flags as in REP. Otherwise fault says more (for
 * an ERR as received; for a local failure made here). Exactly one callback for each call that was accepted. */
typedef struct {
    souk_err_t err;
    uint32_t flags;
    souk_str_t body;
    const souk_fault_t *fault;
} souk_outcome_t;
typedef void (*souk_client_fn)(void *arg, const souk_outcome_t *outcome);

/* req: service, method, class, priority, timeout_ms, key, key_hash, traceparent, principal, body, request_id; corr is the client's. The callback never runs inside this call. SOUK_ERR_NO_BROKER: no
 * broker has welcomed us (the caller may say 503). ret_call names it for souk_client_cancel until the callback has run. When a broker is lost, read and
 * keyed calls are resent (flag SOUK_REQ_RESENT) as soon as one is back, within their deadline; others end with SOUK_ERR_UNKNOWN_OUTCOME. Deadline passed: SOUK_ERR_TIMEOUT.*/
SOUK_MUST_CHECK souk_err_t souk_client_call(souk_client_t *self, const souk_req_t *req, souk_client_fn fn, void *arg, uint64_t *ret_call);
/* Sends CANCEL; the callback will not run. */
void souk_client_cancel(souk_client_t *self, uint64_t call);

bool souk_client_connected(const souk_client_t *self);
uint32_t souk_client_outstanding(const souk_client_t *self);

#endif
