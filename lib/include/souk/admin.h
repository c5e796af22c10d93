/* The admin HTTP endpoint of every process: GET /healthz, /readyz, /metrics and what the process
 * adds. A thread of its own with its own small poll loop, off the hot path, which reads atomics and
 * snapshots only, so that it answers while the main loop is stuck. Bound to loopback unless
 * configured otherwise; bounded connections, header and time; GET and HEAD, one request a
 * connection. */
#ifndef SOUK_ADMIN_H
#define SOUK_ADMIN_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

typedef struct souk_admin souk_admin_t;

typedef enum {
    SOUK_HEALTH_STARTING,
    SOUK_HEALTH_READY,
    SOUK_HEALTH_DEGRADED,
    SOUK_HEALTH_DRAINING,
    SOUK_HEALTH_FAILED
} souk_health_state_t;

/* Thread-safe. reason: static or copied up to 160 bytes; shown by /readyz
 * {"status":"degraded","reason":"..."}. READY and DEGRADED answer 200, others 503. */
void souk_health_set(souk_health_state_t state, const char *reason);
souk_health_state_t souk_health_get(void);

/* Appends a JSON body for path_rest (what stands behind prefix, without its leading slash; empty
 * for the prefix itself) and returns the HTTP status; a body left empty is filled in. Runs on the
 * admin thread. */
typedef int (*souk_admin_fn)(void *arg, souk_str_t path_rest, souk_buf_t *ret_body);
typedef struct {
    const char *prefix; /* "/v1/queues" */
    souk_admin_fn fn;
    void *arg;
} souk_admin_route_t;

/* address: an IPv4 or IPv6 address, no name. At most 8 routes, copied. SOUK_ERR_IO: errno says why.
 */
SOUK_MUST_CHECK souk_err_t souk_admin_start(const char *address, uint16_t port,
                                            const souk_admin_route_t *routes, size_t routes_count,
                                            souk_admin_t **ret_self);
uint16_t souk_admin_port(const souk_admin_t *self);
void souk_admin_stop(souk_admin_t **self_p);

#endif
