#include "apply.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "souk/arena.h"
#include "souk/clock.h"
#include "souk/log.h"
#include "souk/thread.h"

#define MAILBOX_ITEMS 256
#define SLICE_US 1000
#define BATCH_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* Either a whole index or copied changes. */
typedef struct {
    catalog_index_t *index;
    souk_arena_t *arena;
    catalog_change_t *changes;
    size_t count, next;
} batch_t;

struct catalog_apply {
    souk_mailbox_t *mailbox;
    catalog_gate_t gate;
    souk_loop_t *loop;
    batch_t *current;       /* partly applied */
    uint64_t indexes_taken; /* the bus thread's; published as indexes together with revision */
    catalog_index_t *index; /* changed under the gate's write side only */
    atomic_llong revision;
    atomic_ullong indexes; /* taken over */
    pthread_mutex_t mutex;
    pthread_cond_t applied;
    bool closed;
};

static void s_wake(void *arg) {
    catalog_apply_t *self = arg;
    souk_loop_wake(self->loop);
}

static void s_batch_destroy(batch_t **batch_p) {
    batch_t *batch = *batch_p;
    if (batch != NULL) {
        catalog_index_destroy(&batch->index);
        souk_arena_destroy(&batch->arena);
        free(batch);
        *batch_p = NULL;
    }
}

static void s_batch_free(void *item) {
    batch_t *batch = item;
    s_batch_destroy(&batch);
}

static void s_apply_changes(catalog_apply_t *self, batch_t *batch, int64_t until_us) {
    while (batch->next < batch->count && souk_clock_mono_us() < until_us) {
        const catalog_change_t *change = &batch->changes[batch->next++];
        if (change->revision <= catalog_index_revision(self->index)) {
            continue;
        }
        if (catalog_index_apply(self->index, change) != SOUK_OK) {
            souk_log(SOUK_LOG_ERROR, "CA-CHANGE-UNREADABLE",
                     SOUK_F_INT("revision", change->revision),
                     SOUK_F_STR("entity", change->entity_id));
            catalog_index_skip(self->index, change->revision);
        }
    }
}

/* One slice. Returns true when more is waiting. */
static bool s_slice(catalog_apply_t *self) {
    int64_t until_us = souk_clock_mono_us() + SLICE_US;
    catalog_index_t *old = NULL;
    bool more = true;
    if (self->current == NULL && souk_mailbox_count(self->mailbox) == 0) {
        return false; /* turns are frequent: leave the readers in peace */
    }
    if (!catalog_gate_try_write(&self->gate)) {
        return false; /* the last reader wakes us */
    }
    while (souk_clock_mono_us() < until_us) {
        if (self->current == NULL) {
            self->current = souk_mailbox_take(self->mailbox, 0);
        }
        batch_t *batch = self->current;
        if (batch == NULL) {
            more = false;
            break;
        }
        if (batch->index != NULL) {
            old = self->index;
            self->index = batch->index;
            batch->index = NULL;
            self->indexes_taken++;
            until_us = 0;
        } else if (self->index != NULL) {
            s_apply_changes(self, batch, until_us);
        } else {
            batch->next = batch->count;
        }
        if (batch->next == batch->count) {
            s_batch_destroy(&self->current);
        }
    }
    catalog_gate_write_end(&self->gate);
    catalog_index_destroy(&old);
    return more;
}

bool catalog_apply_turn(catalog_apply_t *self) {
    bool more = s_slice(self);
    int64_t revision = self->index != NULL ? catalog_index_revision(self->index) : 0;
    if (revision != catalog_apply_revision(self) ||
        self->indexes_taken != catalog_apply_indexes(self)) {
        pthread_mutex_lock(&self->mutex);
        atomic_store_explicit(&self->revision, revision, memory_order_release);
        atomic_store_explicit(&self->indexes, self->indexes_taken, memory_order_release);
        pthread_cond_broadcast(&self->applied);
        pthread_mutex_unlock(&self->mutex);
    }
    return more;
}

catalog_apply_t *catalog_apply_new(souk_loop_t *loop) {
    catalog_apply_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->loop = loop;
    self->mailbox = souk_mailbox_new(MAILBOX_ITEMS, s_wake, self);
    catalog_gate_init(&self->gate, s_wake, self);
    souk_cond_init(&self->applied);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    return self;
}

void catalog_apply_close(catalog_apply_t *self) {
    souk_mailbox_close(self->mailbox);
    catalog_gate_give_up(&self->gate);
    pthread_mutex_lock(&self->mutex);
    self->closed = true;
    pthread_cond_broadcast(&self->applied);
    pthread_mutex_unlock(&self->mutex);
}

void catalog_apply_destroy(catalog_apply_t **self_p) {
    souk_assert(self_p != NULL);
    catalog_apply_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    s_batch_destroy(&self->current);
    souk_mailbox_destroy(&self->mailbox, s_batch_free);
    catalog_index_destroy(&self->index);
    catalog_gate_done(&self->gate);
    pthread_cond_destroy(&self->applied);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

catalog_gate_t *catalog_apply_gate(catalog_apply_t *self) {
    return &self->gate;
}

const catalog_index_t *catalog_apply_index(const catalog_apply_t *self) {
    return self->index;
}

int64_t catalog_apply_revision(const catalog_apply_t *self) {
    return atomic_load_explicit(&self->revision, memory_order_acquire);
}

uint64_t catalog_apply_indexes(const catalog_apply_t *self) {
    return atomic_load_explicit(&self->indexes, memory_order_acquire);
}

static souk_err_t s_offer(catalog_apply_t *self, batch_t **batch_p) {
    SOUK_TRY(souk_mailbox_put(self->mailbox, *batch_p));
    *batch_p = NULL;
    return SOUK_OK;
}

souk_err_t catalog_apply_offer_index(catalog_apply_t *self, catalog_index_t **index_p) {
    SOUK_CLEANUP(s_batch_destroy) batch_t *batch = calloc(1, sizeof *batch);
    souk_assert(batch != NULL && *index_p != NULL);
    batch->index = *index_p;
    souk_err_t err = s_offer(self, &batch);
    if (err != SOUK_OK) {
        batch->index = NULL;
        return err;
    }
    *index_p = NULL;
    return SOUK_OK;
}

souk_err_t catalog_apply_offer_changes(catalog_apply_t *self, const catalog_change_t *changes,
                                       size_t count) {
    SOUK_CLEANUP(s_batch_destroy) batch_t *batch = calloc(1, sizeof *batch);
    souk_assert(batch != NULL);
    batch->arena = souk_arena_new(BATCH_BYTES_MAX, 0);
    batch->changes = souk_arena_alloc_array(batch->arena, count, sizeof *batch->changes);
    batch->count = count;
    for (size_t i = 0; batch->changes != NULL && i < count; i++) {
        batch->changes[i] = changes[i];
        batch->changes[i].entity_id = souk_arena_copy(batch->arena, changes[i].entity_id);
        batch->changes[i].document = souk_arena_copy(batch->arena, changes[i].document);
    }
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): s_offer takes it, or the cleanup destroys it */
    return souk_arena_overflowed(batch->arena) ? SOUK_ERR_NO_MEMORY : s_offer(self, &batch);
}

/* Until the index holds revision and more than `seen` indexes were taken over (-1: whichever). */
static bool s_wait(catalog_apply_t *self, int64_t revision, int64_t seen, uint32_t timeout_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&self->mutex);
    int rc = 0;
    bool applied = false;
    do {
        applied =
            catalog_apply_revision(self) >= revision && (int64_t)catalog_apply_indexes(self) > seen;
        if (!applied && !self->closed) {
            rc = pthread_cond_timedwait(&self->applied, &self->mutex, &until);
        }
    } while (rc == 0 && !self->closed && !applied);
    pthread_mutex_unlock(&self->mutex);
    return applied;
}

bool catalog_apply_wait(catalog_apply_t *self, int64_t revision, uint32_t timeout_ms) {
    return s_wait(self, revision, -1, timeout_ms);
}

bool catalog_apply_wait_index(catalog_apply_t *self, uint64_t seen, uint32_t timeout_ms) {
    return s_wait(self, 0, (int64_t)seen, timeout_ms);
}
