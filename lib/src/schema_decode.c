/* The schema decoder: one walk over the tokens of JSON or msgpack that fills a struct by its
 * descriptor.
 *
 * A bad value is an issue, is read to its end, and the walk goes on, so that one answer lists all
 * that is wrong; only broken JSON or msgpack, and a full arena, end it. Keys mostly come in the
 * order of the descriptor: the field after the last one is tried first.
 *
 * A field's has bit is set for whatever its key announced, good or bad: souk_schema_check then does
 * not call it missing too. For the same reason a record that was no object is marked as null
 * throughout. Nothing but that check reads the struct of a request with issues. */
#include <inttypes.h>

#include "schema_decode.h"

/* Entries of a MAP or MULTIMAP, and items of a list that has to be unique, are compared each with
 * each. */
#define S_COMPARED_MAX 1024

/* ---- elements that grow
 * --------------------------------------------------------------------------------------------- */

/* Lists of JSON have no count: their elements move to twice the room as they grow. */
typedef struct {
    souk_arena_t *arena;
    char *items;
    size_t item_bytes, count, capacity;
    uint64_t max;
    uint64_t omitted; /* elements past max */
} s_items_t;

static s_items_t s_items_of(const souk_decoder_t *decoder, const souk_rule_t *bounds,
                            size_t item_bytes) {
    return (s_items_t){.arena = decoder->arena,
                       .item_bytes = item_bytes,
                       .max = bounds->max > 0 ? (uint64_t)bounds->max : 0};
}

static souk_err_t s_items_require(s_items_t *self, uint64_t capacity) {
    capacity = capacity < self->max ? capacity : self->max;
    char *items = souk_arena_alloc_array(self->arena, capacity, self->item_bytes);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    if (self->count > 0) {
        memcpy(items, self->items, self->count * self->item_bytes);
    }
    self->items = items;
    self->capacity = capacity;
    return SOUK_OK;
}

/* A zeroed element more; NULL when there are max. */
static souk_err_t s_items_add(s_items_t *self, void **ret_item) {
    if (self->count == self->max) {
        self->omitted++;
        *ret_item = NULL;
        return SOUK_OK;
    }
    if (self->count == self->capacity) {
        uint64_t first = self->item_bytes <= sizeof(souk_pair_t) ? 8 : 2;
        SOUK_TRY(s_items_require(self, self->capacity > 0 ? 2 * self->capacity : first));
    }
    *ret_item = self->items + self->count++ * self->item_bytes;
    return SOUK_OK;
}

static void s_unique_check(const souk_path_t *path, souk_issues_t *issues,
                           const souk_list_t *list) {
    const souk_str_t *items = list->items;
    for (size_t i = 1; i < list->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (items[i].data != NULL && items[j].data != NULL &&
                souk_str_equal(items[i], items[j])) {
                souk_path_t node = {.parent = path, .index = i};
                souk_path_issue(&node, issues, "is there twice");
                break;
            }
        }
    }
}

/* NOLINTBEGIN(misc-no-recursion): values nest at most SOUK_JSON_DEPTH_MAX deep, see s_enter. */

static souk_err_t s_record(souk_decoder_t *decoder, const souk_type_t *type,
                           const souk_path_t *path, const souk_value_t *value, void *ret);

static souk_err_t s_enter(souk_decoder_t *decoder) {
    return decoder->depth++ < SOUK_JSON_DEPTH_MAX ? SOUK_OK : SOUK_ERR_MALFORMED;
}

/* An element of a list, or a value of a map. item == NULL: there are too many, it is only skipped.
 */
static souk_err_t s_item(souk_decoder_t *decoder, const souk_rule_t *rule, const souk_path_t *path,
                         const souk_value_t *value, void *item) {
    if (item == NULL) {
        return souk_reader_skip(&decoder->reader, value);
    }
    if (rule->kind == SOUK_KIND_RECORD) {
        return s_record(decoder, rule->field->type, path, value, item);
    }
    if (value->kind == SOUK_VALUE_NIL && rule->kind != SOUK_KIND_ANY) {
        souk_path_issue(path, decoder->issues, "must not be null");
        return SOUK_OK;
    }
    return souk_scalar_store(decoder, rule, path, value, item);
}

/* ---- lists
 * ----------------------------------------------------------------------------------------------------------
 */

/* Fills items from the array that value begins. */
static souk_err_t s_list_items(souk_decoder_t *decoder, const souk_rule_t *rule,
                               const souk_path_t *path, const souk_value_t *value,
                               s_items_t *items) {
    souk_scope_t scope = souk_reader_enter(value);
    SOUK_TRY(s_enter(decoder));
    for (souk_path_t node = {.parent = path};; node.index++) {
        bool more;
        void *item;
        souk_value_t item_value;
        SOUK_TRY(souk_reader_item(&decoder->reader, &scope, &more, &item_value));
        if (!more) {
            decoder->depth--;
            return SOUK_OK;
        }
        SOUK_TRY(s_items_add(items, &item));
        SOUK_TRY(s_item(decoder, rule, &node, &item_value, item));
    }
}

static souk_err_t s_list(souk_decoder_t *decoder, const souk_rule_t *rule, const souk_path_t *path,
                         const souk_value_t *value, souk_list_t *ret_list) {
    if (value->kind != SOUK_VALUE_ARRAY) {
        souk_path_issue(path, decoder->issues, "must be an array");
        return souk_reader_skip(&decoder->reader, value);
    }
    const souk_field_t *field = rule->field;
    bool is_unique = (field->flags & SOUK_FIELD_UNIQUE) != 0 && field->item_kind == SOUK_KIND_STR;
    souk_rule_t bounds = *rule;
    if (is_unique && bounds.max > S_COMPARED_MAX) {
        bounds.max = S_COMPARED_MAX;
    }
    souk_rule_t item_rule = souk_rule_of_item(field);
    s_items_t items = s_items_of(decoder, &bounds, souk_rule_bytes(&item_rule));
    if (!decoder->reader.is_json && value->integer > 0) {
        SOUK_TRY(s_items_require(&items, (uint64_t)value->integer));
    }
    SOUK_TRY(s_list_items(decoder, &item_rule, path, value, &items));
    *ret_list = (souk_list_t){.items = items.items, .count = items.count};
    if (souk_count_check(path, decoder->issues, &bounds, items.count + items.omitted) &&
        is_unique) {
        s_unique_check(path, decoder->issues, ret_list);
    }
    return SOUK_OK;
}

/* ---- maps
 * -----------------------------------------------------------------------------------------------------------
 */

static bool s_has_name(const s_items_t *pairs, souk_str_t name) {
    const souk_pair_t *items = (const void *)pairs->items;
    for (size_t i = 0; i < pairs->count; i++) {
        if (souk_str_equal(items[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* One value under the name of path, or of its parent when path is an index. */
static souk_err_t s_pair(souk_decoder_t *decoder, const souk_rule_t *rule, const souk_path_t *path,
                         const souk_value_t *value, s_items_t *pairs) {
    void *item;
    SOUK_TRY(s_items_add(pairs, &item));
    souk_pair_t *pair = item;
    if (pair != NULL) {
        pair->name = path->name.data != NULL ? path->name : path->parent->name;
    }
    return s_item(decoder, rule, path, value, pair != NULL ? &pair->value : NULL);
}

/* The values of one name of a MULTIMAP. */
static souk_err_t s_values(souk_decoder_t *decoder, const souk_rule_t *rule,
                           const souk_path_t *path, const souk_value_t *value, s_items_t *pairs) {
    if (value->kind != SOUK_VALUE_ARRAY) {
        souk_path_issue(path, decoder->issues, "must be an array");
        return souk_reader_skip(&decoder->reader, value);
    }
    souk_scope_t scope = souk_reader_enter(value);
    SOUK_TRY(s_enter(decoder));
    for (souk_path_t node = {.parent = path};; node.index++) {
        bool more;
        souk_value_t item;
        SOUK_TRY(souk_reader_item(&decoder->reader, &scope, &more, &item));
        if (more) {
            SOUK_TRY(s_pair(decoder, rule, &node, &item, pairs));
            continue;
        }
        decoder->depth--;
        if (node.index == 0) {
            souk_path_issue(path, decoder->issues, "must have at least 1 item");
        }
        return SOUK_OK;
    }
}

/* Fills pairs from the map that value begins. */
static souk_err_t s_map_pairs(souk_decoder_t *decoder, const souk_rule_t *rule,
                              const souk_path_t *path, const souk_value_t *value,
                              s_items_t *pairs) {
    souk_rule_t item_rule = souk_rule_of_item(rule->field);
    souk_scope_t scope = souk_reader_enter(value);
    SOUK_TRY(s_enter(decoder));
    for (;;) {
        bool more;
        souk_value_t item;
        souk_path_t node = {.parent = path};
        SOUK_TRY(souk_reader_key(&decoder->reader, &scope, &more, &node.name));
        if (!more) {
            decoder->depth--;
            return SOUK_OK;
        }
        SOUK_TRY(souk_reader_value(&decoder->reader, &item));
        if (s_has_name(pairs, node.name)) {
            souk_path_issue(&node, decoder->issues, "is there twice");
            SOUK_TRY(souk_reader_skip(&decoder->reader, &item));
            continue;
        }
        souk_name_check(decoder, &node, node.name);
        SOUK_TRY(rule->kind == SOUK_KIND_MAP ? s_pair(decoder, &item_rule, &node, &item, pairs)
                                             : s_values(decoder, &item_rule, &node, &item, pairs));
    }
}

static souk_err_t s_map(souk_decoder_t *decoder, const souk_rule_t *rule, const souk_path_t *path,
                        const souk_value_t *value, souk_pairs_t *ret_pairs) {
    if (value->kind != SOUK_VALUE_MAP) {
        souk_path_issue(path, decoder->issues, "must be an object");
        return souk_reader_skip(&decoder->reader, value);
    }
    souk_rule_t bounds = *rule;
    bounds.max = bounds.max > S_COMPARED_MAX ? S_COMPARED_MAX : bounds.max;
    s_items_t pairs = s_items_of(decoder, &bounds, sizeof(souk_pair_t));
    SOUK_TRY(s_map_pairs(decoder, rule, path, value, &pairs));
    *ret_pairs = (souk_pairs_t){.items = (const void *)pairs.items, .count = pairs.count};
    (void)souk_count_check(path, decoder->issues, &bounds, pairs.count + pairs.omitted);
    return SOUK_OK;
}

/* ---- records
 * --------------------------------------------------------------------------------------------------------
 */

static souk_err_t s_field(souk_decoder_t *decoder, const souk_field_t *field,
                          const souk_path_t *path, const souk_value_t *value, void *record) {
    souk_bits_t *bits = record;
    void *member = souk_member(record, field);
    souk_rule_t rule = souk_rule_of_field(field);
    if (value->kind == SOUK_VALUE_NIL && (field->flags & SOUK_FIELD_NULLABLE) != 0) {
        souk_bits_set_nil(bits, field->bit);
        return SOUK_OK;
    }
    souk_bits_set(bits, field->bit);
    switch (rule.kind) {
    case SOUK_KIND_LIST:
    case SOUK_KIND_MAP:
    case SOUK_KIND_MULTIMAP:
        if (value->kind == SOUK_VALUE_NIL) {
            souk_path_issue(path, decoder->issues, "must not be null");
            return SOUK_OK;
        }
        return rule.kind == SOUK_KIND_LIST ? s_list(decoder, &rule, path, value, member)
                                           : s_map(decoder, &rule, path, value, member);
    default:
        return s_item(decoder, &rule, path, value, member);
    }
}

static const souk_field_t *s_expect(const souk_type_t *type, souk_str_t key, size_t *expected_p) {
    size_t at = *expected_p;
    for (size_t i = 0; i < type->fields_count; i++, at++) {
        at = at < type->fields_count ? at : 0;
        const souk_field_t *field = &type->fields[at];
        if (field->name_size == key.size && memcmp(field->name, key.data, key.size) == 0) {
            *expected_p = at + 1;
            return field;
        }
    }
    return NULL;
}

/* The field of the key, if it may be given here; else NULL, and an issue says why not. The wire
 * carries all sources in one map, and unknown keys of newer peers. */
static const souk_field_t *s_admit(const souk_decoder_t *decoder, const souk_path_t *path,
                                   uint64_t seen) {
    static const char *const sources[] = {"body", "path", "query", "header"};
    const souk_field_t *field = path->field;
    if (field == NULL) {
        if (decoder->is_json) {
            souk_path_issue(path, decoder->issues, "is not known");
        }
        return NULL;
    }
    if (decoder->is_json && field->source != SOUK_SOURCE_BODY) {
        souk_path_t node = {.parent = path->parent,
                            .name = {.data = field->name, .size = field->name_size}};
        souk_path_issue(&node, decoder->issues, "belongs in the %s, not in the body",
                        sources[field->source]);
        return NULL;
    }
    if ((seen >> field->bit & 1) != 0) {
        souk_path_issue(path, decoder->issues, "is there twice");
        return NULL;
    }
    return field;
}

/* What the wire's reader does besides: absent fields with a default have it, required ones are
 * issues. */
static void s_complete(const souk_decoder_t *decoder, const souk_type_t *type,
                       const souk_path_t *path, void *record) {
    const souk_bits_t *bits = record;
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        if ((field->flags & SOUK_FIELD_DEFAULT) == 0 || souk_bits_has(bits, field->bit)) {
            continue;
        }
        void *member = souk_member(record, field);
        if (field->kind == SOUK_KIND_INT) {
            *(int64_t *)member = field->default_int;
        } else if (field->kind == SOUK_KIND_BOOL) {
            *(bool *)member = field->default_int != 0;
        } else if (field->kind == SOUK_KIND_ENUM) {
            *(int32_t *)member = (int32_t)field->default_int;
        } else {
            souk_assert(field->kind == SOUK_KIND_STR);
            *(souk_str_t *)member = souk_str_of(field->default_str);
        }
    }
    souk_record_check(type, bits, path, decoder->issues);
}

static souk_err_t s_record(souk_decoder_t *decoder, const souk_type_t *type,
                           const souk_path_t *path, const souk_value_t *value, void *ret) {
    if (value->kind != SOUK_VALUE_MAP) {
        *(souk_bits_t *)ret = (souk_bits_t){.has = UINT64_MAX, .nil = UINT64_MAX};
        souk_path_issue(path, decoder->issues,
                        value->kind == SOUK_VALUE_NIL ? "must not be null" : "must be an object");
        return souk_reader_skip(&decoder->reader, value);
    }
    uint64_t seen = 0;
    size_t expected = 0;
    souk_scope_t scope = souk_reader_enter(value);
    SOUK_TRY(s_enter(decoder));
    for (;;) {
        bool more;
        souk_str_t key;
        souk_value_t member;
        SOUK_TRY(souk_reader_key(&decoder->reader, &scope, &more, &key));
        if (!more) {
            break;
        }
        SOUK_TRY(souk_reader_value(&decoder->reader, &member));
        souk_path_t node = {.parent = path, .field = s_expect(type, key, &expected), .name = key};
        const souk_field_t *field = s_admit(decoder, &node, seen);
        if (field != NULL) {
            seen |= (uint64_t)1 << field->bit;
            SOUK_TRY(s_field(decoder, field, &node, &member, ret));
        } else {
            SOUK_TRY(souk_reader_skip(&decoder->reader, &member));
        }
    }
    decoder->depth--;
    if (!decoder->is_json) {
        s_complete(decoder, type, path, ret);
    }
    return SOUK_OK;
}

/* NOLINTEND(misc-no-recursion) */

/* ---- the entry points
 * -----------------------------------------------------------------------------------------------
 */

static souk_err_t s_document(souk_decoder_t *decoder, const souk_type_t *type, void *ret) {
    souk_value_t value;
    SOUK_TRY(souk_reader_value(&decoder->reader, &value));
    SOUK_TRY(s_record(decoder, type, NULL, &value, ret));
    return souk_reader_end(&decoder->reader);
}

souk_err_t souk_schema_from_json(const souk_type_t *type, souk_str_t text, souk_arena_t *arena,
                                 void *ret, souk_issues_t *issues) {
    souk_decoder_t decoder = {.arena = arena, .issues = issues, .is_json = true, .is_utf8 = true};
    size_t before = issues->count + issues->omitted;
    souk_reader_init_json(&decoder.reader, text, arena);
    souk_err_t err = s_document(&decoder, type, ret);
    if (err == SOUK_ERR_MALFORMED) {
        const souk_json_reader_t *json = &decoder.reader.json;
        unsigned line, column;
        souk_json_position(json, (size_t)(json->at - json->start), &line, &column);
        souk_issues_add(issues, err, SOUK_SOURCE_BODY, "", "line %u, column %u: %s", line, column,
                        json->cause);
    }
    if (err == SOUK_OK && issues->count + issues->omitted > before) {
        return issues->err;
    }
    return err;
}

souk_err_t souk_schema_from_mp(const souk_type_t *type, souk_str_t bytes, souk_arena_t *arena,
                               void *ret, souk_issues_t *issues) {
    souk_decoder_t decoder = {.arena = arena, .issues = issues};
    size_t before = issues->count + issues->omitted;
    souk_reader_init_mp(&decoder.reader, bytes);
    souk_err_t err = s_document(&decoder, type, ret);
    if (err == SOUK_ERR_MALFORMED) {
        souk_issues_add(issues, err, SOUK_SOURCE_BODY, "", "is not valid msgpack");
    }
    if (err == SOUK_OK && issues->count + issues->omitted > before) {
        return issues->err;
    }
    return err;
}
