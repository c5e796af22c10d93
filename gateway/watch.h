/* What a loop thread looks after besides requests: keys, the broker, the process's health. */
#ifndef SOUK_GATEWAY_WATCH_H
#define SOUK_GATEWAY_WATCH_H

#include "gateway/gateway.h"

/* Before the thread runs: reads the keys file. */
void souk_watch_begin(souk_server_t *server);
/* Often, and cheap. */
void souk_watch_tick(souk_server_t *server, int64_t now_us);

#endif
