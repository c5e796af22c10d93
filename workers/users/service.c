#include "service.h"

#include <stdlib.h>

#include "gen/metrics.h"
#include "gen/users_handlers.h"
#include "keys.h"
#include "purge.h"
#include "souk/log.h"

#define CONNECT_TIMEOUT_MS 2000

static souk_pg_options_t s_pg_options(users_t *self) {
    return (souk_pg_options_t){.url = self->config->users_database_url,
                               .service = "users",
                               .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                               .health = &self->health};
}

static souk_err_t s_start_keeper(users_t *self) {
    souk_keeper_task_t tasks[USERS_TASKS];
    users_tasks(self, tasks);
    const souk_keeper_options_t options = {
        .pg = s_pg_options(self), .tasks = tasks, .tasks_count = USERS_TASKS};
    souk_err_t err = souk_keeper_new(&options, &self->keeper);
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "US-SETTING-INVALID",
                 SOUK_F_TEXT("setting", "SOUK_USERS_DATABASE_URL"),
                 SOUK_F_TEXT("needs", "a PostgreSQL connection string"));
        return err;
    }
    souk_keeper_hurry(self->keeper, USERS_TASK_KEYS);
    return SOUK_OK;
}

static void s_stop(void *service) {
    users_t *self = service;
    souk_keeper_destroy(&self->keeper);
    users_keys_destroy(&self->keys);
    users_hasher_destroy(&self->hasher);
    free(self);
}

static souk_err_t s_start(const souk_worker_config_t *config, souk_loop_t *loop,
                          void **ret_service) {
    (void)loop;
    users_secret_t secret;
    if (users_secret_parse(config->users_secret_key, &secret) != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "US-SETTING-INVALID",
                 SOUK_F_TEXT("setting", "SOUK_USERS_SECRET_KEY"),
                 SOUK_F_TEXT("needs", "64 hexadecimal digits"));
        return SOUK_ERR_VALIDATION;
    }
    users_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->config = config;
    self->secret = secret;
    self->hashes = souk_metric(SOUK_METRIC_USERS_HASHES_TOTAL, NULL);
    self->hashes_running = souk_metric(SOUK_METRIC_USERS_HASHES_RUNNING, NULL);
    self->keys_age = souk_metric(SOUK_METRIC_USERS_KEYS_AGE_SECONDS, NULL);
    /* One slot stays free for calls that hash nothing: refreshes, profiles, admins. */
    uint32_t inside_max = config->slots > 1 ? (uint32_t)config->slots - 1 : 1;
    uint32_t running_max = (uint32_t)config->users_hashes_max;
    const users_hasher_options_t options = {
        .operations = (uint64_t)config->users_argon2_operations,
        .memory_bytes = (size_t)config->users_argon2_memory_kib * 1024,
        .running_max = running_max < inside_max ? running_max : inside_max,
        .inside_max = inside_max,
        .wait_ms = (uint32_t)config->users_hash_wait_ms,
    };
    self->hasher = users_hasher_new(&options);
    self->keys = users_keys_new();
    souk_err_t err = s_start_keeper(self);
    if (err != SOUK_OK) {
        s_stop(self);
        return err;
    }
    *ret_service = self;
    return SOUK_OK;
}

static souk_err_t s_slot_start(void *service, void **ret_slot) {
    souk_pg_options_t options = s_pg_options(service);
    souk_pg_t *pg = NULL;
    SOUK_TRY(souk_pg_open(&options, &pg));
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

/* Ten times a second: the gauges are set here too. */
static bool s_ready(void *service) {
    const users_t *self = service;
    souk_metric_set(self->hashes_running, users_hasher_running(self->hasher));
    souk_metric_set_us(self->keys_age, users_keys_age_us(self->keys));
    return users_keys_loaded(self->keys);
}

static const char *s_degraded(void *service) {
    const users_t *self = service;
    return souk_pg_degraded(&self->health);
}

const souk_service_t users_service = {
    .name = "users",
    .methods = users_methods,
    .methods_count = USERS_METHODS_COUNT,
    .start = s_start,
    .stop = s_stop,
    .slot_start = s_slot_start,
    .slot_stop = s_slot_stop,
    .slot_ok = s_slot_ok,
    .ready = s_ready,
    .degraded = s_degraded,
};
