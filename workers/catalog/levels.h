/* Which SKUs can be bought, as the service that keeps the stock said last, and how that is shown in
 * a product's reply. Beside the index, since it outlives a reload, and is no part of the record.
 * One thread (the bus thread) uses it. */
#ifndef CATALOG_LEVELS_H
#define CATALOG_LEVELS_H

#include "gen/catalog.h"
#include "map.h"
#include "souk/arena.h"
#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

/* As the reply's enum. */
typedef enum {
    CATALOG_LEVEL_NONE = CATALOG_VARIANT_AVAILABILITY_NONE,
    CATALOG_LEVEL_LOW = CATALOG_VARIANT_AVAILABILITY_LOW,
    CATALOG_LEVEL_IN_STOCK = CATALOG_VARIANT_AVAILABILITY_IN_STOCK,
    CATALOG_LEVEL_UNKNOWN,
} catalog_level_t;

typedef struct {
    catalog_map_t by_sku; /* the level; keys in the arena */
    souk_arena_t *keys;
} catalog_levels_t;

void catalog_levels_init(catalog_levels_t *self);
void catalog_levels_done(catalog_levels_t *self);
/* Forgets all. */
void catalog_levels_clear(catalog_levels_t *self);

void catalog_levels_set(catalog_levels_t *self, souk_str_t sku, catalog_level_t level);
catalog_level_t catalog_levels_get(const catalog_levels_t *self, souk_str_t sku);

/* Appends the document with the availability of each variant whose level is known, and, when any
 * is, the availability_tag. SOUK_ERR_MALFORMED: not a product's document; SOUK_ERR_TOO_LARGE: for
 * buf. */
SOUK_MUST_CHECK souk_err_t catalog_levels_show(const catalog_levels_t *self, souk_str_t document,
                                               souk_buf_t *buf);

#endif
