/* The schema engine: descriptor tables, generated from schemas/, that one decoder and one encoder
 * read.
 *
 * A generated struct opens with `souk_bits_t bits` (which fields are present, which are null);
 * every other member is at the offset that its descriptor names, in the representation that its
 * kind names below. The engine is the only code that turns bytes into such structs and back. */
#ifndef SOUK_SCHEMA_H
#define SOUK_SCHEMA_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

#define SOUK_FIELDS_MAX 64

typedef struct {
    uint64_t has; /* bit set: the field is present */
    uint64_t nil; /* bit set: present and null (only where SOUK_FIELD_NULLABLE) */
} souk_bits_t;

/* Kind                  member type               msgpack            JSON
 * SOUK_KIND_BOOL        bool                      bool               true, false
 * SOUK_KIND_INT         int64_t                   int                integer (no fraction, no
 * exponent) SOUK_KIND_FLOAT       double                    float or int       number (finite)
 * SOUK_KIND_STR         souk_str_t                str                string
 * SOUK_KIND_ENUM        int32_t (index of names)  str                string
 * SOUK_KIND_TIME        int64_t (unix us, UTC)    timestamp ext -1   RFC 3339 string
 * SOUK_KIND_BYTES       souk_str_t                bin                base64url string without
 * padding SOUK_KIND_RECORD      the nested struct itself  map                object SOUK_KIND_LIST
 * souk_list_t               array              array SOUK_KIND_MAP         souk_pairs_t map str ->
 * str     object of strings SOUK_KIND_MULTIMAP    souk_pairs_t              map str -> [str] object
 * of arrays of strings; in a query: prefix.NAME=VALUE, repeated SOUK_KIND_ANY         souk_str_t
 * (msgpack)      any one value      any one value With SOUK_FIELD_ENCODED a RECORD is a souk_str_t
 * and a LIST of RECORD a list of souk_str_t, each holding one msgpack value that was encoded
 * before: the encoder copies it. Only in replies. */
typedef enum {
    SOUK_KIND_BOOL,
    SOUK_KIND_INT,
    SOUK_KIND_FLOAT,
    SOUK_KIND_STR,
    SOUK_KIND_ENUM,
    SOUK_KIND_TIME,
    SOUK_KIND_BYTES,
    SOUK_KIND_RECORD,
    SOUK_KIND_LIST,
    SOUK_KIND_MAP,
    SOUK_KIND_MULTIMAP,
    SOUK_KIND_ANY,
} souk_kind_t;

typedef enum {
    SOUK_SOURCE_BODY,
    SOUK_SOURCE_PATH,
    SOUK_SOURCE_QUERY,
    SOUK_SOURCE_HEADER,
} souk_source_t;

typedef enum {
    SOUK_FORMAT_NONE,
    SOUK_FORMAT_SLUG,     /* a-z 0-9 in words joined by single '-' */
    SOUK_FORMAT_SKU,      /* A-Z a-z 0-9 . _ - */
    SOUK_FORMAT_CURRENCY, /* three letters A-Z */
    SOUK_FORMAT_ID,    /* prefix_ + 26 Crockford base32 characters; field.format_arg is "prefix_" */
    SOUK_FORMAT_TOKEN, /* visible ASCII without space */
    SOUK_FORMAT_ETAG,  /* header: "value" or *, kept without quotes; one only, weak ones are refused
                        */
    SOUK_FORMAT_URL,   /* http or https URL or a path that begins with '/' */
    SOUK_FORMAT_EMAIL,
    SOUK_FORMAT_LINE, /* text without control characters (so without line breaks) */
    SOUK_FORMAT_TEXT, /* text without control characters but \n and \t */
} souk_format_t;

enum {
    SOUK_FIELD_REQUIRED = 1 << 0,
    SOUK_FIELD_NULLABLE = 1 << 1,
    SOUK_FIELD_ENCODED = 1 << 2,
    SOUK_FIELD_DEFAULT =
        1 << 3, /* default_int / default_str is applied by the worker's decoder when absent */
    SOUK_FIELD_UNIQUE = 1 << 4, /* LIST of STR: no value twice */
};

/* A list: items points to count elements of the element's member type (int64_t, souk_str_t, the
 * nested struct, ...). Read and written through the typed accessors that the generator emits beside
 * each struct. */
typedef struct {
    void *items;
    size_t count;
} souk_list_t;

typedef struct {
    souk_str_t name;
    souk_str_t value;
} souk_pair_t;

/* MULTIMAP: a name with several values stands in several pairs, next to each other. */
typedef struct {
    const souk_pair_t *items;
    size_t count;
} souk_pairs_t;

typedef struct souk_type souk_type_t;

typedef struct {
    const char *name;        /* wire and JSON name */
    const char *source_name; /* path, query parameter (MULTIMAP: prefix without the dot) or header;
                                NULL for body */
    const souk_type_t *type; /* RECORD, LIST of RECORD */
    const char *const *enum_names;
    const char *format_arg;
    const char *default_str; /* STR, ENUM (by name) */
    int64_t default_int;     /* INT, BOOL, and the index for ENUM */
    int64_t min, max; /* INT: value; STR, BYTES: code points or bytes; LIST, MAP, MULTIMAP: elements
                         (values for MULTIMAP) */
    int64_t item_min, item_max; /* the same for elements: LIST of INT or STR; values of MAP,
                                   MULTIMAP (names: 1..64) */
    double float_min, float_max;
    souk_err_t missing_err; /* what a missing required field is: SOUK_ERR_VALIDATION or, say,
                               SOUK_ERR_PRECONDITION_REQUIRED */
    uint32_t offset;
    uint16_t flags;
    uint16_t name_size;
    uint16_t enum_count;
    uint8_t kind;
    uint8_t item_kind; /* LIST */
    uint8_t bit;
    uint8_t source;
    uint8_t format;      /* STR */
    uint8_t item_format; /* LIST of STR, values of MAP and MULTIMAP */
} souk_field_t;

struct souk_type {
    const char *name;
    const souk_field_t *fields;
    uint64_t required; /* mask of bits */
    uint32_t struct_bytes;
    uint16_t fields_count;
    /* At least this many body fields must be present (PATCH: 1). */
    uint16_t body_fields_min;
};

#define SOUK_ISSUES_MAX 8
#define SOUK_POINTER_BYTES_MAX 160

/* One bad field. */
typedef struct {
    char pointer[SOUK_POINTER_BYTES_MAX]; /* JSON pointer (/variants/0/sku) for the body; the
                                             parameter's or header's name otherwise */
    char reason[112];                     /* "must be at least 1" */
    uint8_t source;                       /* souk_source_t */
} souk_issue_t;

/* All bad fields of one request; more than SOUK_ISSUES_MAX are counted only. */
typedef struct {
    souk_issue_t items[SOUK_ISSUES_MAX];
    size_t count;   /* kept */
    size_t omitted; /* found beyond those */
    souk_err_t err; /* the error to answer with: the gravest that was met, SOUK_OK when none */
} souk_issues_t;

void souk_issues_init(souk_issues_t *self);
/* Adds one; err as for souk_issues_t.err. The gravest wins: MALFORMED > PRECONDITION_REQUIRED >
 * UNKNOWN_PARAMETER > VALIDATION. */
void souk_issues_add(souk_issues_t *self, souk_err_t err, souk_source_t source, const char *pointer,
                     const char *format, ...) SOUK_PRINTF(5, 6);

/* At most 1,024 entries of a MAP or MULTIMAP, and items of a UNIQUE list, are taken, whatever max
 * says: they are compared each with each.
 *
 * JSON object in text -> *ret (zeroed by the caller, type->struct_bytes large). Strings are
 * borrowed from text unless they held escapes; lists and those are in the arena. Unknown keys, keys
 * whose source is not the body, and duplicates are issues, as are bounds and formats. Required
 * fields are NOT checked here (souk_schema_check). Returns SOUK_OK, or issues->err, or
 * SOUK_ERR_NO_MEMORY (arena's cap). A syntax error is one issue that names line, column and cause,
 * with err SOUK_ERR_MALFORMED. After issues *ret is good for souk_schema_check only, which then
 * adds what is missing besides. */
SOUK_MUST_CHECK souk_err_t souk_schema_from_json(const souk_type_t *type, souk_str_t text,
                                                 souk_arena_t *arena, void *ret,
                                                 souk_issues_t *issues);

/* The decoded text of a path, query or header value (borrowed, as key is) -> the field of *ret.
 * Adds an issue when it does not fit. A MULTIMAP takes the part of the name behind "prefix." in
 * key. A LIST from a query takes one element each call (?tag=a&tag=b); anything else given twice is
 * an issue. */
SOUK_MUST_CHECK souk_err_t souk_schema_from_text(const souk_type_t *type, const souk_field_t *field,
                                                 souk_str_t key, souk_str_t text,
                                                 souk_arena_t *arena, void *ret,
                                                 souk_issues_t *issues);

/* Presence: required fields, body_fields_min. Adds an issue for each that is missing. */
SOUK_MUST_CHECK souk_err_t souk_schema_check(const souk_type_t *type, const void *value,
                                             souk_issues_t *issues);

/* msgpack map -> *ret, as above, but: unknown keys are skipped (a newer peer), required fields are
 * checked, defaults are applied when SOUK_FIELD_DEFAULT (their has bit stays clear). ANY and
 * ENCODED values are borrowed from bytes as they are, with only their structure checked. */
SOUK_MUST_CHECK souk_err_t souk_schema_from_mp(const souk_type_t *type, souk_str_t bytes,
                                               souk_arena_t *arena, void *ret,
                                               souk_issues_t *issues);

/* *value -> msgpack map of the fields whose has bit is set. Bounds are not checked (a handler's
 * reply); overflow is the buffer's. */
void souk_schema_to_mp(const souk_type_t *type, const void *value, souk_buf_t *buf);

/* Finds a field by its wire name, or by source and source name (headers without regard to case;
 * MULTIMAP by the prefix before the first dot, *ret_key is the rest). NULL when there is none. */
const souk_field_t *souk_type_field(const souk_type_t *type, souk_str_t name);
const souk_field_t *souk_type_field_from(const souk_type_t *type, souk_source_t source,
                                         souk_str_t source_name, souk_str_t *ret_key);

/* Marks a field as present, as null; tells. Generated structs have a SOUK_<TYPE>_<FIELD>_BIT
 * constant for each field. */
static inline void souk_bits_set(souk_bits_t *bits, unsigned bit) {
    bits->has |= (uint64_t)1 << bit;
    bits->nil &= ~((uint64_t)1 << bit);
}
static inline void souk_bits_set_nil(souk_bits_t *bits, unsigned bit) {
    bits->has |= (uint64_t)1 << bit;
    bits->nil |= (uint64_t)1 << bit;
}
static inline bool souk_bits_has(const souk_bits_t *bits, unsigned bit) {
    return (bits->has >> bit & 1) != 0;
}
static inline bool souk_bits_nil(const souk_bits_t *bits, unsigned bit) {
    return (bits->nil >> bit & 1) != 0;
}

#endif
