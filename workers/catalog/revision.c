#include "revision.h"

#include "mp_bson.h"
#include "souk/buf.h"

#define US_PER_MS 1000
#define DOCUMENT_BYTES_MAX ((size_t)16 * 1024 * 1024)

static const char s_kind_product[] = "product";
static const char s_kind_category[] = "category";

static void s_append_str(bson_t *bson, const char *name, souk_str_t text) {
    bson_append_utf8(bson, name, -1, text.data != NULL ? text.data : "", (int)text.size);
}

void catalog_retired_to_bson(const catalog_revision_t *revision, bson_t *ret) {
    const catalog_change_t *change = &revision->change;
    bson_append_int64(ret, "_id", -1, change->revision);
    bson_append_utf8(ret, "kind", -1,
                     change->kind == CATALOG_PRODUCT ? s_kind_product : s_kind_category, -1);
    s_append_str(ret, "entity_id", change->entity_id);
    bson_append_int64(ret, "version", -1, change->version);
    bson_append_bool(ret, "deleted", -1, change->deleted);
    bson_append_date_time(ret, "at", -1, revision->at_us / US_PER_MS);
    s_append_str(ret, "by", revision->by);
    s_append_str(ret, "why", revision->why);
    if (revision->request_id.data != NULL) {
        s_append_str(ret, "request_id", revision->request_id);
    }
}

souk_err_t catalog_revision_to_bson(const catalog_revision_t *revision, bson_t *ret) {
    const catalog_change_t *change = &revision->change;
    catalog_retired_to_bson(revision, ret);
    s_append_str(ret, "nonce", revision->nonce);
    if (revision->key.data != NULL) {
        s_append_str(ret, "key", revision->key);
        const char *hash = revision->key_hash.data != NULL ? revision->key_hash.data : "";
        bson_append_binary(ret, "key_hash", -1, BSON_SUBTYPE_BINARY, (const uint8_t *)hash,
                           (uint32_t)revision->key_hash.size);
    }
    if (change->deleted) {
        return SOUK_OK;
    }
    bson_t document;
    bson_append_document_begin(ret, "doc", -1, &document);
    souk_err_t err = catalog_mp_to_bson(change->document, &document);
    bson_append_document_end(ret, &document);
    return err;
}

static souk_err_t s_field_str(const bson_t *bson, const char *name, souk_arena_t *arena,
                              souk_str_t *ret) {
    bson_iter_t iter;
    if (!bson_iter_init_find(&iter, bson, name) || !BSON_ITER_HOLDS_UTF8(&iter)) {
        return SOUK_ERR_MALFORMED;
    }
    uint32_t size = 0;
    const char *text = bson_iter_utf8(&iter, &size);
    *ret = souk_arena_copy(arena, (souk_str_t){.data = text, .size = size});
    return ret->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_field_int(const bson_t *bson, const char *name, int64_t *ret) {
    bson_iter_t iter;
    if (!bson_iter_init_find(&iter, bson, name) || !BSON_ITER_HOLDS_NUMBER(&iter)) {
        return SOUK_ERR_MALFORMED;
    }
    *ret = bson_iter_as_int64(&iter);
    return SOUK_OK;
}

static souk_err_t s_document(const bson_t *bson, souk_arena_t *arena, souk_str_t *ret) {
    bson_iter_t iter;
    if (!bson_iter_init_find(&iter, bson, "doc") || !BSON_ITER_HOLDS_DOCUMENT(&iter)) {
        return SOUK_ERR_MALFORMED;
    }
    uint32_t size = 0;
    const uint8_t *data = NULL;
    bson_iter_document(&iter, &size, &data);
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, DOCUMENT_BYTES_MAX);
    SOUK_TRY(catalog_mp_from_bson((souk_str_t){.data = (const char *)data, .size = size}, &buf));
    *ret = souk_arena_copy(arena, souk_buf_str(&buf));
    return ret->data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_key_of(const bson_t *bson, souk_arena_t *arena, catalog_revision_t *ret) {
    bson_iter_t iter;
    if (!bson_iter_init_find(&iter, bson, "key")) {
        return SOUK_OK;
    }
    SOUK_TRY(s_field_str(bson, "key", arena, &ret->key));
    if (!bson_iter_init_find(&iter, bson, "key_hash") || !BSON_ITER_HOLDS_BINARY(&iter)) {
        return SOUK_ERR_MALFORMED;
    }
    uint32_t size = 0;
    const uint8_t *data = NULL;
    bson_iter_binary(&iter, NULL, &size, &data);
    ret->key_hash = souk_arena_copy(arena, (souk_str_t){.data = (const char *)data, .size = size});
    return ret->key_hash.data != NULL ? SOUK_OK : SOUK_ERR_NO_MEMORY;
}

static souk_err_t s_head_from_bson(const bson_t *bson, souk_arena_t *arena,
                                   catalog_revision_t *ret) {
    *ret = (catalog_revision_t){0};
    catalog_change_t *change = &ret->change;
    souk_str_t kind;
    bson_iter_t iter;
    SOUK_TRY(s_field_int(bson, "_id", &change->revision));
    SOUK_TRY(s_field_str(bson, "kind", arena, &kind));
    if (souk_str_equal(kind, souk_str_of(s_kind_product))) {
        change->kind = CATALOG_PRODUCT;
    } else if (souk_str_equal(kind, souk_str_of(s_kind_category))) {
        change->kind = CATALOG_CATEGORY;
    } else {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(s_field_str(bson, "entity_id", arena, &change->entity_id));
    SOUK_TRY(s_field_int(bson, "version", &change->version));
    if (!bson_iter_init_find(&iter, bson, "deleted") || !BSON_ITER_HOLDS_BOOL(&iter)) {
        return SOUK_ERR_MALFORMED;
    }
    change->deleted = bson_iter_bool(&iter);
    if (!bson_iter_init_find(&iter, bson, "at") || !BSON_ITER_HOLDS_DATE_TIME(&iter)) {
        return SOUK_ERR_MALFORMED;
    }
    ret->at_us = bson_iter_date_time(&iter) * US_PER_MS;
    SOUK_TRY(s_field_str(bson, "by", arena, &ret->by));
    SOUK_TRY(s_field_str(bson, "why", arena, &ret->why));
    if (!bson_iter_init_find(&iter, bson, "request_id")) {
        return SOUK_OK;
    }
    return s_field_str(bson, "request_id", arena, &ret->request_id);
}

souk_err_t catalog_revision_from_bson(const bson_t *bson, souk_arena_t *arena,
                                      catalog_revision_t *ret) {
    SOUK_TRY(s_head_from_bson(bson, arena, ret));
    SOUK_TRY(s_field_str(bson, "nonce", arena, &ret->nonce));
    SOUK_TRY(s_key_of(bson, arena, ret));
    return ret->change.deleted ? SOUK_OK : s_document(bson, arena, &ret->change.document);
}

souk_err_t catalog_retired_from_bson(const bson_t *bson, souk_arena_t *arena,
                                     catalog_revision_t *ret) {
    SOUK_TRY(s_head_from_bson(bson, arena, ret));
    ret->is_retired = true;
    return SOUK_OK;
}
