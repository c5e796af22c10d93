#include "prices.h"

#include <stdlib.h>

static unsigned s_bucket(int64_t amount) {
    uint64_t value = amount > 0 ? (uint64_t)amount : 0;
    if (value < 4) {
        return (unsigned)value;
    }
    unsigned octave = 63 - (unsigned)__builtin_clzll(value); /* 2..62 */
    return (octave - 1) * 4 + (unsigned)(value >> (octave - 2) & 3);
}

void catalog_prices_init(catalog_prices_t *self) {
    *self = (catalog_prices_t){0};
}

void catalog_prices_done(catalog_prices_t *self) {
    for (size_t i = 0; i < CATALOG_PRICE_BUCKETS; i++) {
        if (self->buckets[i] != NULL) {
            roaring_bitmap_free(self->buckets[i]);
        }
    }
    *self = (catalog_prices_t){0};
}

void catalog_prices_add(catalog_prices_t *self, int64_t amount, uint32_t product) {
    roaring_bitmap_t **bucket = &self->buckets[s_bucket(amount)];
    if (*bucket == NULL) {
        *bucket = roaring_bitmap_create();
        souk_assert(*bucket != NULL);
    }
    roaring_bitmap_add(*bucket, product);
}

void catalog_prices_remove(catalog_prices_t *self, int64_t amount, uint32_t product) {
    roaring_bitmap_t **bucket = &self->buckets[s_bucket(amount)];
    souk_assert(*bucket != NULL);
    roaring_bitmap_remove(*bucket, product);
    if (roaring_bitmap_is_empty(*bucket)) {
        roaring_bitmap_free(*bucket);
        *bucket = NULL;
    }
}

roaring_bitmap_t *catalog_prices_range(const catalog_prices_t *self, int64_t min, int64_t max,
                                       int64_t (*price_of)(const void *owner, uint32_t product),
                                       const void *owner) {
    roaring_bitmap_t *result = roaring_bitmap_create();
    souk_assert(result != NULL);
    if (min > max) {
        return result;
    }
    unsigned first = s_bucket(min), last = s_bucket(max);
    for (unsigned i = first; i <= last; i++) {
        const roaring_bitmap_t *bucket = self->buckets[i];
        if (bucket == NULL) {
            continue;
        }
        if (i > first && i < last) {
            roaring_bitmap_or_inplace(result, bucket);
            continue;
        }
        size_t count = roaring_bitmap_get_cardinality(bucket), kept = 0;
        uint32_t *products = malloc(count * sizeof(products[0]));
        souk_assert(products != NULL);
        roaring_bitmap_to_uint32_array(bucket, products);
        for (size_t at = 0; at < count; at++) {
            int64_t price = price_of(owner, products[at]);
            products[kept] = products[at];
            kept += price >= min && price <= max;
        }
        roaring_bitmap_add_many(result, kept, products);
        free(products);
    }
    return result;
}
