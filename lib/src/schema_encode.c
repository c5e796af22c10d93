/* The schema encoder: struct -> msgpack. What it is given comes from a handler, so a value that
 * cannot be encoded is a bug. */
#include "souk/mp.h"

#include "schema_decode.h"

/* NOLINTBEGIN(misc-no-recursion): descriptors of replies nest a few levels, and no type holds
 * itself but through a list. */

static void s_record(const souk_type_t *type, const void *record, souk_buf_t *buf);

static void s_str(souk_buf_t *buf, const char *text, size_t size) {
    souk_mp_write_str(buf, (souk_str_t){.data = text, .size = size});
}

static void s_raw(souk_buf_t *buf, souk_str_t bytes) {
    souk_assert(bytes.size > 0);
    souk_buf_append_str(buf, bytes);
}

/* A scalar, record or encoded value. */
static void s_value(const souk_rule_t *rule, const void *member, souk_buf_t *buf) {
    switch (rule->kind) {
    case SOUK_KIND_BOOL:
        souk_mp_write_bool(buf, *(const bool *)member);
        break;
    case SOUK_KIND_INT:
        souk_mp_write_int(buf, *(const int64_t *)member);
        break;
    case SOUK_KIND_FLOAT:
        souk_mp_write_float(buf, *(const double *)member);
        break;
    case SOUK_KIND_STR:
        souk_mp_write_str(buf, *(const souk_str_t *)member);
        break;
    case SOUK_KIND_ENUM: {
        int32_t index = *(const int32_t *)member;
        souk_assert(index >= 0 && index < rule->field->enum_count);
        const char *name = rule->field->enum_names[index];
        s_str(buf, name, strlen(name));
        break;
    }
    case SOUK_KIND_TIME:
        souk_mp_write_time(buf, *(const int64_t *)member);
        break;
    case SOUK_KIND_BYTES:
        souk_mp_write_bin(buf, *(const souk_str_t *)member);
        break;
    case SOUK_KIND_RECORD:
        s_record(rule->field->type, member, buf);
        break;
    case SOUK_KIND_ANY:
        s_raw(buf, *(const souk_str_t *)member);
        break;
    default:
        souk_assert(false && "a list of lists or maps");
    }
}

static void s_list(const souk_field_t *field, const souk_list_t *list, souk_buf_t *buf) {
    souk_rule_t rule = souk_rule_of_item(field);
    size_t item_bytes = souk_rule_bytes(&rule);
    souk_assert(list->count <= UINT32_MAX);
    souk_mp_write_array(buf, (uint32_t)list->count);
    for (size_t i = 0; i < list->count && !buf->overflow; i++) {
        s_value(&rule, (const char *)list->items + i * item_bytes, buf);
    }
}

static void s_map(const souk_pairs_t *pairs, souk_buf_t *buf) {
    souk_assert(pairs->count <= UINT32_MAX);
    souk_mp_write_map(buf, (uint32_t)pairs->count);
    for (size_t i = 0; i < pairs->count && !buf->overflow; i++) {
        souk_mp_write_str(buf, pairs->items[i].name);
        souk_mp_write_str(buf, pairs->items[i].value);
    }
}

/* How many pairs from `at` on have one name. */
static size_t s_run(const souk_pairs_t *pairs, size_t at) {
    size_t end = at + 1;
    while (end < pairs->count && souk_str_equal(pairs->items[at].name, pairs->items[end].name)) {
        end++;
    }
    return end - at;
}

static void s_multimap(const souk_pairs_t *pairs, souk_buf_t *buf) {
    uint32_t names = 0;
    souk_assert(pairs->count <= UINT32_MAX);
    for (size_t i = 0; i < pairs->count; i += s_run(pairs, i)) {
        names++;
    }
    souk_mp_write_map(buf, names);
    for (size_t i = 0; i < pairs->count && !buf->overflow;) {
        size_t end = i + s_run(pairs, i);
        souk_mp_write_str(buf, pairs->items[i].name);
        souk_mp_write_array(buf, (uint32_t)(end - i));
        for (; i < end; i++) {
            souk_mp_write_str(buf, pairs->items[i].value);
        }
    }
}

static void s_field(const souk_field_t *field, const void *member, souk_buf_t *buf) {
    switch (field->kind) {
    case SOUK_KIND_STR:
        souk_mp_write_str(buf, *(const souk_str_t *)member);
        break;
    case SOUK_KIND_LIST:
        s_list(field, member, buf);
        break;
    case SOUK_KIND_MAP:
        s_map(member, buf);
        break;
    case SOUK_KIND_MULTIMAP:
        s_multimap(member, buf);
        break;
    default: {
        souk_rule_t rule = souk_rule_of_field(field);
        s_value(&rule, member, buf);
    }
    }
}

static void s_record(const souk_type_t *type, const void *record, souk_buf_t *buf) {
    const souk_bits_t *bits = record;
    souk_mp_write_map(buf, (uint32_t)__builtin_popcountll(bits->has));
    for (size_t i = 0; i < type->fields_count; i++) {
        const souk_field_t *field = &type->fields[i];
        if (!souk_bits_has(bits, field->bit)) {
            continue;
        }
        s_str(buf, field->name, field->name_size);
        if (souk_bits_nil(bits, field->bit)) {
            souk_mp_write_nil(buf);
        } else {
            s_field(field, souk_member_of(record, field), buf);
        }
    }
}

/* NOLINTEND(misc-no-recursion) */

void souk_schema_to_mp(const souk_type_t *type, const void *value, souk_buf_t *buf) {
    s_record(type, value, buf);
}
