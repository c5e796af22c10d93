#include "commit.h"

#include <stdlib.h>

#include "souk/clock.h"
#include "souk/id.h"

#define US_PER_MS 1000
#define RETRY_AFTER_MS 2000
/* What is kept of the deadline for encoding and sending the answer. */
#define RESERVE_MS 50
/* A lost number is mostly seen within one poll of the follower. Looking again by then also finds
 * the twin of a keyed request, whose number may be another. */
#define RETRY_MS 250

static souk_err_t s_unavailable(const catalog_commit_t *commit) {
    souk_ctx_retry_after_ms(commit->ctx, RETRY_AFTER_MS);
    return souk_ctx_fail(commit->ctx, SOUK_ERR_UNAVAILABLE, "the catalogue's database is away");
}

/* Scope and key as one string. Method names have no space; subjects come from the gateway and have
 * none either. */
static souk_str_t s_scoped_key(const catalog_commit_t *commit) {
    souk_str_t key = souk_ctx_key(commit->ctx);
    souk_str_t subject = souk_ctx_subject(commit->ctx);
    if (key.data == NULL || commit->replay == NULL) {
        return (souk_str_t){0};
    }
    return souk_arena_printf(souk_ctx_arena(commit->ctx), "%.*s %s %.*s", (int)subject.size,
                             subject.data, commit->method, (int)key.size, key.data);
}

/* SOUK_ERR_NOT_FOUND: the key is new. */
static souk_err_t s_replay(const catalog_commit_t *commit, souk_str_t key) {
    catalog_revision_t stored;
    souk_err_t err =
        catalog_store_find_key(commit->store, key, souk_ctx_arena(commit->ctx), &stored);
    if (err == SOUK_ERR_UNAVAILABLE) {
        return s_unavailable(commit);
    }
    if (err != SOUK_OK) {
        return err;
    }
    if (!souk_str_equal(stored.key_hash, souk_ctx_key_hash(commit->ctx))) {
        return SOUK_ERR_KEY_REUSED;
    }
    souk_ctx_mark_replayed(commit->ctx);
    return commit->replay(commit->arg, &stored);
}

static uint32_t s_remaining_ms(const catalog_commit_t *commit) {
    uint32_t left_ms = souk_ctx_remaining_ms(commit->ctx);
    return left_ms > RESERVE_MS ? left_ms - RESERVE_MS : 0;
}

/* Turns a plan into revisions. Only the first carries the key: it is unique, and enough to find the
 * request again. */
static souk_err_t s_fill(const catalog_commit_t *commit, const catalog_plan_t *plan, int64_t at_us,
                         souk_str_t key, catalog_revision_t *ret) {
    souk_arena_t *arena = commit->work;
    uint8_t random[CATALOG_NONCE_CHARS / 2];
    char nonce[CATALOG_NONCE_CHARS];
    souk_random(random, sizeof random);
    souk_hex(random, sizeof random, nonce);
    souk_str_t nonce_copy =
        souk_arena_copy(arena, (souk_str_t){.data = nonce, .size = sizeof nonce});
    if (nonce_copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < plan->count; i++) {
        ret[i] = (catalog_revision_t){
            .change = plan->changes[i],
            .at_us = at_us,
            .by = souk_ctx_subject(commit->ctx),
            .why = souk_str_of(commit->why),
            .request_id = souk_ctx_request_id(commit->ctx),
            .nonce = nonce_copy,
        };
    }
    ret[0].key = key;
    ret[0].key_hash = souk_ctx_key_hash(commit->ctx);
    return SOUK_OK;
}

/* The connection broke during an insert, or the server failed: counts how many of ours stand. */
static souk_err_t s_look_after_break(const catalog_commit_t *commit,
                                     const catalog_revision_t *revisions, size_t count,
                                     size_t *ret_inserted) {
    size_t inserted = 0;
    for (; inserted < count; inserted++) {
        catalog_revision_t found;
        souk_err_t err = catalog_store_find(commit->store, revisions[inserted].change.revision,
                                            commit->work, &found);
        if (err == SOUK_ERR_NOT_FOUND ||
            (err == SOUK_OK && !souk_str_equal(found.nonce, revisions[inserted].nonce))) {
            break;
        }
        if (err != SOUK_OK) {
            return SOUK_ERR_UNKNOWN_OUTCOME;
        }
    }
    *ret_inserted = inserted;
    return SOUK_OK;
}

/* SOUK_ERR_RETRY when the record has the number that the index waits for. */
static souk_err_t s_is_newest(const catalog_commit_t *commit, int64_t next) {
    catalog_revision_t newer;
    souk_err_t err = catalog_store_find(commit->store, next, commit->work, &newer);
    switch (err) {
    case SOUK_ERR_NOT_FOUND:
        return SOUK_OK;
    case SOUK_ERR_UNAVAILABLE:
        return s_unavailable(commit);
    default: /* there, readable or not */
        return SOUK_ERR_RETRY;
    }
}

/* One try. SOUK_ERR_RETRY: somebody else took a number; *ret_lost is that number. */
static souk_err_t s_try(const catalog_commit_t *commit, catalog_plan_t *plan,
                        catalog_revision_t *revisions, souk_str_t key, int64_t *ret_lost) {
    int64_t at_us = souk_clock_unix_us() / US_PER_MS * US_PER_MS;
    souk_arena_reset(commit->work);
    *ret_lost = catalog_applied(commit->service) + 1;
    if (commit->refuses_parts) {
        SOUK_TRY(s_is_newest(commit, *ret_lost));
    }
    catalog_read_lock(commit->service);
    const catalog_index_t *index = catalog_service_index(commit->service);
    int64_t first = catalog_index_revision(index) + 1;
    plan->count = 0;
    if (commit->objection != NULL) {
        *commit->objection = (catalog_objection_t){0};
    }
    souk_err_t err = commit->decide(commit->arg, index, first, at_us, plan);
    catalog_read_unlock(commit->service);
    if (err != SOUK_OK) {
        *ret_lost = first;
        SOUK_TRY(s_is_newest(commit, first));
        return err;
    }
    if (plan->count == 0) {
        return SOUK_OK;
    }
    souk_assert(plan->count <= CATALOG_COMMIT_MAX);
    for (size_t i = 0; i < plan->count; i++) {
        souk_assert(plan->changes[i].revision == first + (int64_t)i);
    }
    SOUK_TRY(s_fill(commit, plan, at_us, key, revisions));

    size_t inserted = 0;
    err = catalog_store_insert(commit->store, revisions, plan->count, &inserted);
    if (err == SOUK_ERR_UNKNOWN_OUTCOME || err == SOUK_ERR_IO) {
        souk_err_t rest = err == SOUK_ERR_IO ? SOUK_ERR_UNAVAILABLE : SOUK_ERR_CONFLICT;
        SOUK_TRY(s_look_after_break(commit, revisions, plan->count, &inserted));
        err = inserted == plan->count ? SOUK_OK : rest;
    }
    if (err != SOUK_OK && err != SOUK_ERR_CONFLICT && err != SOUK_ERR_UNAVAILABLE) {
        return err;
    }
    if (inserted > 0) {
        /* A full mailbox is no harm: the follower brings them. */
        souk_err_t offered = catalog_offer_changes(commit->service, plan->changes, inserted);
        int64_t last = first + (int64_t)inserted - 1;
        (void)offered;
        catalog_hurry(commit->service, last);
        (void)catalog_wait_applied(commit->service, last, s_remaining_ms(commit));
    }
    if (err == SOUK_ERR_UNAVAILABLE) {
        return s_unavailable(commit);
    }
    *ret_lost = first + (int64_t)inserted;
    return err == SOUK_OK ? SOUK_OK : SOUK_ERR_RETRY;
}

/* A refusal may be about what a twin with the same key has done meanwhile: then that is the answer.
 */
static souk_err_t s_end(const catalog_commit_t *commit, souk_str_t key, souk_err_t err) {
    bool refused = commit->objection != NULL && commit->objection->err == err;
    if (key.data != NULL && err != SOUK_ERR_UNAVAILABLE && err != SOUK_ERR_UNKNOWN_OUTCOME) {
        souk_err_t replayed = s_replay(commit, key);
        if (replayed != SOUK_ERR_NOT_FOUND) {
            return replayed;
        }
    }
    return refused ? catalog_object(commit->ctx, commit->objection) : err;
}

souk_err_t catalog_commit(const catalog_commit_t *commit) {
    if (!catalog_record_reachable(commit->service)) {
        return s_unavailable(commit);
    }
    souk_str_t key = s_scoped_key(commit);
    souk_arena_t *arena = souk_ctx_arena(commit->ctx);
    catalog_plan_t *plan = souk_arena_alloc(arena, sizeof *plan);
    catalog_revision_t *revisions =
        souk_arena_alloc_array(arena, CATALOG_COMMIT_MAX, sizeof *revisions);
    if (plan == NULL || revisions == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (;;) {
        if (key.data != NULL) {
            souk_err_t err = s_replay(commit, key);
            if (err != SOUK_ERR_NOT_FOUND) {
                return err;
            }
        }
        int64_t lost = 0;
        souk_err_t err = SOUK_ERR_RETRY;
        if (catalog_write_lock(commit->service, s_remaining_ms(commit))) {
            err = s_try(commit, plan, revisions, key, &lost);
            catalog_write_unlock(commit->service);
        }
        if (err != SOUK_ERR_RETRY) {
            return err == SOUK_OK ? SOUK_OK : s_end(commit, key, err);
        }
        uint32_t left_ms = s_remaining_ms(commit);
        if (left_ms == 0 || souk_ctx_cancelled(commit->ctx)) {
            return souk_ctx_fail(commit->ctx, SOUK_ERR_TIMEOUT,
                                 "too many other changes came first");
        }
        catalog_hurry(commit->service, 0);
        (void)catalog_wait_applied(commit->service, lost, left_ms < RETRY_MS ? left_ms : RETRY_MS);
    }
}
