/* The follower: the thread that brings the record into the index.
 *
 * It starts from the snapshot file if there is one, else from a scan of the record; then it follows
 * by the head hint, fetching small gaps number by number and large ones by a scan. The hint may lag
 * or be lost, so it also looks past it now and then. When MongoDB is away it keeps trying; reads go
 * on. It writes the snapshot file, and trims revisions that were superseded long ago. */
#ifndef CATALOG_FOLLOW_H
#define CATALOG_FOLLOW_H

#include "apply.h"
#include "souk/base.h"
#include "souk/err.h"

typedef struct catalog_follow catalog_follow_t;

typedef struct {
    const char *uri, *currency;
    const char *snapshot_directory; /* "": no snapshot file */
    const char *snapshot_name;
    uint32_t poll_ms, snapshot_interval_ms;
    uint32_t trim_days; /* 0: never */
    uint32_t trim_interval_ms;
} catalog_follow_options_t;

/* Starts the thread. Strings are borrowed for the follower's life. */
SOUK_MUST_CHECK souk_err_t catalog_follow_new(const catalog_follow_options_t *options,
                                              catalog_apply_t *apply, catalog_follow_t **ret_self);
/* Ends the thread (after writing a last snapshot). Close the apply first, so that the thread does
 * not wait for it. */
void catalog_follow_destroy(catalog_follow_t **self_p);

/* Look now; revision is known to exist (0: unknown). From any thread. */
void catalog_follow_hurry(catalog_follow_t *self, int64_t revision);

typedef enum { CATALOG_LINK_UNKNOWN, CATALOG_LINK_UP, CATALOG_LINK_DOWN } catalog_link_t;
/* Whether the last try reached MongoDB. From any thread. */
catalog_link_t catalog_follow_link(const catalog_follow_t *self);

#endif
