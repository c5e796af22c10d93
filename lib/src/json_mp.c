#include "souk/json_mp.h"

#include "souk/json.h"
#include "souk/mp.h"

/* An object or array announces how many it holds before they come: they are counted by a reader
 * that runs ahead. Depth is bounded by the reader's own. */
static souk_err_t s_count(const souk_json_reader_t *at, souk_json_kind_t end, uint32_t *ret_count) {
    souk_json_reader_t ahead = *at;
    uint32_t count = 0;
    for (;;) {
        souk_json_token_t token;
        SOUK_TRY(souk_json_next(&ahead, &token));
        if (token.kind == end) {
            break;
        }
        if (token.kind == SOUK_JSON_KEY) {
            SOUK_TRY(souk_json_next(&ahead, &token));
        }
        SOUK_TRY(souk_json_skip(&ahead, &token));
        count++;
    }
    *ret_count = count;
    return SOUK_OK;
}

static souk_err_t s_write_number(souk_str_t text, souk_buf_t *buf) {
    int64_t integer;
    if (souk_json_int(text, &integer) == SOUK_OK) {
        souk_mp_write_int(buf, integer);
        return SOUK_OK;
    }
    double number;
    SOUK_TRY(souk_json_float(text, &number));
    souk_mp_write_float(buf, number);
    return SOUK_OK;
}

static souk_err_t s_write(const souk_json_reader_t *reader, const souk_json_token_t *token,
                          souk_buf_t *buf) {
    uint32_t count = 0;
    switch (token->kind) {
    case SOUK_JSON_NULL:
        souk_mp_write_nil(buf);
        return SOUK_OK;
    case SOUK_JSON_TRUE:
    case SOUK_JSON_FALSE:
        souk_mp_write_bool(buf, token->kind == SOUK_JSON_TRUE);
        return SOUK_OK;
    case SOUK_JSON_NUMBER:
        return s_write_number(token->text, buf);
    case SOUK_JSON_STRING:
    case SOUK_JSON_KEY:
        souk_mp_write_str(buf, token->text);
        return SOUK_OK;
    case SOUK_JSON_OBJECT:
        SOUK_TRY(s_count(reader, SOUK_JSON_OBJECT_END, &count));
        souk_mp_write_map(buf, count);
        return SOUK_OK;
    case SOUK_JSON_ARRAY:
        SOUK_TRY(s_count(reader, SOUK_JSON_ARRAY_END, &count));
        souk_mp_write_array(buf, count);
        return SOUK_OK;
    case SOUK_JSON_OBJECT_END:
    case SOUK_JSON_ARRAY_END:
    case SOUK_JSON_END:
        break;
    }
    return SOUK_OK;
}

souk_err_t souk_json_to_mp(souk_str_t json, souk_arena_t *arena, souk_buf_t *buf) {
    souk_json_reader_t reader;
    souk_json_reader_init(&reader, json, arena);
    souk_json_token_t token;
    do {
        SOUK_TRY(souk_json_next(&reader, &token));
        SOUK_TRY(s_write(&reader, &token, buf));
    } while (token.kind != SOUK_JSON_END);
    return SOUK_OK;
}
