#include "mp_bson.h"

#include "souk/mp.h"

#define KEY_BYTES_MAX 1024
#define US_PER_MS 1000

static souk_err_t s_pairs_to_bson(souk_mp_cursor_t *cursor, uint32_t pairs, bson_t *ret, int depth);

static souk_err_t s_key_to_bson(souk_str_t key, char ret_key[KEY_BYTES_MAX]) {
    static const char hex[] = "0123456789ABCDEF";
    size_t size = 0;
    if (key.size == 0) {
        ret_key[size++] = '%';
    }
    for (size_t i = 0; i < key.size; i++) {
        char c = key.data[i];
        if (size + 4 > KEY_BYTES_MAX || c == '\0') {
            return SOUK_ERR_MALFORMED;
        }
        if (c == '%' || c == '.' || c == '$') {
            ret_key[size++] = '%';
            ret_key[size++] = hex[c >> 4];
            ret_key[size++] = hex[c & 15];
        } else {
            ret_key[size++] = c;
        }
    }
    ret_key[size] = '\0';
    return SOUK_OK;
}

/* key ends in NUL and holds no other. */
static souk_err_t s_value_to_bson(souk_mp_cursor_t *cursor, bson_t *ret, const char *key,
                                  int depth);

static souk_err_t s_array_to_bson(souk_mp_cursor_t *cursor, uint32_t count, bson_t *ret,
                                  int depth) {
    for (uint32_t i = 0; i < count; i++) {
        char number[16];
        const char *key = NULL;
        (void)bson_uint32_to_string(i, &key, number, sizeof number);
        SOUK_TRY(s_value_to_bson(cursor, ret, key, depth));
    }
    return SOUK_OK;
}

static souk_err_t s_container_to_bson(souk_mp_cursor_t *cursor, const souk_mp_token_t *token,
                                      bson_t *ret, const char *key, int depth) {
    if (depth >= SOUK_MP_DEPTH_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    bool is_map = token->kind == SOUK_MP_MAP;
    bson_t child;
    bool begun = is_map ? bson_append_document_begin(ret, key, -1, &child)
                        : bson_append_array_begin(ret, key, -1, &child);
    if (!begun) {
        return SOUK_ERR_TOO_LARGE;
    }
    souk_err_t err = is_map ? s_pairs_to_bson(cursor, token->as.count, &child, depth + 1)
                            : s_array_to_bson(cursor, token->as.count, &child, depth + 1);
    bool ended =
        is_map ? bson_append_document_end(ret, &child) : bson_append_array_end(ret, &child);
    return err != SOUK_OK ? err : ended ? SOUK_OK : SOUK_ERR_TOO_LARGE;
}

static souk_err_t s_value_to_bson(souk_mp_cursor_t *cursor, bson_t *ret, const char *key,
                                  int depth) {
    souk_mp_token_t token;
    SOUK_TRY(souk_mp_read(cursor, &token));
    int64_t unix_us = 0;
    bool done = false;
    switch (token.kind) {
    case SOUK_MP_NIL:
        done = bson_append_null(ret, key, -1);
        break;
    case SOUK_MP_BOOL:
        done = bson_append_bool(ret, key, -1, token.as.boolean);
        break;
    case SOUK_MP_INT:
        done = bson_append_int64(ret, key, -1, token.as.integer);
        break;
    case SOUK_MP_FLOAT:
        done = bson_append_double(ret, key, -1, token.as.number);
        break;
    case SOUK_MP_STR:
        done = bson_append_utf8(ret, key, -1, token.as.bytes.data, (int)token.as.bytes.size);
        break;
    case SOUK_MP_EXT:
        SOUK_TRY(souk_mp_time_of(&token, &unix_us));
        done = bson_append_date_time(ret, key, -1, unix_us / US_PER_MS);
        break;
    case SOUK_MP_ARRAY:
    case SOUK_MP_MAP:
        return s_container_to_bson(cursor, &token, ret, key, depth);
    case SOUK_MP_UINT:
    case SOUK_MP_BIN:
    default:
        return SOUK_ERR_MALFORMED;
    }
    return done ? SOUK_OK : SOUK_ERR_TOO_LARGE;
}

static souk_err_t s_pairs_to_bson(souk_mp_cursor_t *cursor, uint32_t pairs, bson_t *ret,
                                  int depth) {
    for (uint32_t i = 0; i < pairs; i++) {
        souk_str_t name;
        char key[KEY_BYTES_MAX];
        SOUK_TRY(souk_mp_read_str(cursor, &name));
        SOUK_TRY(s_key_to_bson(name, key));
        SOUK_TRY(s_value_to_bson(cursor, ret, key, depth));
    }
    return SOUK_OK;
}

souk_err_t catalog_mp_to_bson(souk_str_t map, bson_t *ret) {
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, map.data, map.size);
    uint32_t pairs = 0;
    SOUK_TRY(souk_mp_read_map(&cursor, &pairs));
    SOUK_TRY(s_pairs_to_bson(&cursor, pairs, ret, 1));
    return souk_mp_at_end(&cursor) ? SOUK_OK : SOUK_ERR_MALFORMED;
}

static int s_hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static souk_err_t s_key_from_bson(souk_str_t key, souk_buf_t *ret) {
    char name[KEY_BYTES_MAX];
    size_t size = 0;
    if (key.size > KEY_BYTES_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    for (size_t i = 0; i < key.size; i++) {
        if (key.data[i] != '%') {
            name[size++] = key.data[i];
        } else if (key.size > 1) {
            int high = i + 2 < key.size ? s_hex_digit(key.data[i + 1]) : -1;
            int low = i + 2 < key.size ? s_hex_digit(key.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return SOUK_ERR_MALFORMED;
            }
            name[size++] = (char)(high * 16 + low);
            i += 2;
        }
    }
    souk_mp_write_str(ret, (souk_str_t){.data = name, .size = size});
    return SOUK_OK;
}

static uint32_t s_count(const bson_iter_t *iter) {
    bson_iter_t at = *iter;
    uint32_t count = 0;
    while (bson_iter_next(&at)) {
        count++;
    }
    return count;
}

static souk_err_t s_document_from_bson(bson_iter_t *iter, bool is_map, souk_buf_t *ret, int depth);

static souk_err_t s_value_from_bson(bson_iter_t *iter, souk_buf_t *ret, int depth) {
    uint32_t size = 0;
    const char *text = NULL;
    bson_iter_t child;
    switch (bson_iter_type(iter)) {
    case BSON_TYPE_NULL:
        souk_mp_write_nil(ret);
        return SOUK_OK;
    case BSON_TYPE_BOOL:
        souk_mp_write_bool(ret, bson_iter_bool(iter));
        return SOUK_OK;
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
        souk_mp_write_int(ret, bson_iter_as_int64(iter));
        return SOUK_OK;
    case BSON_TYPE_DOUBLE:
        souk_mp_write_float(ret, bson_iter_double(iter));
        return SOUK_OK;
    case BSON_TYPE_UTF8:
        text = bson_iter_utf8(iter, &size);
        souk_mp_write_str(ret, (souk_str_t){.data = text, .size = size});
        return SOUK_OK;
    case BSON_TYPE_DATE_TIME:
        souk_mp_write_time(ret, bson_iter_date_time(iter) * US_PER_MS);
        return SOUK_OK;
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
        if (depth >= SOUK_MP_DEPTH_MAX || !bson_iter_recurse(iter, &child)) {
            return SOUK_ERR_MALFORMED;
        }
        return s_document_from_bson(&child, bson_iter_type(iter) == BSON_TYPE_DOCUMENT, ret,
                                    depth + 1);
    default:
        return SOUK_ERR_MALFORMED;
    }
}

static souk_err_t s_document_from_bson(bson_iter_t *iter, bool is_map, souk_buf_t *ret, int depth) {
    uint32_t count = s_count(iter);
    if (is_map) {
        souk_mp_write_map(ret, count);
    } else {
        souk_mp_write_array(ret, count);
    }
    while (bson_iter_next(iter)) {
        if (is_map) {
            souk_str_t key = {.data = bson_iter_key(iter), .size = bson_iter_key_len(iter)};
            SOUK_TRY(s_key_from_bson(key, ret));
        }
        SOUK_TRY(s_value_from_bson(iter, ret, depth));
    }
    return SOUK_OK;
}

souk_err_t catalog_mp_from_bson(souk_str_t document, souk_buf_t *ret) {
    bson_t bson;
    bson_iter_t iter;
    size_t bad_at = 0;
    if (!bson_init_static(&bson, (const uint8_t *)document.data, document.size) ||
        !bson_validate(&bson, BSON_VALIDATE_UTF8, &bad_at) || !bson_iter_init(&iter, &bson)) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(s_document_from_bson(&iter, true, ret, 1));
    return ret->overflow ? SOUK_ERR_TOO_LARGE : SOUK_OK;
}
