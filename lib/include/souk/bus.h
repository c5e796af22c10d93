/* Frames between peers over one socket, libzmq behind it. One thread owns a bus: the loop's. One
 * frame per ZeroMQ message, drained in bursts, flushed once a turn.
 *
 * Appended envelopes for one peer are joined into frames of at most SOUK_FRAME_BYTES_MAX (or one
 * envelope). What the socket does not take now stays queued, bounded by pending_bytes_max per peer;
 * beyond that append fails with SOUK_ERR_OVERLOADED and the caller decides. */
#ifndef SOUK_BUS_H
#define SOUK_BUS_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"
#include "souk/loop.h"

typedef struct souk_bus souk_bus_t;
typedef uint32_t
    souk_peer_t; /* on a ROUTER a number below peers_max; 0 for the one peer of a DEALER */

typedef struct {
    const char *endpoint; /* tcp://..., ipc://...; IPv6 literals in brackets */
    bool bind;            /* true: ROUTER that binds; false: DEALER that connects */
    bool ipv6;            /* host names stand for IPv6 addresses too, and "*" for both families */
    size_t peers_max; /* ROUTER: frames of further peers are dropped and counted (peers_refused) */
    size_t pending_bytes_max;
    /* Also the longest envelope to send. A longer frame ends its sender's connection. */
    size_t frame_bytes_max;
    int heartbeat_ms; /* ZMTP heartbeat interval; time-out is three times that; 0: off */
    int linger_ms;
    /* One frame, borrowed for the call. May begin, commit and forget, but not close. */
    void (*on_frame)(void *arg, souk_peer_t peer, souk_str_t frame);
    /* ROUTER: a send told that the peer is gone (EHOSTUNREACH), or, while peers_max is met, that it
     * was silent for SOUK_BUS_SILENT_S. Its number is free for reuse after this call. May begin and
     * commit for others, but not close. */
    void (*on_gone)(void *arg, souk_peer_t peer);
    void *arg;
} souk_bus_options_t;

/* Longer than any session lives without a sign of life (docs/protocol.md, section 2). */
#define SOUK_BUS_SILENT_S 60

/* SOUK_ERR_IO: errno is libzmq's (zmq_strerror), as when the address is in use. Options are copied.
 */
SOUK_MUST_CHECK souk_err_t souk_bus_open(souk_loop_t *loop, const souk_bus_options_t *options,
                                         souk_bus_t **ret_self);
/* Flushes what it can within linger_ms, blocking. Not from on_frame or on_gone. */
void souk_bus_close(souk_bus_t **self_p);
/* The endpoint really bound (for port 0), or the one given. */
const char *souk_bus_endpoint(const souk_bus_t *self);

/* A buffer to append exactly one envelope to, for this peer (never NULL); then souk_bus_commit
 * before the next begin. Commit queues nothing and returns SOUK_ERR_OVERLOADED when
 * pending_bytes_max is met or the envelope is longer than frame_bytes_max, SOUK_ERR_CLOSED when
 * there is no such peer (any more). */
souk_buf_t *souk_bus_begin(souk_bus_t *self, souk_peer_t peer);
SOUK_MUST_CHECK souk_err_t souk_bus_commit(souk_bus_t *self);
/* Drops what is pending for the peer. A ROUTER also forgets the peer: its number is free, and if it
 * sends again it gets one anew. */
void souk_bus_forget(souk_bus_t *self, souk_peer_t peer);
size_t souk_bus_pending_bytes(const souk_bus_t *self, souk_peer_t peer);

typedef struct {
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
    /* Messages of more than one frame, or from a peer that set a routing id: dropped. */
    uint64_t frames_malformed;
    uint64_t peers_refused; /* frames dropped because peers_max was met */
} souk_bus_stats_t;
void souk_bus_stats(const souk_bus_t *self, souk_bus_stats_t *ret);

#endif
