/* msgpack -> JSON in one pass, with a stack of the open containers instead of recursion. */
#include "souk/transcode.h"

#include <math.h>

#include "souk/base64.h"
#include "souk/clock.h"
#include "souk/json.h"
#include "souk/mp.h"

#include "json_write.h"
#include "text.h"

typedef struct {
    uint64_t left; /* values to come, keys of a map among them */
    bool is_map, is_first;
} s_open_t;

typedef struct {
    souk_mp_cursor_t in;
    souk_buf_t *out;
    souk_capture_t *captures;
    size_t captures_count;
    s_open_t stack[SOUK_MP_DEPTH_MAX];
    size_t depth;
    souk_str_t outer, inner; /* keys of the top-level map and of a map in it; only kept when there
                                is something to capture */
} s_transcoder_t;

/* Appends text as a JSON string behind `before` (a comma, or 0) and before `after` (a colon, or 0).
 * Nearly all texts are plain: they are copied by words, the last of which may read past the text
 * but not past the input, and write into room that is spare. What is not plain begins again in the
 * general writer. */
static souk_err_t s_write_str(s_transcoder_t *self, char before, souk_str_t text, char after) {
    souk_buf_t *out = self->out;
    const char *at = text.data, *end = text.data + text.size;
    if (before != 0) {
        souk_buf_append_byte(out, (uint8_t)before);
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    size_t room = text.size + 16;
    if (!out->overflow && out->capacity - out->size >= room) {
        char *to = (char *)out->data + out->size;
        const char *limit = (const char *)self->in.end;
        *to++ = '"';
        while (at < end && limit - at >= 8) {
            uint64_t word = souk_text_load(at), special = souk_text_special(word);
            size_t left = (size_t)(end - at);
            if (left < 8) {
                special &= (UINT64_C(1) << 8 * left) - 1;
            }
            if (special != 0) {
                break;
            }
            memcpy(to, &word, sizeof(word));
            to += left < 8 ? left : 8;
            at += left < 8 ? left : 8;
        }
        if (at == end) {
            *to++ = '"';
            if (after != 0) {
                *to++ = after;
            }
            out->size = (size_t)((uint8_t *)to - out->data);
            return SOUK_OK;
        }
    }
#endif
    bool clean = souk_json_write_checked(out, text);
    if (after != 0) {
        souk_buf_append_byte(out, (uint8_t)after);
    }
    return clean ? SOUK_OK : SOUK_ERR_MALFORMED;
}

static souk_err_t s_write_float(souk_buf_t *out, double number) {
    if (!isfinite(number)) {
        return SOUK_ERR_MALFORMED;
    }
    souk_json_write_float(out, number);
    return SOUK_OK;
}

static void s_write_bin(souk_buf_t *out, souk_str_t bytes) {
    size_t chars = souk_base64_chars(bytes.size);
    char *at = (char *)souk_buf_reserve(out, chars + 2);
    if (at != NULL) {
        at[0] = '"';
        souk_base64_encode(bytes.data, bytes.size, at + 1);
        at[chars + 1] = '"';
        out->size += chars + 2;
    }
}

static souk_err_t s_write_time(souk_buf_t *out, const souk_mp_token_t *token) {
    int64_t unix_us;
    char text[SOUK_TIME_TEXT_BYTES + 2];
    SOUK_TRY(souk_mp_time_of(token, &unix_us));
    text[0] = '"';
    size_t size = souk_time_format(unix_us, text + 1);
    text[size + 1] = '"';
    souk_buf_append(out, text, size + 2);
    return SOUK_OK;
}

static souk_err_t s_open(s_transcoder_t *self, const souk_mp_token_t *token) {
    if (self->depth == SOUK_MP_DEPTH_MAX) {
        return SOUK_ERR_MALFORMED;
    }
    bool is_map = token->kind == SOUK_MP_MAP;
    self->stack[self->depth++] = (s_open_t){
        .left = (uint64_t)token->as.count * (is_map ? 2 : 1), .is_map = is_map, .is_first = true};
    souk_buf_append_byte(self->out, is_map ? '{' : '[');
    return SOUK_OK;
}

static souk_err_t s_write_value(s_transcoder_t *self, const souk_mp_token_t *token) {
    souk_buf_t *out = self->out;
    switch (token->kind) {
    case SOUK_MP_NIL:
        souk_buf_append(out, "null", 4);
        return SOUK_OK;
    case SOUK_MP_BOOL:
        souk_buf_append(out, token->as.boolean ? "true" : "false", token->as.boolean ? 4 : 5);
        return SOUK_OK;
    case SOUK_MP_INT:
        souk_json_write_int(out, token->as.integer);
        return SOUK_OK;
    case SOUK_MP_UINT:
        souk_buf_printf(out, "%llu", (unsigned long long)token->as.unsigned_integer);
        return SOUK_OK;
    case SOUK_MP_FLOAT:
        return s_write_float(out, token->as.number);
    case SOUK_MP_STR:
        return s_write_str(self, 0, token->as.bytes, 0);
    case SOUK_MP_BIN:
        s_write_bin(out, token->as.bytes);
        return SOUK_OK;
    case SOUK_MP_EXT:
        return s_write_time(out, token);
    case SOUK_MP_ARRAY:
    case SOUK_MP_MAP:
        return s_open(self, token);
    }
    return SOUK_ERR_MALFORMED;
}

/* ---- captures
 * -------------------------------------------------------------------------------------------------------
 */

/* Text that may stand in a header: no control characters, and room for the NUL. */
static void s_capture_text(souk_capture_t *capture, souk_str_t text) {
    capture->value[0] = '\0';
    if (text.size >= sizeof(capture->value)) {
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c < ' ' || c == 0x7f) {
            return;
        }
    }
    memcpy(capture->value, text.data, text.size);
    capture->value[text.size] = '\0';
}

/* True when name is the path of the value that comes: "outer", or "outer.inner" one map deeper. */
static bool s_is_captured(const s_transcoder_t *self, const char *name) {
    souk_str_t text = souk_str_of(name);
    if (self->depth == 1) {
        return souk_str_equal(text, self->outer);
    }
    return text.size == self->outer.size + 1 + self->inner.size &&
           memcmp(text.data, self->outer.data, self->outer.size) == 0 &&
           text.data[self->outer.size] == '.' &&
           memcmp(text.data + self->outer.size + 1, self->inner.data, self->inner.size) == 0;
}

static void s_capture(s_transcoder_t *self, const souk_mp_token_t *token) {
    if (!self->stack[0].is_map || (self->depth == 2 && !self->stack[1].is_map)) {
        return;
    }
    for (size_t i = 0; i < self->captures_count; i++) {
        souk_capture_t *capture = &self->captures[i];
        if (!s_is_captured(self, capture->name)) {
            continue;
        }
        capture->value[0] = '\0';
        if (token->kind == SOUK_MP_STR) {
            s_capture_text(capture, token->as.bytes);
        } else if (token->kind == SOUK_MP_INT) {
            capture->value[souk_json_print_int(token->as.integer, capture->value)] = '\0';
        }
    }
}

/* ---- the walk
 * -------------------------------------------------------------------------------------------------------
 */

/* Writes what stands before the next value of the innermost container: a comma, and in a map the
 * key, which is read. */
static souk_err_t s_before_value(s_transcoder_t *self, s_open_t *open) {
    char before = open->is_first ? 0 : ',';
    open->is_first = false;
    open->left--;
    if (!open->is_map) {
        if (before != 0) {
            souk_buf_append_byte(self->out, (uint8_t)before);
        }
        return SOUK_OK;
    }
    souk_str_t key;
    open->left--;
    SOUK_TRY(souk_mp_read_str(&self->in, &key));
    SOUK_TRY(s_write_str(self, before, key, ':'));
    if (self->depth == 1) {
        self->outer = key;
    } else if (self->depth == 2) {
        self->inner = key;
    }
    return SOUK_OK;
}

static souk_err_t s_transcode(s_transcoder_t *self) {
    do {
        if (self->depth > 0) {
            s_open_t *open = &self->stack[self->depth - 1];
            if (open->left == 0) {
                souk_buf_append_byte(self->out, open->is_map ? '}' : ']');
                self->depth--;
                continue;
            }
            SOUK_TRY(s_before_value(self, open));
        }
        souk_mp_token_t token;
        SOUK_TRY(souk_mp_read(&self->in, &token));
        if (self->captures_count > 0 && (self->depth == 1 || self->depth == 2)) {
            s_capture(self, &token);
        }
        SOUK_TRY(s_write_value(self, &token));
        if (self->out->overflow) {
            return SOUK_ERR_TOO_LARGE;
        }
    } while (self->depth > 0);
    if (self->out->overflow) {
        return SOUK_ERR_TOO_LARGE;
    }
    return souk_mp_at_end(&self->in) ? SOUK_OK : SOUK_ERR_MALFORMED;
}

souk_err_t souk_transcode(souk_str_t bytes, souk_buf_t *json, souk_capture_t *captures,
                          size_t captures_count) {
    s_transcoder_t self;
    souk_mp_cursor_init(&self.in, bytes.data, bytes.size);
    self.out = json;
    self.captures = captures;
    self.captures_count = captures_count;
    self.depth = 0;
    self.outer = self.inner = (souk_str_t){0};
    for (size_t i = 0; i < captures_count; i++) {
        captures[i].value[0] = '\0';
    }
    return s_transcode(&self);
}
