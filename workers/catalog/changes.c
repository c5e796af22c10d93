/* catalog.changes: what other services follow the catalogue by. It walks the products in the order
 * of their newest revision, so a poll that finds nothing new costs one look-up. The documents are
 * copied behind the gate and read after it: the bus thread's changes wait for a copy, not for the
 * decoding. */
#include "gen/catalog_handlers.h"
#include "index.h"
#include "runtime/ctx.h"
#include "service.h"
#include "souk/schema.h"

/* Of copied documents in a page, beyond its first. What is told of a product is shorter than its
 * document, but for a hundred bytes, and even the largest product alone fits the reply. */
#define PAGE_BYTES_MAX ((size_t)768 * 1024)
#define NO_TAX_CATEGORY SOUK_STR("standard") /* of records from before there was one */

typedef struct {
    souk_arena_t *arena;
    catalog_change_t *copies;
    size_t count, limit, bytes;
    bool more;
} page_t;

static bool s_copy(void *arg, const catalog_change_t *change) {
    page_t *self = arg;
    size_t bytes = self->bytes + change->document.size;
    if (self->count == self->limit || (self->count > 0 && bytes > PAGE_BYTES_MAX)) {
        self->more = true;
        return false;
    }
    catalog_change_t *copy = &self->copies[self->count++];
    *copy = *change;
    copy->entity_id = souk_arena_copy(self->arena, change->entity_id);
    copy->document = souk_arena_copy(self->arena, change->document);
    self->bytes = bytes;
    return !souk_arena_overflowed(self->arena);
}

static souk_err_t s_variants(const catalog_product_t *product, souk_arena_t *arena,
                             catalog_change_item_t *ret) {
    size_t count = 0;
    const catalog_variant_t *variants = catalog_product_variants(product, &count);
    catalog_change_variant_t *rows = catalog_change_item_new_variants(ret, arena, count);
    if (rows == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        catalog_change_variant_set_sku(&rows[i], variants[i].sku);
        catalog_change_variant_set_variant_id(&rows[i], variants[i].id);
        catalog_change_variant_set_price(&rows[i], variants[i].price.amount);
        catalog_change_variant_set_currency(&rows[i], variants[i].price.currency);
        catalog_change_variant_set_option_values(&rows[i], variants[i].option_values);
    }
    return SOUK_OK;
}

static souk_err_t s_tell(const catalog_change_t *change, souk_arena_t *arena,
                         catalog_change_item_t *ret) {
    catalog_change_item_set_revision(ret, change->revision);
    catalog_change_item_set_product_id(ret, change->entity_id);
    catalog_change_item_set_deleted(ret, change->deleted);
    catalog_change_item_set_active(ret, false);
    catalog_product_t *product = souk_arena_alloc(arena, sizeof *product);
    if (product == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    if (!change->deleted) {
        souk_issues_t issues;
        souk_issues_init(&issues);
        SOUK_TRY(
            souk_schema_from_mp(&catalog_product_type, change->document, arena, product, &issues));
        catalog_change_item_set_active(ret, product->status == CATALOG_PRODUCT_STATUS_ACTIVE);
        catalog_change_item_set_slug(ret, product->slug);
        catalog_change_item_set_name(ret, product->name);
        bool taxed = souk_bits_has(&product->bits, CATALOG_PRODUCT_TAX_CATEGORY_BIT);
        catalog_change_item_set_tax_category(ret, taxed ? product->tax_category : NO_TAX_CATEGORY);
    }
    return s_variants(product, arena, ret);
}

souk_err_t catalog_changes(souk_ctx_t *ctx, const catalog_changes_req_t *req,
                           catalog_changes_rep_t *ret_rep) {
    catalog_service_t *service = souk_ctx_service(ctx);
    souk_arena_t *arena = souk_ctx_arena(ctx);
    page_t page = {.arena = arena, .limit = (size_t)req->limit};
    page.copies = souk_arena_alloc_array(arena, page.limit, sizeof *page.copies);
    if (page.copies == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    catalog_read_lock(service);
    const catalog_index_t *index = catalog_service_index(service);
    int64_t revision = catalog_index_revision(index);
    souk_str_t record = souk_arena_copy(arena, souk_str_of(catalog_index_record(index)));
    catalog_index_each_since(index, req->after, s_copy, &page);
    catalog_read_unlock(service);
    if (souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    catalog_change_item_t *rows = catalog_changes_rep_new_changes(ret_rep, arena, page.count);
    if (rows == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < page.count; i++) {
        SOUK_TRY(s_tell(&page.copies[i], arena, &rows[i]));
    }
    catalog_changes_rep_set_more(ret_rep, page.more);
    catalog_changes_rep_set_next(ret_rep,
                                 page.more ? page.copies[page.count - 1].revision : revision);
    catalog_changes_rep_set_revision(ret_rep, revision);
    catalog_changes_rep_set_record(ret_rep, record);
    return SOUK_OK;
}
