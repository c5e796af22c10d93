/* Create, change and delete of categories: as products_write.c, against the tree. */
#include "commit.h"
#include "gen/catalog_handlers.h"
#include "product.h"
#include "souk/id.h"

#define DOCUMENT_BYTES_MAX ((size_t)16 * 1024)

typedef enum { ACT_CREATE, ACT_UPDATE, ACT_DELETE } act_t;

/* The fields of a request, whichever it was. NULL: absent. */
typedef struct {
    const souk_str_t *slug, *name, *description, *parent;
    const int64_t *position;
    bool clear_description, clear_parent;
} fields_t;

typedef struct {
    souk_ctx_t *ctx;
    catalog_service_t *service;
    act_t act;
    fields_t fields;
    souk_str_t id, if_match;
    souk_arena_t *work; /* commit.h */
    souk_str_t document;
    catalog_objection_t objection;
} write_t;

static souk_err_t s_set_parent(write_t *self, const catalog_index_t *index,
                               catalog_category_record_t *category) {
    const fields_t *fields = &self->fields;
    if (fields->clear_parent) {
        souk_bits_set_nil(&category->bits, CATALOG_CATEGORY_RECORD_PARENT_ID_BIT);
        return SOUK_OK;
    }
    if (fields->parent == NULL) {
        return SOUK_OK;
    }
    souk_str_t parent = catalog_index_category_id(index, *fields->parent);
    if (parent.size == 0) {
        return catalog_refuse(&self->objection, SOUK_ERR_VALIDATION, "/parent_id",
                              "there is no such category");
    }
    if (catalog_index_category_below(index, parent, self->id)) {
        return catalog_refuse(&self->objection, SOUK_ERR_VALIDATION, "/parent_id",
                              "a category cannot be below itself");
    }
    if (catalog_index_category_depth(index, parent) + 1 +
            catalog_index_category_height(index, self->id) >=
        CATALOG_DEPTH_MAX) {
        return catalog_refuse(&self->objection, SOUK_ERR_VALIDATION, "/parent_id",
                              "the tree has at most %d levels", CATALOG_DEPTH_MAX);
    }
    catalog_category_record_set_parent_id(category, parent);
    return SOUK_OK;
}

static souk_err_t s_set_fields(write_t *self, const catalog_index_t *index,
                               catalog_category_record_t *category) {
    const fields_t *fields = &self->fields;
    if (fields->slug != NULL) {
        souk_str_t owner = catalog_index_slug_owner(index, CATALOG_CATEGORY, *fields->slug);
        if (owner.size > 0 && !souk_str_equal(owner, self->id)) {
            return catalog_refuse(&self->objection, SOUK_ERR_SLUG_TAKEN, "",
                                  "the slug belongs to category %.*s", (int)owner.size, owner.data);
        }
        catalog_category_record_set_slug(category, *fields->slug);
    }
    if (fields->name != NULL) {
        catalog_category_record_set_name(category, *fields->name);
    }
    if (fields->clear_description) {
        souk_bits_set_nil(&category->bits, CATALOG_CATEGORY_RECORD_DESCRIPTION_BIT);
    } else if (fields->description != NULL) {
        catalog_category_record_set_description(category, *fields->description);
    }
    if (fields->position != NULL) {
        catalog_category_record_set_position(category, *fields->position);
    }
    return s_set_parent(self, index, category);
}

static souk_err_t s_decode(souk_str_t document, souk_arena_t *arena,
                           catalog_category_record_t *ret) {
    souk_issues_t issues;
    souk_issues_init(&issues);
    *ret = (catalog_category_record_t){0};
    return souk_schema_from_mp(&catalog_category_record_type, document, arena, ret, &issues);
}

static souk_err_t s_document(write_t *self, const catalog_index_t *index,
                             const catalog_entity_t *entity, int64_t at_us) {
    souk_arena_t *arena = self->work;
    catalog_category_record_t *category = souk_arena_alloc(arena, sizeof *category);
    if (category == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    if (self->act == ACT_UPDATE) {
        SOUK_TRY(s_decode(entity->document, arena, category));
    } else {
        catalog_category_record_set_id(category, self->id);
        catalog_category_record_set_position(category, 0);
        catalog_category_record_set_created_at(category, at_us);
        souk_bits_set_nil(&category->bits, CATALOG_CATEGORY_RECORD_PARENT_ID_BIT);
    }
    SOUK_TRY(s_set_fields(self, index, category));
    catalog_category_record_set_version(category, entity->version + 1);
    catalog_category_record_set_updated_at(category, at_us);
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, DOCUMENT_BYTES_MAX);
    souk_schema_to_mp(&catalog_category_record_type, category, &buf);
    self->document = buf.overflow ? (souk_str_t){0} : souk_arena_copy(arena, souk_buf_str(&buf));
    return self->document.data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_decide(void *arg, const catalog_index_t *index, int64_t revision, int64_t at_us,
                           catalog_plan_t *plan) {
    write_t *self = arg;
    catalog_entity_t entity = {0};
    bool known =
        catalog_index_entity(index, CATALOG_CATEGORY, self->id, &entity) && !entity.deleted;
    if (self->act != ACT_CREATE) {
        if (!known) {
            return SOUK_ERR_NOT_FOUND;
        }
        SOUK_TRY(catalog_require_version(&self->objection, self->if_match, entity.version));
    }
    self->document = (souk_str_t){0};
    if (self->act == ACT_DELETE) {
        if (!catalog_index_category_empty(index, self->id)) {
            return SOUK_ERR_CATEGORY_NOT_EMPTY;
        }
    } else {
        SOUK_TRY(s_document(self, index, &entity, at_us));
    }
    plan->changes[0] = (catalog_change_t){
        .revision = revision,
        .kind = CATALOG_CATEGORY,
        .entity_id = self->id,
        .version = entity.version + 1,
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

/* ---- replies and handlers ---- */

/* The API's form: the record and what the tree says. */
static souk_err_t s_reply(write_t *self, catalog_category_t *ret) {
    catalog_category_record_t record;
    souk_arena_t *arena = souk_ctx_arena(self->ctx);
    souk_str_t document = souk_arena_copy(arena, self->document); /* the reply borrows from it */
    if (document.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    SOUK_TRY(s_decode(document, arena, &record));
    catalog_read_lock(self->service);
    const catalog_index_t *index = catalog_service_index(self->service);
    bool rooted = souk_bits_nil(&record.bits, CATALOG_CATEGORY_RECORD_PARENT_ID_BIT);
    int64_t depth = rooted ? 0 : catalog_index_category_depth(index, record.parent_id) + 1;
    int64_t products = catalog_index_category_products(index, record.id);
    catalog_read_unlock(self->service);
    catalog_category_set_id(ret, record.id);
    catalog_category_set_version(ret, record.version);
    catalog_category_set_slug(ret, record.slug);
    catalog_category_set_name(ret, record.name);
    if (souk_bits_has(&record.bits, CATALOG_CATEGORY_RECORD_DESCRIPTION_BIT) &&
        !souk_bits_nil(&record.bits, CATALOG_CATEGORY_RECORD_DESCRIPTION_BIT)) {
        catalog_category_set_description(ret, record.description);
    }
    if (rooted) {
        souk_bits_set_nil(&ret->bits, CATALOG_CATEGORY_PARENT_ID_BIT);
    } else {
        catalog_category_set_parent_id(ret, record.parent_id);
    }
    catalog_category_set_position(ret, record.position);
    catalog_category_set_depth(ret, depth);
    catalog_category_set_products_count(ret, products);
    catalog_category_set_created_at(ret, record.created_at);
    catalog_category_set_updated_at(ret, record.updated_at);
    return SOUK_OK;
}

static souk_err_t s_write(write_t *self, const char *method, const char *why,
                          catalog_category_t *ret_category) {
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
    return ret_category != NULL ? s_reply(self, ret_category) : SOUK_OK;
}

souk_err_t catalog_categories_create(souk_ctx_t *ctx, const catalog_categories_create_req_t *req,
                                     catalog_categories_create_rep_t *ret_rep) {
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("cat_", id);
    const souk_bits_t *bits = &req->bits;
    bool has_parent = souk_bits_has(bits, CATALOG_CATEGORIES_CREATE_REQ_PARENT_ID_BIT) &&
                      !souk_bits_nil(bits, CATALOG_CATEGORIES_CREATE_REQ_PARENT_ID_BIT);
    bool has_description = souk_bits_has(bits, CATALOG_CATEGORIES_CREATE_REQ_DESCRIPTION_BIT) &&
                           !souk_bits_nil(bits, CATALOG_CATEGORIES_CREATE_REQ_DESCRIPTION_BIT);
    write_t write = {
        .ctx = ctx,
        .service = souk_ctx_service(ctx),
        .act = ACT_CREATE,
        .fields = {.slug = &req->slug,
                   .name = &req->name,
                   .description = has_description ? &req->description : NULL,
                   .parent = has_parent ? &req->parent_id : NULL,
                   .position = souk_bits_has(bits, CATALOG_CATEGORIES_CREATE_REQ_POSITION_BIT)
                                   ? &req->position
                                   : NULL},
        .id = souk_arena_copy(souk_ctx_arena(ctx), (souk_str_t){.data = id, .size = size}),
    };
    return write.id.data == NULL ? SOUK_ERR_NO_MEMORY
                                 : s_write(&write, "categories_create", "create", ret_rep);
}

souk_err_t catalog_categories_update(souk_ctx_t *ctx, const catalog_categories_update_req_t *req,
                                     catalog_categories_update_rep_t *ret_rep) {
    const souk_bits_t *bits = &req->bits;
    bool description = souk_bits_has(bits, CATALOG_CATEGORIES_UPDATE_REQ_DESCRIPTION_BIT);
    bool no_description = souk_bits_nil(bits, CATALOG_CATEGORIES_UPDATE_REQ_DESCRIPTION_BIT);
    bool parent = souk_bits_has(bits, CATALOG_CATEGORIES_UPDATE_REQ_PARENT_ID_BIT);
    bool no_parent = souk_bits_nil(bits, CATALOG_CATEGORIES_UPDATE_REQ_PARENT_ID_BIT);
    write_t write = {
        .ctx = ctx,
        .service = souk_ctx_service(ctx),
        .act = ACT_UPDATE,
        .fields = {.slug = souk_bits_has(bits, CATALOG_CATEGORIES_UPDATE_REQ_SLUG_BIT) ? &req->slug
                                                                                       : NULL,
                   .name = souk_bits_has(bits, CATALOG_CATEGORIES_UPDATE_REQ_NAME_BIT) ? &req->name
                                                                                       : NULL,
                   .description = description && !no_description ? &req->description : NULL,
                   .parent = parent && !no_parent ? &req->parent_id : NULL,
                   .position = souk_bits_has(bits, CATALOG_CATEGORIES_UPDATE_REQ_POSITION_BIT)
                                   ? &req->position
                                   : NULL,
                   .clear_description = no_description,
                   .clear_parent = no_parent},
        .id = req->id,
        .if_match = req->if_match,
    };
    return s_write(&write, "categories_update", "update", ret_rep);
}

souk_err_t catalog_categories_delete(souk_ctx_t *ctx, const catalog_categories_delete_req_t *req,
                                     catalog_categories_delete_rep_t *ret_rep) {
    (void)ret_rep;
    write_t write = {.ctx = ctx,
                     .service = souk_ctx_service(ctx),
                     .act = ACT_DELETE,
                     .id = req->id,
                     .if_match = req->if_match};
    return s_write(&write, "categories_delete", "delete", NULL);
}
