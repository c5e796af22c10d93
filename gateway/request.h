/* What becomes of a request: its head is judged as soon as it is there, the rest when the body is.
 */
#ifndef SOUK_GATEWAY_REQUEST_H
#define SOUK_GATEWAY_REQUEST_H

#include "gateway/exchange.h"

/* At the end of the head: fills the exchange, checks rate, route, credentials and type of content,
 * sets http1->body_bytes_max. The exchange is answered here when one of them fails. */
void souk_request_begin(souk_exchange_t *exchange, souk_http1_t *http1, const souk_buf_t *in);

/* The request is whole: answers it, or sends it to its service. Nothing of in is needed afterwards.
 */
void souk_request_run(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in);

/* Fills what error answers tell (ids, method, path) from as much of a request as could be read. */
void souk_request_describe(souk_exchange_t *exchange, const souk_http1_t *http1,
                           const souk_buf_t *in);

#endif
