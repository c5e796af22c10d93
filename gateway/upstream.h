/* Calls to services over the bus. */
#ifndef SOUK_GATEWAY_UPSTREAM_H
#define SOUK_GATEWAY_UPSTREAM_H

#include "gateway/exchange.h"
#include "souk/envelope.h"

/* Sends the request (all but what the exchange knows: service, method, priority, time-out, ids are
 * filled in here); the exchange is answered when its outcome is there, or at once when it cannot be
 * sent. The texts of req are borrowed for the call. */
void souk_upstream_call(souk_exchange_t *exchange, souk_req_t *req);
/* The answer is not wanted any more. Harmless when there is no outstanding call. */
void souk_upstream_cancel(souk_exchange_t *exchange);

#endif
