/* The catalogue in memory: every product and category of the store, any status, and what is needed
 * to find them. One thread at a time changes an index; readers run between changes (service.h says
 * how). No locks inside. */
#ifndef CATALOG_INDEX_H
#define CATALOG_INDEX_H

#include "souk/base.h"
#include "souk/err.h"

typedef struct catalog_index catalog_index_t;
/* Levels of the category tree. */
#define CATALOG_DEPTH_MAX 12
/* What tells one database from another. */
#define CATALOG_IDENTITY_CHARS 32

typedef enum { CATALOG_PRODUCT, CATALOG_CATEGORY } catalog_kind_t;

/* One revision of one entity. document: the msgpack map of catalog_product_t, or of
 * catalog_category_record_t. */
typedef struct {
    int64_t revision;
    catalog_kind_t kind;
    souk_str_t entity_id;
    int64_t version;
    bool deleted;
    souk_str_t document;
} catalog_change_t;

/* An entity as it is now; borrowed from the index until it changes. */
typedef struct {
    souk_str_t id;
    int64_t version, revision, created_at_us, updated_at_us;
    bool deleted;
    souk_str_t document; /* empty when deleted */
} catalog_entity_t;

catalog_index_t *catalog_index_new(const char *currency);
void catalog_index_destroy(catalog_index_t **self_p);

/* Copies what it keeps. An entity's older or equal version is skipped (its SKUs are remembered).
 * SOUK_ERR_MALFORMED leaves the index as it was, but for its revision. */
SOUK_MUST_CHECK souk_err_t catalog_index_apply(catalog_index_t *self,
                                               const catalog_change_t *change);
/* The highest revision that was applied or skipped. */
int64_t catalog_index_revision(const catalog_index_t *self);
/* Counts a revision that cannot be applied as done. */
void catalog_index_skip(catalog_index_t *self, int64_t revision);

/* The identity of the database that the revisions are of; "" until it is set. */
void catalog_index_set_record(catalog_index_t *self, const char *identity);
const char *catalog_index_record(const catalog_index_t *self);

/* Look-ups; a found string is borrowed, an empty one means none. Slugs: of entities that are not
 * deleted. A SKU stays bound to its product for good. */
bool catalog_index_entity(const catalog_index_t *self, catalog_kind_t kind, souk_str_t id,
                          catalog_entity_t *ret);
int64_t catalog_index_version(const catalog_index_t *self, catalog_kind_t kind,
                              souk_str_t id); /* 0: unknown */
souk_str_t catalog_index_slug_owner(const catalog_index_t *self, catalog_kind_t kind,
                                    souk_str_t slug);
souk_str_t catalog_index_sku_owner(const catalog_index_t *self, souk_str_t sku);
/* The id of a category that is not deleted, by id or slug. */
souk_str_t catalog_index_category_id(const catalog_index_t *self, souk_str_t id_or_slug);
/* Products of any status and categories directly below. */
bool catalog_index_category_empty(const catalog_index_t *self, souk_str_t id);
/* True when ancestor is id or stands above it. */
bool catalog_index_category_below(const catalog_index_t *self, souk_str_t id, souk_str_t ancestor);
/* Levels above id (0 at the top) and below it (0 without children). */
int catalog_index_category_depth(const catalog_index_t *self, souk_str_t id);
int catalog_index_category_height(const catalog_index_t *self, souk_str_t id);
/* Active products in it and below. */
int64_t catalog_index_category_products(const catalog_index_t *self, souk_str_t id);

/* The SKUs that are bound to a product without being in its document: dropped ones, and those of
 * deleted products. What catalog_index_each does not tell and an index made from it has to be told:
 * remember binds a SKU that is free to a product that is known, else it does nothing. */
void catalog_index_each_dropped_sku(const catalog_index_t *self,
                                    void (*fn)(void *arg, souk_str_t sku, souk_str_t product_id),
                                    void *arg);
void catalog_index_remember_sku(catalog_index_t *self, souk_str_t sku, souk_str_t product_id);

/* All entities, deleted ones too, in no order; change is borrowed for the call. */
uint64_t catalog_index_entities(const catalog_index_t *self);
void catalog_index_each(const catalog_index_t *self,
                        void (*fn)(void *arg, const catalog_change_t *change), void *arg);
/* Products by their newest revision, from the first behind `after`; deleted ones too. Costs what is
 * visited: fn returns false to end. */
void catalog_index_each_since(const catalog_index_t *self, int64_t after,
                              bool (*fn)(void *arg, const catalog_change_t *change), void *arg);

#endif
