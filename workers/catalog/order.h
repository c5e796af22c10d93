/* Numbers in a sorted sequence: products by a sort key, words by spelling. A change costs the
 * logarithm and one small move. */
#ifndef CATALOG_ORDER_H
#define CATALOG_ORDER_H

#include "souk/base.h"

/* Where an item stands: by number, then text, then id. Unused parts are zero. */
typedef struct {
    int64_t number;
    souk_str_t text;
    souk_str_t id;
} catalog_sort_key_t;

int catalog_sort_key_compare(const catalog_sort_key_t *a, const catalog_sort_key_t *b);

typedef catalog_sort_key_t (*catalog_sort_key_fn)(const void *owner, uint32_t item);

#define CATALOG_ORDER_CHUNK 256
typedef struct {
    uint32_t count;
    uint32_t items[CATALOG_ORDER_CHUNK];
} catalog_order_chunk_t;

typedef struct {
    catalog_order_chunk_t **chunks; /* none is empty */
    size_t chunks_count, chunks_capacity, count;
    catalog_sort_key_fn key_of; /* of an item that is in the order or is being put there */
    const void *owner;
} catalog_order_t;

/* A place: an item, or one of both ends (before the first, behind the last). Valid until the order
 * changes. */
typedef struct {
    size_t chunk, at;
} catalog_order_pos_t;

void catalog_order_init(catalog_order_t *self, catalog_sort_key_fn key_of, const void *owner);
void catalog_order_done(catalog_order_t *self);

/* Keys are unique. remove finds the item by its key, which must not have changed since. */
void catalog_order_insert(catalog_order_t *self, uint32_t item);
void catalog_order_remove(catalog_order_t *self, uint32_t item);

/* The first item whose key is not less than key (greater, when after). */
catalog_order_pos_t catalog_order_seek(const catalog_order_t *self, const catalog_sort_key_t *key,
                                       bool after);
catalog_order_pos_t catalog_order_begin(const catalog_order_t *self);
catalog_order_pos_t catalog_order_end(const catalog_order_t *self);
/* The item at pos, then pos goes on; false at the end. */
bool catalog_order_next(const catalog_order_t *self, catalog_order_pos_t *pos, uint32_t *ret_item);
/* pos goes one back, then the item there; false at the beginning. */
bool catalog_order_prev(const catalog_order_t *self, catalog_order_pos_t *pos, uint32_t *ret_item);

size_t catalog_order_bytes(const catalog_order_t *self);

#endif
