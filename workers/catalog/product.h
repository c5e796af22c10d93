/* What a product must be beyond its fields' bounds, and how its stored document is made. Pure:
 * decides against an index, touches nothing. */
#ifndef CATALOG_PRODUCT_H
#define CATALOG_PRODUCT_H

#include "gen/catalog.h"
#include "index.h"
#include "objection.h"
#include "souk/base.h"
#include "souk/err.h"

/* The product's id and the numbers that a document carries. */
typedef struct {
    souk_str_t id;
    int64_t revision, version, created_at_us, updated_at_us;
} catalog_stamp_t;

/* What a product is drafted with: the index that it has to fit, the store's currency, where the
 * result lives, and what is told when it is refused. */
typedef struct {
    const catalog_index_t *index;
    const char *currency;
    souk_arena_t *arena;
    catalog_objection_t *objection;
} catalog_draft_t;

/* A request's fields as a product_input, whatever its type: encoded and decoded again by name. base
 * (may be empty) is a stored document that absent fields are taken from (merge patch).
 * SOUK_ERR_VALIDATION with an objection when the whole is not a product. */
SOUK_MUST_CHECK souk_err_t catalog_product_input(const catalog_draft_t *draft,
                                                 const souk_type_t *type, const void *request,
                                                 souk_str_t base, catalog_product_input_t *ret);

/* Checks input against the index (slug, SKUs, categories, options, currency) and encodes the
 * document of the stamp's product. current: the product's former document (empty for a new one):
 * variants keep their ids by SKU. Errors: SOUK_ERR_VALIDATION,
 * SLUG_TAKEN, SKU_TAKEN with an objection. */
SOUK_MUST_CHECK souk_err_t catalog_product_document(const catalog_draft_t *draft,
                                                    const catalog_product_input_t *input,
                                                    souk_str_t current,
                                                    const catalog_stamp_t *stamp,
                                                    souk_str_t *ret_document);

#endif
