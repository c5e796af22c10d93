/* Products by least price, in buckets that grow with the price (four to an octave): a range is the
 * union of whole buckets and of what fits in the two at its ends. */
#ifndef CATALOG_PRICES_H
#define CATALOG_PRICES_H

#include <roaring/roaring.h>

#include "souk/base.h"

#define CATALOG_PRICE_BUCKETS 256

typedef struct {
    roaring_bitmap_t *buckets[CATALOG_PRICE_BUCKETS]; /* NULL: empty */
} catalog_prices_t;

void catalog_prices_init(catalog_prices_t *self);
void catalog_prices_done(catalog_prices_t *self);

/* Amounts below zero count as zero. */
void catalog_prices_add(catalog_prices_t *self, int64_t amount, uint32_t product);
void catalog_prices_remove(catalog_prices_t *self, int64_t amount, uint32_t product);

/* The products with min <= price <= max; price_of tells the price that a product was added with.
 * Owned by the caller. */
roaring_bitmap_t *catalog_prices_range(const catalog_prices_t *self, int64_t min, int64_t max,
                                       int64_t (*price_of)(const void *owner, uint32_t product),
                                       const void *owner);

#endif
