/* The catalog service of one worker process: the index that reads are served from, the gate around
 * it, and the threads that keep it.
 *
 * Who touches the index: the bus thread alone changes it, in slices of at most a millisecond, and
 * only while no slot thread reads it. Inline handlers run on the bus thread and need no lock; slot
 * handlers read between catalog_read_lock and catalog_read_unlock. The bus thread never waits for
 * readers: it leaves word that it wants to write, new readers wait, and the last reader out wakes
 * it.
 *
 * Changes come from two sides, the follower (follow.c) and this process's own writers (commit.c),
 * through one bounded mailbox. */
#ifndef CATALOG_SERVICE_H
#define CATALOG_SERVICE_H

#include "index.h"
#include "runtime/service.h"
#include "souk/base.h"
#include "souk/err.h"
#include "store.h"

typedef struct catalog_service catalog_service_t;

/* A slot's state (souk_ctx_slot) is a catalog_store_t of its own. */
extern const souk_service_t catalog_service;

/* The index as it is now. Borrowed: until the handler returns (inline) or until catalog_read_unlock
 * (slots). NULL before the first load: the worker is not READY then and gets no requests. */
const catalog_index_t *catalog_service_index(const catalog_service_t *self);
const char *catalog_service_currency(const catalog_service_t *self);
void catalog_read_lock(catalog_service_t *self);
void catalog_read_unlock(catalog_service_t *self);

/* A product's document as the public sees it, with the availability of its variants. Inline
 * handlers only; borrowed until the handler returns. */
souk_str_t catalog_service_show(catalog_service_t *self, souk_str_t document);

/* One writer of this process at a time takes a number: the others would only lose it. False when
 * timeout_ms passed first. */
SOUK_MUST_CHECK bool catalog_write_lock(catalog_service_t *self, uint32_t timeout_ms);
void catalog_write_unlock(catalog_service_t *self);

/* Changes (ascending revisions, copied) are applied to the index. From any thread but the bus
 * thread. Returns at once; SOUK_ERR_OVERLOADED when the mailbox is full, SOUK_ERR_CLOSED when the
 * service stops. */
SOUK_MUST_CHECK souk_err_t catalog_offer_changes(catalog_service_t *self,
                                                 const catalog_change_t *changes, size_t count);
/* Waits until the index holds the revision: false when timeout_ms passed first or the service
 * stops. */
bool catalog_wait_applied(catalog_service_t *self, int64_t revision, uint32_t timeout_ms);
int64_t catalog_applied(const catalog_service_t *self);

/* Makes the follower look at the record now; revision is one that is known to exist (0: unknown).
 */
void catalog_hurry(catalog_service_t *self, int64_t revision);
/* False while the last thing heard from MongoDB was silence: writers answer at once instead of
 * trying. */
bool catalog_record_reachable(const catalog_service_t *self);

#endif
