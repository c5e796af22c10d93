/* What the bus asks of a transport: whole frames in and out of one socket, without ever blocking.
 * libzmq is behind it (bus_zmq.c); an engine of our own can take its place without a change above.
 */
#ifndef SOUK_TRANSPORT_H
#define SOUK_TRANSPORT_H

#include "souk/bus.h"

typedef struct souk_transport souk_transport_t;

/* SOUK_ERR_IO: errno says why. */
SOUK_MUST_CHECK souk_err_t souk_transport_open(const souk_bus_options_t *options,
                                               souk_transport_t **ret_self);
/* What the socket took and the network did not yet is sent for up to linger_ms; may block for that
 * long. */
void souk_transport_close(souk_transport_t **self_p, int linger_ms);
/* Becomes readable when something happened; edge-triggered, and every call below may eat the edge.
 */
int souk_transport_fd(const souk_transport_t *self);
const char *souk_transport_endpoint(const souk_transport_t *self);

/* One frame, borrowed until the next call. SOUK_ERR_RETRY: no more has arrived, and the edge is
 * armed. A message that was read and dropped: SOUK_ERR_MALFORMED (framing), SOUK_ERR_OVERLOADED (no
 * number left for a new peer). */
SOUK_MUST_CHECK souk_err_t souk_transport_recv(souk_transport_t *self, souk_peer_t *ret_peer,
                                               souk_str_t *ret_frame);
/* Copies the frame. SOUK_ERR_RETRY: no room now. SOUK_ERR_CLOSED: the peer is gone; its number
 * stays until forgotten. */
SOUK_MUST_CHECK souk_err_t souk_transport_send(souk_transport_t *self, souk_peer_t peer,
                                               souk_str_t frame);
/* After a send that found no room: whether it is worth trying again at once, be it to read (the
 * send may have eaten the edge) or to send. */
bool souk_transport_ready(souk_transport_t *self);
/* Frees a ROUTER's number. */
void souk_transport_forget(souk_transport_t *self, souk_peer_t peer);

#endif
