/* The service's background tasks, on a keeper of their own: one line each in tasks.c. */
#ifndef ORDERS_TASKS_H
#define ORDERS_TASKS_H

#include "orders/service.h"
#include "runtime/keeper.h"

/* self->config is there. Errors of souk_keeper_new. */
SOUK_MUST_CHECK souk_err_t orders_tasks_start(orders_service_t *self, souk_keeper_t **ret_keeper);

/* Removes carts that have expired, in small batches (carts_purge.c). */
souk_keeper_task_t orders_carts_purge(const souk_worker_config_t *config);

/* Ends unpaid orders whose time is over; compares stock with its ledger and orders; tells how many
 * orders wait (sweep.c). */
souk_keeper_task_t orders_sweep(orders_service_t *service);
souk_keeper_task_t orders_check_books(orders_service_t *service);
souk_keeper_task_t orders_count_waiting(orders_service_t *service);

#endif
