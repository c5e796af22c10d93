#include "follow.h"

#include <stdlib.h>
#include <time.h>

#include "follow_impl.h"
#include "gen/metrics.h"
#include "snapshot.h"
#include "souk/clock.h"
#include "souk/log.h"
#include "souk/metrics.h"
#include "souk/thread.h"
#include "trim.h"

#define RETRY_MS 1000
#define PROGRESS_EVERY 2000
#define FETCH_ARENA_BYTES ((size_t)256 * 1024 * 1024)
#define FETCH_ARENA_KEEP_BYTES ((size_t)1024 * 1024)
#define US_PER_DAY (86400LL * 1000 * US_PER_MS)

bool catalog_follow_stopping(void *arg) {
    catalog_follow_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    bool stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return stop;
}

/* Until somebody hurries us, we are to stop, or the time is over. */
static void s_pause(catalog_follow_t *self, uint32_t ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + (int64_t)ms * 1000000;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&self->mutex);
    int rc = 0;
    while (rc == 0 && !self->stop && !self->hurried) {
        rc = pthread_cond_timedwait(&self->wake, &self->mutex, &until);
    }
    if (self->hurried) {
        self->look_past_at_us = 0;
    }
    self->hurried = false;
    pthread_mutex_unlock(&self->mutex);
}

static void s_set_link(catalog_follow_t *self, catalog_link_t link) {
    int before = atomic_exchange(&self->link, (int)link);
    souk_metric_set(souk_metric(SOUK_METRIC_CATALOG_RECORD_UP, NULL), link == CATALOG_LINK_UP);
    if (before != (int)link) {
        souk_log(link == CATALOG_LINK_UP ? SOUK_LOG_INFO : SOUK_LOG_WARN,
                 link == CATALOG_LINK_UP ? "CA-RECORD-UP" : "CA-RECORD-AWAY",
                 SOUK_F_INT("applied", self->sent));
    }
}

/* ---- loading ---- */

typedef struct {
    catalog_follow_t *self;
    catalog_index_t *index;
    int64_t seen;
} load_t;

static souk_err_t s_load_one(void *arg, const catalog_revision_t *revision) {
    load_t *load = arg;
    if (catalog_index_apply(load->index, &revision->change) != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "CA-CHANGE-UNREADABLE",
                 SOUK_F_INT("revision", revision->change.revision),
                 SOUK_F_STR("entity", revision->change.entity_id));
        catalog_index_skip(load->index, revision->change.revision);
    }
    if (++load->seen % PROGRESS_EVERY == 0) {
        souk_log(SOUK_LOG_INFO, "CA-LOADING", SOUK_F_INT("revisions", load->seen));
        if (catalog_follow_stopping(load->self)) {
            return SOUK_ERR_CANCELLED;
        }
    }
    return SOUK_OK;
}

/* Hands a finished index over, and waits until it is served: the revision of the old one, which may
 * be higher, must not be taken for that of the new one. The mailbox may be full of changes to the
 * old one: those are applied soon. */
static souk_err_t s_hand_over(catalog_follow_t *self, catalog_index_t **index_p) {
    catalog_index_set_record(*index_p, self->identity);
    int64_t revision = catalog_index_revision(*index_p);
    uint64_t indexes = catalog_apply_indexes(self->apply);
    souk_err_t err = SOUK_ERR_OVERLOADED;
    while (err == SOUK_ERR_OVERLOADED && !catalog_follow_stopping(self)) {
        err = catalog_apply_offer_index(self->apply, index_p);
        if (err == SOUK_ERR_OVERLOADED) {
            s_pause(self, APPLY_WAIT_MS);
        }
    }
    SOUK_TRY(err);
    while (!catalog_apply_wait_index(self->apply, indexes, APPLY_WAIT_MS)) {
        if (catalog_follow_stopping(self)) {
            return SOUK_ERR_CANCELLED;
        }
    }
    self->sent = revision;
    self->barren = 0;
    self->loaded = true;
    return SOUK_OK;
}

souk_err_t catalog_follow_load(catalog_follow_t *self) {
    int64_t started_us = souk_clock_mono_us();
    load_t load = {.self = self, .index = catalog_index_new(self->options.currency)};
    uint64_t unreadable = 0;
    souk_err_t err = catalog_store_scan(self->store, 0, s_load_one, &load, &unreadable);
    if (err == SOUK_OK) {
        souk_log(SOUK_LOG_INFO, "CA-LOADED", SOUK_F_TEXT("from", "record"),
                 SOUK_F_INT("revisions", load.seen),
                 SOUK_F_INT("revision", catalog_index_revision(load.index)),
                 SOUK_F_INT("unreadable", unreadable),
                 SOUK_F_INT("ms", (souk_clock_mono_us() - started_us) / US_PER_MS));
        err = s_hand_over(self, &load.index);
    }
    catalog_index_destroy(&load.index);
    return err;
}

static void s_load_snapshot(catalog_follow_t *self) {
    if (self->options.snapshot_directory[0] == '\0') {
        return;
    }
    int64_t started_us = souk_clock_mono_us();
    catalog_index_t *index = NULL;
    souk_err_t err = catalog_snapshot_load(self->options.snapshot_directory, self->options.currency,
                                           &index, self->identity);
    if (err == SOUK_OK) {
        self->snapshot_revision = catalog_index_revision(index);
        souk_log(SOUK_LOG_INFO, "CA-LOADED", SOUK_F_TEXT("from", "snapshot"),
                 SOUK_F_INT("revision", catalog_index_revision(index)),
                 SOUK_F_INT("ms", (souk_clock_mono_us() - started_us) / US_PER_MS));
        err = s_hand_over(self, &index);
    }
    if (err != SOUK_OK && err != SOUK_ERR_NOT_FOUND) {
        souk_log(SOUK_LOG_WARN, "CA-SNAPSHOT-UNUSABLE",
                 SOUK_F_TEXT("code", souk_err_info(err)->code));
    }
    catalog_index_destroy(&index);
}

/* ---- housekeeping ---- */

static void s_write_snapshot(catalog_follow_t *self) {
    int64_t now_us = souk_clock_mono_us();
    self->snapshot_at_us = now_us + (int64_t)self->options.snapshot_interval_ms * US_PER_MS;
    int64_t applied = catalog_apply_revision(self->apply);
    if (self->options.snapshot_directory[0] == '\0' || !self->loaded || self->identity[0] == '\0' ||
        applied <= self->snapshot_revision) {
        return;
    }
    catalog_gate_t *gate = catalog_apply_gate(self->apply);
    catalog_gate_read(gate);
    const catalog_index_t *index = catalog_apply_index(self->apply);
    catalog_snapshot_t *snapshot =
        index != NULL ? catalog_snapshot_collect(index, self->identity) : NULL;
    catalog_gate_read_end(gate);
    if (snapshot == NULL) {
        return;
    }
    souk_err_t err = catalog_snapshot_write(snapshot, self->options.snapshot_directory,
                                            self->options.snapshot_name);
    catalog_snapshot_destroy(&snapshot);
    if (err == SOUK_OK) {
        self->snapshot_revision = applied;
    } else {
        souk_log(SOUK_LOG_WARN, "CA-SNAPSHOT-FAILED",
                 SOUK_F_TEXT("directory", self->options.snapshot_directory));
    }
}

static souk_err_t s_trim(catalog_follow_t *self) {
    self->trim_at_us = souk_clock_mono_us() + (int64_t)self->options.trim_interval_ms * US_PER_MS;
    if (self->options.trim_days == 0) {
        return SOUK_OK;
    }
    int64_t older_than_us = souk_clock_unix_us() - (int64_t)self->options.trim_days * US_PER_DAY;
    return catalog_trim(self->store, self->apply, older_than_us, catalog_follow_stopping, self);
}

/* ---- the thread ---- */

/* Whether the index is of this database, and no newer than it: after a backup was put back, or with
 * a snapshot file that is newer than one, the last revision of the index is not in the record.
 * (It may also have been trimmed, after months: then reading all anew is no harm.) Until the index
 * is replaced nothing may be written by it. */
static souk_err_t s_check_loaded(catalog_follow_t *self, const char *identity) {
    int64_t applied = catalog_apply_revision(self->apply);
    souk_err_t err = SOUK_OK;
    if (!self->loaded) {
        return SOUK_OK;
    }
    bool other = strcmp(identity, self->identity) != 0;
    if (!other && applied > 0) {
        catalog_revision_t last;
        souk_arena_reset(self->arena);
        err = catalog_store_find(self->store, applied, self->arena, &last);
    }
    if (!other && err != SOUK_ERR_NOT_FOUND) {
        return err == SOUK_ERR_MALFORMED ? SOUK_OK : err;
    }
    souk_log(SOUK_LOG_WARN, other ? "CA-OTHER-DATABASE" : "CA-RECORD-WENT-BACK",
             SOUK_F_TEXT("was", self->identity), SOUK_F_TEXT("is", identity),
             SOUK_F_INT("applied", applied));
    s_set_link(self, CATALOG_LINK_DOWN);
    self->loaded = false;
    pthread_mutex_lock(&self->mutex);
    self->known = 0;
    pthread_mutex_unlock(&self->mutex);
    return SOUK_OK;
}

static souk_err_t s_step(catalog_follow_t *self) {
    char identity[CATALOG_IDENTITY_CHARS + 1];
    if (!self->prepared) {
        SOUK_TRY(catalog_store_prepare(self->store, identity));
        SOUK_TRY(s_check_loaded(self, identity));
        if (self->loaded) {
            s_set_link(self, CATALOG_LINK_UP);
        }
        memcpy(self->identity, identity, sizeof identity);
        self->prepared = true;
    }
    if (!self->loaded) {
        SOUK_TRY(catalog_follow_load(self));
    }
    SOUK_TRY(catalog_catch_up(self));
    if (souk_clock_mono_us() >= self->trim_at_us) {
        SOUK_TRY(s_trim(self));
    }
    return SOUK_OK;
}

static void *s_run(void *arg) {
    catalog_follow_t *self = arg;
    s_load_snapshot(self);
    while (!catalog_follow_stopping(self)) {
        souk_err_t err = s_step(self);
        bool up = err == SOUK_OK;
        if (up || err == SOUK_ERR_UNAVAILABLE) {
            s_set_link(self, up ? CATALOG_LINK_UP : CATALOG_LINK_DOWN);
        } else if (err != SOUK_ERR_CANCELLED && err != SOUK_ERR_CLOSED) {
            souk_log(SOUK_LOG_ERROR, "CA-FOLLOW-FAILED",
                     SOUK_F_TEXT("code", souk_err_info(err)->code));
        }
        if (!up) {
            self->prepared = false; /* when it is back it may be another database */
        }
        if (souk_clock_mono_us() >= self->snapshot_at_us) {
            s_write_snapshot(self);
        }
        s_pause(self, up ? self->options.poll_ms : RETRY_MS);
    }
    s_write_snapshot(self);
    return NULL;
}

souk_err_t catalog_follow_new(const catalog_follow_options_t *options, catalog_apply_t *apply,
                              catalog_follow_t **ret_self) {
    catalog_follow_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->options = *options;
    self->apply = apply;
    souk_err_t err = catalog_store_new(options->uri, &self->store);
    if (err != SOUK_OK) {
        free(self);
        return err;
    }
    self->arena = souk_arena_new(FETCH_ARENA_BYTES, FETCH_ARENA_KEEP_BYTES);
    self->trim_at_us = souk_clock_mono_us() + (int64_t)options->trim_interval_ms * US_PER_MS;
    self->snapshot_at_us =
        souk_clock_mono_us() + (int64_t)options->snapshot_interval_ms * US_PER_MS;
    souk_cond_init(&self->wake);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    souk_assert(souk_thread_start(&self->thread, s_run, self));
    *ret_self = self;
    return SOUK_OK;
}

void catalog_follow_destroy(catalog_follow_t **self_p) {
    souk_assert(self_p != NULL);
    catalog_follow_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    souk_assert(pthread_join(self->thread, NULL) == 0);
    catalog_store_destroy(&self->store);
    souk_arena_destroy(&self->arena);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

void catalog_follow_hurry(catalog_follow_t *self, int64_t revision) {
    pthread_mutex_lock(&self->mutex);
    if (revision > self->known) {
        self->known = revision;
    }
    self->hurried = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}

catalog_link_t catalog_follow_link(const catalog_follow_t *self) {
    return (catalog_link_t)atomic_load(&self->link);
}
