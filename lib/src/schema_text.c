/* Values of path, query and headers. */
#include "schema_decode.h"

/* The token that text stands for. */
static souk_value_t s_value(const souk_rule_t *rule, souk_str_t text) {
    souk_value_t value = {.kind = SOUK_VALUE_STR, .text = text};
    if (rule->kind == SOUK_KIND_INT || rule->kind == SOUK_KIND_FLOAT) {
        value.kind = text.size > 0 ? SOUK_VALUE_NUMBER : SOUK_VALUE_NIL;
    } else if (rule->kind == SOUK_KIND_BOOL) {
        value.boolean = souk_str_equal(text, SOUK_STR("true"));
        if (value.boolean || souk_str_equal(text, SOUK_STR("false"))) {
            value.kind = SOUK_VALUE_BOOL;
        }
    }
    return value;
}

/* Room in the arena for one element more than count. Capacities are powers of two from 4, so that
 * they need not be kept. */
static void *s_grown(souk_arena_t *arena, const void *items, size_t count, size_t item_bytes) {
    if (count >= 4 ? (count & (count - 1)) != 0 : count > 0) {
        void *same;
        memcpy(&same, &items,
               sizeof(same)); /* souk_pairs_t holds them const; they are of this arena */
        return same;
    }
    void *grown = souk_arena_alloc_array(arena, count > 0 ? 2 * count : 4, item_bytes);
    if (grown != NULL && count > 0) {
        memcpy(grown, items, count * item_bytes);
    }
    return grown;
}

static souk_err_t s_add_item(souk_decoder_t *decoder, const souk_path_t *path, souk_str_t text,
                             souk_list_t *list) {
    const souk_field_t *field = path->field;
    souk_rule_t rule = souk_rule_of_field(field), item_rule = souk_rule_of_item(field);
    size_t item_bytes = souk_rule_bytes(&item_rule);
    if (!souk_count_check(path, decoder->issues, &(souk_rule_t){.kind = rule.kind, .max = rule.max},
                          list->count + 1)) {
        return SOUK_OK;
    }
    char *items = s_grown(decoder->arena, list->items, list->count, item_bytes);
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *list = (souk_list_t){.items = items, .count = list->count + 1};
    const souk_str_t *strs = list->items;
    for (size_t i = 0; (field->flags & SOUK_FIELD_UNIQUE) != 0 && i + 1 < list->count; i++) {
        if (item_rule.kind == SOUK_KIND_STR && souk_str_equal(strs[i], text)) {
            souk_path_issue(path, decoder->issues, "is there twice with the same value");
            return SOUK_OK;
        }
    }
    souk_value_t value = s_value(&item_rule, text);
    souk_path_t node = {.parent = path, .index = list->count - 1};
    return souk_scalar_store(decoder, &item_rule, &node, &value,
                             items + (list->count - 1) * item_bytes);
}

static souk_err_t s_add_pair(souk_decoder_t *decoder, const souk_path_t *path, souk_str_t text,
                             souk_pairs_t *pairs) {
    souk_rule_t rule = souk_rule_of_field(path->parent->field);
    souk_rule_t item_rule = souk_rule_of_item(path->parent->field);
    if (!souk_count_check(path->parent, decoder->issues,
                          &(souk_rule_t){.kind = rule.kind, .max = rule.max}, pairs->count + 1)) {
        return SOUK_OK;
    }
    souk_pair_t *items = s_grown(decoder->arena, pairs->items, pairs->count, sizeof(*items));
    if (items == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    /* Behind the last pair of this name. */
    size_t at = pairs->count;
    while (at > 0 && !souk_str_equal(items[at - 1].name, path->name)) {
        at--;
    }
    if (at == 0) {
        souk_name_check(decoder, path, path->name);
        at = pairs->count;
    }
    memmove(items + at + 1, items + at, (pairs->count - at) * sizeof(*items));
    items[at] = (souk_pair_t){.name = path->name};
    *pairs = (souk_pairs_t){.items = items, .count = pairs->count + 1};
    souk_value_t value = s_value(&item_rule, text);
    return souk_scalar_store(decoder, &item_rule, path, &value, &items[at].value);
}

/* "abc" is kept as abc and * as it is; a tag that is itself a quoted * would then mean another
 * thing. */
static bool s_unquote_etag(souk_str_t *text_p) {
    souk_str_t text = *text_p;
    if (souk_str_equal(text, SOUK_STR("*"))) {
        return true;
    }
    if (text.size < 3 || text.data[0] != '"' || text.data[text.size - 1] != '"') {
        return false;
    }
    *text_p = (souk_str_t){.data = text.data + 1, .size = text.size - 2};
    return !souk_str_equal(*text_p, SOUK_STR("*"));
}

static souk_err_t s_set(souk_decoder_t *decoder, const souk_path_t *path, souk_str_t text,
                        void *member) {
    souk_rule_t rule = souk_rule_of_field(path->field);
    if (rule.kind == SOUK_KIND_STR && rule.format == SOUK_FORMAT_ETAG && !s_unquote_etag(&text)) {
        souk_path_issue(path, decoder->issues, "must be one strong entity tag in quotes, or *");
        return SOUK_OK;
    }
    souk_value_t value = s_value(&rule, text);
    return souk_scalar_store(decoder, &rule, path, &value, member);
}

/* NOLINTNEXTLINE(readability-function-size): one value has that many sides. */
souk_err_t souk_schema_from_text(const souk_type_t *type, const souk_field_t *field, souk_str_t key,
                                 souk_str_t text, souk_arena_t *arena, void *ret,
                                 souk_issues_t *issues) {
    souk_assert(field >= type->fields && field < type->fields + type->fields_count);
    souk_decoder_t decoder = {.arena = arena, .issues = issues, .is_json = true};
    decoder.reader.is_json = true;
    size_t before = issues->count + issues->omitted;
    souk_bits_t *bits = ret;
    bool again = souk_bits_has(bits, field->bit);
    souk_bits_set(bits, field->bit);
    souk_path_t path = {.field = field};
    souk_err_t err = SOUK_OK;
    void *member = souk_member(ret, field);
    if (field->kind == SOUK_KIND_LIST) {
        err = s_add_item(&decoder, &path, text, member);
    } else if (field->kind == SOUK_KIND_MULTIMAP) {
        souk_path_t node = {.parent = &path, .name = key};
        err = s_add_pair(&decoder, &node, text, member);
    } else if (again) {
        souk_path_issue(&path, issues, "must be given only once");
    } else {
        err = s_set(&decoder, &path, text, member);
    }
    if (err == SOUK_OK && issues->count + issues->omitted > before) {
        return issues->err;
    }
    return err;
}
