/* The transport: frames between peers, libzmq behind it. One thread owns a bus. Hot path: raw libzmq, one frame per message, drained in
 * bursts, flushed once a turn.
 *
 * Appended envelopes for one peer are joined into frames of at most SOUK_FRAME_BYTES_MAX (or one envelope). What the socket does not take now stays
 * queued, bounded by pending_bytes_max per peer; beyond that append fails with SOUK_ERR_OVERLOADED and the caller decides. */
#ifndef SOUK_BUS_H
#define SOUK_BUS_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"
#include "souk/loop.h"

typedef struct souk_bus souk_bus_t;
typedef uint32_t souk_peer_t; /* dense number of a peer on a ROUTER; 0 for the one peer of a DEALER */

typedef struct {
    const char *endpoint; /* tcp://..., ipc://... */
    bool bind;            /* true: ROUTER that binds; false: DEALER that connects */
    size_t peers_max;     /* ROUTER: further peers are ignored (on_overflow counts) */
    size_t pending_bytes_max;
    size_t frame_bytes_max; /* ZMQ_MAXMSGSIZE */
    int heartbeat_ms;       /* ZMTP heartbeat interval; time-out is three times that; 0: off */
    int linger_ms;
    /* One frame, borrowed for the call. */
    void (*on_frame)(void *arg, souk_peer_t peer, souk_str_t frame);
    /* ROUTER: a send told that the peer is gone (EHOSTUNREACH); its number is free for reuse after this call. */
    void (*on_gone)(void *arg, souk_peer_t peer);
    void *arg;
} souk_bus_options_t;

SOUK_MUST_CHECK souk_err_t souk_bus_open(souk_loop_t *loop, const souk_bus_options_t *options, souk_bus_t **ret_self);
/* Flushes what it can within linger_ms. */
void souk_bus_close(souk_bus_t **self_p);
/* The endpoint really bound (for port 0). */
const char *souk_bus_endpoint(const souk_bus_t *self);

/* A buffer to append exactly one envelope to, for this peer; then souk_bus_commit, which returns SOUK_ERR_OVERLOADED (nothing queued) when pending_bytes_max
 * is met or the envelope overflowed. */
souk_buf_t *souk_bus_begin(souk_bus_t *self, souk_peer_t peer);
SOUK_MUST_CHECK souk_err_t souk_bus_commit(souk_bus_t *self);
/* Forgets a ROUTER's peer and what is pending for it. */
void souk_bus_forget(souk_bus_t *self, souk_peer_t peer);
size_t souk_bus_pending_bytes(const souk_bus_t *self, souk_peer_t peer);

typedef struct {
    uint64_t frames_in, frames_out, bytes_in, bytes_out, peers_refused;
} souk_bus_stats_t;
void souk_bus_stats(const souk_bus_t *self, souk_bus_stats_t *ret);

#endif
