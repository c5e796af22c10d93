/* Create, change, delete and revert of one product: each decides against the index and commits one
 * revision (commit.h). */
#include <stdlib.h>

#include "commit.h"
#include "gen/catalog_handlers.h"
#include "product.h"
#include "souk/id.h"

#define HISTORY_MAX 100
#define RETRY_AFTER_MS 2000

typedef enum { ACT_CREATE, ACT_UPDATE, ACT_DELETE, ACT_REVERT } act_t;

typedef struct {
    souk_ctx_t *ctx;
    catalog_service_t *service;
    act_t act;
    const souk_type_t *type; /* of request; UPDATE and CREATE */
    const void *request;
    souk_str_t id, if_match;       /* if_match.data NULL: none */
    souk_str_t former;             /* REVERT: the document to go back to */
    souk_arena_t *work;            /* commit.h */
    souk_str_t document;           /* out */
    catalog_objection_t objection; /* of the last try; told only when it is final */
} write_t;

/* A request's fields against the index -> the document. base: what absent fields are taken from. */
static souk_err_t s_document(write_t *self, const catalog_index_t *index, souk_str_t base,
                             const catalog_stamp_t *stamp) {
    const catalog_draft_t draft = {.index = index,
                                   .currency = catalog_service_currency(self->service),
                                   .arena = self->work,
                                   .objection = &self->objection};
    catalog_product_input_t input;
    SOUK_TRY(catalog_product_input(&draft, self->type, self->request, base, &input));
    return catalog_product_document(&draft, &input, base, stamp, &self->document);
}

/* An old document comes back under new numbers, and has to fit the index as any other. */
static souk_err_t s_revert_document(write_t *self, const catalog_index_t *index,
                                    const catalog_stamp_t *stamp) {
    self->type = &catalog_product_input_type;
    catalog_product_input_t none = {0};
    self->request = &none;
    souk_err_t err = s_document(self, index, self->former, stamp);
    self->request = NULL;
    return err;
}

static souk_err_t s_decide(void *arg, const catalog_index_t *index, int64_t revision, int64_t at_us,
                           catalog_plan_t *plan) {
    write_t *self = arg;
    catalog_entity_t entity = {0};
    bool known = catalog_index_entity(index, CATALOG_PRODUCT, self->id, &entity);
    if (self->act != ACT_CREATE && (!known || (entity.deleted && self->act != ACT_REVERT))) {
        return SOUK_ERR_NOT_FOUND;
    }
    if (self->act != ACT_CREATE) {
        SOUK_TRY(catalog_require_version(&self->objection, self->if_match, entity.version));
    }
    catalog_stamp_t stamp = {.id = self->id,
                             .revision = revision,
                             .version = entity.version + 1,
                             .created_at_us = at_us,
                             .updated_at_us = at_us};
    if (known && !entity.deleted) {
        stamp.created_at_us = entity.created_at_us;
    }
    switch (self->act) {
    case ACT_CREATE:
        SOUK_TRY(s_document(self, index, (souk_str_t){0}, &stamp));
        break;
    case ACT_UPDATE:
        SOUK_TRY(s_document(self, index, entity.document, &stamp));
        break;
    case ACT_REVERT:
        SOUK_TRY(s_revert_document(self, index, &stamp));
        break;
    case ACT_DELETE:
    default:
        self->document = (souk_str_t){0};
        break;
    }
    plan->changes[0] = (catalog_change_t){
        .revision = revision,
        .kind = CATALOG_PRODUCT,
        .entity_id = self->id,
        .version = stamp.version,
        .deleted = self->act == ACT_DELETE,
        .document = self->document,
    };
    plan->count = 1;
    return SOUK_OK;
}

static souk_err_t s_replay(void *arg, const catalog_revision_t *stored) {
    write_t *self = arg;
    self->document = stored->change.document;
    return SOUK_OK;
}

static souk_err_t s_write(write_t *self, const char *method, const char *why) {
    SOUK_CLEANUP(souk_arena_destroy)
    souk_arena_t *work = souk_arena_new(CATALOG_WORK_BYTES, CATALOG_WORK_KEEP_BYTES);
    self->work = work;
    const catalog_commit_t commit = {
        .ctx = self->ctx,
        .service = self->service,
        .store = souk_ctx_slot(self->ctx),
        .method = method,
        .why = why,
        .decide = s_decide,
        .arg = self,
        .work = work,
        .objection = &self->objection,
        .replay = s_replay,
    };
    SOUK_TRY(catalog_commit(&commit));
    if (self->act != ACT_DELETE) {
        souk_ctx_reply_encoded(self->ctx, self->document);
    }
    return SOUK_OK;
}

souk_err_t catalog_products_create(souk_ctx_t *ctx, const catalog_products_create_req_t *req,
                                   catalog_products_create_rep_t *ret_rep) {
    (void)ret_rep;
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("prod_", id);
    write_t write = {
        .ctx = ctx,
        .service = souk_ctx_service(ctx),
        .act = ACT_CREATE,
        .type = &catalog_products_create_req_type,
        .request = req,
        .id = souk_arena_copy(souk_ctx_arena(ctx), (souk_str_t){.data = id, .size = size}),
    };
    return write.id.data == NULL ? SOUK_ERR_NO_MEMORY
                                 : s_write(&write, "products_create", "create");
}

souk_err_t catalog_products_update(souk_ctx_t *ctx, const catalog_products_update_req_t *req,
                                   catalog_products_update_rep_t *ret_rep) {
    (void)ret_rep;
    write_t write = {
        .ctx = ctx,
        .service = souk_ctx_service(ctx),
        .act = ACT_UPDATE,
        .type = &catalog_products_update_req_type,
        .request = req,
        .id = req->id,
        .if_match = req->if_match,
    };
    return s_write(&write, "products_update", "update");
}

souk_err_t catalog_products_delete(souk_ctx_t *ctx, const catalog_products_delete_req_t *req,
                                   catalog_products_delete_rep_t *ret_rep) {
    (void)ret_rep;
    write_t write = {.ctx = ctx,
                     .service = souk_ctx_service(ctx),
                     .act = ACT_DELETE,
                     .id = req->id,
                     .if_match = req->if_match};
    return s_write(&write, "products_delete", "delete");
}

/* ---- history ---- */

/* The newest entries below a number, descending. Documents are on the heap while the history is
 * read, since most are dropped again. */
typedef struct {
    int64_t wanted; /* this number alone; 0: all */
    int64_t before; /* only smaller numbers; 0: all */
    size_t limit, count;
    struct {
        catalog_revision_t revision;
        char *memory;
    } kept[HISTORY_MAX + 1];
    bool any;
} history_t;

static void s_history_done(history_t *self) {
    for (size_t i = 0; i < self->count; i++) {
        free(self->kept[i].memory);
    }
}

static void s_keep(history_t *self, const catalog_revision_t *revision, size_t at) {
    souk_str_t parts[] = {revision->change.document, revision->by, revision->why};
    souk_str_t copies[SOUK_COUNT_OF(parts)];
    char *memory = malloc(parts[0].size + parts[1].size + parts[2].size + 1);
    souk_assert(memory != NULL);
    char *end = memory;
    for (size_t i = 0; i < SOUK_COUNT_OF(parts); i++) {
        copies[i] = (souk_str_t){.data = end, .size = parts[i].size};
        if (parts[i].size > 0) {
            memcpy(end, parts[i].data, parts[i].size);
        }
        end += parts[i].size;
    }
    if (self->count == self->limit) {
        free(self->kept[--self->count].memory);
    }
    memmove(&self->kept[at + 1], &self->kept[at], (self->count - at) * sizeof self->kept[0]);
    self->count++;
    self->kept[at].memory = memory;
    self->kept[at].revision = *revision;
    self->kept[at].revision.change.document = copies[0];
    self->kept[at].revision.by = copies[1];
    self->kept[at].revision.why = copies[2];
}

static souk_err_t s_look(void *arg, const catalog_revision_t *revision) {
    history_t *self = arg;
    int64_t number = revision->change.revision;
    self->any = true;
    if (revision->change.kind != CATALOG_PRODUCT || (self->before > 0 && number >= self->before) ||
        (self->wanted > 0 && number != self->wanted)) {
        return SOUK_OK;
    }
    size_t at = self->count;
    while (at > 0 && self->kept[at - 1].revision.change.revision < number) {
        at--;
    }
    if (at < self->limit) {
        s_keep(self, revision, at);
    }
    return SOUK_OK;
}

static souk_err_t s_history(souk_ctx_t *ctx, souk_str_t id, history_t *self) {
    souk_err_t err = catalog_store_history(souk_ctx_slot(ctx), id, s_look, self);
    if (err == SOUK_ERR_UNAVAILABLE) {
        souk_ctx_retry_after_ms(ctx, RETRY_AFTER_MS);
        return souk_ctx_fail(ctx, err, "the catalogue's database is away");
    }
    SOUK_TRY(err);
    return self->any ? SOUK_OK : SOUK_ERR_NOT_FOUND;
}

static souk_err_t s_history_row(souk_arena_t *arena, const catalog_revision_t *revision,
                                catalog_history_entry_t *ret) {
    souk_str_t by = souk_arena_copy(arena, revision->by);
    souk_str_t why = souk_arena_copy(arena, revision->why);
    souk_str_t document = souk_arena_copy(arena, revision->change.document);
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    catalog_history_entry_set_revision(ret, revision->change.revision);
    catalog_history_entry_set_version(ret, revision->change.version);
    catalog_history_entry_set_at(ret, revision->at_us);
    catalog_history_entry_set_by(ret, by);
    catalog_history_entry_set_why(ret, why);
    catalog_history_entry_set_deleted(ret, revision->change.deleted);
    if (revision->change.deleted) {
        souk_bits_set_nil(&ret->bits, CATALOG_HISTORY_ENTRY_DOCUMENT_BIT);
    } else {
        catalog_history_entry_set_document(ret, document);
    }
    return SOUK_OK;
}

souk_err_t catalog_products_revisions(souk_ctx_t *ctx, const catalog_products_revisions_req_t *req,
                                      catalog_products_revisions_rep_t *ret_rep) {
    bool paged = souk_bits_has(&req->bits, CATALOG_PRODUCTS_REVISIONS_REQ_BEFORE_BIT);
    SOUK_CLEANUP(s_history_done)
    history_t history = {.limit = (size_t)req->limit, .before = paged ? req->before : 0};
    souk_assert(history.limit <= HISTORY_MAX);
    SOUK_TRY(s_history(ctx, req->id, &history));
    souk_arena_t *arena = souk_ctx_arena(ctx);
    catalog_history_entry_t *rows =
        catalog_products_revisions_rep_new_data(ret_rep, arena, history.count);
    if (rows == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < history.count; i++) {
        SOUK_TRY(s_history_row(arena, &history.kept[i].revision, &rows[i]));
    }
    return SOUK_OK;
}

souk_err_t catalog_products_revert(souk_ctx_t *ctx, const catalog_products_revert_req_t *req,
                                   catalog_products_revert_rep_t *ret_rep) {
    (void)ret_rep;
    SOUK_CLEANUP(s_history_done) history_t history = {.limit = 1, .wanted = req->revision};
    SOUK_TRY(s_history(ctx, req->id, &history));
    if (history.count == 0 || history.kept[0].revision.change.deleted) {
        return souk_ctx_fail_field(ctx, "/revision", "the product has no content at that revision");
    }
    write_t write = {
        .ctx = ctx,
        .service = souk_ctx_service(ctx),
        .act = ACT_REVERT,
        .id = req->id,
        .if_match = req->if_match,
        .former = history.kept[0].revision.change.document,
    };
    return s_write(&write, "products_revert", "revert");
}
