/* One pass over the tokens. Counts of containers are not known before their end, so their heads are
 * written in the 32-bit form and filled in later. */
#include "body.h"

#include <sodium.h>
#include <stdio.h>

#include "souk/arena.h"
#include "souk/clock.h"
#include "souk/json.h"
#include "souk/mp.h"

#define ARENA_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define CAUSE_BYTES 160
#define MAP32 0xdf
#define ARRAY32 0xdd

typedef struct {
    souk_json_reader_t json;
    souk_buf_t *out;
    const char *cause; /* ours, when not the tokenizer's */
} souk_body_t;

static souk_err_t s_value(souk_body_t *self, const souk_json_token_t *token, uint8_t kind,
                          const souk_type_t *type);

static souk_err_t s_bad(souk_body_t *self, const char *cause) {
    self->cause = cause;
    return SOUK_ERR_MALFORMED;
}

static size_t s_open(souk_buf_t *out, uint8_t head) {
    uint8_t bytes[5] = {head};
    souk_buf_append(out, bytes, sizeof(bytes));
    return out->size;
}

/* at is the end of the head. */
static void s_close(souk_buf_t *out, size_t at, uint32_t count) {
    if (!out->overflow) {
        for (size_t i = 0; i < 4; i++) {
            out->data[at - 4 + i] = (uint8_t)(count >> (24 - 8 * i));
        }
    }
}

static souk_err_t s_map(souk_body_t *self, const souk_type_t *type) {
    size_t at = s_open(self->out, MAP32);
    uint32_t count = 0;
    for (;; count++) {
        souk_json_token_t token;
        SOUK_TRY(souk_json_next(&self->json, &token));
        if (token.kind == SOUK_JSON_OBJECT_END) {
            s_close(self->out, at, count);
            return SOUK_OK;
        }
        souk_mp_write_str(self->out, token.text);
        const souk_field_t *field = type != NULL ? souk_type_field(type, token.text) : NULL;
        uint8_t kind = SOUK_KIND_ANY;
        if (field != NULL) {
            kind = field->kind == SOUK_KIND_LIST ? field->item_kind : field->kind;
        }
        SOUK_TRY(souk_json_next(&self->json, &token));
        SOUK_TRY(s_value(self, &token, kind, field != NULL ? field->type : NULL));
    }
}

/* Items have the kind of their list. */
static souk_err_t s_array(souk_body_t *self, uint8_t kind, const souk_type_t *type) {
    size_t at = s_open(self->out, ARRAY32);
    uint32_t count = 0;
    for (;; count++) {
        souk_json_token_t token;
        SOUK_TRY(souk_json_next(&self->json, &token));
        if (token.kind == SOUK_JSON_ARRAY_END) {
            s_close(self->out, at, count);
            return SOUK_OK;
        }
        SOUK_TRY(s_value(self, &token, kind, type));
    }
}

static souk_err_t s_string(souk_body_t *self, souk_str_t text, uint8_t kind) {
    if (kind == SOUK_KIND_TIME) {
        int64_t unix_us;
        if (souk_time_parse(text, &unix_us) != SOUK_OK) {
            return s_bad(self, "a time must be in RFC 3339 form");
        }
        souk_mp_write_time(self->out, unix_us);
        return SOUK_OK;
    }
    if (kind != SOUK_KIND_BYTES) {
        souk_mp_write_str(self->out, text);
        return SOUK_OK;
    }
    uint8_t *bytes = souk_arena_alloc(self->json.arena, text.size > 0 ? text.size : 1);
    size_t size;
    if (bytes == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    if (sodium_base642bin(bytes, text.size, text.data, text.size, NULL, &size, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        return s_bad(self, "bytes must be in base64url form without padding");
    }
    souk_mp_write_bin(self->out, (souk_str_t){.data = (const char *)bytes, .size = size});
    return SOUK_OK;
}

static souk_err_t s_number(souk_body_t *self, souk_str_t text) {
    int64_t integer;
    if (souk_json_int(text, &integer) == SOUK_OK) {
        souk_mp_write_int(self->out, integer);
        return SOUK_OK;
    }
    double number;
    if (souk_json_float(text, &number) != SOUK_OK) {
        return s_bad(self, "a number is out of range");
    }
    souk_mp_write_float(self->out, number);
    return SOUK_OK;
}

static souk_err_t s_value(souk_body_t *self, const souk_json_token_t *token, uint8_t kind,
                          const souk_type_t *type) {
    switch (token->kind) {
    case SOUK_JSON_NULL:
        souk_mp_write_nil(self->out);
        return SOUK_OK;
    case SOUK_JSON_TRUE:
    case SOUK_JSON_FALSE:
        souk_mp_write_bool(self->out, token->kind == SOUK_JSON_TRUE);
        return SOUK_OK;
    case SOUK_JSON_NUMBER:
        return s_number(self, token->text);
    case SOUK_JSON_STRING:
        return s_string(self, token->text, kind);
    case SOUK_JSON_OBJECT:
        return s_map(self, kind == SOUK_KIND_RECORD ? type : NULL);
    case SOUK_JSON_ARRAY:
        return s_array(self, kind, type);
    case SOUK_JSON_KEY:
    case SOUK_JSON_OBJECT_END:
    case SOUK_JSON_ARRAY_END:
    case SOUK_JSON_END:
        break;
    }
    return s_bad(self, "a value is missing");
}

static souk_err_t s_convert(souk_body_t *self, const souk_type_t *type) {
    souk_json_token_t token;
    SOUK_TRY(souk_json_next(&self->json, &token));
    if (token.kind != SOUK_JSON_OBJECT) {
        return s_bad(self, "the request must be a JSON object");
    }
    SOUK_TRY(s_map(self, type));
    SOUK_TRY(souk_json_next(&self->json, &token));
    return token.kind == SOUK_JSON_END ? SOUK_OK : s_bad(self, "something follows the object");
}

souk_err_t souk_body_from_json(const souk_type_t *type, souk_str_t text, souk_buf_t *body,
                               char cause[160]) {
    souk_arena_t *arena = souk_arena_new(ARENA_BYTES_MAX, 0);
    souk_body_t self = {.out = body};
    souk_json_reader_init(&self.json, text, arena);
    souk_err_t err = s_convert(&self, type);
    if (err == SOUK_OK && body->overflow) {
        err = SOUK_ERR_TOO_LARGE;
    }
    if (err != SOUK_OK) {
        const char *why = self.cause != NULL        ? self.cause
                          : self.json.cause != NULL ? self.json.cause
                                                    : souk_err_info(err)->title;
        unsigned line, column;
        souk_json_position(&self.json, (size_t)(self.json.at - self.json.start), &line, &column);
        (void)snprintf(cause, CAUSE_BYTES, "line %u, column %u: %s", line, column, why);
    }
    souk_arena_destroy(&arena);
    return err;
}
