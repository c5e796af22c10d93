/* The service's background tasks, on two keepers: the short ones (one line each in tasks.c), and
 * the books. */
#ifndef ORDERS_TASKS_H
#define ORDERS_TASKS_H

#include "orders/service.h"
#include "runtime/keeper.h"

/* self->config and self->metrics are there. Errors of souk_keeper_new: then nothing runs. */
SOUK_MUST_CHECK souk_err_t orders_tasks_start(orders_service_t *self);
void orders_tasks_stop(orders_service_t *self);

/* Removes carts that have expired, in small batches (carts_purge.c). */
souk_keeper_task_t orders_carts_purge(const souk_worker_config_t *config);

/* Ends unpaid orders whose time is over; tells how many orders wait (sweep.c). */
souk_keeper_task_t orders_sweep(orders_service_t *service);
souk_keeper_task_t orders_count_waiting(orders_service_t *service);
/* Compares stock with its ledger and orders (books.c). */
souk_keeper_task_t orders_check_books(orders_service_t *service);

#endif
