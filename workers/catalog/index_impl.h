/* The parts of the index, for index.c, product_index.c and the searches. */
#ifndef CATALOG_INDEX_IMPL_H
#define CATALOG_INDEX_IMPL_H

#include "category_tree.h"
#include "facets.h"
#include "gen/catalog.h"
#include "index.h"
#include "map.h"
#include "order.h"
#include "postings.h"
#include "prices.h"
#include "souk/arena.h"
#include "souk/buf.h"
#include "text.h"

#define CATALOG_STATUSES 3
/* Names are sorted by so many bytes of their folded form, then by id: a cursor carries them. */
#define CATALOG_NAME_KEY_BYTES_MAX 128
#define CATALOG_ID_BYTES_MAX 64

/* A product, by ordinal. Ordinals are never reused: what was deleted keeps its own, for its version
 * and its SKUs. block holds the document, the encoded summary, the slug and the name's sort key,
 * one behind the other. */
typedef struct {
    char *id;
    char *block; /* NULL: deleted */
    int64_t version, revision, created_at_us, updated_at_us;
    int64_t price_min, price_max;
    uint32_t document_size, summary_size;
    uint16_t slug_size, name_key_size;
    uint8_t id_size, status;
} catalog_item_t;

struct catalog_index {
    catalog_item_t *items;
    uint32_t items_count, items_capacity;
    uint32_t products_count; /* that are not deleted */
    uint32_t products_known; /* deleted ones too */
    int64_t revision;
    catalog_map_t by_id, by_slug;
    catalog_map_t by_sku; /* ordinal * 2, + 1 while the product has it; keys in sku_keys */
    souk_arena_t *sku_keys;
    roaring_bitmap_t *statuses[CATALOG_STATUSES];
    catalog_order_t by_created, by_price, by_name;
    catalog_order_t by_revision; /* deleted ones too */
    catalog_prices_t prices;
    catalog_postings_t postings;
    catalog_facets_t facets;
    catalog_tree_t tree;
    catalog_text_t text;
    souk_arena_t *arena, *former; /* scratch of a change: the new document's, the old one's */
    souk_buf_t buf;               /* scratch of a change */
    char currency[4];
    char record[CATALOG_IDENTITY_CHARS + 1];
};

souk_str_t catalog_item_id(const catalog_item_t *self);
souk_str_t catalog_item_document(const catalog_item_t *self);
souk_str_t catalog_item_summary(const catalog_item_t *self);
souk_str_t catalog_item_slug(const catalog_item_t *self);
souk_str_t catalog_item_name_key(const catalog_item_t *self);

/* product_index.c: the ordinal of an id, made when it is new. */
uint32_t catalog_item_require(catalog_index_t *self, souk_str_t id);
/* A product's document takes the place of the former one; SOUK_ERR_MALFORMED changes nothing. */
SOUK_MUST_CHECK souk_err_t catalog_product_apply(catalog_index_t *self,
                                                 const catalog_change_t *change);
/* The SKUs of an older version: bound to the product unless they are bound already. */
SOUK_MUST_CHECK souk_err_t catalog_product_remember(catalog_index_t *self,
                                                    const catalog_change_t *change);
void catalog_product_init(catalog_index_t *self);
void catalog_product_done(catalog_index_t *self);

/* The ordinal of a product that is not deleted, by id or slug; CATALOG_NONE. */
uint32_t catalog_index_product(const catalog_index_t *self, souk_str_t id_or_slug);

#endif
