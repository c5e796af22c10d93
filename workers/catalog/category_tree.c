#include "category_tree.h"

#include <stdlib.h>

#include "souk/schema.h"

/* Steps of a walk; a real tree has at most CATALOG_DEPTH_MAX levels. */
#define WALK_MAX 64
#define ARENA_BYTES_MAX ((size_t)1024 * 1024)

/* Present or null in the record is present or null in the reply. */
#define S_COPY_BITS(category, record, field)                                                       \
    do {                                                                                           \
        if (souk_bits_nil(&(record)->bits, CATALOG_CATEGORY_RECORD_##field##_BIT)) {               \
            souk_bits_set_nil(&(category)->bits, CATALOG_CATEGORY_##field##_BIT);                  \
        } else if (souk_bits_has(&(record)->bits, CATALOG_CATEGORY_RECORD_##field##_BIT)) {        \
            souk_bits_set(&(category)->bits, CATALOG_CATEGORY_##field##_BIT);                      \
        }                                                                                          \
    } while (0)

void catalog_tree_init(catalog_tree_t *self, const roaring_bitmap_t *active) {
    *self = (catalog_tree_t){.active = active,
                             .arena = souk_arena_new(ARENA_BYTES_MAX, ARENA_BYTES_MAX / 16)};
    catalog_map_init(&self->by_id);
    catalog_map_init(&self->by_slug);
    souk_buf_init(&self->buf, ARENA_BYTES_MAX);
}

void catalog_tree_done(catalog_tree_t *self) {
    for (uint32_t i = 0; i < self->count; i++) {
        catalog_node_t *node = &self->nodes[i];
        free(node->id);
        free(node->document);
        free(node->encoded);
        free(node->children.nodes);
        roaring_bitmap_free(node->own);
        roaring_bitmap_free(node->below);
    }
    free(self->nodes);
    free(self->top.nodes);
    catalog_map_done(&self->by_id);
    catalog_map_done(&self->by_slug);
    souk_arena_destroy(&self->arena);
    souk_buf_done(&self->buf);
}

static char *s_copy(const void *data, size_t size) {
    char *copy = malloc(size > 0 ? size : 1);
    souk_assert(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

uint32_t catalog_tree_find(const catalog_tree_t *self, souk_str_t id) {
    return catalog_map_find(&self->by_id, id);
}

uint32_t catalog_tree_find_slug(const catalog_tree_t *self, souk_str_t slug) {
    return catalog_map_find(&self->by_slug, slug);
}

uint32_t catalog_tree_find_any(const catalog_tree_t *self, souk_str_t id_or_slug) {
    uint32_t node = catalog_tree_find(self, id_or_slug);
    if (node == CATALOG_NONE) {
        node = catalog_tree_find_slug(self, id_or_slug);
    }
    return catalog_tree_is_there(self, node) ? node : CATALOG_NONE;
}

uint32_t catalog_tree_require(catalog_tree_t *self, souk_str_t id) {
    uint32_t found = catalog_tree_find(self, id);
    if (found != CATALOG_NONE) {
        return found;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        self->nodes = realloc(self->nodes, self->capacity * sizeof(self->nodes[0]));
        souk_assert(self->nodes != NULL);
    }
    catalog_node_t *node = &self->nodes[self->count];
    *node = (catalog_node_t){.id = s_copy(id.data, id.size),
                             .id_size = (uint32_t)id.size,
                             .parent = CATALOG_NONE,
                             .own = roaring_bitmap_create(),
                             .below = roaring_bitmap_create()};
    souk_assert(node->own != NULL && node->below != NULL);
    catalog_map_put(&self->by_id, (souk_str_t){.data = node->id, .size = id.size}, self->count);
    return self->count++;
}

bool catalog_tree_is_there(const catalog_tree_t *self, uint32_t node) {
    return node != CATALOG_NONE && self->nodes[node].document != NULL;
}

souk_str_t catalog_tree_id(const catalog_tree_t *self, uint32_t node) {
    return (souk_str_t){.data = self->nodes[node].id, .size = self->nodes[node].id_size};
}

souk_str_t catalog_tree_encoded(const catalog_tree_t *self, uint32_t node) {
    return (souk_str_t){.data = self->nodes[node].encoded, .size = self->nodes[node].encoded_size};
}

uint32_t catalog_tree_parent(const catalog_tree_t *self, uint32_t node) {
    uint32_t parent = self->nodes[node].parent;
    return catalog_tree_is_there(self, parent) ? parent : CATALOG_NONE;
}

bool catalog_tree_is_below(const catalog_tree_t *self, uint32_t node, uint32_t ancestor) {
    for (int steps = 0; node != CATALOG_NONE && steps < WALK_MAX; steps++) {
        if (node == ancestor) {
            return true;
        }
        node = catalog_tree_parent(self, node);
    }
    return false;
}

static uint32_t s_height(const catalog_tree_t *self, uint32_t node, uint32_t left) {
    uint32_t height = 0;
    const catalog_nodes_t *children = &self->nodes[node].children;
    for (uint32_t i = 0; i < children->count && left > 0; i++) {
        uint32_t below = 1 + s_height(self, children->nodes[i], left - 1);
        height = below > height ? below : height;
    }
    return height;
}

uint32_t catalog_tree_height(const catalog_tree_t *self, uint32_t node) {
    return s_height(self, node, WALK_MAX);
}

/* ---- siblings ---- */

static int s_compare_str(souk_str_t a, souk_str_t b) {
    size_t size = a.size < b.size ? a.size : b.size;
    int result = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return result != 0 ? result : (a.size > b.size) - (a.size < b.size);
}

static int s_compare(const catalog_tree_t *self, uint32_t a, uint32_t b) {
    const catalog_node_t *left = &self->nodes[a], *right = &self->nodes[b];
    if (left->position != right->position) {
        return left->position < right->position ? -1 : 1;
    }
    int result = s_compare_str(left->name, right->name);
    return result != 0 ? result : s_compare_str(catalog_tree_id(self, a), catalog_tree_id(self, b));
}

static uint32_t s_place(const catalog_tree_t *self, const catalog_nodes_t *list, uint32_t node) {
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s_compare(self, list->nodes[middle], node) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void s_list_add(const catalog_tree_t *self, catalog_nodes_t *list, uint32_t node) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity > 0 ? list->capacity * 2 : 8;
        list->nodes = realloc(list->nodes, list->capacity * sizeof(list->nodes[0]));
        souk_assert(list->nodes != NULL);
    }
    uint32_t at = s_place(self, list, node);
    memmove(&list->nodes[at + 1], &list->nodes[at], (list->count - at) * sizeof(list->nodes[0]));
    list->nodes[at] = node;
    list->count++;
}

static void s_list_remove(const catalog_tree_t *self, catalog_nodes_t *list, uint32_t node) {
    uint32_t at = s_place(self, list, node);
    souk_assert(at < list->count && list->nodes[at] == node);
    list->count--;
    memmove(&list->nodes[at], &list->nodes[at + 1], (list->count - at) * sizeof(list->nodes[0]));
}

/* ---- encoded replies ---- */

static void s_encode(catalog_tree_t *self, uint32_t at) {
    catalog_node_t *node = &self->nodes[at];
    catalog_category_record_t record = {0};
    souk_issues_t issues;
    souk_issues_init(&issues);
    souk_arena_reset(self->arena);
    souk_buf_clear(&self->buf);
    souk_err_t err =
        souk_schema_from_mp(&catalog_category_record_type,
                            (souk_str_t){.data = node->document, .size = node->document_size},
                            self->arena, &record, &issues);
    souk_assert(err == SOUK_OK); /* it was decoded when it came */
    catalog_category_t category = {.description = record.description,
                                   .parent_id = record.parent_id};
    S_COPY_BITS(&category, &record, DESCRIPTION);
    S_COPY_BITS(&category, &record, PARENT_ID);
    catalog_category_set_id(&category, record.id);
    catalog_category_set_version(&category, record.version);
    catalog_category_set_slug(&category, record.slug);
    catalog_category_set_name(&category, record.name);
    catalog_category_set_position(&category, record.position);
    catalog_category_set_created_at(&category, record.created_at);
    catalog_category_set_updated_at(&category, record.updated_at);
    catalog_category_set_depth(&category, node->depth);
    catalog_category_set_products_count(&category, node->products_count);
    souk_schema_to_mp(&catalog_category_type, &category, &self->buf);
    souk_assert(!self->buf.overflow);
    free(node->encoded);
    node->encoded = s_copy(self->buf.data, self->buf.size);
    node->encoded_size = (uint32_t)self->buf.size;
    node->encoded_depth = node->depth;
    node->encoded_count = node->products_count;
}

static void s_encode_if_stale(catalog_tree_t *self, uint32_t at) {
    const catalog_node_t *node = &self->nodes[at];
    if (node->document != NULL &&
        (node->encoded_depth != node->depth || node->encoded_count != node->products_count)) {
        s_encode(self, at);
    }
}

static uint32_t s_depth(const catalog_tree_t *self, uint32_t node) {
    uint32_t depth = 0;
    while (depth < WALK_MAX && (node = catalog_tree_parent(self, node)) != CATALOG_NONE) {
        depth++;
    }
    return depth;
}

/* The node's depth has changed, perhaps: so have those below. */
static void s_sink(catalog_tree_t *self, uint32_t at, uint32_t depth, uint32_t left) {
    self->nodes[at].depth = depth;
    s_encode_if_stale(self, at);
    for (uint32_t i = 0; i < self->nodes[at].children.count && left > 0; i++) {
        s_sink(self, self->nodes[at].children.nodes[i], depth + 1, left - 1);
    }
}

/* ---- products ---- */

/* Gathers below anew from the node upwards. */
static void s_climb(catalog_tree_t *self, uint32_t at) {
    for (int steps = 0; at != CATALOG_NONE && steps < WALK_MAX; steps++) {
        catalog_node_t *node = &self->nodes[at];
        roaring_bitmap_t *below = roaring_bitmap_copy(node->own);
        souk_assert(below != NULL);
        for (uint32_t i = 0; i < node->children.count; i++) {
            roaring_bitmap_or_inplace(below, self->nodes[node->children.nodes[i]].below);
        }
        roaring_bitmap_free(node->below);
        node->below = below;
        node->products_count = (uint32_t)roaring_bitmap_and_cardinality(below, self->active);
        s_encode_if_stale(self, at);
        at = catalog_tree_parent(self, at);
    }
}

void catalog_tree_add_product(catalog_tree_t *self, const souk_str_t *ids, size_t count,
                              uint32_t product) {
    bool active = roaring_bitmap_contains(self->active, product);
    for (size_t i = 0; i < count; i++) {
        uint32_t at = catalog_tree_require(self, ids[i]);
        roaring_bitmap_add(self->nodes[at].own, product);
        for (int steps = 0; at != CATALOG_NONE && steps < WALK_MAX; steps++) {
            if (roaring_bitmap_add_checked(self->nodes[at].below, product)) {
                self->nodes[at].products_count += active;
            }
            at = catalog_tree_parent(self, at);
        }
    }
}

void catalog_tree_remove_product(catalog_tree_t *self, const souk_str_t *ids, size_t count,
                                 uint32_t product) {
    bool active = roaring_bitmap_contains(self->active, product);
    for (size_t i = 0; i < count; i++) {
        uint32_t at = catalog_tree_require(self, ids[i]);
        roaring_bitmap_remove(self->nodes[at].own, product);
        for (int steps = 0; at != CATALOG_NONE && steps < WALK_MAX; steps++) {
            if (roaring_bitmap_remove_checked(self->nodes[at].below, product)) {
                self->nodes[at].products_count -= active;
            }
            at = catalog_tree_parent(self, at);
        }
    }
}

void catalog_tree_refresh(catalog_tree_t *self, const souk_str_t *ids, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t at = catalog_tree_find(self, ids[i]);
        for (int steps = 0; at != CATALOG_NONE && steps < WALK_MAX; steps++) {
            s_encode_if_stale(self, at);
            at = catalog_tree_parent(self, at);
        }
    }
}

/* ---- changes ---- */

/* Takes the node out of the tree; what hangs below it goes to the top. */
static void s_detach(catalog_tree_t *self, uint32_t at) {
    catalog_node_t *node = &self->nodes[at];
    uint32_t parent = catalog_tree_parent(self, at);
    if (parent == CATALOG_NONE) {
        s_list_remove(self, &self->top, at);
    }
    if (node->parent != CATALOG_NONE) {
        s_list_remove(self, &self->nodes[node->parent].children, at);
    }
    catalog_map_remove(&self->by_slug, node->slug, at);
    node->parent = CATALOG_NONE;
    free(node->document);
    node->document = NULL;
    if (parent != CATALOG_NONE) {
        s_climb(self, parent);
    }
}

static void s_attach(catalog_tree_t *self, uint32_t at, uint32_t parent) {
    catalog_node_t *node = &self->nodes[at];
    node->parent = parent;
    if (parent != CATALOG_NONE) {
        s_list_add(self, &self->nodes[parent].children, at);
    }
    if (catalog_tree_parent(self, at) == CATALOG_NONE) {
        s_list_add(self, &self->top, at);
    }
    catalog_map_put(&self->by_slug, node->slug, at);
}

/* The node has come or gone: its children leave or enter the top. */
static void s_move_children(catalog_tree_t *self, uint32_t at, bool was_there) {
    bool is_there = catalog_tree_is_there(self, at);
    const catalog_nodes_t *children = &self->nodes[at].children;
    for (uint32_t i = 0; i < children->count && was_there != is_there; i++) {
        if (is_there) {
            s_list_remove(self, &self->top, children->nodes[i]);
        } else {
            s_list_add(self, &self->top, children->nodes[i]);
            s_sink(self, children->nodes[i], 0, WALK_MAX);
        }
    }
}

void catalog_tree_set(catalog_tree_t *self, uint32_t at, const catalog_category_record_t *category,
                      souk_str_t document) {
    bool has_parent = souk_bits_has(&category->bits, CATALOG_CATEGORY_RECORD_PARENT_ID_BIT) &&
                      !souk_bits_nil(&category->bits, CATALOG_CATEGORY_RECORD_PARENT_ID_BIT);
    uint32_t parent = has_parent ? catalog_tree_require(self, category->parent_id) : CATALOG_NONE;
    bool was_there = catalog_tree_is_there(self, at);
    if (was_there) {
        s_detach(self, at);
    }
    catalog_node_t *node = &self->nodes[at];
    node->document = s_copy(document.data, document.size);
    node->document_size = (uint32_t)document.size;
    node->name = (souk_str_t){.data = node->document + (category->name.data - document.data),
                              .size = category->name.size};
    node->slug = (souk_str_t){.data = node->document + (category->slug.data - document.data),
                              .size = category->slug.size};
    node->position = category->position;
    node->created_at_us = category->created_at;
    node->updated_at_us = category->updated_at;
    s_attach(self, at, parent);
    s_move_children(self, at, was_there);
    node->depth = s_depth(self, at);
    s_encode(self, at);
    s_sink(self, at, node->depth, WALK_MAX);
    s_climb(self, at);
}

void catalog_tree_remove(catalog_tree_t *self, uint32_t at) {
    if (catalog_tree_is_there(self, at)) {
        s_detach(self, at);
        s_move_children(self, at, true);
        free(self->nodes[at].encoded);
        self->nodes[at].encoded = NULL;
        self->nodes[at].encoded_size = 0;
    }
}

/* ---- walks ---- */

static void s_walk(const catalog_tree_t *self, const catalog_nodes_t *list, uint32_t *nodes,
                   size_t capacity, size_t *count) {
    for (uint32_t i = 0; i < list->count && *count < capacity; i++) {
        nodes[(*count)++] = list->nodes[i];
        s_walk(self, &self->nodes[list->nodes[i]].children, nodes, capacity, count);
    }
}

size_t catalog_tree_walk(const catalog_tree_t *self, uint32_t *ret_nodes, size_t capacity) {
    size_t count = 0;
    s_walk(self, &self->top, ret_nodes, capacity, &count);
    return count;
}

size_t catalog_tree_bytes(const catalog_tree_t *self) {
    size_t bytes = self->capacity * sizeof(self->nodes[0]) + catalog_map_bytes(&self->by_id) +
                   catalog_map_bytes(&self->by_slug);
    for (uint32_t i = 0; i < self->count; i++) {
        const catalog_node_t *node = &self->nodes[i];
        bytes += node->id_size + node->document_size + node->encoded_size +
                 roaring_bitmap_size_in_bytes(node->own) +
                 roaring_bitmap_size_in_bytes(node->below);
    }
    return bytes;
}
