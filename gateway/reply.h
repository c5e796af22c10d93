/* A call's outcome -> the answer. */
#ifndef SOUK_GATEWAY_REPLY_H
#define SOUK_GATEWAY_REPLY_H

#include "gateway/exchange.h"
#include "souk/client.h"

void souk_reply_answer(souk_exchange_t *exchange, const souk_outcome_t *outcome);

#endif
