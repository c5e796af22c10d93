#include "orders/tasks.h"

#define CONNECT_TIMEOUT_MS 5000

souk_err_t orders_tasks_start(orders_service_t *self, souk_keeper_t **ret_keeper) {
    const souk_keeper_task_t tasks[] = {
        souk_keeper_purge_keys(self->config->idempotency_keep_hours),
        orders_carts_purge(self->config),
        orders_sweep(self),
        orders_check_books(self),
        orders_count_waiting(self),
    };
    return souk_keeper_new(
        &(souk_keeper_options_t){.pg = {.url = self->config->orders_database_url,
                                        .service = "orders",
                                        .connect_timeout_ms = CONNECT_TIMEOUT_MS},
                                 .tasks = tasks,
                                 .tasks_count = SOUK_COUNT_OF(tasks)},
        ret_keeper);
}
