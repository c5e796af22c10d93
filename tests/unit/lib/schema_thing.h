/* A type that has a field of every kind, for the tests of the schema engine. */
#ifndef SCHEMA_THING_H
#define SCHEMA_THING_H

#include "souk/schema.h"

typedef struct {
    souk_bits_t bits;
    int64_t amount;
    souk_str_t label;
} part_t;

typedef struct {
    souk_bits_t bits;
    souk_str_t id, if_match, q;
    souk_pairs_t option;
    souk_list_t tag; /* of souk_str_t */
    int64_t limit;
    bool flag;
    int64_t count;
    double ratio;
    souk_str_t name;
    int32_t status;
    int64_t at;
    souk_str_t blob;
    part_t part;
    souk_list_t numbers; /* of int64_t */
    souk_list_t parts;   /* of part_t */
    souk_list_t labels;  /* of souk_str_t */
    souk_pairs_t attributes, choices;
    souk_str_t extra;
    souk_str_t raw;   /* encoded */
    souk_list_t raws; /* of souk_str_t, encoded */
} thing_t;

enum {
    THING_ID,
    THING_IF_MATCH,
    THING_Q,
    THING_OPTION,
    THING_TAG,
    THING_LIMIT,
    THING_FLAG,
    THING_COUNT,
    THING_RATIO,
    THING_NAME,
    THING_STATUS,
    THING_AT,
    THING_BLOB,
    THING_PART,
    THING_NUMBERS,
    THING_PARTS,
    THING_LABELS,
    THING_ATTRIBUTES,
    THING_CHOICES,
    THING_EXTRA,
    THING_RAW,
    THING_RAWS,
    THING_FIELDS,
};

#define THING_FIELD(type_, member_, bit_, kind_, ...)                                              \
    {                                                                                              \
        .name = #member_, .name_size = sizeof(#member_) - 1, .offset = offsetof(type_, member_),   \
        .bit = (bit_), .kind = (kind_), .missing_err = SOUK_ERR_VALIDATION, __VA_ARGS__            \
    }

static const souk_field_t s_part_fields[] = {
    THING_FIELD(part_t, amount, 0, SOUK_KIND_INT, .flags = SOUK_FIELD_REQUIRED, .min = 0,
                .max = 100),
    THING_FIELD(part_t, label, 1, SOUK_KIND_STR, .flags = SOUK_FIELD_NULLABLE, .max = 10,
                .format = SOUK_FORMAT_LINE),
};
static const souk_type_t s_part_type = {.name = "part",
                                        .fields = s_part_fields,
                                        .required = 1,
                                        .struct_bytes = sizeof(part_t),
                                        .fields_count = 2};

static const char *const s_status_names[] = {"draft", "active", "archived"};

static const souk_field_t s_thing_fields[] = {
    THING_FIELD(thing_t, id, THING_ID, SOUK_KIND_STR, .source = SOUK_SOURCE_PATH,
                .flags = SOUK_FIELD_REQUIRED, .max = 40, .format = SOUK_FORMAT_ID,
                .format_arg = "prod_"),
    THING_FIELD(thing_t, if_match, THING_IF_MATCH, SOUK_KIND_STR, .source = SOUK_SOURCE_HEADER,
                .source_name = "If-Match", .flags = SOUK_FIELD_REQUIRED, .min = 1, .max = 20,
                .format = SOUK_FORMAT_ETAG),
    THING_FIELD(thing_t, q, THING_Q, SOUK_KIND_STR, .source = SOUK_SOURCE_QUERY, .min = 1, .max = 5,
                .format = SOUK_FORMAT_LINE),
    THING_FIELD(thing_t, option, THING_OPTION, SOUK_KIND_MULTIMAP, .source = SOUK_SOURCE_QUERY,
                .max = 10, .item_min = 1, .item_max = 5, .item_format = SOUK_FORMAT_LINE),
    THING_FIELD(thing_t, tag, THING_TAG, SOUK_KIND_LIST, .source = SOUK_SOURCE_QUERY,
                .flags = SOUK_FIELD_UNIQUE, .max = 9, .item_kind = SOUK_KIND_STR, .item_min = 1,
                .item_max = 8, .item_format = SOUK_FORMAT_SLUG),
    THING_FIELD(thing_t, limit, THING_LIMIT, SOUK_KIND_INT, .source = SOUK_SOURCE_QUERY,
                .flags = SOUK_FIELD_DEFAULT, .default_int = 24, .min = 1, .max = 100),
    THING_FIELD(thing_t, flag, THING_FLAG, SOUK_KIND_BOOL, .flags = SOUK_FIELD_DEFAULT,
                .default_int = 1),
    THING_FIELD(thing_t, count, THING_COUNT, SOUK_KIND_INT, .min = INT64_MIN, .max = INT64_MAX),
    THING_FIELD(thing_t, ratio, THING_RATIO, SOUK_KIND_FLOAT, .float_min = -2.5,
                .float_max = 1e300),
    THING_FIELD(thing_t, name, THING_NAME, SOUK_KIND_STR,
                .flags = SOUK_FIELD_NULLABLE | SOUK_FIELD_DEFAULT, .default_str = "unnamed",
                .min = 2, .max = 4),
    THING_FIELD(thing_t, status, THING_STATUS, SOUK_KIND_ENUM, .flags = SOUK_FIELD_DEFAULT,
                .default_str = "active", .default_int = 1, .enum_names = s_status_names,
                .enum_count = 3),
    THING_FIELD(thing_t, at, THING_AT, SOUK_KIND_TIME, .flags = 0),
    THING_FIELD(thing_t, blob, THING_BLOB, SOUK_KIND_BYTES, .min = 1, .max = 4),
    THING_FIELD(thing_t, part, THING_PART, SOUK_KIND_RECORD, .flags = SOUK_FIELD_NULLABLE,
                .type = &s_part_type),
    THING_FIELD(thing_t, numbers, THING_NUMBERS, SOUK_KIND_LIST, .min = 1, .max = 20,
                .item_kind = SOUK_KIND_INT, .item_min = -5, .item_max = 99),
    THING_FIELD(thing_t, parts, THING_PARTS, SOUK_KIND_LIST, .max = 3,
                .item_kind = SOUK_KIND_RECORD, .type = &s_part_type),
    THING_FIELD(thing_t, labels, THING_LABELS, SOUK_KIND_LIST, .flags = SOUK_FIELD_UNIQUE,
                .max = 20, .item_kind = SOUK_KIND_STR, .item_min = 1, .item_max = 3),
    THING_FIELD(thing_t, attributes, THING_ATTRIBUTES, SOUK_KIND_MAP, .min = 1, .max = 12,
                .item_min = 1, .item_max = 3, .item_format = SOUK_FORMAT_LINE),
    THING_FIELD(thing_t, choices, THING_CHOICES, SOUK_KIND_MULTIMAP, .max = 4, .item_max = 3),
    THING_FIELD(thing_t, extra, THING_EXTRA, SOUK_KIND_ANY, .flags = SOUK_FIELD_NULLABLE),
    THING_FIELD(thing_t, raw, THING_RAW, SOUK_KIND_RECORD, .type = &s_part_type,
                .flags = SOUK_FIELD_ENCODED | SOUK_FIELD_NULLABLE),
    THING_FIELD(thing_t, raws, THING_RAWS, SOUK_KIND_LIST, .max = 5, .flags = SOUK_FIELD_ENCODED,
                .item_kind = SOUK_KIND_RECORD, .type = &s_part_type),
};
static const souk_type_t s_thing_type = {.name = "thing",
                                         .fields = s_thing_fields,
                                         .required = 1u << THING_ID | 1u << THING_IF_MATCH,
                                         .struct_bytes = sizeof(thing_t),
                                         .fields_count = THING_FIELDS,
                                         .body_fields_min = 1};

#endif
