/* A revision as a document of the record (store.h says which fields). */
#ifndef CATALOG_REVISION_H
#define CATALOG_REVISION_H

#include <bson/bson.h>

#include "store.h"

/* Appends to an empty document; SOUK_ERR_MALFORMED: the content is no document. */
SOUK_MUST_CHECK souk_err_t catalog_revision_to_bson(const catalog_revision_t *revision,
                                                    bson_t *ret);
/* What is kept when it is trimmed: who did what, and when. */
void catalog_retired_to_bson(const catalog_revision_t *revision, bson_t *ret);

/* Copies to the arena. SOUK_ERR_MALFORMED: a field is missing or of another type; the number is
 * there when it could be read. */
SOUK_MUST_CHECK souk_err_t catalog_revision_from_bson(const bson_t *bson, souk_arena_t *arena,
                                                      catalog_revision_t *ret);
SOUK_MUST_CHECK souk_err_t catalog_retired_from_bson(const bson_t *bson, souk_arena_t *arena,
                                                     catalog_revision_t *ret);

#endif
