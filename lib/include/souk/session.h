/* One session with one broker (docs/protocol.md, section 2), for clients and workers: HELLO until
 * WELCOME, heartbeats both ways, GOAWAY, and again from the start when it is lost. The owner sees
 * sessions begin and end, and the envelopes in between. On one loop. */
#ifndef SOUK_SESSION_H
#define SOUK_SESSION_H

#include "souk/base.h"
#include "souk/bus.h"
#include "souk/envelope.h"
#include "souk/err.h"
#include "souk/loop.h"

typedef struct souk_session souk_session_t;

typedef enum {
    SOUK_SESSION_SILENCE = 1, /* three heartbeats without a sign of life */
    SOUK_SESSION_UNKNOWN,     /* the broker does not know it (any more): GOAWAY 1 */
    SOUK_SESSION_REJECTED,    /* GOAWAY 3 and above; tries again after some seconds */
    SOUK_SESSION_REPLACED,    /* the broker began another one */
} souk_session_end_t;

typedef struct {
    const char *endpoint;
    souk_role_t role;
    const char *name;
    uint32_t heartbeat_ms; /* the wish; WELCOME decides */
    size_t pending_bytes_max;
    int linger_ms;
    /* Callbacks may use the session, but not close it. What they get is borrowed. */
    void (*on_up)(void *arg, const souk_envelope_t *welcome);
    /* What was outstanding is lost; what was pending is dropped. text: what a rejecting broker
     * said, else empty. */
    void (*on_down)(void *arg, souk_session_end_t why, souk_str_t text);
    /* All but HELLO, WELCOME, GOAWAY, PING, PONG, within a session. err: SOUK_OK, or
     * SOUK_ERR_MALFORMED for a REQ that can be answered (souk_envelope_read). */
    void (*on_envelope)(void *arg, const souk_envelope_t *envelope, souk_err_t err);
    void *arg;
} souk_session_options_t;

/* Says HELLO as soon as the broker is there. Options and texts are copied. SOUK_ERR_IO: as
 * souk_bus_open. */
SOUK_MUST_CHECK souk_err_t souk_session_open(souk_loop_t *loop,
                                             const souk_session_options_t *options,
                                             souk_session_t **ret_self);
/* Sends what is pending within linger_ms, blocking. No callback runs. */
void souk_session_close(souk_session_t **self_p);

bool souk_session_is_up(const souk_session_t *self);
/* Up, and the broker did not say that it is stopping (GOAWAY 2): new requests are welcome. */
bool souk_session_takes_requests(const souk_session_t *self);
/* As souk_bus_begin and souk_bus_commit; SOUK_ERR_CLOSED while there is no session. */
souk_buf_t *souk_session_begin(souk_session_t *self);
SOUK_MUST_CHECK souk_err_t souk_session_commit(souk_session_t *self);

/* Of the last WELCOME; 0 before the first. */
size_t souk_session_envelope_bytes_max(const souk_session_t *self);
size_t souk_session_pending_bytes(const souk_session_t *self);
const char *souk_session_endpoint(const souk_session_t *self);

typedef struct {
    uint64_t sessions;    /* begun */
    uint64_t malformed;   /* envelopes that could not be read */
    uint64_t unsupported; /* envelopes of unknown type or version */
    uint64_t unsent;      /* HELLO, PING, PONG for which there was no room */
} souk_session_stats_t;
void souk_session_stats(const souk_session_t *self, souk_session_stats_t *ret);

#endif
