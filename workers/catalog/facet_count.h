/* Facets of a query's matches. */
#ifndef CATALOG_FACET_COUNT_H
#define CATALOG_FACET_COUNT_H

#include "gen/catalog.h"
#include "search.h"

/* What a reply lists at most: category and tag first, then of all options and attributes those that
 * most products have (in all, by name when equal), options before attributes, each by name; of a
 * facet's values the most frequent, by value when equal. Values that no match has are left out, and
 * so are facets without values. */
#define CATALOG_FACETS_MAX 100
#define CATALOG_FACET_VALUES_MAX 200

/* Fills facets, total, price_min, price_max and revision of *ret; everything lives in the arena, so
 * that the index may change afterwards. A facet's own selection does not narrow its counts; the
 * prices are those of the matches. SOUK_ERR_NO_MEMORY: the arena is full. */
SOUK_MUST_CHECK souk_err_t catalog_facet_count(const catalog_match_t *match, souk_arena_t *arena,
                                               catalog_products_facets_rep_t *ret);

#endif
