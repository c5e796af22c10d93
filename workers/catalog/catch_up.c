/* How the follower finds what is new: by the head hint, which may lag or be lost, so now and then
 * past it; small gaps number by number, large ones by a scan, whichever has cost less lately. */
#include <stdlib.h>

#include "follow_impl.h"
#include "souk/clock.h"

/* A gap of this many numbers is always worth asking for singly; a larger one when finds have been
 * cheaper than scans. */
#define GAP_BY_NUMBER_MIN 50
#define GAP_BY_NUMBER_MAX 1000
#define BATCH_REVISIONS 200
/* Looking past the hint costs a find; where finds are slow (a scan on some servers) it is done more
 * rarely. */
#define LOOK_PAST_US_MIN (700 * (int64_t)US_PER_MS)
#define LOOK_PAST_COST_SHARE 20
/* A scan reads the whole record on some servers: during a bulk import of others it gets a third of
 * the time. */
#define SCAN_COST_SHARE 2

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
    for (size_t at = 0; at < count && !catalog_follow_stopping(self);) {
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
        err = catalog_follow_load(self); /* more than fits beside the index: build a new one */
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
    for (int i = 0; i < GAP_BY_NUMBER_MAX && !catalog_follow_stopping(self); i++) {
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

souk_err_t catalog_catch_up(catalog_follow_t *self) {
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
