/* A broker that the worker serves: its session (souk/session.h), numbered so that an answer finds
 * the session its request came in. Belongs to the bus thread. */
#ifndef RUNTIME_LINK_H
#define RUNTIME_LINK_H

#include "souk/session.h"

typedef struct souk_link souk_link_t;

typedef struct {
    const char *name; /* borrowed */
    uint32_t heartbeat_ms;
    size_t pending_bytes_max;
    uint32_t number;
    /* A session begins: say READY and CREDIT. */
    void (*on_up)(void *arg, souk_link_t *link);
    /* It is lost: what was received in it needs no answer. */
    void (*on_down)(void *arg, souk_link_t *link);
    /* REQ, CANCEL or DRAINED, borrowed for the call. err: SOUK_OK, or SOUK_ERR_MALFORMED for a REQ
     * of which only corr is sound. */
    void (*on_envelope)(void *arg, souk_link_t *link, const souk_envelope_t *envelope,
                        souk_err_t err);
    void *arg;
} souk_link_options_t;

SOUK_MUST_CHECK souk_err_t souk_link_new(souk_loop_t *loop, souk_str_t endpoint,
                                         const souk_link_options_t *options,
                                         souk_link_t **ret_self);
void souk_link_destroy(souk_link_t **self_p);

bool souk_link_up(const souk_link_t *self);
/* Grows by one with each session. */
uint32_t souk_link_generation(const souk_link_t *self);
uint32_t souk_link_number(const souk_link_t *self);
/* Of the session: the largest envelope that the broker takes. */
size_t souk_link_envelope_bytes_max(const souk_link_t *self);

/* Adds to the metrics what the session has counted since the last time. */
void souk_link_count(souk_link_t *self);

/* A buffer to write one envelope to, then the commit. SOUK_ERR_OVERLOADED: nothing was queued. Only
 * while up. */
souk_buf_t *souk_link_begin(souk_link_t *self);
SOUK_MUST_CHECK souk_err_t souk_link_commit(souk_link_t *self);

#endif
