/* The broker as a process: two ROUTERs, one loop, the core between them. */
#ifndef SOUK_BROKER_REACTOR_H
#define SOUK_BROKER_REACTOR_H

#include "gen/config.h"
#include "souk/err.h"
#include "status.h"

typedef struct souk_reactor souk_reactor_t;

/* Binds both sockets and takes SIGTERM and SIGINT from now on; call before other threads start.
 * status is borrowed. SOUK_ERR_IO: logged. */
SOUK_MUST_CHECK souk_err_t souk_reactor_new(const souk_broker_config_t *config,
                                            souk_status_t *status, souk_reactor_t **ret_self);
/* Until a signal came and what was held is finished. */
SOUK_MUST_CHECK souk_err_t souk_reactor_run(souk_reactor_t *self);
/* Sends what is pending, within a second. */
void souk_reactor_destroy(souk_reactor_t **self_p);

#endif
