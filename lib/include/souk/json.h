/* JSON (RFC 8259): a strict pull tokenizer over borrowed bytes, and a writer. */
#ifndef SOUK_JSON_H
#define SOUK_JSON_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

#define SOUK_JSON_DEPTH_MAX 16

typedef enum {
    SOUK_JSON_NULL,
    SOUK_JSON_TRUE,
    SOUK_JSON_FALSE,
    SOUK_JSON_NUMBER, /* text is the number as written */
    SOUK_JSON_STRING, /* text is the decoded string: borrowed from the input, or in the arena when
                         it held escapes */
    SOUK_JSON_KEY,    /* an object's key, decoded; its value follows */
    SOUK_JSON_OBJECT, /* { */
    SOUK_JSON_OBJECT_END,
    SOUK_JSON_ARRAY, /* [ */
    SOUK_JSON_ARRAY_END,
    SOUK_JSON_END, /* of the input, after exactly one value */
} souk_json_kind_t;

typedef struct {
    souk_json_kind_t kind;
    souk_str_t text;
    size_t offset; /* of the token in the input */
} souk_json_token_t;

typedef struct {
    const char *start, *at, *end;
    souk_arena_t *arena;
    const char *cause;                  /* after an error: what is wrong, static text */
    uint8_t stack[SOUK_JSON_DEPTH_MAX]; /* 'o' or 'a' */
    uint8_t depth;
    uint8_t state;
} souk_json_reader_t;

/* Checks grammar, UTF-8 (no overlong forms, no surrogates; escaped surrogates only in pairs, no
 * \u0000), depth. */
void souk_json_reader_init(souk_json_reader_t *self, souk_str_t text, souk_arena_t *arena);
/* SOUK_ERR_MALFORMED: self->cause says why, self->at is where. SOUK_ERR_NO_MEMORY: the arena's cap.
 */
SOUK_MUST_CHECK souk_err_t souk_json_next(souk_json_reader_t *self, souk_json_token_t *ret_token);
/* Skips the rest of a value whose first token was just read. */
SOUK_MUST_CHECK souk_err_t souk_json_skip(souk_json_reader_t *self, const souk_json_token_t *first);
/* Line and column (from 1, in bytes) of an offset. */
void souk_json_position(const souk_json_reader_t *self, size_t offset, unsigned *ret_line,
                        unsigned *ret_column);

/* Text of the grammar above to values; SOUK_ERR_MALFORMED for any other. Integer: no fraction, no
 * exponent, fits int64_t. Float: finite (a number too small becomes 0), at most 127 characters. */
SOUK_MUST_CHECK souk_err_t souk_json_int(souk_str_t number, int64_t *ret_value);
SOUK_MUST_CHECK souk_err_t souk_json_float(souk_str_t number, double *ret_value);

/* Appends text as a JSON string with quotes; U+FFFD stands for what is not UTF-8. */
void souk_json_write_str(souk_buf_t *buf, souk_str_t text);
void souk_json_write_int(souk_buf_t *buf, int64_t value);
/* Shortest form that reads back as the same double; value must be finite. */
void souk_json_write_float(souk_buf_t *buf, double value);

/* True when text is well-formed UTF-8 (Unicode 15, table 3-7). */
bool souk_utf8_valid(souk_str_t text);
/* Code points of valid UTF-8. */
size_t souk_utf8_count(souk_str_t text);

#endif
