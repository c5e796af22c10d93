/* The transcoder: what it writes is JSON to our own reader and to jansson, and what it captures may
 * stand in a header. */
#include <jansson.h>

#include "souk/json.h"
#include "souk/mp.h"
#include "souk/transcode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void s_check_json(souk_str_t text) {
    souk_json_reader_t reader;
    souk_json_token_t token;
    souk_arena_t *arena = souk_arena_new(1 << 22, 0);
    bool unholdable = false; /* jansson refuses integers above int64_t */
    souk_json_reader_init(&reader, text, arena);
    do {
        souk_err_t err = souk_json_next(&reader, &token);
        souk_assert(err == SOUK_OK);
        int64_t integer;
        double number;
        if (token.kind == SOUK_JSON_NUMBER && souk_json_int(token.text, &integer) != SOUK_OK) {
            err = souk_json_float(token.text, &number);
            souk_assert(err == SOUK_OK);
            unholdable = true;
        }
    } while (token.kind != SOUK_JSON_END);
    json_t *value = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
    souk_assert(value != NULL || unholdable);
    json_decref(value);
    souk_arena_destroy(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    souk_str_t bytes = {.data = (const char *)data, .size = size};
    souk_capture_t captures[] = {{.name = "id"}, {.name = "page.next"}, {.name = ""}};
    souk_buf_t json;
    souk_buf_init(&json, size % 7 == 0 ? 64 : 1 << 20);
    souk_err_t err = souk_transcode(bytes, &json, captures, SOUK_COUNT_OF(captures));
    souk_assert(err == SOUK_OK || err == SOUK_ERR_MALFORMED || err == SOUK_ERR_TOO_LARGE);
    souk_assert(json.size <= json.max);
    for (size_t i = 0; i < SOUK_COUNT_OF(captures); i++) {
        size_t chars = strnlen(captures[i].value, sizeof(captures[i].value));
        souk_assert(chars < sizeof(captures[i].value));
        for (size_t j = 0; j < chars; j++) {
            souk_assert((uint8_t)captures[i].value[j] >= ' ');
        }
    }
    if (err == SOUK_OK) {
        souk_mp_cursor_t cursor;
        souk_mp_cursor_init(&cursor, data, size);
        souk_assert(souk_mp_skip(&cursor) == SOUK_OK && souk_mp_at_end(&cursor));
        s_check_json(souk_buf_str(&json));
    }
    souk_buf_done(&json);
    return 0;
}
