#include "schema_reader.h"

void souk_reader_init_json(souk_reader_t *self, souk_str_t text, souk_arena_t *arena) {
    self->is_json = true;
    souk_json_reader_init(&self->json, text, arena);
}

void souk_reader_init_mp(souk_reader_t *self, souk_str_t bytes) {
    self->is_json = false;
    souk_mp_cursor_init(&self->mp, bytes.data, bytes.size);
}

static souk_err_t s_value_json(souk_reader_t *self, souk_value_t *ret_value) {
    static const uint8_t kinds[] = {
        [SOUK_JSON_NULL] = SOUK_VALUE_NIL,    [SOUK_JSON_TRUE] = SOUK_VALUE_BOOL,
        [SOUK_JSON_FALSE] = SOUK_VALUE_BOOL,  [SOUK_JSON_NUMBER] = SOUK_VALUE_NUMBER,
        [SOUK_JSON_STRING] = SOUK_VALUE_STR,  [SOUK_JSON_KEY] = SOUK_VALUE_NONE,
        [SOUK_JSON_OBJECT] = SOUK_VALUE_MAP,  [SOUK_JSON_OBJECT_END] = SOUK_VALUE_NONE,
        [SOUK_JSON_ARRAY] = SOUK_VALUE_ARRAY, [SOUK_JSON_ARRAY_END] = SOUK_VALUE_NONE,
        [SOUK_JSON_END] = SOUK_VALUE_NONE,
    };
    souk_json_token_t token;
    SOUK_TRY(souk_json_next(&self->json, &token));
    ret_value->kind = (souk_value_kind_t)kinds[token.kind];
    ret_value->boolean = token.kind == SOUK_JSON_TRUE;
    ret_value->text = token.text;
    ret_value->integer = 0;
    return SOUK_OK;
}

static souk_err_t s_value_mp(souk_reader_t *self, souk_value_t *ret_value) {
    souk_mp_token_t token;
    ret_value->at = self->mp.at;
    SOUK_TRY(souk_mp_read(&self->mp, &token));
    switch (token.kind) {
    case SOUK_MP_NIL:
        ret_value->kind = SOUK_VALUE_NIL;
        break;
    case SOUK_MP_BOOL:
        ret_value->kind = SOUK_VALUE_BOOL;
        ret_value->boolean = token.as.boolean;
        break;
    case SOUK_MP_INT:
        ret_value->kind = SOUK_VALUE_INT;
        ret_value->integer = token.as.integer;
        break;
    case SOUK_MP_UINT:
        ret_value->kind = SOUK_VALUE_UINT;
        ret_value->number = (double)token.as.unsigned_integer;
        break;
    case SOUK_MP_FLOAT:
        ret_value->kind = SOUK_VALUE_FLOAT;
        ret_value->number = token.as.number;
        break;
    case SOUK_MP_STR:
    case SOUK_MP_BIN:
        ret_value->kind = token.kind == SOUK_MP_STR ? SOUK_VALUE_STR : SOUK_VALUE_BIN;
        ret_value->text = token.as.bytes;
        break;
    case SOUK_MP_EXT:
        ret_value->kind = souk_mp_time_of(&token, &ret_value->integer) == SOUK_OK ? SOUK_VALUE_TIME
                                                                                  : SOUK_VALUE_EXT;
        break;
    case SOUK_MP_ARRAY:
    case SOUK_MP_MAP:
        ret_value->kind = token.kind == SOUK_MP_ARRAY ? SOUK_VALUE_ARRAY : SOUK_VALUE_MAP;
        ret_value->integer = token.as.count;
        break;
    }
    return SOUK_OK;
}

souk_err_t souk_reader_value(souk_reader_t *self, souk_value_t *ret_value) {
    return self->is_json ? s_value_json(self, ret_value) : s_value_mp(self, ret_value);
}

souk_err_t souk_reader_skip(souk_reader_t *self, const souk_value_t *first) {
    if (first->kind != SOUK_VALUE_ARRAY && first->kind != SOUK_VALUE_MAP) {
        return SOUK_OK;
    }
    if (self->is_json) {
        souk_json_token_t token = {.kind = first->kind == SOUK_VALUE_ARRAY ? SOUK_JSON_ARRAY
                                                                           : SOUK_JSON_OBJECT};
        return souk_json_skip(&self->json, &token);
    }
    self->mp.at = first->at;
    return souk_mp_skip(&self->mp);
}

souk_err_t souk_reader_end(souk_reader_t *self) {
    if (!self->is_json) {
        return souk_mp_at_end(&self->mp) ? SOUK_OK : SOUK_ERR_MALFORMED;
    }
    souk_json_token_t token;
    return souk_json_next(&self->json, &token);
}

souk_err_t souk_reader_item(souk_reader_t *self, souk_scope_t *scope, bool *ret_more,
                            souk_value_t *ret_value) {
    if (!self->is_json) {
        *ret_more = scope->left > 0;
        scope->left--;
        return *ret_more ? s_value_mp(self, ret_value) : SOUK_OK;
    }
    SOUK_TRY(s_value_json(self, ret_value));
    *ret_more = ret_value->kind != SOUK_VALUE_NONE;
    return SOUK_OK;
}

souk_err_t souk_reader_key(souk_reader_t *self, souk_scope_t *scope, bool *ret_more,
                           souk_str_t *ret_key) {
    if (!self->is_json) {
        *ret_more = scope->left > 0;
        scope->left--;
        return *ret_more ? souk_mp_read_str(&self->mp, ret_key) : SOUK_OK;
    }
    souk_json_token_t token;
    SOUK_TRY(souk_json_next(&self->json, &token));
    *ret_more = token.kind == SOUK_JSON_KEY;
    *ret_key = token.text;
    return SOUK_OK;
}

/* ---- any value
 * ------------------------------------------------------------------------------------------------------
 */

/* A container whose head is not known before its end: one byte is kept for it. */
typedef struct {
    size_t at;
    uint32_t count;
    bool is_map;
} s_open_t;

/* Writes the head of the container that ends here. */
static void s_close(souk_buf_t *buf, const s_open_t *open) {
    if (buf->overflow) {
        return;
    }
    souk_buf_t head;
    souk_buf_init(&head, 5);
    if (open->is_map) {
        souk_mp_write_map(&head, open->count);
    } else {
        souk_mp_write_array(&head, open->count);
    }
    if (head.size > 0 && souk_buf_reserve(buf, head.size) != NULL) {
        uint8_t *at = buf->data + open->at;
        memmove(at + head.size, at + 1, buf->size - open->at - 1);
        memcpy(at, head.data, head.size);
        buf->size += head.size - 1;
    }
    buf->overflow = buf->overflow || head.overflow;
    souk_buf_done(&head);
}

static bool s_write_number(souk_buf_t *buf, souk_str_t text) {
    int64_t integer;
    double number;
    if (souk_json_int(text, &integer) == SOUK_OK) {
        souk_mp_write_int(buf, integer);
    } else if (souk_json_float(text, &number) == SOUK_OK) {
        souk_mp_write_float(buf, number);
    } else {
        souk_mp_write_nil(buf);
        return false;
    }
    return true;
}

/* Writes a scalar or the place for a container's head; false when it is a number that no double
 * holds. */
static bool s_write_token(souk_buf_t *buf, souk_json_kind_t kind, souk_str_t text) {
    switch (kind) {
    case SOUK_JSON_TRUE:
    case SOUK_JSON_FALSE:
        souk_mp_write_bool(buf, kind == SOUK_JSON_TRUE);
        return true;
    case SOUK_JSON_NUMBER:
        return s_write_number(buf, text);
    case SOUK_JSON_STRING:
    case SOUK_JSON_KEY:
        souk_mp_write_str(buf, text);
        return true;
    default:
        souk_mp_write_nil(buf);
        return true;
    }
}

static souk_err_t s_any_json(souk_json_reader_t *json, souk_json_token_t token, souk_buf_t *buf,
                             bool *ret_ok) {
    s_open_t stack[SOUK_JSON_DEPTH_MAX] = {0};
    size_t depth = 0;
    for (;;) {
        if (token.kind == SOUK_JSON_OBJECT_END || token.kind == SOUK_JSON_ARRAY_END) {
            s_close(buf, &stack[--depth]);
        } else {
            if (depth > 0 && token.kind != SOUK_JSON_KEY) {
                stack[depth - 1].count++;
            }
            if (token.kind == SOUK_JSON_OBJECT || token.kind == SOUK_JSON_ARRAY) {
                stack[depth++] =
                    (s_open_t){.at = buf->size, .is_map = token.kind == SOUK_JSON_OBJECT};
            }
            *ret_ok = s_write_token(buf, token.kind, token.text) && *ret_ok;
        }
        if (depth == 0) {
            return SOUK_OK;
        }
        SOUK_TRY(souk_json_next(json, &token));
    }
}

souk_err_t souk_reader_any(souk_reader_t *self, const souk_value_t *first, souk_str_t *ret_bytes) {
    if (!self->is_json) {
        SOUK_TRY(souk_reader_skip(self, first));
        *ret_bytes = (souk_str_t){.data = (const char *)first->at,
                                  .size = (size_t)(self->mp.at - first->at)};
        return SOUK_OK;
    }
    static const uint8_t kinds[] = {
        [SOUK_VALUE_NIL] = SOUK_JSON_NULL,   [SOUK_VALUE_NUMBER] = SOUK_JSON_NUMBER,
        [SOUK_VALUE_STR] = SOUK_JSON_STRING, [SOUK_VALUE_ARRAY] = SOUK_JSON_ARRAY,
        [SOUK_VALUE_MAP] = SOUK_JSON_OBJECT,
    };
    souk_json_token_t token = {.text = first->text};
    token.kind = first->kind == SOUK_VALUE_BOOL
                     ? (first->boolean ? SOUK_JSON_TRUE : SOUK_JSON_FALSE)
                     : (souk_json_kind_t)kinds[first->kind];
    /* The largest growth is that of "1e1" to the nine bytes of a double. */
    souk_buf_t buf;
    souk_buf_init(&buf, 3 * (size_t)(self->json.end - self->json.start) + 16);
    bool ok = true;
    souk_err_t err = s_any_json(&self->json, token, &buf, &ok);
    if (err == SOUK_OK) {
        souk_str_t copy =
            buf.overflow ? (souk_str_t){0} : souk_arena_copy(self->json.arena, souk_buf_str(&buf));
        if (copy.data == NULL) {
            err = SOUK_ERR_NO_MEMORY;
        } else if (!ok) {
            err = SOUK_ERR_VALIDATION;
        } else {
            *ret_bytes = copy;
        }
    }
    souk_buf_done(&buf);
    return err;
}
