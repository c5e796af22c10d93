#include "store.h"

#include <mongoc/mongoc.h>
#include <stdlib.h>

#include "revision.h"
#include "souk/id.h"
#include "souk/log.h"

#define DUPLICATE_KEY 11000
#define DUPLICATE_KEY_UPDATE 11001
#define SCAN_BATCH 500
#define REVISION_ARENA_BYTES ((size_t)16 * 1024 * 1024)
#define SCAN_ARENA_KEEP_BYTES ((size_t)256 * 1024)

struct catalog_store {
    mongoc_client_t *client;
    mongoc_collection_t *revisions, *retired, *meta;
};

/* Waits are bounded even where the URI does not say so: a server that is away is an answer, not a
 * hang. */
static void s_bound_waits(mongoc_uri_t *uri) {
    static const struct {
        const char *option;
        int32_t ms;
    } waits[] = {
        {MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 1500},
        {MONGOC_URI_CONNECTTIMEOUTMS, 1500},
        {MONGOC_URI_SOCKETTIMEOUTMS, 20000},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(waits); i++) {
        if (mongoc_uri_get_option_as_int32(uri, waits[i].option, -1) < 0) {
            mongoc_uri_set_option_as_int32(uri, waits[i].option, waits[i].ms);
        }
    }
}

souk_err_t catalog_store_new(const char *uri_text, catalog_store_t **ret_self) {
    bson_error_t error;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(uri_text, &error);
    if (uri == NULL) {
        return SOUK_ERR_VALIDATION;
    }
    const char *database = mongoc_uri_get_database(uri);
    if (database == NULL || database[0] == '\0') {
        mongoc_uri_destroy(uri);
        return SOUK_ERR_VALIDATION;
    }
    s_bound_waits(uri);
    catalog_store_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    self->client = mongoc_client_new_from_uri(uri);
    souk_assert(self->client != NULL);
    mongoc_client_set_appname(self->client, "souk-catalog");
    mongoc_client_set_error_api(self->client, MONGOC_ERROR_API_VERSION_2);
    self->revisions = mongoc_client_get_collection(self->client, database, "revisions");
    self->retired = mongoc_client_get_collection(self->client, database, "retired");
    self->meta = mongoc_client_get_collection(self->client, database, "meta");
    mongoc_write_concern_t *majority = mongoc_write_concern_new();
    mongoc_write_concern_set_w(majority, MONGOC_WRITE_CONCERN_W_MAJORITY);
    mongoc_collection_set_write_concern(self->revisions, majority);
    mongoc_collection_set_write_concern(self->retired, majority);
    mongoc_collection_set_write_concern(self->meta, majority);
    mongoc_write_concern_destroy(majority);
    mongoc_read_concern_t *concern = mongoc_read_concern_new();
    mongoc_read_concern_set_level(concern, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_collection_set_read_concern(self->revisions, concern);
    mongoc_collection_set_read_concern(self->retired, concern);
    mongoc_read_concern_destroy(concern);
    mongoc_uri_destroy(uri);
    *ret_self = self;
    return SOUK_OK;
}

void catalog_store_destroy(catalog_store_t **self_p) {
    souk_assert(self_p != NULL);
    catalog_store_t *self = *self_p;
    if (self != NULL) {
        mongoc_collection_destroy(self->revisions);
        mongoc_collection_destroy(self->retired);
        mongoc_collection_destroy(self->meta);
        mongoc_client_destroy(self->client);
        free(self);
        *self_p = NULL;
    }
}

static bool s_is_duplicate(const bson_error_t *error) {
    return error->code == DUPLICATE_KEY || error->code == DUPLICATE_KEY_UPDATE;
}

static souk_err_t s_unique_index(mongoc_database_t *database, const char *name, const bson_t *keys,
                                 bool sparse) {
    bson_error_t error;
    bson_t *command = BCON_NEW("createIndexes", BCON_UTF8("revisions"), "indexes", "[", "{", "key",
                               BCON_DOCUMENT(keys), "name", BCON_UTF8(name), "unique",
                               BCON_BOOL(true), "sparse", BCON_BOOL(sparse), "}", "]");
    bool made = mongoc_database_write_command_with_opts(database, command, NULL, NULL, &error);
    bson_destroy(command);
    return made ? SOUK_OK : SOUK_ERR_UNAVAILABLE;
}

static bool s_is_named(const bson_t *document, const char *id) {
    bson_iter_t iter;
    return bson_iter_init_find(&iter, document, "_id") && BSON_ITER_HOLDS_UTF8(&iter) &&
           strcmp(bson_iter_utf8(&iter, NULL), id) == 0;
}

/* `meta` has two documents. One that cannot be read counts as absent. */
souk_err_t catalog_store_head(catalog_store_t *self, int64_t *ret_revision,
                              char ret_identity[CATALOG_IDENTITY_CHARS + 1]) {
    bson_t filter = BSON_INITIALIZER;
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(self->meta, &filter, NULL, NULL);
    const bson_t *document = NULL;
    bson_iter_t iter;
    *ret_revision = 0;
    ret_identity[0] = '\0';
    while (mongoc_cursor_next(cursor, &document)) {
        uint32_t size = 0;
        if (s_is_named(document, "head") && bson_iter_init_find(&iter, document, "revision") &&
            BSON_ITER_HOLDS_NUMBER(&iter)) {
            *ret_revision = bson_iter_as_int64(&iter);
        } else if (s_is_named(document, "catalog") &&
                   bson_iter_init_find(&iter, document, "identity") &&
                   BSON_ITER_HOLDS_UTF8(&iter)) {
            const char *text = bson_iter_utf8(&iter, &size);
            if (size == CATALOG_IDENTITY_CHARS) {
                memcpy(ret_identity, text, CATALOG_IDENTITY_CHARS);
                ret_identity[CATALOG_IDENTITY_CHARS] = '\0';
            }
        }
    }
    souk_err_t err = mongoc_cursor_error(cursor, NULL) ? SOUK_ERR_UNAVAILABLE : SOUK_OK;
    mongoc_cursor_destroy(cursor);
    bson_destroy(&filter);
    return err;
}

static souk_err_t s_find_identity(catalog_store_t *self,
                                  char ret_identity[CATALOG_IDENTITY_CHARS + 1]) {
    int64_t head = 0;
    SOUK_TRY(catalog_store_head(self, &head, ret_identity));
    return ret_identity[0] != '\0' ? SOUK_OK : SOUK_ERR_NOT_FOUND;
}

souk_err_t catalog_store_prepare(catalog_store_t *self,
                                 char ret_identity[CATALOG_IDENTITY_CHARS + 1]) {
    const char *name = mongoc_collection_get_name(self->revisions);
    souk_assert(name != NULL);
    souk_err_t err = s_find_identity(self, ret_identity);
    if (err != SOUK_ERR_NOT_FOUND) {
        return err;
    }
    mongoc_database_t *database = mongoc_client_get_default_database(self->client);
    souk_assert(database != NULL);
    bson_t *version_keys = BCON_NEW("entity_id", BCON_INT32(1), "version", BCON_INT32(1));
    bson_t *key_keys = BCON_NEW("key", BCON_INT32(1));
    err = s_unique_index(database, "entity_version", version_keys, false);
    if (err == SOUK_OK) {
        err = s_unique_index(database, "key", key_keys, true);
    }
    bson_destroy(version_keys);
    bson_destroy(key_keys);
    mongoc_database_destroy(database);
    SOUK_TRY(err);

    /* The identity is written last: where it stands, the indexes stand. Of two workers that start
     * at once, one insert wins. */
    uint8_t random[CATALOG_IDENTITY_CHARS / 2];
    char identity[CATALOG_IDENTITY_CHARS + 1] = {0};
    souk_random(random, sizeof random);
    souk_hex(random, sizeof random, identity);
    bson_error_t error;
    bson_t *document = BCON_NEW("_id", BCON_UTF8("catalog"), "identity", BCON_UTF8(identity));
    bool inserted = mongoc_collection_insert_one(self->meta, document, NULL, NULL, &error);
    bson_destroy(document);
    if (!inserted && !s_is_duplicate(&error)) {
        return SOUK_ERR_UNAVAILABLE;
    }
    err = s_find_identity(self, ret_identity);
    return err == SOUK_ERR_NOT_FOUND ? SOUK_ERR_UNAVAILABLE : err;
}

static void s_append_str(bson_t *bson, const char *name, souk_str_t text) {
    bson_append_utf8(bson, name, -1, text.data != NULL ? text.data : "", (int)text.size);
}

static souk_err_t s_insert_error(const bson_error_t *error) {
    if (s_is_duplicate(error)) {
        return SOUK_ERR_CONFLICT;
    }
    if (error->domain == MONGOC_ERROR_SERVER_SELECTION) {
        return SOUK_ERR_UNAVAILABLE;
    }
    if (error->domain == MONGOC_ERROR_STREAM || error->domain == MONGOC_ERROR_WRITE_CONCERN) {
        return SOUK_ERR_UNKNOWN_OUTCOME;
    }
    souk_log(SOUK_LOG_ERROR, "CA-INSERT-REFUSED", SOUK_F_INT("code", error->code),
             SOUK_F_TEXT("reason", error->message));
    return SOUK_ERR_IO;
}

souk_err_t catalog_store_insert(catalog_store_t *self, const catalog_revision_t *revisions,
                                size_t count, size_t *ret_inserted) {
    bson_t *documents = calloc(count, sizeof *documents);
    const bson_t **pointers = calloc(count, sizeof *pointers);
    souk_assert(documents != NULL && pointers != NULL && count > 0);
    souk_err_t err = SOUK_OK;
    for (size_t i = 0; i < count; i++) {
        bson_init(&documents[i]);
        pointers[i] = &documents[i];
        if (err == SOUK_OK) {
            err = catalog_revision_to_bson(&revisions[i], &documents[i]);
        }
    }
    size_t inserted = 0;
    if (err == SOUK_OK) {
        bson_error_t error = {0};
        bson_t reply;
        bson_iter_t iter;
        bool done =
            mongoc_collection_insert_many(self->revisions, pointers, count, NULL, &reply, &error);
        if (bson_iter_init_find(&iter, &reply, "insertedCount")) {
            inserted = (size_t)bson_iter_as_int64(&iter);
        }
        bson_destroy(&reply);
        err = done ? SOUK_OK : s_insert_error(&error);
    }
    for (size_t i = 0; i < count; i++) {
        bson_destroy(&documents[i]);
    }
    free(documents);
    free(pointers);
    *ret_inserted = inserted;
    return err;
}

/* A collection, and how its documents are read. */
typedef struct {
    mongoc_collection_t *collection;
    souk_err_t (*read)(const bson_t *bson, souk_arena_t *arena, catalog_revision_t *ret);
} s_source_t;

static s_source_t s_revisions(catalog_store_t *self) {
    return (s_source_t){self->revisions, catalog_revision_from_bson};
}

static s_source_t s_retired(catalog_store_t *self) {
    return (s_source_t){self->retired, catalog_retired_from_bson};
}

static souk_err_t s_find_one(s_source_t source, const bson_t *filter, souk_arena_t *arena,
                             catalog_revision_t *ret) {
    bson_t *opts = BCON_NEW("limit", BCON_INT64(1), "singleBatch", BCON_BOOL(true));
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(source.collection, filter, opts, NULL);
    const bson_t *bson = NULL;
    souk_err_t err = SOUK_ERR_NOT_FOUND;
    if (mongoc_cursor_next(cursor, &bson)) {
        err = source.read(bson, arena, ret);
    } else if (mongoc_cursor_error(cursor, NULL)) {
        err = SOUK_ERR_UNAVAILABLE;
    }
    mongoc_cursor_destroy(cursor);
    bson_destroy(opts);
    return err;
}

static souk_err_t s_find_number(s_source_t source, int64_t revision, souk_arena_t *arena,
                                catalog_revision_t *ret) {
    bson_t filter = BSON_INITIALIZER;
    bson_append_int64(&filter, "_id", -1, revision);
    souk_err_t err = s_find_one(source, &filter, arena, ret);
    bson_destroy(&filter);
    return err;
}

souk_err_t catalog_store_find(catalog_store_t *self, int64_t revision, souk_arena_t *arena,
                              catalog_revision_t *ret) {
    return s_find_number(s_revisions(self), revision, arena, ret);
}

/* It is in `retired` before it leaves `revisions`. */
souk_err_t catalog_store_find_ever(catalog_store_t *self, int64_t revision, souk_arena_t *arena,
                                   catalog_revision_t *ret) {
    souk_err_t err = s_find_number(s_revisions(self), revision, arena, ret);
    return err == SOUK_ERR_NOT_FOUND ? s_find_number(s_retired(self), revision, arena, ret) : err;
}

souk_err_t catalog_store_find_version(catalog_store_t *self, souk_str_t entity_id, int64_t version,
                                      souk_arena_t *arena, catalog_revision_t *ret) {
    bson_t filter = BSON_INITIALIZER;
    s_append_str(&filter, "entity_id", entity_id);
    bson_append_int64(&filter, "version", -1, version);
    souk_err_t err = s_find_one(s_revisions(self), &filter, arena, ret);
    bson_destroy(&filter);
    return err;
}

souk_err_t catalog_store_find_key(catalog_store_t *self, souk_str_t key, souk_arena_t *arena,
                                  catalog_revision_t *ret) {
    bson_t filter = BSON_INITIALIZER;
    s_append_str(&filter, "key", key);
    souk_err_t err = s_find_one(s_revisions(self), &filter, arena, ret);
    bson_destroy(&filter);
    return err;
}

/* ret_unreadable NULL: unreadable documents are left out. */
static souk_err_t s_scan(s_source_t source, const bson_t *filter, catalog_scan_fn fn, void *arg,
                         uint64_t *ret_unreadable) {
    bson_t *opts = BCON_NEW("batchSize", BCON_INT64(SCAN_BATCH));
    mongoc_cursor_t *cursor =
        mongoc_collection_find_with_opts(source.collection, filter, opts, NULL);
    SOUK_CLEANUP(souk_arena_destroy)
    souk_arena_t *arena = souk_arena_new(REVISION_ARENA_BYTES, SCAN_ARENA_KEEP_BYTES);
    const bson_t *bson = NULL;
    souk_err_t err = SOUK_OK;
    while (err == SOUK_OK && mongoc_cursor_next(cursor, &bson)) {
        catalog_revision_t revision;
        souk_arena_reset(arena);
        if (source.read(bson, arena, &revision) == SOUK_OK) {
            err = fn(arg, &revision);
        } else if (ret_unreadable != NULL) {
            (*ret_unreadable)++;
            err = fn(arg, &(catalog_revision_t){.change.revision = revision.change.revision});
        }
    }
    if (err == SOUK_OK && mongoc_cursor_error(cursor, NULL)) {
        err = SOUK_ERR_UNAVAILABLE;
    }
    mongoc_cursor_destroy(cursor);
    bson_destroy(opts);
    return err;
}

souk_err_t catalog_store_scan(catalog_store_t *self, int64_t after, catalog_scan_fn fn, void *arg,
                              uint64_t *ret_unreadable) {
    bson_t filter = BSON_INITIALIZER;
    if (after > 0) {
        bson_t range;
        bson_append_document_begin(&filter, "_id", -1, &range);
        bson_append_int64(&range, "$gt", -1, after);
        bson_append_document_end(&filter, &range);
    }
    souk_err_t err = s_scan(s_revisions(self), &filter, fn, arg, ret_unreadable);
    bson_destroy(&filter);
    return err;
}

static souk_err_t s_history(s_source_t source, souk_str_t entity_id, catalog_scan_fn fn,
                            void *arg) {
    bson_t filter = BSON_INITIALIZER;
    s_append_str(&filter, "entity_id", entity_id);
    souk_err_t err = s_scan(source, &filter, fn, arg, NULL);
    bson_destroy(&filter);
    return err;
}

souk_err_t catalog_store_history(catalog_store_t *self, souk_str_t entity_id, catalog_scan_fn fn,
                                 void *arg) {
    return s_history(s_revisions(self), entity_id, fn, arg);
}

souk_err_t catalog_store_history_ever(catalog_store_t *self, souk_str_t entity_id,
                                      catalog_scan_fn fn, void *arg) {
    SOUK_TRY(s_history(s_revisions(self), entity_id, fn, arg));
    return s_history(s_retired(self), entity_id, fn, arg);
}

souk_err_t catalog_store_set_head(catalog_store_t *self, int64_t revision) {
    bson_error_t error;
    bson_t *filter = BCON_NEW("_id", BCON_UTF8("head"));
    bson_t *update = BCON_NEW("$set", "{", "revision", BCON_INT64(revision), "}");
    bson_t *opts = BCON_NEW("upsert", BCON_BOOL(true));
    bool done = mongoc_collection_update_one(self->meta, filter, update, opts, NULL, &error);
    bson_destroy(filter);
    bson_destroy(update);
    bson_destroy(opts);
    /* Two first upserts at once: one meets the other's document, which is as good a hint. */
    return done || s_is_duplicate(&error) ? SOUK_OK : SOUK_ERR_UNAVAILABLE;
}

souk_err_t catalog_store_retire(catalog_store_t *self, int64_t revision, souk_arena_t *arena) {
    catalog_revision_t found;
    souk_err_t err = catalog_store_find(self, revision, arena, &found);
    if (err != SOUK_OK) {
        return err == SOUK_ERR_NOT_FOUND ? SOUK_OK : err; /* another worker was first */
    }
    bson_error_t error;
    bson_t kept = BSON_INITIALIZER;
    catalog_retired_to_bson(&found, &kept);
    bool done = mongoc_collection_insert_one(self->retired, &kept, NULL, NULL, &error);
    bson_destroy(&kept);
    if (!done && !s_is_duplicate(&error)) {
        return SOUK_ERR_UNAVAILABLE;
    }
    bson_t filter = BSON_INITIALIZER;
    bson_append_int64(&filter, "_id", -1, revision);
    done = mongoc_collection_delete_one(self->revisions, &filter, NULL, NULL, &error);
    bson_destroy(&filter);
    return done ? SOUK_OK : SOUK_ERR_UNAVAILABLE;
}
