/* Types, issues and presence. */
#include "souk/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "schema_decode.h"

static bool s_is_name(souk_str_t text, const char *name) {
    return strlen(name) == text.size && memcmp(name, text.data, text.size) == 0;
}

const souk_field_t *souk_type_field(const souk_type_t *type, souk_str_t name) {
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        if (field->name_size == name.size && memcmp(field->name, name.data, name.size) == 0) {
            return field;
        }
    }
    return NULL;
}

const souk_field_t *souk_type_field_from(const souk_type_t *type, souk_source_t source,
                                         souk_str_t source_name, souk_str_t *ret_key) {
    if (source_name.size == 0) {
        return NULL;
    }
    const char *dot = memchr(source_name.data, '.', source_name.size);
    souk_str_t prefix = {.data = source_name.data};
    souk_str_t key = {0};
    if (dot != NULL) {
        prefix.size = (size_t)(dot - source_name.data);
        key = (souk_str_t){.data = dot + 1, .size = source_name.size - prefix.size - 1};
    }
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        if (field->source != source) {
            continue;
        }
        const char *name = field->source_name != NULL ? field->source_name : field->name;
        if (field->kind == SOUK_KIND_MULTIMAP) {
            if (dot != NULL && s_is_name(prefix, name)) {
                *ret_key = key;
                return field;
            }
        } else if (source == SOUK_SOURCE_HEADER
                       ? strlen(name) == source_name.size &&
                             strncasecmp(name, source_name.data, source_name.size) == 0
                       : s_is_name(source_name, name)) {
            *ret_key = (souk_str_t){0};
            return field;
        }
    }
    return NULL;
}

/* ---- issues
 * ---------------------------------------------------------------------------------------------------------
 */

void souk_issues_init(souk_issues_t *self) {
    self->count = 0;
    self->omitted = 0;
    self->err = SOUK_OK;
}

static int s_gravity(souk_err_t err) {
    static const souk_err_t ascending[] = {SOUK_ERR_VALIDATION, SOUK_ERR_UNKNOWN_PARAMETER,
                                           SOUK_ERR_PRECONDITION_REQUIRED, SOUK_ERR_MALFORMED};
    for (int i = 0; i < (int)SOUK_COUNT_OF(ascending); i++) {
        if (ascending[i] == err) {
            return i + 1;
        }
    }
    return 0;
}

/* Ends a text that was cut (or not) so that it has no half character. */
static void s_trim(char *text, size_t size) {
    size_t whole = strnlen(text, size);
    while (whole > 0 && !souk_utf8_valid((souk_str_t){.data = text, .size = whole})) {
        whole--;
        while (whole > 0 && ((uint8_t)text[whole] & 0xc0) == 0x80) {
            whole--;
        }
    }
    text[whole] = '\0';
}

/* Keeps what fits of pointer and reason. */
static void s_add(souk_issues_t *self, souk_err_t err, souk_source_t source, const char *pointer,
                  const char *reason) {
    if (self->err == SOUK_OK || s_gravity(err) > s_gravity(self->err)) {
        self->err = err;
    }
    if (self->count == SOUK_ISSUES_MAX) {
        self->omitted++;
        return;
    }
    souk_issue_t *issue = &self->items[self->count++];
    issue->source = (uint8_t)source;
    (void)snprintf(issue->pointer, sizeof(issue->pointer), "%s", pointer);
    s_trim(issue->pointer, sizeof(issue->pointer));
    (void)snprintf(issue->reason, sizeof(issue->reason), "%s", reason);
    s_trim(issue->reason, sizeof(issue->reason));
}

void souk_issues_add(souk_issues_t *self, souk_err_t err, souk_source_t source, const char *pointer,
                     const char *format, ...) {
    char reason[sizeof(self->items[0].reason)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    s_add(self, err, source, pointer, reason);
}

/* ---- paths
 * ----------------------------------------------------------------------------------------------------------
 */

/* A pointer as it grows; what does not fit is cut. */
typedef struct {
    char text[SOUK_POINTER_BYTES_MAX];
    size_t size;
} s_pointer_t;

static void s_put(s_pointer_t *self, souk_str_t text) {
    size_t room = sizeof(self->text) - 1 - self->size;
    size_t size = text.size < room ? text.size : room;
    if (size > 0) {
        memcpy(self->text + self->size, text.data, size);
    }
    self->size += size;
    self->text[self->size] = '\0';
}

/* A JSON pointer's token: ~ is written ~0 and / is ~1. */
static void s_put_token(s_pointer_t *self, souk_str_t name) {
    s_put(self, SOUK_STR("/"));
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        s_put(self, c == '~'   ? SOUK_STR("~0")
                    : c == '/' ? SOUK_STR("~1")
                               : (souk_str_t){.data = name.data + i, .size = 1});
    }
}

static souk_str_t s_field_name(const souk_field_t *field) {
    return (souk_str_t){.data = field->name, .size = field->name_size};
}

/* Renders path and tells its source: a JSON pointer in the body; the parameter's name elsewhere,
 * with the MULTIMAP's key. */
static souk_source_t s_render(const souk_path_t *path, s_pointer_t *ret_pointer) {
    const souk_path_t *nodes[2 * SOUK_JSON_DEPTH_MAX + 2];
    size_t count = 0;
    for (; path != NULL && count < SOUK_COUNT_OF(nodes); path = path->parent) {
        nodes[count++] = path;
    }
    ret_pointer->size = 0;
    ret_pointer->text[0] = '\0';
    const souk_field_t *top = count > 0 ? nodes[count - 1]->field : NULL;
    bool is_body = top == NULL || top->source == SOUK_SOURCE_BODY;
    for (; count > 0; count--) {
        const souk_path_t *node = nodes[count - 1];
        bool is_index = node->field == NULL && node->name.data == NULL;
        if (is_body && is_index) {
            char index[24];
            int size = snprintf(index, sizeof(index), "/%zu", node->index);
            s_put(ret_pointer, (souk_str_t){.data = index, .size = (size_t)size});
        } else if (is_body) {
            s_put_token(ret_pointer, node->field != NULL ? s_field_name(node->field) : node->name);
        } else if (node->field != NULL) {
            const char *name = node->field->source_name;
            s_put(ret_pointer, name != NULL ? souk_str_of(name) : s_field_name(node->field));
        } else if (!is_index) {
            s_put(ret_pointer, SOUK_STR("."));
            s_put(ret_pointer, node->name);
        }
    }
    return is_body ? SOUK_SOURCE_BODY : (souk_source_t)top->source;
}

void souk_path_issue(const souk_path_t *path, souk_issues_t *issues, const char *format, ...) {
    char reason[sizeof(issues->items[0].reason)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    souk_path_issue_err(path, issues, SOUK_ERR_VALIDATION, reason);
}

void souk_path_issue_err(const souk_path_t *path, souk_issues_t *issues, souk_err_t err,
                         const char *reason) {
    s_pointer_t pointer;
    souk_source_t source = s_render(path, &pointer);
    s_add(issues, err, source, pointer.text, reason);
}

/* ---- presence
 * -------------------------------------------------------------------------------------------------------
 */

void souk_record_check(const souk_type_t *type, const souk_bits_t *bits, const souk_path_t *path,
                       souk_issues_t *issues) {
    uint64_t missing = type->required & ~bits->has;
    unsigned body_fields = 0;
    if (missing == 0 && type->body_fields_min == 0) {
        return;
    }
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        if ((missing >> field->bit & 1) != 0) {
            souk_path_t node = {.parent = path, .field = field};
            souk_path_issue_err(&node, issues, field->missing_err, "is required");
        }
        body_fields += field->source == SOUK_SOURCE_BODY && souk_bits_has(bits, field->bit);
    }
    if (body_fields < type->body_fields_min) {
        souk_path_issue(path, issues, "must have at least %u field%s", type->body_fields_min,
                        type->body_fields_min == 1 ? "" : "s");
    }
}

/* Descriptors nest, and values cannot nest deeper than the decoder let them (16). */
// NOLINTNEXTLINE(misc-no-recursion)
static void s_check(const souk_type_t *type, const void *value, const souk_path_t *path,
                    souk_issues_t *issues) {
    const souk_bits_t *bits = value;
    souk_record_check(type, bits, path, issues);
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        if (field->type == NULL || souk_field_is_encoded(field) ||
            !souk_bits_has(bits, field->bit) || souk_bits_nil(bits, field->bit)) {
            continue;
        }
        souk_path_t node = {.parent = path, .field = field};
        if (field->kind == SOUK_KIND_RECORD) {
            s_check(field->type, souk_member_of(value, field), &node, issues);
            continue;
        }
        const souk_list_t *list = souk_member_of(value, field);
        for (size_t item = 0; item < list->count; item++) {
            souk_path_t item_node = {.parent = &node, .index = item};
            s_check(field->type, (const char *)list->items + item * field->type->struct_bytes,
                    &item_node, issues);
        }
    }
}

souk_err_t souk_schema_check(const souk_type_t *type, const void *value, souk_issues_t *issues) {
    size_t before = issues->count + issues->omitted;
    s_check(type, value, NULL, issues);
    return issues->count + issues->omitted > before ? issues->err : SOUK_OK;
}
