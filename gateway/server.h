/* One loop thread of the gateway. */
#ifndef SOUK_GATEWAY_SERVER_H
#define SOUK_GATEWAY_SERVER_H

#include "gateway/gateway.h"

/* A listening socket bound with SO_REUSEPORT; port 0 takes a free one, *ret_port tells which.
 * alone: nobody may listen on the port yet. SOUK_ERR_IO: errno says why. */
SOUK_MUST_CHECK souk_err_t souk_listen(const char *address, uint16_t port, bool alone, int *ret_fd,
                                       uint16_t *ret_port);

/* Takes over listen_fd. Runs nothing yet. */
SOUK_MUST_CHECK souk_err_t souk_server_new(souk_gateway_t *gateway, unsigned number, int listen_fd,
                                           souk_server_t **ret_self);
void souk_server_destroy(souk_server_t **self_p);
/* Serves on the calling thread until it has drained. */
void souk_server_run(souk_server_t *self);
/* From any thread, after gateway->draining was set: stop accepting, finish, return from run. */
void souk_server_wake(souk_server_t *self);

#endif
