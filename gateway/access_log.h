/* The record of an answered request: one GW-ACCESS line, and the route's metrics. */
#ifndef SOUK_GATEWAY_ACCESS_LOG_H
#define SOUK_GATEWAY_ACCESS_LOG_H

#include "gateway/exchange.h"

/* bytes: of head and body as sent. */
void souk_access_log(souk_exchange_t *exchange, size_t bytes);

#endif
