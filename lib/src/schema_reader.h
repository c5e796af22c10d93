/* One reader over JSON and msgpack for the schema decoder. Private to lib.
 *
 * A value is its first token. After ARRAY or MAP the reader stands inside it: souk_reader_item or
 * souk_reader_key step through it, with the scope that souk_reader_enter gave, until they say that
 * it has ended; souk_reader_skip leaves the rest of it out. */
#ifndef SOUK_SCHEMA_READER_H
#define SOUK_SCHEMA_READER_H

#include "souk/json.h"
#include "souk/mp.h"

typedef enum {
    SOUK_VALUE_NIL,
    SOUK_VALUE_BOOL,
    SOUK_VALUE_NUMBER, /* of JSON: text */
    SOUK_VALUE_INT,    /* of msgpack, as UINT (above INT64_MAX) and FLOAT */
    SOUK_VALUE_UINT,
    SOUK_VALUE_FLOAT,
    SOUK_VALUE_STR,
    SOUK_VALUE_BIN,
    SOUK_VALUE_TIME, /* of msgpack, as EXT, which is every other extension */
    SOUK_VALUE_EXT,
    SOUK_VALUE_ARRAY,
    SOUK_VALUE_MAP,
    SOUK_VALUE_NONE, /* of JSON: the end of a container */
} souk_value_kind_t;

typedef struct {
    souk_value_kind_t kind;
    bool boolean;
    souk_str_t text;   /* NUMBER, STR, BIN */
    int64_t integer;   /* INT; TIME: microseconds; ARRAY and MAP of msgpack: items or pairs */
    double number;     /* FLOAT */
    const uint8_t *at; /* of msgpack: where it begins */
} souk_value_t;

typedef struct {
    bool is_json;
    souk_json_reader_t json;
    souk_mp_cursor_t mp;
} souk_reader_t;

/* Items or pairs that a container of msgpack still has. */
typedef struct {
    int64_t left;
} souk_scope_t;

void souk_reader_init_json(souk_reader_t *self, souk_str_t text, souk_arena_t *arena);
void souk_reader_init_mp(souk_reader_t *self, souk_str_t bytes);

/* All return SOUK_ERR_MALFORMED on input that breaks the format and SOUK_ERR_NO_MEMORY for the
 * arena's cap. */
SOUK_MUST_CHECK souk_err_t souk_reader_value(souk_reader_t *self, souk_value_t *ret_value);
SOUK_MUST_CHECK souk_err_t souk_reader_skip(souk_reader_t *self, const souk_value_t *first);
/* Nothing follows the value. */
SOUK_MUST_CHECK souk_err_t souk_reader_end(souk_reader_t *self);

static inline souk_scope_t souk_reader_enter(const souk_value_t *container) {
    return (souk_scope_t){.left = container->integer};
}
SOUK_MUST_CHECK souk_err_t souk_reader_item(souk_reader_t *self, souk_scope_t *scope,
                                            bool *ret_more, souk_value_t *ret_value);
SOUK_MUST_CHECK souk_err_t souk_reader_key(souk_reader_t *self, souk_scope_t *scope, bool *ret_more,
                                           souk_str_t *ret_key);

/* The whole value as msgpack: borrowed from the input, or (of JSON) in the arena.
 * SOUK_ERR_VALIDATION: a number that no double holds; the value is read all the same. */
SOUK_MUST_CHECK souk_err_t souk_reader_any(souk_reader_t *self, const souk_value_t *first,
                                           souk_str_t *ret_bytes);

#endif
