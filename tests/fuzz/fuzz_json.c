/* The JSON reader against jansson: both accept the same texts and read the same values from them.
 * Known differences: jansson refuses numbers that int64_t or double cannot hold, reads past a NUL
 * in places, and allows more levels. */
#include <jansson.h>
#include <stdlib.h>

#include "souk/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    souk_buf_t text;
    souk_json_kind_t last;
    bool unholdable; /* a number that jansson refuses */
} s_copy_t;

/* Writes the token, with the comma or nothing that belongs before it. */
static void s_copy(s_copy_t *self, const souk_json_token_t *token) {
    static const char *const texts[] = {
        [SOUK_JSON_NULL] = "null",   [SOUK_JSON_TRUE] = "true",    [SOUK_JSON_FALSE] = "false",
        [SOUK_JSON_OBJECT] = "{",    [SOUK_JSON_OBJECT_END] = "}", [SOUK_JSON_ARRAY] = "[",
        [SOUK_JSON_ARRAY_END] = "]",
    };
    bool closes = token->kind == SOUK_JSON_OBJECT_END || token->kind == SOUK_JSON_ARRAY_END;
    bool opened = self->last == SOUK_JSON_OBJECT || self->last == SOUK_JSON_ARRAY;
    if (self->text.size > 0 && !closes && !opened && self->last != SOUK_JSON_KEY) {
        souk_buf_append_byte(&self->text, ',');
    }
    if (token->kind == SOUK_JSON_STRING || token->kind == SOUK_JSON_KEY) {
        souk_assert(souk_utf8_valid(token->text));
        souk_json_write_str(&self->text, token->text);
        if (token->kind == SOUK_JSON_KEY) {
            souk_buf_append_byte(&self->text, ':');
        }
    } else if (token->kind == SOUK_JSON_NUMBER) {
        int64_t integer;
        double number;
        bool is_integer = true;
        for (size_t i = 0; i < token->text.size; i++) {
            is_integer = is_integer && strchr(".eE", token->text.data[i]) == NULL;
        }
        souk_err_t err = is_integer ? souk_json_int(token->text, &integer)
                                    : souk_json_float(token->text, &number);
        self->unholdable = self->unholdable || err != SOUK_OK;
        souk_buf_append_str(&self->text, token->text);
    } else {
        souk_buf_append_str(&self->text, souk_str_of(texts[token->kind]));
    }
    self->last = token->kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    souk_str_t text = {.data = (const char *)data, .size = size};
    souk_arena_t *arena = souk_arena_new(1 << 20, 0);
    souk_json_reader_t reader;
    s_copy_t copy = {.last = SOUK_JSON_END};
    souk_buf_init(&copy.text, 8 * size + 16);
    souk_json_reader_init(&reader, text, arena);
    souk_json_token_t token;
    souk_err_t err;
    while ((err = souk_json_next(&reader, &token)) == SOUK_OK && token.kind != SOUK_JSON_END) {
        souk_assert(token.offset < size);
        s_copy(&copy, &token);
    }
    souk_assert(err == SOUK_OK || err == SOUK_ERR_MALFORMED);
    souk_assert(!copy.text.overflow);
    json_t *theirs = json_loadb(text.data != NULL ? text.data : "", size, JSON_DECODE_ANY, NULL);
    if (err == SOUK_OK) {
        json_t *ours =
            json_loadb((const char *)copy.text.data, copy.text.size, JSON_DECODE_ANY, NULL);
        souk_assert(copy.unholdable || (theirs != NULL && ours != NULL));
        souk_assert(theirs == NULL || json_equal(ours, theirs));
        json_decref(ours);
    } else {
        unsigned line, column;
        souk_assert(reader.cause != NULL && reader.at >= reader.start && reader.at <= reader.end);
        souk_json_position(&reader, (size_t)(reader.at - reader.start), &line, &column);
        bool too_deep = strcmp(reader.cause, "more than 16 levels") == 0;
        souk_assert(theirs == NULL || too_deep || memchr(data, 0, size) != NULL);
    }
    json_decref(theirs);
    souk_buf_done(&copy.text);
    souk_arena_destroy(&arena);
    return 0;
}
