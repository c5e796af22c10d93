#include "orders/service.h"

#include <stdlib.h>

#include "gen/orders_handlers.h"
#include "orders/tasks.h"
#include "souk/log.h"

#define CONNECT_TIMEOUT_MS 2000

static souk_err_t s_start(const souk_worker_config_t *config, souk_loop_t *loop,
                          void **ret_service) {
    (void)loop;
    orders_service_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->config = config;
    self->currency = souk_str_of(config->store_currency);
    orders_metrics_init(&self->metrics, config->store_currency);
    souk_err_t err = souk_guest_keys_parse(souk_str_of(config->guest_keys), &self->guest_keys);
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "OR-GUEST-KEYS-INVALID",
                 SOUK_F_TEXT("setting", "SOUK_GUEST_KEYS"));
        free(self);
        return err;
    }
    err = orders_follow_new(config, &self->follow);
    if (err != SOUK_OK) {
        souk_guest_keys_done(&self->guest_keys);
        free(self);
        return err;
    }
    err = orders_erase_new(config, &self->erase);
    if (err == SOUK_OK) {
        err = orders_tasks_start(self);
    }
    if (err != SOUK_OK) {
        orders_erase_destroy(&self->erase);
        orders_follow_destroy(&self->follow);
        souk_guest_keys_done(&self->guest_keys);
        free(self);
        return err;
    }
    self->reference = orders_reference_new();
    *ret_service = self;
    return SOUK_OK;
}

static void s_stop(void *service) {
    orders_service_t *self = service;
    orders_tasks_stop(self);
    orders_erase_destroy(&self->erase);
    orders_follow_destroy(&self->follow);
    orders_reference_destroy(&self->reference);
    souk_guest_keys_done(&self->guest_keys);
    free(self);
}

static souk_err_t s_slot_start(void *service, void **ret_slot) {
    orders_service_t *self = service;
    souk_pg_t *pg = NULL;
    SOUK_TRY(souk_pg_open(
        &(souk_pg_options_t){
            .url = self->config->orders_database_url,
            .service = "orders",
            .connect_timeout_ms = CONNECT_TIMEOUT_MS,
            .health = &self->health,
        },
        &pg));
    *ret_slot = pg;
    return SOUK_OK;
}

static void s_slot_stop(void *service, void *slot) {
    (void)service;
    souk_pg_t *pg = slot;
    souk_pg_close(&pg);
}

static bool s_slot_ok(void *service, void *slot) {
    (void)service;
    return souk_pg_ok(slot);
}

static const char *s_degraded(void *service) {
    const orders_service_t *self = service;
    return souk_pg_degraded(&self->health);
}

const souk_service_t orders_service = {
    .name = "orders",
    .methods = orders_methods,
    .methods_count = ORDERS_METHODS_COUNT,
    .start = s_start,
    .stop = s_stop,
    .slot_start = s_slot_start,
    .slot_stop = s_slot_stop,
    .slot_ok = s_slot_ok,
    .degraded = s_degraded,
};
