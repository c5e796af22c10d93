/* What the gateway answers itself: /, /docs, /openapi.json, /healthz, /readyz. */
#ifndef SOUK_GATEWAY_PAGES_H
#define SOUK_GATEWAY_PAGES_H

#include "gateway/exchange.h"
#include "gateway/router.h"

/* Adds the pages' routes. */
void souk_pages_add(souk_router_t *router);
/* local: as it stands in the router's entry. if_none_match: data NULL when absent. */
void souk_pages_answer(souk_exchange_t *exchange, const void *local, souk_str_t if_none_match);

#endif
