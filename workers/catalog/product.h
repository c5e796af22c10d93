/* What a product must be beyond its fields' bounds, and how its stored document is made. Pure:
 * decides against an index, touches nothing. */
#ifndef CATALOG_PRODUCT_H
#define CATALOG_PRODUCT_H

#include "gen/catalog.h"
#include "index.h"
#include "objection.h"
#include "souk/base.h"
#include "souk/err.h"

/* The numbers that a document carries. */
typedef struct {
    int64_t revision, version, created_at_us, updated_at_us;
} catalog_stamp_t;

/* A request's fields as a product_input, whatever its type: encoded and decoded again by name. base
 * (may be empty) is a stored document that absent fields are taken from (merge patch).
 * SOUK_ERR_VALIDATION with an objection when the whole is not a product. */
SOUK_MUST_CHECK souk_err_t catalog_product_input(const souk_type_t *type, const void *request,
                                                 souk_str_t base, souk_arena_t *arena,
                                                 catalog_product_input_t *ret,
                                                 catalog_objection_t *objection);

/* Checks input against the index (slug, SKUs, categories, options, currency) and encodes the
 * document of product id with that stamp. current: the product's former document (empty for a new
 * one): variants keep their ids by SKU. The result lives in the arena. Errors: SOUK_ERR_VALIDATION,
 * SLUG_TAKEN, SKU_TAKEN with an objection. */
SOUK_MUST_CHECK souk_err_t catalog_product_document(
    const catalog_index_t *index, const catalog_product_input_t *input, souk_str_t id,
    souk_str_t current, const catalog_stamp_t *stamp, const char *currency, souk_arena_t *arena,
    souk_str_t *ret_document, catalog_objection_t *objection);

#endif
