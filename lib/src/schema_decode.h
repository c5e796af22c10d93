/* What the parts of the schema decoder share. Private to lib. */
#ifndef SOUK_SCHEMA_DECODE_H
#define SOUK_SCHEMA_DECODE_H

#include "souk/schema.h"

#include "schema_reader.h"

/* Where the decoder is: a list on the stack, rendered only for an issue. A node is a field, the
 * name in a MAP or MULTIMAP, or (neither is set) the index in an array. */
typedef struct souk_path {
    const struct souk_path *parent; /* NULL: directly in the request */
    const souk_field_t *field;
    souk_str_t name;
    size_t index;
} souk_path_t;

typedef struct {
    souk_reader_t reader;
    souk_arena_t *arena;
    souk_issues_t *issues;
    unsigned depth;
    bool is_json; /* JSON, or the text of a parameter: times are RFC 3339, bytes base64url */
    bool is_utf8; /* strings were checked */
} souk_decoder_t;

/* What a scalar has to be: a field's own rule or that of its elements. */
typedef struct {
    const souk_field_t *field;
    souk_kind_t kind;
    souk_format_t format;
    int64_t min, max;
} souk_rule_t;

/* True when the elements of field, or field itself, are encoded values. */
static inline bool souk_field_is_encoded(const souk_field_t *field) {
    return (field->flags & SOUK_FIELD_ENCODED) != 0;
}

static inline souk_rule_t souk_rule_of_field(const souk_field_t *field) {
    bool encoded = souk_field_is_encoded(field) && field->kind == SOUK_KIND_RECORD;
    return (souk_rule_t){.field = field,
                         .kind = encoded ? SOUK_KIND_ANY : (souk_kind_t)field->kind,
                         .format = (souk_format_t)field->format,
                         .min = field->min,
                         .max = field->max};
}

static inline souk_rule_t souk_rule_of_item(const souk_field_t *field) {
    bool is_list = field->kind == SOUK_KIND_LIST;
    souk_kind_t kind = is_list ? (souk_kind_t)field->item_kind : SOUK_KIND_STR;
    return (souk_rule_t){.field = field,
                         .kind = souk_field_is_encoded(field) ? SOUK_KIND_ANY : kind,
                         .format = (souk_format_t)field->item_format,
                         .min = field->item_min,
                         .max = field->item_max};
}

/* Adds an issue of SOUK_ERR_VALIDATION (or err) at path. */
void souk_path_issue(const souk_path_t *path, souk_issues_t *issues, const char *format, ...)
    SOUK_PRINTF(3, 4);
void souk_path_issue_err(const souk_path_t *path, souk_issues_t *issues, souk_err_t err,
                         const char *reason);

/* Checks a value by rule and stores it at *member, in the representation of rule->kind (scalars and
 * ANY). What does not fit is an issue; the value is read whole all the same. */
SOUK_MUST_CHECK souk_err_t souk_scalar_store(souk_decoder_t *decoder, const souk_rule_t *rule,
                                             const souk_path_t *path, const souk_value_t *value,
                                             void *member);
/* Bytes of a list's element. */
size_t souk_rule_bytes(const souk_rule_t *rule);

/* Checks what the name of a MAP's entry has to be. */
void souk_name_check(souk_decoder_t *decoder, const souk_path_t *path, souk_str_t name);

/* NULL when text has the format; else what it must be ("must be ..."). text is UTF-8. */
const char *souk_format_check(souk_format_t format, const char *format_arg, souk_str_t text);

/* "must have at least 1 item" and the like; true when count fits. */
bool souk_count_check(const souk_path_t *path, souk_issues_t *issues, const souk_rule_t *rule,
                      uint64_t count);

/* Fields of one record (not of those in it) that are missing. */
void souk_record_check(const souk_type_t *type, const souk_bits_t *bits, const souk_path_t *path,
                       souk_issues_t *issues);

static inline void *souk_member(void *record, const souk_field_t *field) {
    return (char *)record + field->offset;
}
static inline const void *souk_member_of(const void *record, const souk_field_t *field) {
    return (const char *)record + field->offset;
}

#endif
