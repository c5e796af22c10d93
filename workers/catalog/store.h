/* The record of the catalogue on the MongoDB protocol: one insert-only collection, `revisions`, and
 * what stands around it.
 *
 * One insert is at once number, version guard, change and idempotency key: _id (last + 1),
 * (entity_id, version) and key are unique. Only what MongoDB and FerretDB both do well is used:
 * inserts, equality finds, whole scans, unique indexes, deletes, one hint update.
 *
 * revisions {_id: int64, kind: "product" | "category", entity_id, version: int64, deleted: bool,
 * at: date, by, why, request_id (absent in old ones), nonce, doc: {...} (absent when deleted), key
 * (absent without), key_hash: bin}
 * retired   {_id, kind, entity_id, version, deleted, at, by, why, request_id}   what stays of a
 *           trimmed revision, inserted before that is deleted
 * meta      {_id: "catalog", identity}   made once: tells one database from another
 *           {_id: "head", revision}      a hint: some revision that exists, mostly the last
 *
 * A store belongs to one thread. Strings of a revision are borrowed from the caller's memory on the
 * way in, and live in the arena that was given on the way out. SOUK_ERR_UNAVAILABLE means that the
 * server is away or did not answer in time. */
#ifndef CATALOG_STORE_H
#define CATALOG_STORE_H

#include "index.h"
#include "souk/arena.h"
#include "souk/base.h"
#include "souk/err.h"

#define CATALOG_NONCE_CHARS 24

typedef struct {
    catalog_change_t change;
    int64_t at_us;                  /* whole milliseconds */
    souk_str_t by, why, request_id; /* request_id: data NULL when it is not known */
    bool is_retired;                /* trimmed: what follows, and the document, is gone */
    souk_str_t nonce;               /* tells our insert from another's under the same number */
    souk_str_t key;                 /* scope and Idempotency-Key; data NULL: none */
    souk_str_t key_hash;            /* data NULL: none */
} catalog_revision_t;

typedef struct catalog_store catalog_store_t;

/* uri names the database. Does not connect yet; SOUK_ERR_VALIDATION when the URI cannot be read. */
SOUK_MUST_CHECK souk_err_t catalog_store_new(const char *uri, catalog_store_t **ret_self);
void catalog_store_destroy(catalog_store_t **self_p);

/* Makes the unique indexes and the identity when they are not there. */
SOUK_MUST_CHECK souk_err_t catalog_store_prepare(catalog_store_t *self,
                                                 char ret_identity[CATALOG_IDENTITY_CHARS + 1]);

/* Inserts in order and stops at the first that fails; *ret_inserted of them are in.
 * SOUK_ERR_CONFLICT: a number, version or key is taken. SOUK_ERR_UNAVAILABLE: nothing more was
 * written. SOUK_ERR_UNKNOWN_OUTCOME: the connection broke, SOUK_ERR_IO: the server said that it
 * failed (logged); in both cases the caller looks by number and nonce. */
SOUK_MUST_CHECK souk_err_t catalog_store_insert(catalog_store_t *self,
                                                const catalog_revision_t *revisions, size_t count,
                                                size_t *ret_inserted);
/* By number; by an entity's version; by key. SOUK_ERR_NOT_FOUND. */
SOUK_MUST_CHECK souk_err_t catalog_store_find(catalog_store_t *self, int64_t revision,
                                              souk_arena_t *arena, catalog_revision_t *ret);
SOUK_MUST_CHECK souk_err_t catalog_store_find_version(catalog_store_t *self, souk_str_t entity_id,
                                                      int64_t version, souk_arena_t *arena,
                                                      catalog_revision_t *ret);
SOUK_MUST_CHECK souk_err_t catalog_store_find_key(catalog_store_t *self, souk_str_t key,
                                                  souk_arena_t *arena, catalog_revision_t *ret);

/* Calls fn for every revision above after (0: all), in the order that the server gives. The
 * revision is borrowed for the call; an error of fn ends the scan and is returned. An unreadable
 * document is counted in *ret_unreadable and comes as its number alone, with an empty entity_id:
 * the index has to get past it. */
typedef souk_err_t (*catalog_scan_fn)(void *arg, const catalog_revision_t *revision);
SOUK_MUST_CHECK souk_err_t catalog_store_scan(catalog_store_t *self, int64_t after,
                                              catalog_scan_fn fn, void *arg,
                                              uint64_t *ret_unreadable);
/* The same for the readable revisions of one entity. */
SOUK_MUST_CHECK souk_err_t catalog_store_history(catalog_store_t *self, souk_str_t entity_id,
                                                 catalog_scan_fn fn, void *arg);

/* The same, trimmed ones too; those with is_retired. */
SOUK_MUST_CHECK souk_err_t catalog_store_find_ever(catalog_store_t *self, int64_t revision,
                                                   souk_arena_t *arena, catalog_revision_t *ret);
SOUK_MUST_CHECK souk_err_t catalog_store_history_ever(catalog_store_t *self, souk_str_t entity_id,
                                                      catalog_scan_fn fn, void *arg);

/* The hint, 0 when there is none, and the identity, "" when there is none: with one find, so that
 * another database is noticed by whoever asks for the hint. */
SOUK_MUST_CHECK souk_err_t catalog_store_head(catalog_store_t *self, int64_t *ret_revision,
                                              char ret_identity[CATALOG_IDENTITY_CHARS + 1]);
SOUK_MUST_CHECK souk_err_t catalog_store_set_head(catalog_store_t *self, int64_t revision);

/* Trims a revision: what is kept of it goes into `retired`, then it is deleted. Doing so twice does
 * no harm. arena: for reading it. */
SOUK_MUST_CHECK souk_err_t catalog_store_retire(catalog_store_t *self, int64_t revision,
                                                souk_arena_t *arena);

#endif
