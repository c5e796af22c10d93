/* The bus actor of souk-worker: sessions with the brokers, admission, inline handlers, slots,
 * answers, drain. One thread, one loop; nothing here blocks. See worker.c for the notes. */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include "runtime/service.h"
#include "souk/loop.h"

typedef struct souk_worker souk_worker_t;

/* Starts the services, the slots and the sessions. services ends with NULL; those that config names
 * are served. All is borrowed and outlives the worker. SOUK_ERR_VALIDATION: config names a service
 * that is not there, or a bad endpoint (logged). */
SOUK_MUST_CHECK souk_err_t souk_worker_new(souk_loop_t *loop, const souk_worker_config_t *config,
                                           const souk_service_t *const *services,
                                           souk_worker_t **ret_self);
/* Stops slots and services. Only when no slot is busy. */
void souk_worker_destroy(souk_worker_t **self_p);

/* Runs the loop until drained. SOUK_ERR_TIMEOUT: the drain took too long and calls still run; the
 * process can only exit. */
SOUK_MUST_CHECK souk_err_t souk_worker_run(souk_worker_t *self);
/* From a signal handler: leave. */
void souk_worker_ask_drain(souk_worker_t *self);

#endif
