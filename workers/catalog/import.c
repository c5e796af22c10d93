/* Import: many products by slug in one call, one revision for each that changes, numbered in one
 * batch. Repeating it is harmless: what is already so is left alone. A product that cannot be taken
 * fails alone. */
#include <stdlib.h>

#include "commit.h"
#include "gen/catalog_handlers.h"
#include "product.h"
#include "souk/id.h"

#define WORK_ARENA_BYTES ((size_t)64 * 1024 * 1024)

typedef struct {
    souk_ctx_t *ctx;
    catalog_service_t *service;
    const catalog_product_input_t *items;
    size_t count;
    bool dry_run;
    catalog_import_result_t *results;
    souk_arena_t *item_work; /* of one item's decision */
    souk_arena_t *work;      /* commit.h: the documents */
} import_t;

static souk_str_t s_new_id(souk_arena_t *arena) {
    char id[SOUK_ID_BYTES_MAX];
    size_t size = souk_id_new("prod_", id);
    return souk_arena_copy(arena, (souk_str_t){.data = id, .size = size});
}

static souk_err_t s_fail(import_t *self, catalog_import_result_t *result, souk_err_t err,
                         const char *pointer, const char *detail) {
    souk_str_t text = souk_arena_printf(souk_ctx_arena(self->ctx), "%s%s%s", pointer,
                                        pointer[0] != '\0' ? ": " : "", detail);
    if (text.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    catalog_import_result_set_outcome(result, CATALOG_IMPORT_RESULT_OUTCOME_FAILED);
    catalog_import_result_set_code(result, souk_str_of(souk_err_info(err)->code));
    catalog_import_result_set_detail(result, text);
    return SOUK_OK;
}

/* Two products of one call that would take each other's slug or SKU: the index does not know the
 * first yet. */
static souk_err_t s_clash(const import_t *self, size_t at, const char **ret_detail) {
    size_t count = 0;
    const catalog_product_input_t *item = &self->items[at];
    const catalog_variant_input_t *variants = catalog_product_input_variants(item, &count);
    for (size_t i = 0; i < at; i++) {
        if (self->results[i].outcome == CATALOG_IMPORT_RESULT_OUTCOME_FAILED) {
            continue;
        }
        if (souk_str_equal(self->items[i].slug, item->slug)) {
            *ret_detail = "the same slug stands earlier in this import";
            return SOUK_ERR_SLUG_TAKEN;
        }
        size_t others_count = 0;
        const catalog_variant_input_t *others =
            catalog_product_input_variants(&self->items[i], &others_count);
        for (size_t v = 0; v < count; v++) {
            for (size_t o = 0; o < others_count; o++) {
                if (souk_str_equal(variants[v].sku, others[o].sku)) {
                    *ret_detail = "the same SKU stands earlier in this import";
                    return SOUK_ERR_SKU_TAKEN;
                }
            }
        }
    }
    return SOUK_OK;
}

typedef struct {
    int64_t first_revision, at_us;
} s_when_t;

/* The document as it would be if nothing had changed but the product itself: equal bytes mean that
 * nothing has to be written. */
static souk_err_t s_unchanged(const catalog_draft_t *draft, const catalog_product_input_t *item,
                              const catalog_entity_t *entity, bool *ret_unchanged) {
    souk_str_t same;
    const catalog_stamp_t stamp = {.id = entity->id,
                                   .revision = entity->revision,
                                   .version = entity->version,
                                   .created_at_us = entity->created_at_us,
                                   .updated_at_us = entity->updated_at_us};
    SOUK_TRY(catalog_product_document(draft, item, entity->document, &stamp, &same));
    *ret_unchanged = souk_str_equal(same, entity->document);
    return SOUK_OK;
}

/* Plans the item number at as the next revision of the plan, which begins at first_revision. */
static souk_err_t s_plan_one(import_t *self, const catalog_draft_t *draft, size_t at,
                             const s_when_t *when, catalog_plan_t *plan) {
    int64_t revision = when->first_revision + (int64_t)plan->count;
    const catalog_product_input_t *item = &self->items[at];
    catalog_import_result_t *result = &self->results[at];
    souk_arena_t *arena = souk_ctx_arena(self->ctx);
    catalog_entity_t entity = {0};
    souk_str_t owner = catalog_index_slug_owner(draft->index, CATALOG_PRODUCT, item->slug);
    bool known =
        owner.size > 0 && catalog_index_entity(draft->index, CATALOG_PRODUCT, owner, &entity);
    bool unchanged = false;
    bool written = souk_bits_has(&result->bits, CATALOG_IMPORT_RESULT_ID_BIT) && known &&
                   souk_str_equal(result->id, entity.id);
    if (known) {
        SOUK_TRY(s_unchanged(draft, item, &entity, &unchanged));
        if (unchanged) {
            /* Written by an earlier try of this call, which lost a number further on: its outcome
             * stands. */
            if (!written) {
                catalog_import_result_set_outcome(result, CATALOG_IMPORT_RESULT_OUTCOME_UNCHANGED);
            }
        }
    }
    souk_str_t id = known ? souk_arena_copy(arena, entity.id) : s_new_id(arena);
    if (id.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    catalog_import_result_set_id(result, id);
    if (unchanged) {
        return SOUK_OK;
    }
    souk_str_t document;
    const catalog_stamp_t stamp = {.id = id,
                                   .revision = revision,
                                   .version = entity.version + 1,
                                   .created_at_us = known ? entity.created_at_us : when->at_us,
                                   .updated_at_us = when->at_us};
    SOUK_TRY(catalog_product_document(draft, item, entity.document, &stamp, &document));
    document = souk_arena_copy(self->work, document);
    if (document.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    plan->changes[plan->count++] = (catalog_change_t){.revision = revision,
                                                      .kind = CATALOG_PRODUCT,
                                                      .entity_id = id,
                                                      .version = stamp.version,
                                                      .document = document};
    catalog_import_result_set_outcome(result, known ? CATALOG_IMPORT_RESULT_OUTCOME_UPDATED
                                                    : CATALOG_IMPORT_RESULT_OUTCOME_CREATED);
    return SOUK_OK;
}

static souk_err_t s_decide(void *arg, const catalog_index_t *index, int64_t first_revision,
                           int64_t at_us, catalog_plan_t *plan) {
    import_t *self = arg;
    for (size_t i = 0; i < self->count; i++) {
        const char *detail = "";
        souk_arena_reset(self->item_work);
        catalog_import_result_set_slug(&self->results[i], self->items[i].slug);
        /* What an earlier try found wrong may be right now. */
        self->results[i].bits.has &= ~((uint64_t)1 << CATALOG_IMPORT_RESULT_CODE_BIT |
                                       (uint64_t)1 << CATALOG_IMPORT_RESULT_DETAIL_BIT);
        souk_err_t err = s_clash(self, i, &detail);
        if (err != SOUK_OK) {
            SOUK_TRY(s_fail(self, &self->results[i], err, "", detail));
            continue;
        }
        catalog_objection_t objection = {0};
        const catalog_draft_t draft = {.index = index,
                                       .currency = catalog_service_currency(self->service),
                                       .arena = self->item_work,
                                       .objection = &objection};
        const s_when_t when = {.first_revision = first_revision, .at_us = at_us};
        err = s_plan_one(self, &draft, i, &when, plan);
        if (err != SOUK_OK && objection.err != err) {
            return err;
        }
        if (err != SOUK_OK) {
            SOUK_TRY(s_fail(self, &self->results[i], err, objection.pointer, objection.detail));
        }
    }
    if (self->dry_run) {
        plan->count = 0;
    }
    return SOUK_OK;
}

souk_err_t catalog_products_import(souk_ctx_t *ctx, const catalog_products_import_req_t *req,
                                   catalog_products_import_rep_t *ret_rep) {
    import_t import = {.ctx = ctx, .service = souk_ctx_service(ctx), .dry_run = req->dry_run};
    import.items = catalog_products_import_req_items(req, &import.count);
    souk_assert(import.count <= CATALOG_COMMIT_MAX);
    import.results =
        catalog_products_import_rep_new_results(ret_rep, souk_ctx_arena(ctx), import.count);
    if (import.results == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    import.item_work = souk_arena_new(CATALOG_WORK_BYTES, CATALOG_WORK_KEEP_BYTES);
    import.work = souk_arena_new(WORK_ARENA_BYTES, CATALOG_WORK_KEEP_BYTES);
    const catalog_commit_t commit = {
        .ctx = ctx,
        .service = import.service,
        .store = souk_ctx_slot(ctx),
        .method = "products_import",
        .why = "import",
        .decide = s_decide,
        .arg = &import,
        .work = import.work,
        .refuses_parts = true,
    };
    souk_err_t err = catalog_commit(&commit);
    souk_arena_destroy(&import.item_work);
    souk_arena_destroy(&import.work);
    return err;
}
