#include "service.h"

#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "apply.h"
#include "availability.h"
#include "follow.h"
#include "gen/catalog_handlers.h"
#include "gen/config.h"
#include "gen/metrics.h"
#include "souk/log.h"
#include "souk/metrics.h"
#include "souk/thread.h"

struct catalog_service {
    const souk_worker_config_t *config;
    catalog_apply_t *apply;
    catalog_follow_t *follow;
    catalog_availability_t *availability; /* NULL: turned off */
    /* A flag and a condition where pthread_mutex_clocklock would do: ThreadSanitizer does not know
     * that one. */
    pthread_mutex_t mutex;
    pthread_cond_t writer_left;
    bool writer_in; /* under mutex */
};

const catalog_index_t *catalog_service_index(const catalog_service_t *self) {
    return catalog_apply_index(self->apply);
}

const char *catalog_service_currency(const catalog_service_t *self) {
    return self->config->store_currency;
}

souk_str_t catalog_service_show(catalog_service_t *self, souk_str_t document) {
    return self->availability != NULL ? catalog_availability_show(self->availability, document)
                                      : document;
}

void catalog_read_lock(catalog_service_t *self) {
    catalog_gate_read(catalog_apply_gate(self->apply));
}

void catalog_read_unlock(catalog_service_t *self) {
    catalog_gate_read_end(catalog_apply_gate(self->apply));
}

bool catalog_write_lock(catalog_service_t *self, uint32_t timeout_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (int64_t)timeout_ms * 1000000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&self->mutex);
    int rc = 0;
    while (rc == 0 && self->writer_in) {
        rc = pthread_cond_timedwait(&self->writer_left, &self->mutex, &until);
    }
    bool entered = !self->writer_in;
    self->writer_in = true;
    pthread_mutex_unlock(&self->mutex);
    return entered;
}

void catalog_write_unlock(catalog_service_t *self) {
    pthread_mutex_lock(&self->mutex);
    souk_assert(self->writer_in);
    self->writer_in = false;
    pthread_cond_signal(&self->writer_left);
    pthread_mutex_unlock(&self->mutex);
}

souk_err_t catalog_offer_changes(catalog_service_t *self, const catalog_change_t *changes,
                                 size_t count) {
    return catalog_apply_offer_changes(self->apply, changes, count);
}

bool catalog_wait_applied(catalog_service_t *self, int64_t revision, uint32_t timeout_ms) {
    return catalog_apply_wait(self->apply, revision, timeout_ms);
}

int64_t catalog_applied(const catalog_service_t *self) {
    return catalog_apply_revision(self->apply);
}

void catalog_hurry(catalog_service_t *self, int64_t revision) {
    catalog_follow_hurry(self->follow, revision);
}

bool catalog_record_reachable(const catalog_service_t *self) {
    return catalog_follow_link(self->follow) == CATALOG_LINK_UP;
}

static void s_free(catalog_service_t *self) {
    catalog_availability_destroy(&self->availability);
    catalog_apply_close(self->apply);
    catalog_follow_destroy(&self->follow);
    catalog_apply_destroy(&self->apply);
    pthread_cond_destroy(&self->writer_left);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

static souk_err_t s_start_availability(catalog_service_t *self, souk_loop_t *loop) {
    const souk_worker_config_t *config = self->config;
    if (config->catalog_availability_ms == 0) {
        return SOUK_OK;
    }
    const catalog_availability_options_t options = {
        .front = config->front,
        .name = config->name,
        .interval_ms = (uint32_t)config->catalog_availability_ms,
    };
    souk_err_t err = catalog_availability_new(&options, loop, &self->availability);
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "CA-FRONT-INVALID", SOUK_F_TEXT("setting", "SOUK_BROKER_FRONT"),
                 SOUK_F_TEXT("code", souk_err_info(err)->code));
    }
    return err;
}

static souk_err_t s_start(const souk_worker_config_t *config, souk_loop_t *loop,
                          void **ret_service) {
    mongoc_init();
    catalog_service_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->config = config;
    souk_cond_init(&self->writer_left);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    self->apply = catalog_apply_new(loop);
    if (config->snapshot_directory[0] != '\0') {
        (void)mkdir(config->snapshot_directory,
                    0750); /* when that fails, writing the file says so */
    }
    const catalog_follow_options_t options = {
        .uri = config->mongodb_uri,
        .currency = config->store_currency,
        .snapshot_directory = config->snapshot_directory,
        .snapshot_name = config->name,
        .poll_ms = (uint32_t)config->catalog_poll_ms,
        .snapshot_interval_ms = (uint32_t)config->catalog_snapshot_ms,
        .trim_days = (uint32_t)config->catalog_trim_days,
        .trim_interval_ms = (uint32_t)config->catalog_trim_ms,
    };
    souk_err_t err = catalog_follow_new(&options, self->apply, &self->follow);
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "CA-URI-INVALID", SOUK_F_TEXT("setting", "SOUK_MONGODB_URI"),
                 SOUK_F_TEXT("needs", "a MongoDB connection string that names a database"));
    } else {
        err = s_start_availability(self, loop);
    }
    if (err != SOUK_OK) {
        s_free(self);
        return err;
    }
    *ret_service = self;
    return SOUK_OK;
}

static void s_stop(void *service) {
    s_free(service);
    mongoc_cleanup();
}

static souk_err_t s_slot_start(void *service, void **ret_slot) {
    catalog_service_t *self = service;
    catalog_store_t *store = NULL;
    SOUK_TRY(catalog_store_new(self->config->mongodb_uri, &store));
    *ret_slot = store;
    return SOUK_OK;
}

static void s_slot_stop(void *service, void *slot) {
    (void)service;
    catalog_store_t *store = slot;
    catalog_store_destroy(&store);
}

static bool s_turn(void *service) {
    catalog_service_t *self = service;
    bool more = catalog_apply_turn(self->apply);
    if (self->availability != NULL && catalog_availability_turn(self->availability)) {
        more = true;
    }
    const catalog_index_t *index = catalog_service_index(self);
    if (index != NULL) {
        souk_metric_set(souk_metric(SOUK_METRIC_CATALOG_REVISION, NULL),
                        catalog_index_revision(index));
        souk_metric_set(souk_metric(SOUK_METRIC_CATALOG_ENTITIES, NULL),
                        (int64_t)catalog_index_entities(index));
    }
    return more;
}

static bool s_ready(void *service) {
    const catalog_service_t *self = service;
    return catalog_service_index(self) != NULL;
}

static const char *s_degraded(void *service) {
    const catalog_service_t *self = service;
    return catalog_record_reachable(self)
               ? NULL
               : "the catalogue's database is away: reads go on, writes are refused";
}

const souk_service_t catalog_service = {
    .name = "catalog",
    .methods = catalog_methods,
    .methods_count = CATALOG_METHODS_COUNT,
    .start = s_start,
    .stop = s_stop,
    .slot_start = s_slot_start,
    .slot_stop = s_slot_stop,
    .turn = s_turn,
    .ready = s_ready,
    .degraded = s_degraded,
};
