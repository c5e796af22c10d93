/* A msgpack array: [format, check, score, number, text, id, weights], text as bin since a sort key
 * may end within a letter. check is a hash over the query, the sort and all that follows it. The
 * limit is no part of it: it may change from page to page. */
#include "cursor.h"

#include "index_impl.h"
#include "souk/base64.h"
#include "souk/mp.h"

#define FORMAT 1
#define FIELDS_COUNT 7
#define CURSOR_BYTES_MAX 384 /* 512 characters, the schema's bound */

/* ---- check ---- */

static uint64_t s_mix(uint64_t hash, const void *data, size_t bytes) {
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3u;
    }
    return hash;
}

static uint64_t s_mix_int(uint64_t hash, int64_t value) {
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * i)); /* the same on every machine */
    }
    return s_mix(hash, bytes, sizeof(bytes));
}

static uint64_t s_mix_str(uint64_t hash, souk_str_t text) {
    return s_mix(s_mix_int(hash, (int64_t)text.size), text.data, text.size);
}

static uint64_t s_mix_pairs(uint64_t hash, const souk_pairs_t *pairs) {
    hash = s_mix_int(hash, (int64_t)pairs->count);
    for (size_t i = 0; i < pairs->count; i++) {
        hash = s_mix_str(s_mix_str(hash, pairs->items[i].name), pairs->items[i].value);
    }
    return hash;
}

static uint64_t s_check(const catalog_query_t *query, catalog_sort_t sort,
                        const catalog_cursor_t *cursor) {
    uint64_t hash = s_mix_int(0xcbf29ce484222325u, (int64_t)sort);
    hash = s_mix_str(s_mix_str(hash, query->q), query->category);
    hash = s_mix_int(hash, query->has_price_min ? query->price_min : -1);
    hash = s_mix_int(hash, query->has_price_max ? query->price_max : -1);
    hash = s_mix_pairs(s_mix_pairs(hash, &query->options), &query->attributes);
    hash = s_mix_int(hash, (int64_t)query->tags_count);
    for (size_t i = 0; i < query->tags_count; i++) {
        hash = s_mix_str(hash, query->tags[i]);
    }
    hash = s_mix_int(hash, (int64_t)query->statuses);
    hash = s_mix_int(s_mix_int(hash, cursor->place.score), cursor->place.key.number);
    hash = s_mix_str(s_mix_str(hash, cursor->place.key.text), cursor->place.key.id);
    return s_mix(hash, cursor->weights.words, cursor->weights.count);
}

/* ---- bytes ---- */

souk_str_t catalog_cursor_encode(const catalog_cursor_t *self, const catalog_query_t *query,
                                 catalog_sort_t sort, souk_arena_t *arena) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t buf;
    souk_buf_init(&buf, CURSOR_BYTES_MAX);
    souk_mp_write_array(&buf, FIELDS_COUNT);
    souk_mp_write_int(&buf, FORMAT);
    souk_mp_write_uint(&buf, s_check(query, sort, self));
    souk_mp_write_int(&buf, self->place.score);
    souk_mp_write_int(&buf, self->place.key.number);
    souk_mp_write_bin(&buf, self->place.key.text);
    souk_mp_write_bin(&buf, self->place.key.id);
    souk_mp_write_bin(
        &buf, (souk_str_t){.data = (const char *)self->weights.words, .size = self->weights.count});
    souk_assert(
        !buf.overflow); /* keys are shorter: CATALOG_NAME_KEY_BYTES_MAX, CATALOG_ID_BYTES_MAX */
    size_t chars = souk_base64_chars(buf.size);
    char *text = souk_arena_alloc(arena, chars);
    if (text == NULL) {
        return (souk_str_t){0};
    }
    souk_base64_encode(buf.data, buf.size, text);
    return (souk_str_t){.data = text, .size = chars};
}

static souk_err_t s_read(souk_mp_cursor_t *cursor, catalog_cursor_t *ret, uint64_t *ret_check) {
    uint32_t fields = 0;
    uint64_t format = 0, score = 0;
    souk_str_t weights;
    SOUK_TRY(souk_mp_read_array(cursor, &fields));
    SOUK_TRY(souk_mp_read_uint(cursor, UINT64_MAX, &format));
    if (format != FORMAT || fields != FIELDS_COUNT) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(souk_mp_read_uint(cursor, UINT64_MAX, ret_check));
    SOUK_TRY(souk_mp_read_uint(cursor, UINT32_MAX, &score));
    SOUK_TRY(souk_mp_read_int(cursor, &ret->place.key.number));
    SOUK_TRY(souk_mp_read_bin(cursor, &ret->place.key.text));
    SOUK_TRY(souk_mp_read_bin(cursor, &ret->place.key.id));
    SOUK_TRY(souk_mp_read_bin(cursor, &weights));
    if (weights.size > CATALOG_WORDS_MAX || ret->place.key.text.size > CATALOG_NAME_KEY_BYTES_MAX ||
        ret->place.key.id.size > CATALOG_ID_BYTES_MAX || !souk_mp_at_end(cursor)) {
        return SOUK_ERR_MALFORMED;
    }
    ret->place.score = (uint32_t)score;
    ret->weights.count = (uint8_t)weights.size;
    if (weights.size > 0) {
        memcpy(ret->weights.words, weights.data, weights.size);
    }
    return SOUK_OK;
}

souk_err_t catalog_cursor_decode(souk_str_t text, const catalog_query_t *query, catalog_sort_t sort,
                                 souk_arena_t *arena, catalog_cursor_t *ret) {
    size_t bytes = souk_base64_bytes(text.size);
    if (text.size == 0 || bytes > CURSOR_BYTES_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    uint8_t *data = souk_arena_alloc(arena, bytes + 1);
    if (data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    SOUK_TRY(souk_base64_decode(text, data));
    souk_mp_cursor_t cursor;
    catalog_cursor_t decoded = {0};
    uint64_t check = 0;
    souk_mp_cursor_init(&cursor, data, bytes);
    if (s_read(&cursor, &decoded, &check) != SOUK_OK || check != s_check(query, sort, &decoded)) {
        return SOUK_ERR_MALFORMED;
    }
    *ret = decoded;
    return SOUK_OK;
}
