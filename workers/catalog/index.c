#include "index.h"

#include <stdlib.h>

#include "index_impl.h"
#include "souk/schema.h"

catalog_index_t *catalog_index_new(const char *currency) {
    catalog_index_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL && strlen(currency) < sizeof(self->currency));
    memcpy(self->currency, currency, strlen(currency) + 1);
    catalog_product_init(self);
    catalog_tree_init(&self->tree, self->statuses[CATALOG_PRODUCT_STATUS_ACTIVE]);
    return self;
}

void catalog_index_destroy(catalog_index_t **self_p) {
    catalog_index_t *self = *self_p;
    if (self != NULL) {
        catalog_tree_done(&self->tree);
        catalog_product_done(self);
        free(self);
        *self_p = NULL;
    }
}

/* ---- changes ---- */

static souk_err_t s_apply_category(catalog_index_t *self, const catalog_change_t *change) {
    catalog_category_record_t category = {0};
    if (!change->deleted) {
        souk_issues_t issues;
        souk_issues_init(&issues);
        souk_arena_reset(self->arena);
        if (change->document.size > CATALOG_CATEGORY_BYTES_MAX ||
            souk_schema_from_mp(&catalog_category_record_type, change->document, self->arena,
                                &category, &issues) != SOUK_OK ||
            !souk_str_equal(category.id, change->entity_id) ||
            souk_str_equal(category.parent_id, change->entity_id)) {
            return SOUK_ERR_MALFORMED;
        }
    }
    uint32_t at = catalog_tree_require(&self->tree, change->entity_id);
    self->tree.entities += self->tree.nodes[at].version == 0;
    if (change->deleted) {
        catalog_tree_remove(&self->tree, at);
    } else {
        catalog_tree_set(&self->tree, at, &category, change->document);
    }
    self->tree.nodes[at].version = change->version;
    self->tree.nodes[at].revision = change->revision;
    return SOUK_OK;
}

static souk_err_t s_apply(catalog_index_t *self, const catalog_change_t *change) {
    if (change->entity_id.size == 0 || change->entity_id.size > CATALOG_ID_BYTES_MAX ||
        change->version < 1) {
        return SOUK_ERR_MALFORMED;
    }
    bool old = change->version <= catalog_index_version(self, change->kind, change->entity_id);
    if (change->kind == CATALOG_CATEGORY) {
        return old ? SOUK_OK : s_apply_category(self, change);
    }
    if (old) {
        return change->deleted ? SOUK_OK : catalog_product_remember(self, change);
    }
    uint32_t items_count = self->items_count;
    SOUK_TRY(catalog_product_apply(self, change));
    self->products_known += self->items_count - items_count;
    return SOUK_OK;
}

souk_err_t catalog_index_apply(catalog_index_t *self, const catalog_change_t *change) {
    catalog_index_skip(self, change->revision);
    return s_apply(self, change);
}

int64_t catalog_index_revision(const catalog_index_t *self) {
    return self->revision;
}

void catalog_index_skip(catalog_index_t *self, int64_t revision) {
    if (revision > self->revision) {
        self->revision = revision;
    }
}

void catalog_index_set_record(catalog_index_t *self, const char *identity) {
    souk_assert(strlen(identity) < sizeof(self->record));
    memcpy(self->record, identity, strlen(identity) + 1);
}

const char *catalog_index_record(const catalog_index_t *self) {
    return self->record;
}

/* ---- look-ups ---- */

bool catalog_index_entity(const catalog_index_t *self, catalog_kind_t kind, souk_str_t id,
                          catalog_entity_t *ret) {
    if (kind == CATALOG_PRODUCT) {
        uint32_t ordinal = catalog_map_find(&self->by_id, id);
        if (ordinal == CATALOG_NONE) {
            return false;
        }
        const catalog_item_t *item = &self->items[ordinal];
        *ret = (catalog_entity_t){.id = catalog_item_id(item),
                                  .version = item->version,
                                  .revision = item->revision,
                                  .created_at_us = item->created_at_us,
                                  .updated_at_us = item->updated_at_us,
                                  .deleted = item->block == NULL,
                                  .document = catalog_item_document(item)};
        return true;
    }
    uint32_t at = catalog_tree_find(&self->tree, id);
    if (at == CATALOG_NONE || self->tree.nodes[at].version == 0) {
        return false;
    }
    const catalog_node_t *node = &self->tree.nodes[at];
    *ret = (catalog_entity_t){.id = catalog_tree_id(&self->tree, at),
                              .version = node->version,
                              .revision = node->revision,
                              .created_at_us = node->created_at_us,
                              .updated_at_us = node->updated_at_us,
                              .deleted = node->document == NULL};
    if (node->document != NULL) {
        ret->document = (souk_str_t){.data = node->document, .size = node->document_size};
    }
    return true;
}

int64_t catalog_index_version(const catalog_index_t *self, catalog_kind_t kind, souk_str_t id) {
    catalog_entity_t entity;
    return catalog_index_entity(self, kind, id, &entity) ? entity.version : 0;
}

souk_str_t catalog_index_slug_owner(const catalog_index_t *self, catalog_kind_t kind,
                                    souk_str_t slug) {
    uint32_t found =
        catalog_map_find(kind == CATALOG_PRODUCT ? &self->by_slug : &self->tree.by_slug, slug);
    if (found == CATALOG_NONE) {
        return (souk_str_t){0};
    }
    return kind == CATALOG_PRODUCT ? catalog_item_id(&self->items[found])
                                   : catalog_tree_id(&self->tree, found);
}

souk_str_t catalog_index_sku_owner(const catalog_index_t *self, souk_str_t sku) {
    uint32_t found = catalog_map_find(&self->by_sku, sku);
    return found != CATALOG_NONE ? catalog_item_id(&self->items[found / 2]) : (souk_str_t){0};
}

uint32_t catalog_index_product(const catalog_index_t *self, souk_str_t id_or_slug) {
    uint32_t found = catalog_map_find(&self->by_id, id_or_slug);
    if (found == CATALOG_NONE) {
        found = catalog_map_find(&self->by_slug, id_or_slug);
    }
    return found != CATALOG_NONE && self->items[found].block != NULL ? found : CATALOG_NONE;
}

souk_str_t catalog_index_category_id(const catalog_index_t *self, souk_str_t id_or_slug) {
    uint32_t at = catalog_tree_find_any(&self->tree, id_or_slug);
    return at != CATALOG_NONE ? catalog_tree_id(&self->tree, at) : (souk_str_t){0};
}

bool catalog_index_category_empty(const catalog_index_t *self, souk_str_t id) {
    uint32_t at = catalog_tree_find(&self->tree, id);
    return at == CATALOG_NONE || (self->tree.nodes[at].children.count == 0 &&
                                  roaring_bitmap_is_empty(self->tree.nodes[at].own));
}

bool catalog_index_category_below(const catalog_index_t *self, souk_str_t id, souk_str_t ancestor) {
    uint32_t at = catalog_tree_find(&self->tree, id),
             above = catalog_tree_find(&self->tree, ancestor);
    return at != CATALOG_NONE && above != CATALOG_NONE &&
           catalog_tree_is_below(&self->tree, at, above);
}

int catalog_index_category_depth(const catalog_index_t *self, souk_str_t id) {
    uint32_t at = catalog_tree_find(&self->tree, id);
    return at != CATALOG_NONE ? (int)self->tree.nodes[at].depth : 0;
}

int64_t catalog_index_category_products(const catalog_index_t *self, souk_str_t id) {
    uint32_t at = catalog_tree_find(&self->tree, id);
    return at != CATALOG_NONE ? self->tree.nodes[at].products_count : 0;
}

int catalog_index_category_height(const catalog_index_t *self, souk_str_t id) {
    uint32_t at = catalog_tree_find(&self->tree, id);
    return at != CATALOG_NONE ? (int)catalog_tree_height(&self->tree, at) : 0;
}

/* ---- all ---- */

uint64_t catalog_index_entities(const catalog_index_t *self) {
    return (uint64_t)self->products_known + self->tree.entities;
}

void catalog_index_each(const catalog_index_t *self,
                        void (*fn)(void *arg, const catalog_change_t *change), void *arg) {
    for (int kind = CATALOG_PRODUCT; kind <= CATALOG_CATEGORY; kind++) {
        uint32_t count = kind == CATALOG_PRODUCT ? self->items_count : self->tree.count;
        for (uint32_t i = 0; i < count; i++) {
            catalog_entity_t entity;
            souk_str_t id = kind == CATALOG_PRODUCT ? catalog_item_id(&self->items[i])
                                                    : catalog_tree_id(&self->tree, i);
            if (catalog_index_entity(self, (catalog_kind_t)kind, id, &entity) &&
                entity.version > 0) {
                fn(arg, &(catalog_change_t){.revision = entity.revision,
                                            .kind = (catalog_kind_t)kind,
                                            .entity_id = entity.id,
                                            .version = entity.version,
                                            .deleted = entity.deleted,
                                            .document = entity.document});
            }
        }
    }
}

void catalog_index_each_since(const catalog_index_t *self, int64_t after,
                              bool (*fn)(void *arg, const catalog_change_t *change), void *arg) {
    const catalog_sort_key_t key = {.number = after < INT64_MAX ? after + 1 : after};
    catalog_order_pos_t pos = catalog_order_seek(&self->by_revision, &key, false);
    uint32_t ordinal = 0;
    bool more = true;
    while (more && catalog_order_next(&self->by_revision, &pos, &ordinal)) {
        const catalog_item_t *item = &self->items[ordinal];
        more = fn(arg, &(catalog_change_t){.revision = item->revision,
                                           .kind = CATALOG_PRODUCT,
                                           .entity_id = catalog_item_id(item),
                                           .version = item->version,
                                           .deleted = item->block == NULL,
                                           .document = catalog_item_document(item)});
    }
}
