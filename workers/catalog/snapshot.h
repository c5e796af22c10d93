/* The local snapshot file: the newest revision of every entity, so that a worker starts fast, and
 * even while MongoDB is down.
 *
 * Layout: magic "SOUKCAT1", then msgpack [identity, revision, count], then count times [kind,
 * entity_id, version, revision, deleted, document bin], then 32 bytes of BLAKE2b over all before.
 * Written beside and renamed over, so that a reader sees a whole file or the former one. */
#ifndef CATALOG_SNAPSHOT_H
#define CATALOG_SNAPSHOT_H

#include "index.h"
#include "souk/base.h"
#include "souk/err.h"
#include "store.h"

/* Writes the index to directory/name.snap. The caller holds the read lock for
 * catalog_snapshot_collect only, and writes after it. */
typedef struct catalog_snapshot catalog_snapshot_t;
catalog_snapshot_t *catalog_snapshot_collect(const catalog_index_t *index, const char *identity);
void catalog_snapshot_destroy(catalog_snapshot_t **self_p);
SOUK_MUST_CHECK souk_err_t catalog_snapshot_write(const catalog_snapshot_t *self,
                                                  const char *directory, const char *name);

/* Builds an index from the file of the highest revision in directory that reads well.
 * SOUK_ERR_NOT_FOUND when there is none. */
SOUK_MUST_CHECK souk_err_t catalog_snapshot_load(const char *directory, const char *currency,
                                                 catalog_index_t **ret_index,
                                                 char ret_identity[CATALOG_IDENTITY_CHARS + 1]);

#endif
