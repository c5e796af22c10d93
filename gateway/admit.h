/* Lets a request pass, or answers it: rates of the address and of who asks, credentials. */
#ifndef SOUK_GATEWAY_ADMIT_H
#define SOUK_GATEWAY_ADMIT_H

#include "gateway/exchange.h"

/* The client's address: the connection's, or the one that proxies told (forwarded-hops). */
const souk_address_t *souk_admit_address(const souk_exchange_t *exchange);

/* Takes one request of the address's rate. False: answered with 429. */
bool souk_admit_client(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in);
/* Whether whoever asks may use the route; notes the principal. False: answered. Nothing is looked
 * at where the route is for anybody. */
bool souk_admit_begin(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in);
/* The same once more before the call, when something was withdrawn or has ended while the body
 * came. */
bool souk_admit_call(souk_exchange_t *exchange, const souk_http1_t *http1, const souk_buf_t *in);

#endif
