/* How a change gets into the record: take the next number, let the record decide, follow the winner
 * and try again.
 *
 * A decision is made against the index at one revision; the insert under the next number succeeds
 * only when nothing came in between. So what a decision checked (version, slug, SKU, category)
 * still holds when its change stands: no read-modify-write on the server is needed. A refusal is
 * final only when the record has nothing newer than the index: else a client that has just written
 * through another worker would be told of a stale version. */
#ifndef CATALOG_COMMIT_H
#define CATALOG_COMMIT_H

#include "objection.h"
#include "service.h"

#define CATALOG_COMMIT_MAX 200
/* Enough work for one product or category. */
#define CATALOG_WORK_BYTES ((size_t)4 * 1024 * 1024)
#define CATALOG_WORK_KEEP_BYTES ((size_t)1024 * 1024)

/* What a decision wants to write. The strings live in the commit's work arena. change.revision is
 * filled in by the commit; the document must carry the number too, which is why the decision is
 * told the number it will get. */
typedef struct {
    catalog_change_t changes[CATALOG_COMMIT_MAX];
    size_t count; /* 0: nothing to write, which is a success */
} catalog_plan_t;

/* Fills plan against index, for numbers from first_revision on; runs under the read lock, again for
 * each try, and must not depend on its former runs. An error ends the commit, unless the index was
 * not the newest. */
typedef souk_err_t (*catalog_decide_fn)(void *arg, const catalog_index_t *index,
                                        int64_t first_revision, int64_t at_us,
                                        catalog_plan_t *plan);

typedef struct {
    souk_ctx_t *ctx;
    catalog_service_t *service;
    catalog_store_t *store;
    const char *method; /* scope of the idempotency key */
    const char *why;
    catalog_decide_fn decide;
    void *arg;
    /* Of one try: emptied before each decision, so that a writer who loses many numbers does not
     * use up the call's own memory. What the last decision put there stands when the commit ends.
     */
    souk_arena_t *work;
    catalog_objection_t *objection; /* of the decision; told when it is final. NULL: none */
    /* The decision refuses parts by itself: it is asked only when the index is the newest. */
    bool refuses_parts;
    /* The first stored revision of an earlier request with the same key: the handler answers from
     * it. NULL: keys are not looked at. */
    souk_err_t (*replay)(void *arg, const catalog_revision_t *stored);
} catalog_commit_t;

/* Ends with the decision's error, SOUK_ERR_UNAVAILABLE (nothing was written),
 * SOUK_ERR_UNKNOWN_OUTCOME, SOUK_ERR_KEY_REUSED, SOUK_ERR_TIMEOUT (too many others won before the
 * deadline; nothing was written), or SOUK_OK: written, and applied to this worker's index when that
 * went within the deadline. Of a plan of several changes the first ones may stand even where this
 * says that nothing was written. */
SOUK_MUST_CHECK souk_err_t catalog_commit(const catalog_commit_t *commit);

#endif
