/* A state machine that gives one token a call. The state says what may come next; the stack says in
 * which container. A string is scanned once, for its end and all that could be wrong with it; only
 * one with escapes is then copied. */
#include "souk/json.h"

#include <math.h>
#include <stdlib.h>

#include "text.h"

#define S_FLOAT_TEXT_BYTES_MAX 128

enum {
    S_VALUE,      /* a value */
    S_FIRST_KEY,  /* a key or the object's end */
    S_FIRST_ITEM, /* a value or the array's end */
    S_AFTER,      /* a comma or the container's end; at the top the input's end */
    S_FAILED,
};

void souk_json_reader_init(souk_json_reader_t *self, souk_str_t text, souk_arena_t *arena) {
    *self = (souk_json_reader_t){.start = "", .arena = arena, .state = S_VALUE};
    if (text.size > 0) {
        self->start = text.data;
    }
    self->at = self->start;
    self->end = self->start + text.size;
}

static souk_err_t s_fail(souk_json_reader_t *self, const char *at, const char *cause) {
    self->at = at;
    self->cause = cause;
    self->state = S_FAILED;
    return SOUK_ERR_MALFORMED;
}

static inline void s_skip_space(souk_json_reader_t *self) {
    const char *at = self->at;
    while (at < self->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    self->at = at;
}

/* ---- strings
 * --------------------------------------------------------------------------------------------------------
 */

static int s_hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code unit of the \uXXXX at `at`, or -1. */
static int s_code_unit(const char *at, const char *end) {
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return -1;
    }
    int unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = s_hex_digit(at[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Steps over the escape at `at`. NULL when it is not one: then *ret_cause says why. */
static const char *s_escape_end(const char *at, const char *end, const char **ret_cause) {
    *ret_cause = "an escape sequence is not valid";
    if (end - at < 2) {
        return NULL;
    }
    if (at[1] != 'u') {
        return at[1] != '\0' && strchr("\"\\/bfnrt", at[1]) != NULL ? at + 2 : NULL;
    }
    int unit = s_code_unit(at, end);
    if (unit < 0) {
        return NULL;
    }
    if (unit == 0) {
        *ret_cause = "the character U+0000 is not allowed";
        return NULL;
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        return at + 6;
    }
    int low = unit < 0xdc00 ? s_code_unit(at + 6, end) : -1;
    if (low < 0xdc00 || low > 0xdfff) {
        *ret_cause = "a surrogate stands alone";
        return NULL;
    }
    return at + 12;
}

static char *s_put_utf8(char *to, uint32_t code) {
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (code & 0x3f));
    return to;
}

/* Decodes text, which was checked, to `to`, which has room for text.size bytes. Returns the size.
 */
static size_t s_unescape(souk_str_t text, char *to) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *at = text.data, *end = text.data + text.size;
    char *start = to;
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape != NULL ? escape : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (escape == NULL) {
            break;
        }
        if (at[1] != 'u') {
            *to++ = meanings[strchr(letters, at[1]) - letters];
            at += 2;
            continue;
        }
        uint32_t code = (uint32_t)s_code_unit(at, end);
        at += 6;
        if (code >= 0xd800 && code <= 0xdfff) {
            code = 0x10000 + ((code - 0xd800) << 10) + ((uint32_t)s_code_unit(at, end) - 0xdc00);
            at += 6;
        }
        to = s_put_utf8(to, code);
    }
    return (size_t)(to - start);
}

/* Reads the string whose opening quote is at self->at. When decode is false the text stays as
 * written. */
static souk_err_t s_string(souk_json_reader_t *self, bool decode, souk_str_t *ret_text) {
    const char *start = self->at + 1, *end = self->end, *at = start;
    bool escaped = false;
    for (;;) {
        at = souk_text_plain_end(at, end);
        if (at == end) {
            return s_fail(self, at, "the text ends inside a string");
        }
        if (*at == '"') {
            break;
        }
        if (*at == '\\') {
            const char *cause, *next = s_escape_end(at, end, &cause);
            if (next == NULL) {
                return s_fail(self, at, cause);
            }
            escaped = true;
            at = next;
        } else {
            size_t bytes = (uint8_t)*at >= 0x80 ? souk_text_sequence(at, end) : 0;
            if (bytes == 0) {
                return s_fail(self, at,
                              (uint8_t)*at >= 0x80 ? "the text is not valid UTF-8"
                                                   : "a control character in a string");
            }
            at += bytes;
        }
    }
    souk_str_t text = {.data = start, .size = (size_t)(at - start)};
    if (escaped && decode) {
        char *copy = souk_arena_alloc(self->arena, text.size);
        if (copy == NULL) {
            self->state = S_FAILED;
            self->cause = "the text needs too much memory";
            return SOUK_ERR_NO_MEMORY;
        }
        text = (souk_str_t){.data = copy, .size = s_unescape(text, copy)};
    }
    self->at = at + 1;
    *ret_text = text;
    return SOUK_OK;
}

/* ---- numbers
 * --------------------------------------------------------------------------------------------------------
 */

static inline bool s_is_digit(const char *at, const char *end) {
    return at < end && *at >= '0' && *at <= '9';
}

static const char *s_skip_digits(const char *at, const char *end) {
    while (s_is_digit(at, end)) {
        at++;
    }
    return at;
}

/* The end of the number at `at`, or NULL when the grammar does not have it. */
static const char *s_number_end(const char *at, const char *end) {
    if (at < end && *at == '-') {
        at++;
    }
    if (!s_is_digit(at, end)) {
        return NULL;
    }
    at = *at == '0' ? at + 1 : s_skip_digits(at, end);
    if (at < end && *at == '.') {
        at++;
        if (!s_is_digit(at, end)) {
            return NULL;
        }
        at = s_skip_digits(at, end);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        if (!s_is_digit(at, end)) {
            return NULL;
        }
        at = s_skip_digits(at, end);
    }
    return at;
}

souk_err_t souk_json_int(souk_str_t number, int64_t *ret_value) {
    const char *at = number.data, *end = number.size > 0 ? number.data + number.size : at;
    bool negative = at < end && *at == '-';
    at += negative ? 1 : 0;
    if (!s_is_digit(at, end) || (*at == '0' && end - at > 1)) {
        return SOUK_ERR_MALFORMED;
    }
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    for (; at < end; at++) {
        if (!s_is_digit(at, end)) {
            return SOUK_ERR_MALFORMED;
        }
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (limit - digit) / 10) {
            return SOUK_ERR_MALFORMED;
        }
        value = value * 10 + digit;
    }
    if (negative) {
        *ret_value = value > INT64_MAX ? INT64_MIN : -(int64_t)value;
    } else {
        *ret_value = (int64_t)value;
    }
    return SOUK_OK;
}

/* Numbers of at most 15 digits and a power of ten up to 22 are exact: both parts are doubles, and
 * one operation rounds once. */
static bool s_float_exact(const char *at, const char *end, double *ret_value) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    bool negative = *at == '-';
    at += negative ? 1 : 0;
    uint64_t digits = 0;
    size_t count = 0, fraction = 0;
    bool in_fraction = false;
    for (; at < end; at++) {
        if (*at == '.') {
            in_fraction = true;
            continue;
        }
        if (*at < '0' || *at > '9' || ++count > 15) {
            return false;
        }
        digits = digits * 10 + (uint64_t)(*at - '0');
        fraction += in_fraction ? 1 : 0;
    }
    double value = (double)digits / powers[fraction];
    *ret_value = negative ? -value : value;
    return true;
}

souk_err_t souk_json_float(souk_str_t number, double *ret_value) {
    if (number.size == 0 || number.size >= S_FLOAT_TEXT_BYTES_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    const char *end = number.data + number.size;
    if (s_number_end(number.data, end) != end) {
        return SOUK_ERR_MALFORMED;
    }
    if (s_float_exact(number.data, end, ret_value)) {
        return SOUK_OK;
    }
    /* strtod reads the point of the process's locale, which no program of Souk changes from "C". */
    char text[S_FLOAT_TEXT_BYTES_MAX];
    memcpy(text, number.data, number.size);
    text[number.size] = '\0';
    double value = strtod(text, NULL);
    if (!isfinite(value)) {
        return SOUK_ERR_MALFORMED;
    }
    *ret_value = value;
    return SOUK_OK;
}

/* ---- tokens
 * ---------------------------------------------------------------------------------------------------------
 */

static souk_err_t s_open(souk_json_reader_t *self, char container, souk_json_token_t *ret_token) {
    if (self->depth == SOUK_JSON_DEPTH_MAX) {
        return s_fail(self, self->at, "more than 16 levels");
    }
    self->stack[self->depth++] = (uint8_t)container;
    self->at++;
    self->state = container == 'o' ? S_FIRST_KEY : S_FIRST_ITEM;
    ret_token->kind = container == 'o' ? SOUK_JSON_OBJECT : SOUK_JSON_ARRAY;
    return SOUK_OK;
}

static souk_err_t s_close(souk_json_reader_t *self, souk_json_token_t *ret_token) {
    ret_token->kind =
        self->stack[--self->depth] == 'o' ? SOUK_JSON_OBJECT_END : SOUK_JSON_ARRAY_END;
    self->at++;
    self->state = S_AFTER;
    return SOUK_OK;
}

static souk_err_t s_literal(souk_json_reader_t *self, souk_str_t word, souk_json_kind_t kind,
                            souk_json_token_t *ret_token) {
    if ((size_t)(self->end - self->at) < word.size || memcmp(self->at, word.data, word.size) != 0) {
        return s_fail(self, self->at, "a value is expected");
    }
    self->at += word.size;
    self->state = S_AFTER;
    ret_token->kind = kind;
    return SOUK_OK;
}

static souk_err_t s_number(souk_json_reader_t *self, souk_json_token_t *ret_token) {
    const char *end = s_number_end(self->at, self->end);
    if (end == NULL) {
        return s_fail(self, self->at, "a number is not valid");
    }
    ret_token->kind = SOUK_JSON_NUMBER;
    ret_token->text = (souk_str_t){.data = self->at, .size = (size_t)(end - self->at)};
    self->at = end;
    self->state = S_AFTER;
    return SOUK_OK;
}

static souk_err_t s_value(souk_json_reader_t *self, bool decode, souk_json_token_t *ret_token) {
    if (self->at == self->end) {
        return s_fail(self, self->at, "the text ends where a value is expected");
    }
    switch (*self->at) {
    case '"':
        self->state = S_AFTER;
        ret_token->kind = SOUK_JSON_STRING;
        return s_string(self, decode, &ret_token->text);
    case '{':
        return s_open(self, 'o', ret_token);
    case '[':
        return s_open(self, 'a', ret_token);
    case 't':
        return s_literal(self, SOUK_STR("true"), SOUK_JSON_TRUE, ret_token);
    case 'f':
        return s_literal(self, SOUK_STR("false"), SOUK_JSON_FALSE, ret_token);
    case 'n':
        return s_literal(self, SOUK_STR("null"), SOUK_JSON_NULL, ret_token);
    default:
        if (*self->at == '-' || (*self->at >= '0' && *self->at <= '9')) {
            return s_number(self, ret_token);
        }
        return s_fail(self, self->at, "a value is expected");
    }
}

static souk_err_t s_key(souk_json_reader_t *self, bool decode, souk_json_token_t *ret_token) {
    if (self->at == self->end || *self->at != '"') {
        return s_fail(self, self->at, "a key in quotes is expected");
    }
    self->state = S_VALUE;
    ret_token->kind = SOUK_JSON_KEY;
    SOUK_TRY(s_string(self, decode, &ret_token->text));
    s_skip_space(self);
    if (self->at == self->end || *self->at != ':') {
        return s_fail(self, self->at, "a colon is expected");
    }
    self->at++;
    return SOUK_OK;
}

/* What follows a value. */
static souk_err_t s_after(souk_json_reader_t *self, bool decode, souk_json_token_t *ret_token) {
    bool at_end = self->at == self->end;
    if (self->depth == 0) {
        ret_token->kind = SOUK_JSON_END;
        return at_end ? SOUK_OK : s_fail(self, self->at, "text follows the value");
    }
    bool object = self->stack[self->depth - 1] == 'o';
    char c = at_end ? '\0' : *self->at;
    if (c == (object ? '}' : ']')) {
        return s_close(self, ret_token);
    }
    if (c != ',') {
        return s_fail(self, self->at,
                      object ? "a comma or } is expected" : "a comma or ] is expected");
    }
    self->at++;
    s_skip_space(self);
    ret_token->offset = (size_t)(self->at - self->start);
    return object ? s_key(self, decode, ret_token) : s_value(self, decode, ret_token);
}

static souk_err_t s_next(souk_json_reader_t *self, bool decode, souk_json_token_t *ret_token) {
    if (self->state == S_FAILED) {
        return SOUK_ERR_MALFORMED;
    }
    s_skip_space(self);
    char c = self->at < self->end ? *self->at : '\0';
    *ret_token = (souk_json_token_t){.offset = (size_t)(self->at - self->start)};
    switch (self->state) {
    case S_AFTER:
        return s_after(self, decode, ret_token);
    case S_FIRST_KEY:
        return c == '}' ? s_close(self, ret_token) : s_key(self, decode, ret_token);
    case S_FIRST_ITEM:
        return c == ']' ? s_close(self, ret_token) : s_value(self, decode, ret_token);
    default:
        return s_value(self, decode, ret_token);
    }
}

souk_err_t souk_json_next(souk_json_reader_t *self, souk_json_token_t *ret_token) {
    return s_next(self, true, ret_token);
}

souk_err_t souk_json_skip(souk_json_reader_t *self, const souk_json_token_t *first) {
    if (first->kind != SOUK_JSON_OBJECT && first->kind != SOUK_JSON_ARRAY) {
        return SOUK_OK;
    }
    for (uint8_t depth = self->depth; self->depth >= depth;) {
        souk_json_token_t token;
        SOUK_TRY(s_next(self, false, &token));
    }
    return SOUK_OK;
}

void souk_json_position(const souk_json_reader_t *self, size_t offset, unsigned *ret_line,
                        unsigned *ret_column) {
    unsigned line = 1, column = 1;
    size_t size = (size_t)(self->end - self->start);
    for (size_t i = 0; i < offset && i < size; i++) {
        column++;
        if (self->start[i] == '\n') {
            line++;
            column = 1;
        }
    }
    *ret_line = line;
    *ret_column = column;
}
