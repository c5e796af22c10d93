#include "orders/tasks.h"

#define CONNECT_TIMEOUT_MS 5000

static souk_err_t s_start(const orders_service_t *self, const souk_keeper_task_t *tasks,
                          size_t tasks_count, souk_keeper_t **ret_keeper) {
    return souk_keeper_new(
        &(souk_keeper_options_t){.pg = {.url = self->config->orders_database_url,
                                        .service = "orders",
                                        .connect_timeout_ms = CONNECT_TIMEOUT_MS},
                                 .tasks = tasks,
                                 .tasks_count = tasks_count},
        ret_keeper);
}

souk_err_t orders_tasks_start(orders_service_t *self) {
    const souk_keeper_task_t tasks[] = {
        souk_keeper_purge_keys(self->config->idempotency_keep_hours),
        orders_carts_purge(self->config),
        orders_sweep(self),
        orders_count_waiting(self),
    };
    const souk_keeper_task_t books = orders_check_books(self);
    SOUK_TRY(s_start(self, tasks, SOUK_COUNT_OF(tasks), &self->keeper));
    souk_err_t err = s_start(self, &books, 1, &self->books_keeper);
    if (err != SOUK_OK) {
        souk_keeper_destroy(&self->keeper);
    }
    return err;
}

void orders_tasks_stop(orders_service_t *self) {
    souk_keeper_destroy(&self->keeper);
    souk_keeper_destroy(&self->books_keeper);
}
