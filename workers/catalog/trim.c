#include "trim.h"

#include <stdlib.h>

#include "souk/log.h"

#define TRIM_AT_ONCE 1000
#define REVISION_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define REVISION_KEEP_BYTES ((size_t)256 * 1024)

typedef struct {
    catalog_apply_t *apply;
    int64_t older_than_us;
    int64_t found[TRIM_AT_ONCE];
    size_t count;
} trim_t;

static souk_err_t s_look(void *arg, const catalog_revision_t *revision) {
    trim_t *self = arg;
    if (revision->at_us >= self->older_than_us || self->count == TRIM_AT_ONCE) {
        return SOUK_OK;
    }
    catalog_gate_t *gate = catalog_apply_gate(self->apply);
    catalog_gate_read(gate);
    const catalog_index_t *index = catalog_apply_index(self->apply);
    int64_t newest = index != NULL ? catalog_index_version(index, revision->change.kind,
                                                           revision->change.entity_id)
                                   : 0;
    catalog_gate_read_end(gate);
    if (revision->change.version < newest) {
        self->found[self->count++] = revision->change.revision;
    }
    return SOUK_OK;
}

souk_err_t catalog_trim(catalog_store_t *store, catalog_apply_t *apply, int64_t older_than_us,
                        bool (*stopping)(void *arg), void *arg) {
    trim_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->apply = apply;
    self->older_than_us = older_than_us;
    uint64_t unreadable = 0;
    souk_err_t err = catalog_store_scan(store, 0, s_look, self, &unreadable);
    SOUK_CLEANUP(souk_arena_destroy)
    souk_arena_t *arena = souk_arena_new(REVISION_BYTES_MAX, REVISION_KEEP_BYTES);
    for (size_t i = 0; err == SOUK_OK && i < self->count && !stopping(arg); i++) {
        souk_arena_reset(arena);
        err = catalog_store_retire(store, self->found[i], arena);
    }
    if (err == SOUK_OK && self->count > 0) {
        souk_log(SOUK_LOG_INFO, "CA-TRIMMED", SOUK_F_INT("revisions", self->count));
    }
    free(self);
    return err;
}
