/* Both maps have keys of one shape: kind, the name's size, the name and (of a value) the value, so
 * that no two pairs share a key whatever bytes they hold. */
#include "facets.h"

#include <stdlib.h>

#define KEY_BYTES_MAX 2048
#define PREFIX_BYTES 3 /* kind, size */

typedef struct {
    char bytes[KEY_BYTES_MAX];
    size_t prefix_size, size;
} s_key_t;

static bool s_key(catalog_property_kind_t kind, souk_str_t name, souk_str_t value, s_key_t *ret) {
    ret->prefix_size = PREFIX_BYTES + name.size;
    ret->size = ret->prefix_size + value.size;
    if (name.size > KEY_BYTES_MAX || value.size > KEY_BYTES_MAX || ret->size > KEY_BYTES_MAX) {
        return false;
    }
    ret->bytes[0] = (char)kind;
    ret->bytes[1] = (char)(name.size & 0xff);
    ret->bytes[2] = (char)(name.size >> 8);
    if (name.size > 0) {
        memcpy(ret->bytes + PREFIX_BYTES, name.data, name.size);
    }
    if (value.size > 0) {
        memcpy(ret->bytes + ret->prefix_size, value.data, value.size);
    }
    return true;
}

static souk_str_t s_prefix(const s_key_t *key) {
    return (souk_str_t){.data = key->bytes, .size = key->prefix_size};
}

static souk_str_t s_whole(const s_key_t *key) {
    return (souk_str_t){.data = key->bytes, .size = key->size};
}

void catalog_facets_init(catalog_facets_t *self) {
    *self = (catalog_facets_t){.properties_free = CATALOG_NONE, .values_free = CATALOG_NONE};
    catalog_map_init(&self->by_property);
    catalog_map_init(&self->by_value);
}

void catalog_facets_done(catalog_facets_t *self) {
    for (uint32_t i = 0; i < self->properties_count; i++) {
        free(self->properties[i].key);
        free(self->properties[i].values);
    }
    for (uint32_t i = 0; i < self->values_count; i++) {
        free(self->values[i].key);
        if (self->values[i].products != NULL) {
            roaring_bitmap_free(self->values[i].products);
        }
    }
    free(self->properties);
    free(self->values);
    catalog_map_done(&self->by_property);
    catalog_map_done(&self->by_value);
}

static char *s_copy(souk_str_t text) {
    char *copy = malloc(text.size);
    souk_assert(copy != NULL);
    memcpy(copy, text.data, text.size);
    return copy;
}

/* items with room for one more than count. */
static void *s_room(void *items, uint32_t count, uint32_t *capacity, size_t item_bytes) {
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity > 0 ? *capacity * 2 : 16;
    items = realloc(items, *capacity * item_bytes);
    souk_assert(items != NULL);
    return items;
}

static uint32_t s_require_property(catalog_facets_t *self, catalog_property_kind_t kind,
                                   souk_str_t key) {
    uint32_t number = catalog_map_find(&self->by_property, key);
    if (number != CATALOG_NONE) {
        return number;
    }
    number = self->properties_free;
    if (number != CATALOG_NONE) {
        self->properties_free = self->properties[number].next_free;
    } else {
        self->properties = s_room(self->properties, self->properties_count,
                                  &self->properties_capacity, sizeof(self->properties[0]));
        number = self->properties_count++;
    }
    catalog_property_t *property = &self->properties[number];
    *property =
        (catalog_property_t){.kind = kind, .key = s_copy(key), .key_size = (uint32_t)key.size};
    catalog_map_put(&self->by_property, (souk_str_t){.data = property->key, .size = key.size},
                    number);
    return number;
}

static uint32_t s_new_value(catalog_facets_t *self, uint32_t property_number, const s_key_t *key) {
    uint32_t number = self->values_free;
    if (number != CATALOG_NONE) {
        self->values_free = self->values[number].at;
    } else {
        self->values = s_room(self->values, self->values_count, &self->values_capacity,
                              sizeof(self->values[0]));
        number = self->values_count++;
    }
    catalog_property_t *property = &self->properties[property_number];
    property->values = s_room(property->values, property->values_count, &property->values_capacity,
                              sizeof(property->values[0]));
    property->values[property->values_count] = number;
    catalog_value_t *value = &self->values[number];
    *value = (catalog_value_t){.key = s_copy(s_whole(key)),
                               .key_size = (uint32_t)key->size,
                               .prefix_size = (uint32_t)key->prefix_size,
                               .property = property_number,
                               .at = property->values_count++,
                               .products = roaring_bitmap_create()};
    souk_assert(value->products != NULL);
    catalog_map_put(&self->by_value, (souk_str_t){.data = value->key, .size = key->size}, number);
    return number;
}

static void s_drop_value(catalog_facets_t *self, uint32_t number) {
    catalog_value_t *value = &self->values[number];
    uint32_t property_number = value->property;
    catalog_property_t *property = &self->properties[property_number];
    uint32_t last = property->values[--property->values_count];
    property->values[value->at] = last;
    self->values[last].at = value->at;
    catalog_map_remove(&self->by_value, (souk_str_t){.data = value->key, .size = value->key_size},
                       number);
    roaring_bitmap_free(value->products);
    free(value->key);
    *value = (catalog_value_t){.at = self->values_free};
    self->values_free = number;
    if (property->values_count == 0) {
        catalog_map_remove(&self->by_property,
                           (souk_str_t){.data = property->key, .size = property->key_size},
                           property_number);
        free(property->key);
        free(property->values);
        *property = (catalog_property_t){.next_free = self->properties_free};
        self->properties_free = property_number;
    }
}

void catalog_facets_add(catalog_facets_t *self, catalog_property_kind_t kind, souk_str_t name,
                        souk_str_t text, uint32_t product) {
    s_key_t key;
    if (!s_key(kind, name, text, &key)) {
        return;
    }
    uint32_t number = catalog_map_find(&self->by_value, s_whole(&key));
    if (number == CATALOG_NONE) {
        number = s_new_value(self, s_require_property(self, kind, s_prefix(&key)), &key);
    }
    catalog_value_t *value = &self->values[number];
    if (roaring_bitmap_add_checked(value->products, product)) {
        value->products_count++;
        self->properties[value->property].products_sum++;
    }
}

void catalog_facets_remove(catalog_facets_t *self, catalog_property_kind_t kind, souk_str_t name,
                           souk_str_t text, uint32_t product) {
    s_key_t key;
    uint32_t number = s_key(kind, name, text, &key)
                          ? catalog_map_find(&self->by_value, s_whole(&key))
                          : CATALOG_NONE;
    if (number == CATALOG_NONE) {
        return;
    }
    catalog_value_t *value = &self->values[number];
    if (!roaring_bitmap_remove_checked(value->products, product)) {
        return;
    }
    self->properties[value->property].products_sum--;
    if (--value->products_count == 0) {
        s_drop_value(self, number);
    }
}

const roaring_bitmap_t *catalog_facets_find(const catalog_facets_t *self,
                                            catalog_property_kind_t kind, souk_str_t name,
                                            souk_str_t text) {
    s_key_t key;
    uint32_t number = s_key(kind, name, text, &key)
                          ? catalog_map_find(&self->by_value, s_whole(&key))
                          : CATALOG_NONE;
    return number != CATALOG_NONE ? self->values[number].products : NULL;
}

souk_str_t catalog_property_name(const catalog_property_t *self) {
    return (souk_str_t){.data = self->key + PREFIX_BYTES, .size = self->key_size - PREFIX_BYTES};
}

souk_str_t catalog_value_text(const catalog_value_t *self) {
    return (souk_str_t){.data = self->key + self->prefix_size,
                        .size = self->key_size - self->prefix_size};
}

size_t catalog_facets_bytes(const catalog_facets_t *self) {
    size_t bytes = self->properties_capacity * sizeof(self->properties[0]) +
                   self->values_capacity * sizeof(self->values[0]) +
                   catalog_map_bytes(&self->by_property) + catalog_map_bytes(&self->by_value);
    for (uint32_t i = 0; i < self->properties_count; i++) {
        bytes +=
            self->properties[i].key_size + self->properties[i].values_capacity * sizeof(uint32_t);
    }
    for (uint32_t i = 0; i < self->values_count; i++) {
        bytes += self->values[i].key_size;
        bytes += self->values[i].products != NULL
                     ? roaring_bitmap_size_in_bytes(self->values[i].products)
                     : 0;
    }
    return bytes;
}
