/* Which products have which value of which property: tags, options (of their variants) and
 * attributes. */
#ifndef CATALOG_FACETS_H
#define CATALOG_FACETS_H

#include <roaring/roaring.h>

#include "map.h"
#include "souk/base.h"

typedef enum { CATALOG_TAG, CATALOG_OPTION, CATALOG_ATTRIBUTE } catalog_property_kind_t;

typedef struct {
    catalog_property_kind_t kind;
    char *key; /* NULL: free */
    uint32_t key_size;
    uint32_t *values; /* numbers of values, in no order */
    uint32_t values_count, values_capacity;
    uint64_t products_sum; /* of its values */
    uint32_t next_free;
} catalog_property_t;

typedef struct {
    char *key; /* NULL: free */
    uint32_t key_size, prefix_size;
    uint32_t property;
    uint32_t at; /* in property->values; of a free value: the next free one */
    uint32_t products_count;
    roaring_bitmap_t *products;
} catalog_value_t;

typedef struct {
    catalog_property_t *properties;
    catalog_value_t *values;
    uint32_t properties_count, properties_capacity, properties_free;
    uint32_t values_count, values_capacity, values_free;
    catalog_map_t by_property, by_value;
} catalog_facets_t;

void catalog_facets_init(catalog_facets_t *self);
void catalog_facets_done(catalog_facets_t *self);

/* Says that the product has the value; a second time changes nothing. A tag's name is empty. Names
 * and values that are together longer than about 2 kB (the schema allows less) are left out. */
void catalog_facets_add(catalog_facets_t *self, catalog_property_kind_t kind, souk_str_t name,
                        souk_str_t value, uint32_t product);
/* Takes that back; when it was not so, nothing changes. */
void catalog_facets_remove(catalog_facets_t *self, catalog_property_kind_t kind, souk_str_t name,
                           souk_str_t value, uint32_t product);

/* The products that have the value; NULL when none has. */
const roaring_bitmap_t *catalog_facets_find(const catalog_facets_t *self,
                                            catalog_property_kind_t kind, souk_str_t name,
                                            souk_str_t value);

souk_str_t catalog_property_name(const catalog_property_t *self);
souk_str_t catalog_value_text(const catalog_value_t *self);

size_t catalog_facets_bytes(const catalog_facets_t *self);

#endif
