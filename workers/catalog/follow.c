#include "follow.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "gen/metrics.h"
#include "snapshot.h"
#include "souk/clock.h"
#include "souk/log.h"
#include "souk/metrics.h"
#include "store.h"
#include "trim.h"

#define US_PER_MS 1000
/* A gap of this many numbers is always worth asking for singly; a larger one when finds have been
 * cheaper than scans. */
#define GAP_BY_NUMBER_MIN 50
#define GAP_BY_NUMBER_MAX 1000
#define BATCH_REVISIONS 200
#define RETRY_MS 1000
#define APPLY_WAIT_MS 500
#define PROGRESS_EVERY 2000
/* Looking past the hint costs a find; where finds are slow (a scan on some servers) it is done more
 * rarely. */
#define LOOK_PAST_US_MIN (700 * (int64_t)US_PER_MS)
#define LOOK_PAST_COST_SHARE 20
/* A scan reads the whole record on some servers: during a bulk import of others it gets a third of
 * the time. */
#define SCAN_COST_SHARE 2
#define FETCH_ARENA_BYTES ((size_t)256 * 1024 * 1024)
#define FETCH_ARENA_KEEP_BYTES ((size_t)1024 * 1024)
#define US_PER_DAY (86400LL * 1000 * US_PER_MS)

struct catalog_follow {
    catalog_follow_options_t options;
    catalog_apply_t *apply;
    catalog_store_t *store;
    souk_arena_t *arena;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop, hurried; /* under mutex */
    int64_t known;      /* under mutex: a revision that exists */
    atomic_int link;
    char identity[CATALOG_IDENTITY_CHARS + 1]; /* of what the index holds; "" at first */
    bool prepared, loaded;
    int64_t sent;   /* the last revision that was offered to the index */
    int64_t head;   /* the hint when it was last read */
    int64_t barren; /* a hint beyond which nothing was found: it is not believed again */
    int64_t look_past_at_us, look_past_cost_us;
    int64_t scan_at_us;                 /* not before */
    int64_t scan_cost_us, find_cost_us; /* of the last ones; 0: not known */
    int64_t snapshot_at_us, snapshot_revision;
    int64_t trim_at_us;
};

static bool s_stopping(void *arg) {
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
        if (s_stopping(load->self)) {
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
    while (err == SOUK_ERR_OVERLOADED && !s_stopping(self)) {
        err = catalog_apply_offer_index(self->apply, index_p);
        if (err == SOUK_ERR_OVERLOADED) {
            s_pause(self, APPLY_WAIT_MS);
        }
    }
    SOUK_TRY(err);
    while (!catalog_apply_wait_index(self->apply, indexes, APPLY_WAIT_MS)) {
        if (s_stopping(self)) {
            return SOUK_ERR_CANCELLED;
        }
    }
    self->sent = revision;
    self->barren = 0;
    self->loaded = true;
    return SOUK_OK;
}

static souk_err_t s_load_record(catalog_follow_t *self) {
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

/* ---- following ---- */

typedef struct {
    catalog_follow_t *self;
    catalog_change_t *changes;
    size_t count, capacity;
} fetch_t;

/* What the index is told of a revision that cannot be read, as by a scan: it takes the number, says
 * so, and goes on. Else its next number would be taken for ever, and nobody could write. */
static catalog_revision_t s_unreadable(int64_t number) {
    return (catalog_revision_t){.change.revision = number};
}

static souk_err_t s_fetch_one(void *arg, const catalog_revision_t *revision) {
    fetch_t *fetch = arg;
    if (fetch->count == fetch->capacity) {
        size_t capacity = fetch->capacity == 0 ? BATCH_REVISIONS : fetch->capacity * 2;
        catalog_change_t *changes = realloc(fetch->changes, capacity * sizeof *changes);
        souk_assert(changes != NULL);
        fetch->changes = changes;
        fetch->capacity = capacity;
    }
    catalog_change_t *change = &fetch->changes[fetch->count];
    *change = revision->change;
    change->entity_id = souk_arena_copy(fetch->self->arena, revision->change.entity_id);
    change->document = souk_arena_copy(fetch->self->arena, revision->change.document);
    if (souk_arena_overflowed(fetch->self->arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    fetch->count++;
    return SOUK_OK;
}

static int s_by_revision(const void *a, const void *b) {
    const catalog_change_t *one = a, *other = b;
    return (one->revision > other->revision) - (one->revision < other->revision);
}

/* Offers changes in batches; waits for the index when it is behind. */
static souk_err_t s_offer(catalog_follow_t *self, const catalog_change_t *changes, size_t count) {
    for (size_t at = 0; at < count && !s_stopping(self);) {
        size_t batch = count - at < BATCH_REVISIONS ? count - at : BATCH_REVISIONS;
        souk_err_t err = catalog_apply_offer_changes(self->apply, changes + at, batch);
        if (err == SOUK_OK) {
            self->sent = changes[at + batch - 1].revision;
            at += batch;
        } else if (err == SOUK_ERR_OVERLOADED) {
            (void)catalog_apply_wait(self->apply, self->sent, APPLY_WAIT_MS);
        } else {
            return err;
        }
    }
    return SOUK_OK;
}

/* A scan can pass a number before it is written and still meet a later one. So a hole is asked for
 * by number: when it is really not there it was trimmed, and a newer revision of its entity stands
 * further on. */
static souk_err_t s_fill_holes(catalog_follow_t *self, fetch_t *fetch) {
    size_t scanned = fetch->count;
    int64_t expected = self->sent + 1;
    for (size_t i = 0; i < scanned; i++) {
        int64_t found = fetch->changes[i].revision;
        for (; expected < found && found - expected <= GAP_BY_NUMBER_MIN; expected++) {
            catalog_revision_t missed;
            souk_err_t err = catalog_store_find(self->store, expected, self->arena, &missed);
            if (err == SOUK_ERR_MALFORMED) {
                missed = s_unreadable(expected);
                err = SOUK_OK;
            }
            if (err == SOUK_OK) {
                err = s_fetch_one(fetch, &missed);
            }
            if (err != SOUK_OK && err != SOUK_ERR_NOT_FOUND) {
                return err;
            }
        }
        expected = found + 1;
    }
    qsort(fetch->changes, fetch->count, sizeof *fetch->changes, s_by_revision);
    return SOUK_OK;
}

static souk_err_t s_follow_by_scan(catalog_follow_t *self) {
    fetch_t fetch = {.self = self};
    uint64_t unreadable = 0;
    int64_t started_us = souk_clock_mono_us();
    souk_arena_reset(self->arena);
    souk_err_t err = catalog_store_scan(self->store, self->sent, s_fetch_one, &fetch, &unreadable);
    int64_t done_us = souk_clock_mono_us();
    self->scan_cost_us = done_us - started_us;
    self->scan_at_us = done_us + self->scan_cost_us * SCAN_COST_SHARE;
    if (err == SOUK_ERR_NO_MEMORY) {
        err = s_load_record(self); /* more than fits beside the index: build a new one */
    } else if (err == SOUK_OK && fetch.count > 0) {
        qsort(fetch.changes, fetch.count, sizeof *fetch.changes, s_by_revision);
        err = s_fill_holes(self, &fetch);
        if (err == SOUK_OK) {
            err = s_offer(self, fetch.changes, fetch.count);
        }
    }
    free(fetch.changes);
    return err;
}

/* Number by number until one is missing. Returns SOUK_ERR_RETRY when there may be more than is
 * worth asking for singly. */
static souk_err_t s_follow_by_number(catalog_follow_t *self) {
    for (int i = 0; i < GAP_BY_NUMBER_MAX && !s_stopping(self); i++) {
        catalog_revision_t revision;
        souk_arena_reset(self->arena);
        int64_t next = self->sent + 1, started_us = souk_clock_mono_us();
        souk_err_t err = catalog_store_find(self->store, next, self->arena, &revision);
        self->find_cost_us = souk_clock_mono_us() - started_us;
        if (err == SOUK_ERR_MALFORMED) {
            revision = s_unreadable(next);
            err = SOUK_OK;
        }
        if (err != SOUK_OK) {
            return err == SOUK_ERR_NOT_FOUND ? SOUK_OK : err;
        }
        SOUK_TRY(s_offer(self, &revision.change, 1));
    }
    return SOUK_ERR_RETRY;
}

static bool s_scan_pays(const catalog_follow_t *self, int64_t gap) {
    return gap > GAP_BY_NUMBER_MAX ||
           (gap > GAP_BY_NUMBER_MIN && gap * self->find_cost_us > self->scan_cost_us);
}

static souk_err_t s_scan_up_to(catalog_follow_t *self, int64_t target) {
    SOUK_TRY(s_follow_by_scan(self));
    if (target > self->sent) {
        self->barren = target;
    }
    return SOUK_OK;
}

static souk_err_t s_follow(catalog_follow_t *self) {
    int64_t head = 0;
    char identity[CATALOG_IDENTITY_CHARS + 1];
    SOUK_TRY(catalog_store_head(self->store, &head, identity));
    if (strcmp(identity, self->identity) != 0 || head < self->head) {
        self->prepared = false; /* another database, or this one was put back: look closely */
        self->head = head;
        return SOUK_OK;
    }
    self->head = head;
    pthread_mutex_lock(&self->mutex);
    int64_t known = self->known;
    pthread_mutex_unlock(&self->mutex);
    int64_t applied = catalog_apply_revision(self->apply);
    if (applied > self->sent) {
        self->sent = applied; /* this process's own writers were first */
    }
    if (head < known && known <= applied) {
        SOUK_TRY(catalog_store_set_head(self->store, known));
    }
    int64_t target = known > head ? known : head;
    int64_t now_us = souk_clock_mono_us();
    if (s_scan_pays(self, target - self->sent) && target != self->barren) {
        return now_us >= self->scan_at_us ? s_scan_up_to(self, target) : SOUK_OK;
    }
    bool look_past = now_us >= self->look_past_at_us;
    if ((target <= self->sent || target == self->barren) && !look_past) {
        return SOUK_OK;
    }
    souk_err_t err = s_follow_by_number(self);
    int64_t done_us = souk_clock_mono_us();
    int64_t pause_us = (done_us - now_us) * LOOK_PAST_COST_SHARE;
    self->look_past_at_us = done_us + (pause_us > LOOK_PAST_US_MIN ? pause_us : LOOK_PAST_US_MIN);
    if (err == SOUK_OK && target > self->sent && target != self->barren) {
        return s_scan_up_to(self, target); /* a hole: trimmed, or a hint at what is gone */
    }
    return err == SOUK_ERR_RETRY ? s_follow_by_scan(self) : err;
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
    return catalog_trim(self->store, self->apply, older_than_us, s_stopping, self);
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
        SOUK_TRY(s_load_record(self));
    }
    SOUK_TRY(s_follow(self));
    if (souk_clock_mono_us() >= self->trim_at_us) {
        SOUK_TRY(s_trim(self));
    }
    return SOUK_OK;
}

static void *s_run(void *arg) {
    catalog_follow_t *self = arg;
    s_load_snapshot(self);
    while (!s_stopping(self)) {
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
    pthread_condattr_t attr;
    souk_assert(pthread_condattr_init(&attr) == 0);
    souk_assert(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    souk_assert(pthread_cond_init(&self->wake, &attr) == 0);
    pthread_condattr_destroy(&attr);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    sigset_t all, before;
    sigfillset(&all);
    souk_assert(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    souk_assert(pthread_create(&self->thread, NULL, s_run, self) == 0);
    souk_assert(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
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
