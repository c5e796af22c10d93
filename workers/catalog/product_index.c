/* Products in the index. What a product adds to postings, facets, tree and SKUs is a function of
 * its document alone; to take it out again, the old document is decoded and the same function runs
 * the other way. That costs some microseconds for a change and saves the memory of remembering it.
 */
#include <stdlib.h>

#include "index_impl.h"
#include "souk/schema.h"

#define DOCUMENT_BYTES_MAX ((size_t)2 * 1024 * 1024)
#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define ARENA_BYTES_KEPT ((size_t)256 * 1024)

/* ---- items ---- */

souk_str_t catalog_item_id(const catalog_item_t *self) {
    return (souk_str_t){.data = self->id, .size = self->id_size};
}

souk_str_t catalog_item_document(const catalog_item_t *self) {
    return (souk_str_t){.data = self->block, .size = self->block != NULL ? self->document_size : 0};
}

souk_str_t catalog_item_summary(const catalog_item_t *self) {
    return (souk_str_t){.data = self->block + self->document_size, .size = self->summary_size};
}

souk_str_t catalog_item_slug(const catalog_item_t *self) {
    return (souk_str_t){.data = self->block + self->document_size + self->summary_size,
                        .size = self->slug_size};
}

souk_str_t catalog_item_name_key(const catalog_item_t *self) {
    const char *slug = self->block + self->document_size + self->summary_size;
    return (souk_str_t){.data = slug + self->slug_size, .size = self->name_key_size};
}

static catalog_sort_key_t s_created_key(const void *owner, uint32_t ordinal) {
    const catalog_item_t *item = &((const catalog_index_t *)owner)->items[ordinal];
    return (catalog_sort_key_t){.number = item->created_at_us, .id = catalog_item_id(item)};
}

static catalog_sort_key_t s_price_key(const void *owner, uint32_t ordinal) {
    const catalog_item_t *item = &((const catalog_index_t *)owner)->items[ordinal];
    return (catalog_sort_key_t){.number = item->price_min, .id = catalog_item_id(item)};
}

static catalog_sort_key_t s_name_key(const void *owner, uint32_t ordinal) {
    const catalog_item_t *item = &((const catalog_index_t *)owner)->items[ordinal];
    return (catalog_sort_key_t){.text = catalog_item_name_key(item), .id = catalog_item_id(item)};
}

static catalog_sort_key_t s_revision_key(const void *owner, uint32_t ordinal) {
    const catalog_item_t *item = &((const catalog_index_t *)owner)->items[ordinal];
    return (catalog_sort_key_t){.number = item->revision, .id = catalog_item_id(item)};
}

void catalog_product_init(catalog_index_t *self) {
    catalog_map_init(&self->by_id);
    catalog_map_init(&self->by_slug);
    catalog_map_init(&self->by_sku);
    self->sku_keys = souk_arena_new(SIZE_MAX / 2, 0);
    self->arena = souk_arena_new(ARENA_BYTES_MAX, ARENA_BYTES_KEPT);
    self->former = souk_arena_new(ARENA_BYTES_MAX, ARENA_BYTES_KEPT);
    souk_buf_init(&self->buf, DOCUMENT_BYTES_MAX * 2);
    for (size_t i = 0; i < CATALOG_STATUSES; i++) {
        self->statuses[i] = roaring_bitmap_create();
        souk_assert(self->statuses[i] != NULL);
    }
    catalog_order_init(&self->by_created, s_created_key, self);
    catalog_order_init(&self->by_price, s_price_key, self);
    catalog_order_init(&self->by_name, s_name_key, self);
    catalog_order_init(&self->by_revision, s_revision_key, self);
    catalog_prices_init(&self->prices);
    catalog_text_init(&self->text);
    catalog_postings_init(&self->postings, &self->text);
    catalog_facets_init(&self->facets);
}

void catalog_product_done(catalog_index_t *self) {
    for (uint32_t i = 0; i < self->items_count; i++) {
        free(self->items[i].id);
        free(self->items[i].block);
    }
    free(self->items);
    catalog_map_done(&self->by_id);
    catalog_map_done(&self->by_slug);
    catalog_map_done(&self->by_sku);
    for (size_t i = 0; i < CATALOG_STATUSES; i++) {
        roaring_bitmap_free(self->statuses[i]);
    }
    catalog_order_done(&self->by_created);
    catalog_order_done(&self->by_price);
    catalog_order_done(&self->by_name);
    catalog_order_done(&self->by_revision);
    catalog_prices_done(&self->prices);
    catalog_postings_done(&self->postings);
    catalog_facets_done(&self->facets);
    catalog_text_done(&self->text);
    souk_arena_destroy(&self->sku_keys);
    souk_arena_destroy(&self->arena);
    souk_arena_destroy(&self->former);
    souk_buf_done(&self->buf);
}

uint32_t catalog_item_require(catalog_index_t *self, souk_str_t id) {
    uint32_t found = catalog_map_find(&self->by_id, id);
    if (found != CATALOG_NONE) {
        return found;
    }
    if (self->items_count == self->items_capacity) {
        self->items_capacity = self->items_capacity > 0 ? self->items_capacity * 2 : 1024;
        self->items = realloc(self->items, self->items_capacity * sizeof(self->items[0]));
        souk_assert(self->items != NULL);
    }
    souk_assert(self->items_count < UINT32_MAX / 2 && id.size <= CATALOG_ID_BYTES_MAX);
    catalog_item_t *item = &self->items[self->items_count];
    *item = (catalog_item_t){.id = malloc(id.size), .id_size = (uint8_t)id.size};
    souk_assert(item->id != NULL);
    memcpy(item->id, id.data, id.size);
    catalog_map_put(&self->by_id, catalog_item_id(item), self->items_count);
    return self->items_count++;
}

/* ---- SKUs ---- */

static void s_bind_sku(catalog_index_t *self, souk_str_t sku, uint32_t ordinal, bool current) {
    uint32_t value = ordinal * 2 + current;
    uint32_t known = catalog_map_find(&self->by_sku, sku);
    if (known == CATALOG_NONE) {
        souk_str_t key = souk_arena_copy(self->sku_keys, sku);
        souk_assert(key.data != NULL);
        catalog_map_put(&self->by_sku, key, value);
    } else if (known / 2 == ordinal && known != value) {
        catalog_map_set(&self->by_sku, sku, known, value);
    }
}

typedef struct {
    const catalog_index_t *index;
    void (*fn)(void *arg, souk_str_t sku, souk_str_t product_id);
    void *arg;
} s_each_sku_t;

static void s_each_sku(void *arg, souk_str_t sku, uint32_t value) {
    const s_each_sku_t *self = arg;
    if ((value & 1) == 0) {
        self->fn(self->arg, sku, catalog_item_id(&self->index->items[value / 2]));
    }
}

void catalog_index_each_dropped_sku(const catalog_index_t *self,
                                    void (*fn)(void *arg, souk_str_t sku, souk_str_t product_id),
                                    void *arg) {
    s_each_sku_t each = {.index = self, .fn = fn, .arg = arg};
    catalog_map_each(&self->by_sku, s_each_sku, &each);
}

void catalog_index_remember_sku(catalog_index_t *self, souk_str_t sku, souk_str_t product_id) {
    uint32_t ordinal = catalog_map_find(&self->by_id, product_id);
    if (ordinal != CATALOG_NONE && catalog_map_find(&self->by_sku, sku) == CATALOG_NONE) {
        s_bind_sku(self, sku, ordinal, false);
    }
}

souk_err_t catalog_product_remember(catalog_index_t *self, const catalog_change_t *change) {
    catalog_product_t product = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_arena_reset(self->arena);
    SOUK_TRY(souk_schema_from_mp(&catalog_product_type, change->document, self->arena, &product,
                                 &issues));
    uint32_t ordinal = catalog_item_require(self, change->entity_id);
    size_t count = 0;
    const catalog_variant_t *variants = catalog_product_variants(&product, &count);
    for (size_t i = 0; i < count; i++) {
        if (catalog_map_find(&self->by_sku, variants[i].sku) == CATALOG_NONE) {
            s_bind_sku(self, variants[i].sku, ordinal, false);
        }
    }
    return SOUK_OK;
}

/* ---- words and facets ---- */

typedef struct {
    catalog_index_t *index;
    uint32_t ordinal;
    bool add;
    catalog_field_t field;
} s_link_t;

static void s_link_word(void *arg, souk_str_t word) {
    s_link_t *link = arg;
    if (link->add) {
        catalog_postings_add(&link->index->postings, word, link->field, link->ordinal);
    } else {
        catalog_postings_remove(&link->index->postings, word, link->field, link->ordinal);
    }
}

static void s_link_text(s_link_t *link, catalog_field_t field, souk_str_t text) {
    link->field = field;
    catalog_text_words(&link->index->text, text, s_link_word, link);
}

static void s_link_value(s_link_t *link, catalog_property_kind_t kind, souk_str_t name,
                         souk_str_t value) {
    s_link_text(link, CATALOG_IN_LABELS, value);
    if (link->add) {
        catalog_facets_add(&link->index->facets, kind, name, value, link->ordinal);
    } else {
        catalog_facets_remove(&link->index->facets, kind, name, value, link->ordinal);
    }
}

/* Everything that is found by what the document says. */
static void s_link(s_link_t *link, const catalog_product_t *product) {
    size_t count = 0;
    s_link_text(link, CATALOG_IN_NAME, product->name);
    s_link_text(link, CATALOG_IN_DESCRIPTION, product->description);
    const souk_str_t *tags = catalog_product_tags(product, &count);
    for (size_t i = 0; i < count; i++) {
        s_link_value(link, CATALOG_TAG, SOUK_STR(""), tags[i]);
    }
    for (size_t i = 0; i < product->attributes.count; i++) {
        const souk_pair_t *pair = &product->attributes.items[i];
        s_link_value(link, CATALOG_ATTRIBUTE, pair->name, pair->value);
    }
    const catalog_variant_t *variants = catalog_product_variants(product, &count);
    for (size_t i = 0; i < count; i++) {
        const souk_pairs_t *values = &variants[i].option_values;
        for (size_t v = 0; v < values->count; v++) {
            s_link_value(link, CATALOG_OPTION, values->items[v].name, values->items[v].value);
        }
        s_bind_sku(link->index, variants[i].sku, link->ordinal, link->add);
    }
}

/* ---- coming and going ---- */

static void s_decode(catalog_index_t *self, const catalog_item_t *item, catalog_product_t *ret) {
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_err_t err = souk_schema_from_mp(&catalog_product_type, catalog_item_document(item),
                                         self->former, ret, &issues);
    souk_assert(err == SOUK_OK); /* it was decoded when it came */
}

static void s_leave(catalog_index_t *self, uint32_t ordinal, const catalog_product_t *product) {
    catalog_item_t *item = &self->items[ordinal];
    size_t count = 0;
    const souk_str_t *categories = catalog_product_category_ids(product, &count);
    s_link(&(s_link_t){.index = self, .ordinal = ordinal, .add = false}, product);
    catalog_tree_remove_product(&self->tree, categories, count, ordinal);
    catalog_order_remove(&self->by_created, ordinal);
    catalog_order_remove(&self->by_price, ordinal);
    catalog_order_remove(&self->by_name, ordinal);
    catalog_prices_remove(&self->prices, item->price_min, ordinal);
    roaring_bitmap_remove(self->statuses[item->status], ordinal);
    catalog_map_remove(&self->by_slug, catalog_item_slug(item), ordinal);
    self->products_count--;
}

static void s_enter(catalog_index_t *self, uint32_t ordinal, const catalog_product_t *product) {
    const catalog_item_t *item = &self->items[ordinal];
    size_t count = 0;
    const souk_str_t *categories = catalog_product_category_ids(product, &count);
    roaring_bitmap_add(self->statuses[item->status], ordinal);
    s_link(&(s_link_t){.index = self, .ordinal = ordinal, .add = true}, product);
    catalog_tree_add_product(&self->tree, categories, count, ordinal);
    catalog_order_insert(&self->by_created, ordinal);
    catalog_order_insert(&self->by_price, ordinal);
    catalog_order_insert(&self->by_name, ordinal);
    catalog_prices_add(&self->prices, item->price_min, ordinal);
    catalog_map_put(&self->by_slug, catalog_item_slug(item), ordinal);
    self->products_count++;
}

static void s_summarize(const catalog_product_t *product, souk_buf_t *buf) {
    catalog_product_summary_t summary = {.category_ids = product->category_ids,
                                         .tags = product->tags,
                                         .price_min = product->price_min,
                                         .price_max = product->price_max};
    catalog_product_summary_set_id(&summary, product->id);
    catalog_product_summary_set_version(&summary, product->version);
    catalog_product_summary_set_slug(&summary, product->slug);
    catalog_product_summary_set_name(&summary, product->name);
    catalog_product_summary_set_status(&summary, product->status);
    catalog_product_summary_set_variants_count(&summary, (int64_t)product->variants.count);
    catalog_product_summary_set_created_at(&summary, product->created_at);
    souk_bits_set(&summary.bits, CATALOG_PRODUCT_SUMMARY_CATEGORY_IDS_BIT);
    souk_bits_set(&summary.bits, CATALOG_PRODUCT_SUMMARY_TAGS_BIT);
    souk_bits_set(&summary.bits, CATALOG_PRODUCT_SUMMARY_PRICE_MIN_BIT);
    souk_bits_set(&summary.bits, CATALOG_PRODUCT_SUMMARY_PRICE_MAX_BIT);
    size_t count = 0;
    const catalog_media_t *media = catalog_product_media(product, &count);
    if (count > 0) {
        summary.image = media[0];
        souk_bits_set(&summary.bits, CATALOG_PRODUCT_SUMMARY_IMAGE_BIT);
    }
    const catalog_variant_t *variants = catalog_product_variants(product, &count);
    for (size_t i = 0; i < count; i++) { /* of the cheapest variant, the first of several */
        if (variants[i].price.amount == product->price_min.amount) {
            const souk_bits_t *bits = &variants[i].bits;
            if (souk_bits_has(bits, CATALOG_VARIANT_COMPARE_AT_PRICE_BIT) &&
                !souk_bits_nil(bits, CATALOG_VARIANT_COMPARE_AT_PRICE_BIT)) {
                summary.compare_at_price = variants[i].compare_at_price;
                souk_bits_set(&summary.bits, CATALOG_PRODUCT_SUMMARY_COMPARE_AT_PRICE_BIT);
            }
            break;
        }
    }
    souk_schema_to_mp(&catalog_product_summary_type, &summary, buf);
}

/* The item's next state, its block owned by the caller; the rest of what it needs is in change. */
static souk_err_t s_make(catalog_index_t *self, const catalog_change_t *change,
                         const catalog_product_t *product, catalog_item_t *ret) {
    souk_buf_clear(&self->buf);
    souk_buf_append_str(&self->buf, change->document);
    s_summarize(product, &self->buf);
    size_t summary_size = self->buf.size - change->document.size;
    souk_str_t name_key = catalog_text_fold(&self->text, product->name);
    if (name_key.size > CATALOG_NAME_KEY_BYTES_MAX) {
        name_key.size = CATALOG_NAME_KEY_BYTES_MAX;
    }
    souk_buf_append_str(&self->buf, product->slug);
    souk_buf_append_str(&self->buf, name_key);
    if (self->buf.overflow || product->slug.size > UINT16_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    *ret = (catalog_item_t){.block = malloc(self->buf.size),
                            .version = change->version,
                            .revision = change->revision,
                            .created_at_us = product->created_at,
                            .updated_at_us = product->updated_at,
                            .price_min = product->price_min.amount,
                            .price_max = product->price_max.amount,
                            .document_size = (uint32_t)change->document.size,
                            .summary_size = (uint32_t)summary_size,
                            .slug_size = (uint16_t)product->slug.size,
                            .name_key_size = (uint16_t)name_key.size,
                            .status = (uint8_t)product->status};
    souk_assert(ret->block != NULL);
    memcpy(ret->block, self->buf.data, self->buf.size);
    return SOUK_OK;
}

souk_err_t catalog_product_apply(catalog_index_t *self, const catalog_change_t *change) {
    catalog_product_t product = {0}, former = {0};
    catalog_item_t next = {.version = change->version, .revision = change->revision};
    souk_arena_reset(self->arena);
    souk_arena_reset(self->former);
    if (!change->deleted) {
        souk_issues_t issues;
        souk_issues_init(&issues);
        if (change->document.size > DOCUMENT_BYTES_MAX ||
            souk_schema_from_mp(&catalog_product_type, change->document, self->arena, &product,
                                &issues) != SOUK_OK ||
            !souk_str_equal(product.id, change->entity_id)) {
            return SOUK_ERR_MALFORMED;
        }
        SOUK_TRY(s_make(self, change, &product, &next));
    }
    uint32_t ordinal = catalog_item_require(self, change->entity_id);
    catalog_item_t *item = &self->items[ordinal];
    char *former_block = item->block;
    if (item->version > 0) {
        catalog_order_remove(&self->by_revision, ordinal);
    }
    if (former_block != NULL) {
        s_decode(self, item, &former);
        s_leave(self, ordinal, &former);
    }
    next.id = item->id;
    next.id_size = item->id_size;
    if (change->deleted) {
        next.created_at_us = item->created_at_us;
        next.updated_at_us = item->updated_at_us;
    }
    *item = next;
    catalog_order_insert(&self->by_revision, ordinal);
    if (!change->deleted) {
        s_enter(self, ordinal, &product);
    }
    /* Only now, so that a category whose number did not change in sum is not encoded again. */
    size_t count = 0;
    const souk_str_t *categories = catalog_product_category_ids(&product, &count);
    catalog_tree_refresh(&self->tree, categories, count);
    categories = catalog_product_category_ids(&former, &count);
    catalog_tree_refresh(&self->tree, categories, count);
    free(former_block); /* which former borrows from */
    return SOUK_OK;
}
