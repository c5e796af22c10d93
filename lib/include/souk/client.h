/* The requesting side of the bus: sends REQ, matches replies, keeps deadlines. On one loop, one
 * DEALER per broker. */
#ifndef SOUK_CLIENT_H
#define SOUK_CLIENT_H

#include "souk/base.h"
#include "souk/envelope.h"
#include "souk/err.h"
#include "souk/loop.h"

typedef struct souk_client souk_client_t;

typedef struct {
    const char *endpoints; /* the brokers' fronts, separated by commas, at most 16 */
    const char *name;
    uint32_t
        outstanding_max; /* calls in flight; further ones fail at once with SOUK_ERR_OVERLOADED */
    uint32_t heartbeat_ms;
    /* Bounds twice: what waits for one broker's socket, and all that is kept for resending (every
     * call that is not unkeyed). */
    size_t pending_bytes_max;
    /* May be NULL. A session with the broker began or ended; for logs. */
    void (*on_broker)(void *arg, const char *endpoint, bool up);
    void *arg;
} souk_client_options_t;

/* Options and texts are copied. SOUK_ERR_MALFORMED: endpoints names none, or too many. SOUK_ERR_IO:
 * as souk_bus_open. */
SOUK_MUST_CHECK souk_err_t souk_client_new(souk_loop_t *loop, const souk_client_options_t *options,
                                           souk_client_t **ret_self);
/* Outstanding calls end with SOUK_ERR_CANCELLED, their callbacks run. Not from a callback. */
void souk_client_destroy(souk_client_t **self_p);

/* The outcome of a call, borrowed for the callback. err SOUK_OK: body is the reply's msgpack map,
 * flags as in REP. Otherwise fault says more (for an ERR as received; for a local failure made
 * here). Exactly one callback for each call that was accepted. */
typedef struct {
    souk_err_t err;
    uint32_t flags;
    souk_str_t body;
    const souk_fault_t *fault;
} souk_outcome_t;
typedef void (*souk_client_fn)(void *arg, const souk_outcome_t *outcome);

/* req: service, method, class, priority, timeout_ms, key, key_hash, traceparent, principal, body,
 * request_id, address; all else is the client's. It is sent to the broker with the fewest
 * outstanding calls of ours. The callback never runs inside this call. ret_call names the call for
 * souk_client_cancel until the callback runs. Refused, no callback: SOUK_ERR_NO_BROKER (no session
 * with any: the caller may say 503), SOUK_ERR_OVERLOADED (a bound of the options is met),
 * SOUK_ERR_TOO_LARGE (for the broker), SOUK_ERR_NO_MEMORY, SOUK_ERR_CLOSED (from a callback of
 * souk_client_destroy).
 *
 * When a broker is lost, read, keyed and external calls are resent (flag SOUK_REQ_RESENT) as soon
 * as there is one, within their deadline; unkeyed ones end with SOUK_ERR_UNKNOWN_OUTCOME. Deadline
 * passed: SOUK_ERR_TIMEOUT, a little later than timeout_ms, because the broker's own word says
 * more. */
SOUK_MUST_CHECK souk_err_t souk_client_call(souk_client_t *self, const souk_req_t *req,
                                            souk_client_fn fn, void *arg, uint64_t *ret_call);
/* Sends CANCEL; the callback will not run. */
void souk_client_cancel(souk_client_t *self, uint64_t call);

/* A broker takes requests. */
bool souk_client_connected(const souk_client_t *self);
uint32_t souk_client_outstanding(const souk_client_t *self);

typedef struct {
    uint64_t calls;     /* accepted */
    uint64_t replies;   /* that ended a call: REP or ERR */
    uint64_t timeouts;  /* no word from the broker */
    uint64_t resent;    /* after a broker was lost */
    uint64_t cancelled; /* by souk_client_cancel */
    uint64_t late;      /* replies to no call of ours (any more): dropped */
    uint64_t malformed; /* envelopes that could not be read, or were not for a client: dropped */
} souk_client_stats_t;
void souk_client_stats(const souk_client_t *self, souk_client_stats_t *ret);

#endif
