#include "gateway/bind.h"

#include "souk/json.h"

typedef struct {
    const souk_type_t *type;
    souk_arena_t *arena;
    void *value;
    souk_issues_t *issues;
} binder_t;

/* Percent-decodes into the arena, or gives text itself when there is nothing to decode. False: an
 * issue was added (for name). */
static bool s_decode(const binder_t *self, souk_source_t source, souk_str_t text, souk_str_t *ret) {
    bool query = source == SOUK_SOURCE_QUERY;
    if (memchr(text.data, '%', text.size) == NULL &&
        !(query && memchr(text.data, '+', text.size) != NULL)) {
        *ret = text;
        return true;
    }
    char *out = souk_arena_alloc(self->arena, text.size);
    size_t size = 0;
    if (out == NULL) {
        return false; /* the arena remembers */
    }
    if (!souk_http_decode(text, query, out, &size) || !souk_utf8_valid((souk_str_t){out, size})) {
        return false;
    }
    *ret = (souk_str_t){out, size};
    return true;
}

static bool s_text(const binder_t *self, const souk_field_t *field, souk_str_t key,
                   souk_str_t text) {
    souk_err_t err =
        souk_schema_from_text(self->type, field, key, text, self->arena, self->value, self->issues);
    return err != SOUK_ERR_NO_MEMORY;
}

static void s_bad_coding(const binder_t *self, souk_source_t source, souk_str_t name) {
    char text[64];
    size_t size = name.size < sizeof(text) - 1 ? name.size : sizeof(text) - 1;
    memcpy(text, name.data, size);
    text[size] = '\0';
    souk_issues_add(self->issues, SOUK_ERR_MALFORMED, source, text, "%s",
                    "is not percent-encoded UTF-8 without control characters");
}

static bool s_path(const binder_t *self, const souk_router_match_t *match) {
    for (size_t i = 0; i < match->entry->params_count; i++) {
        souk_str_t name = match->entry->params[i];
        souk_str_t key, text;
        const souk_field_t *field = souk_type_field_from(self->type, SOUK_SOURCE_PATH, name, &key);
        if (!s_decode(self, SOUK_SOURCE_PATH, match->values[i], &text)) {
            s_bad_coding(self, SOUK_SOURCE_PATH, name);
        } else if (field != NULL && !s_text(self, field, key, text)) {
            return false;
        }
    }
    return true;
}

static bool s_parameter(const binder_t *self, souk_str_t raw_name, souk_str_t raw_value) {
    souk_str_t name, value, key;
    if (!s_decode(self, SOUK_SOURCE_QUERY, raw_name, &name)) {
        s_bad_coding(self, SOUK_SOURCE_QUERY, raw_name);
        return true;
    }
    const souk_field_t *field = souk_type_field_from(self->type, SOUK_SOURCE_QUERY, name, &key);
    if (field == NULL) {
        char text[SOUK_POINTER_BYTES_MAX];
        size_t size = name.size < 64
                          ? name.size
                          : 0; /* a longer one is not worth repeating, nor half a character */
        memcpy(text, name.data, size);
        text[size] = '\0';
        souk_issues_add(self->issues, SOUK_ERR_UNKNOWN_PARAMETER, SOUK_SOURCE_QUERY, text, "%s",
                        "is not a parameter of this resource");
        return true;
    }
    if (!s_decode(self, SOUK_SOURCE_QUERY, raw_value, &value)) {
        s_bad_coding(self, SOUK_SOURCE_QUERY, name);
        return true;
    }
    return s_text(self, field, key, value);
}

static bool s_query(const binder_t *self, souk_str_t rest) {
    size_t count = 0;
    while (rest.size > 0) {
        const char *end = memchr(rest.data, '&', rest.size);
        souk_str_t part = {rest.data, end != NULL ? (size_t)(end - rest.data) : rest.size};
        size_t taken = end != NULL ? part.size + 1 : part.size;
        rest.data += taken;
        rest.size -= taken;
        if (part.size == 0) {
            continue;
        }
        if (++count > SOUK_BIND_PARAMETERS_MAX) {
            souk_issues_add(self->issues, SOUK_ERR_MALFORMED, SOUK_SOURCE_QUERY, "",
                            "has more than %d parameters", SOUK_BIND_PARAMETERS_MAX);
            return true;
        }
        const char *equals = memchr(part.data, '=', part.size);
        souk_str_t name = {part.data, equals != NULL ? (size_t)(equals - part.data) : part.size};
        souk_str_t value = {part.data + name.size, 0};
        if (equals != NULL) {
            value = (souk_str_t){equals + 1, part.size - name.size - 1};
        }
        if (!s_parameter(self, name, value)) {
            return false;
        }
    }
    return true;
}

static bool s_header(const binder_t *self, const souk_http1_t *http1, const souk_buf_t *in) {
    for (size_t i = 0; i < self->type->fields_count; i++) {
        const souk_field_t *field = &self->type->fields[i];
        if (field->source != SOUK_SOURCE_HEADER) {
            continue;
        }
        souk_str_t wanted = souk_str_of(field->source_name);
        for (size_t at = 0; at < http1->headers_count; at++) {
            souk_str_t value = souk_http1_value(http1, in, at);
            if (!souk_http_equal_nocase(souk_http1_name(http1, in, at), wanted)) {
                continue;
            }
            if (!souk_utf8_valid(value)) {
                souk_issues_add(self->issues, SOUK_ERR_MALFORMED, SOUK_SOURCE_HEADER,
                                field->source_name, "%s", "is not UTF-8");
            } else if (!s_text(self, field, (souk_str_t){NULL, 0}, value)) {
                return false;
            }
        }
    }
    return true;
}

souk_err_t souk_bind(const souk_bind_t *request, souk_arena_t *arena, void **ret_value,
                     souk_issues_t *issues) {
    const souk_route_t *route = request->match->entry->route;
    const souk_http1_t *http1 = request->http1;
    binder_t self = {.type = route->request, .arena = arena, .issues = issues};
    self.value = souk_arena_alloc(arena, self.type->struct_bytes);
    if (self.value == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    bool fits = s_path(&self, request->match) &&
                s_query(&self, souk_http1_query(http1, request->in)) &&
                s_header(&self, http1, request->in);
    souk_str_t body = souk_http1_body(http1, request->in);
    if (fits && route->has_body && body.size > 0) {
        souk_err_t err = souk_schema_from_json(self.type, body, arena, self.value, issues);
        fits = err != SOUK_ERR_NO_MEMORY;
    }
    if (!fits || souk_arena_overflowed(arena)) {
        return SOUK_ERR_NO_MEMORY;
    }
    /* What is missing is not told of a body that could not be read. */
    if (issues->err != SOUK_ERR_MALFORMED &&
        souk_schema_check(self.type, self.value, issues) != SOUK_OK) {
        return issues->err;
    }
    *ret_value = self.value;
    return issues->err;
}
