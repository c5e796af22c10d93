/* Trimming: superseded revisions beyond an age go, but for who made them (`retired` in store.h);
 * the newest of an entity (a tombstone too) never. Several workers may do it at once: a delete of
 * what is gone is no harm. */
#ifndef CATALOG_TRIM_H
#define CATALOG_TRIM_H

#include "apply.h"
#include "souk/base.h"
#include "souk/err.h"
#include "store.h"

/* Removes at most 1,000 revisions that were made before older_than_us and that the index knows to
 * be superseded. Asks stopping(arg) between deletes. */
SOUK_MUST_CHECK souk_err_t catalog_trim(catalog_store_t *store, catalog_apply_t *apply,
                                        int64_t older_than_us, bool (*stopping)(void *arg),
                                        void *arg);

#endif
