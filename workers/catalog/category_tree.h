/* The categories: a tree with, for each node, the products that are in it and in it or below, and
 * its reply already encoded.
 *
 * Entities may come in any order (a snapshot has none), so a category that is only named, as a
 * parent or by a product, gets a node at once and waits there. A category whose parent is not there
 * stands at the top until it is. While a record is being read, versions of different times may meet
 * and form a ring: walks are bounded and the ring is no part of the tree until it opens. */
#ifndef CATALOG_CATEGORY_TREE_H
#define CATALOG_CATEGORY_TREE_H

#include <roaring/roaring.h>

#include "gen/catalog.h"
#include "map.h"
#include "souk/arena.h"
#include "souk/base.h"
#include "souk/buf.h"

/* A larger document is not a category. */
#define CATALOG_CATEGORY_BYTES_MAX ((size_t)256 * 1024)

typedef struct {
    uint32_t *nodes;
    uint32_t count, capacity;
} catalog_nodes_t;

typedef struct {
    char *id;
    char *document; /* as stored; NULL when the category is not there (deleted, or only named) */
    char *encoded;  /* the reply */
    souk_str_t name, slug; /* in document */
    int64_t version, revision, created_at_us, updated_at_us, position;
    uint32_t id_size, document_size, encoded_size;
    uint32_t parent;                /* as named, there or not; CATALOG_NONE: at the top */
    catalog_nodes_t children;       /* those that are there, by position, name and id */
    uint32_t depth, products_count; /* active products, in it and below */
    uint32_t encoded_depth, encoded_count;
    roaring_bitmap_t *own, *below; /* products of any status: in it; in it or below */
} catalog_node_t;

typedef struct {
    catalog_node_t *nodes;
    uint32_t count, capacity;
    uint32_t entities; /* that were ever there */
    catalog_nodes_t top;
    catalog_map_t by_id, by_slug;
    const roaring_bitmap_t *active; /* borrowed: the active products */
    souk_arena_t *arena;            /* scratch */
    souk_buf_t buf;                 /* scratch */
} catalog_tree_t;

void catalog_tree_init(catalog_tree_t *self, const roaring_bitmap_t *active);
void catalog_tree_done(catalog_tree_t *self);

/* Nodes by number; CATALOG_NONE when there is none. find also finds what is only named or deleted.
 */
uint32_t catalog_tree_find(const catalog_tree_t *self, souk_str_t id);
uint32_t catalog_tree_find_slug(const catalog_tree_t *self, souk_str_t slug);
uint32_t catalog_tree_find_any(const catalog_tree_t *self,
                               souk_str_t id_or_slug); /* only what is there */
uint32_t catalog_tree_require(catalog_tree_t *self, souk_str_t id);
bool catalog_tree_is_there(const catalog_tree_t *self, uint32_t node);
souk_str_t catalog_tree_id(const catalog_tree_t *self, uint32_t node);
souk_str_t catalog_tree_encoded(const catalog_tree_t *self, uint32_t node);

/* The category as decoded from document (copied). The caller has compared versions. */
void catalog_tree_set(catalog_tree_t *self, uint32_t node,
                      const catalog_category_record_t *category, souk_str_t document);
void catalog_tree_remove(catalog_tree_t *self, uint32_t node);

/* The product enters or leaves these categories (by id) and all above them; self->active holds its
 * state at that moment. */
void catalog_tree_add_product(catalog_tree_t *self, const souk_str_t *ids, size_t count,
                              uint32_t product);
void catalog_tree_remove_product(catalog_tree_t *self, const souk_str_t *ids, size_t count,
                                 uint32_t product);
/* Encodes again those of these categories, and above, whose number of products has changed. */
void catalog_tree_refresh(catalog_tree_t *self, const souk_str_t *ids, size_t count);

/* The node above that is there, else CATALOG_NONE. */
uint32_t catalog_tree_parent(const catalog_tree_t *self, uint32_t node);
bool catalog_tree_is_below(const catalog_tree_t *self, uint32_t node,
                           uint32_t ancestor); /* or the same */
uint32_t catalog_tree_height(const catalog_tree_t *self,
                             uint32_t node); /* levels below; 0: no children */

/* All that are there, parents before children, siblings by position, name and id: at most capacity.
 */
size_t catalog_tree_walk(const catalog_tree_t *self, uint32_t *ret_nodes, size_t capacity);

size_t catalog_tree_bytes(const catalog_tree_t *self);

#endif
