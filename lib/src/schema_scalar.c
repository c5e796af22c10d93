/* Scalars of the schema decoder: from a token to the struct's member, with bounds and format.
 * Members are written by memcpy or through a pointer of their own type. */
#include <inttypes.h>
#include <math.h>

#include "souk/base64.h"
#include "souk/clock.h"

#include "schema_decode.h"

size_t souk_rule_bytes(const souk_rule_t *rule) {
    switch (rule->kind) {
    case SOUK_KIND_BOOL:
        return sizeof(bool);
    case SOUK_KIND_INT:
    case SOUK_KIND_TIME:
        return sizeof(int64_t);
    case SOUK_KIND_FLOAT:
        return sizeof(double);
    case SOUK_KIND_ENUM:
        return sizeof(int32_t);
    case SOUK_KIND_STR:
    case SOUK_KIND_BYTES:
    case SOUK_KIND_ANY:
        return sizeof(souk_str_t);
    case SOUK_KIND_RECORD:
        return rule->field->type->struct_bytes;
    default:
        souk_assert(false && "a list of lists or maps");
        return 0;
    }
}

bool souk_count_check(const souk_path_t *path, souk_issues_t *issues, const souk_rule_t *rule,
                      uint64_t count) {
    const char *unit = rule->kind == SOUK_KIND_STR     ? "character"
                       : rule->kind == SOUK_KIND_BYTES ? "byte"
                                                       : "item";
    if (rule->min > 0 && count < (uint64_t)rule->min) {
        souk_path_issue(path, issues, "must have at least %" PRId64 " %s%s", rule->min, unit,
                        rule->min == 1 ? "" : "s");
        return false;
    }
    if (rule->max < 0 || count > (uint64_t)rule->max) {
        souk_path_issue(path, issues, "must have at most %" PRId64 " %s%s", rule->max, unit,
                        rule->max == 1 ? "" : "s");
        return false;
    }
    return true;
}

/* An integer as JSON writes it, of any size. */
static bool s_is_integer(souk_str_t text) {
    size_t at = text.size > 1 && text.data[0] == '-' ? 1 : 0;
    if (text.data[at] == '0' && text.size > at + 1) {
        return false;
    }
    for (; at < text.size; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') {
            return false;
        }
    }
    return true;
}

static void s_store_int(const souk_path_t *path, souk_issues_t *issues, const souk_rule_t *rule,
                        const souk_value_t *value, int64_t *member) {
    int64_t integer = value->integer;
    bool too_small = false, too_large = value->kind == SOUK_VALUE_UINT;
    if (value->kind == SOUK_VALUE_NUMBER) {
        if (souk_json_int(value->text, &integer) != SOUK_OK) {
            if (!s_is_integer(value->text)) {
                souk_path_issue(path, issues, "must be an integer");
                return;
            }
            too_small = value->text.data[0] == '-';
            too_large = !too_small;
        }
    } else if (value->kind != SOUK_VALUE_INT && !too_large) {
        souk_path_issue(path, issues, "must be an integer");
        return;
    }
    if (too_small || (!too_large && integer < rule->min)) {
        souk_path_issue(path, issues, "must be at least %" PRId64, rule->min);
    } else if (too_large || integer > rule->max) {
        souk_path_issue(path, issues, "must be at most %" PRId64, rule->max);
    } else {
        *member = integer;
    }
}

static void s_store_float(const souk_path_t *path, souk_issues_t *issues, const souk_rule_t *rule,
                          const souk_value_t *value, double *member) {
    double number = value->number;
    bool ok = value->kind == SOUK_VALUE_FLOAT || value->kind == SOUK_VALUE_UINT;
    if (value->kind == SOUK_VALUE_INT) {
        number = (double)value->integer;
        ok = true;
    } else if (value->kind == SOUK_VALUE_NUMBER) {
        ok = souk_json_float(value->text, &number) == SOUK_OK;
    }
    if (!ok || !isfinite(number)) {
        souk_path_issue(path, issues, "must be a number that a double can hold");
    } else if (number < rule->field->float_min) {
        souk_path_issue(path, issues, "must be at least %.17g", rule->field->float_min);
    } else if (number > rule->field->float_max) {
        souk_path_issue(path, issues, "must be at most %.17g", rule->field->float_max);
    } else {
        *member = number;
    }
}

/* A string of msgpack or of a parameter: what the JSON reader checks already. */
static bool s_text_check(const souk_path_t *path, souk_issues_t *issues, souk_str_t text) {
    if (!souk_utf8_valid(text)) {
        souk_path_issue(path, issues, "must be valid UTF-8");
        return false;
    }
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        souk_path_issue(path, issues, "must not have the character U+0000");
        return false;
    }
    return true;
}

static bool s_length_check(const souk_path_t *path, souk_issues_t *issues, const souk_rule_t *rule,
                           souk_str_t text) {
    /* n bytes are n / 4 to n characters: mostly there is nothing to count. */
    if ((int64_t)text.size <= rule->max && (int64_t)(text.size / 4) >= rule->min) {
        return true;
    }
    return souk_count_check(path, issues, rule, souk_utf8_count(text));
}

static void s_store_str(souk_decoder_t *decoder, const souk_rule_t *rule, const souk_path_t *path,
                        const souk_value_t *value, souk_str_t *member) {
    souk_issues_t *issues = decoder->issues;
    if (value->kind != SOUK_VALUE_STR) {
        souk_path_issue(path, issues, "must be a string");
        return;
    }
    if ((!decoder->is_utf8 && !s_text_check(path, issues, value->text)) ||
        !s_length_check(path, issues, rule, value->text)) {
        return;
    }
    const char *must = rule->format != SOUK_FORMAT_NONE
                           ? souk_format_check(rule->format, rule->field->format_arg, value->text)
                           : NULL;
    if (must != NULL) {
        souk_path_issue(path, issues, "%s", must);
        return;
    }
    *member = value->text;
}

/* "must be one of: draft, active"; names that do not fit are left out. */
static void s_enum_issue(const souk_path_t *path, souk_issues_t *issues,
                         const souk_field_t *field) {
    char names[80];
    size_t size = 0;
    for (size_t i = 0; i < field->enum_count; i++) {
        size_t name_size = strlen(field->enum_names[i]);
        const char *separator = i == 0 ? "" : ", ";
        if (size + strlen(separator) + name_size + sizeof(", ...") > sizeof(names)) {
            memcpy(names + size, ", ...", sizeof(", ..."));
            size += sizeof(", ...") - 1;
            break;
        }
        memcpy(names + size, separator, strlen(separator));
        size += strlen(separator);
        memcpy(names + size, field->enum_names[i], name_size);
        size += name_size;
    }
    names[size] = '\0';
    souk_path_issue(path, issues, "must be one of: %s", names);
}

static void s_store_enum(const souk_path_t *path, souk_issues_t *issues, const souk_field_t *field,
                         const souk_value_t *value, int32_t *member) {
    if (value->kind == SOUK_VALUE_STR) {
        for (int32_t i = 0; i < field->enum_count; i++) {
            const char *name = field->enum_names[i];
            if (strlen(name) == value->text.size &&
                memcmp(name, value->text.data, value->text.size) == 0) {
                *member = i;
                return;
            }
        }
    }
    s_enum_issue(path, issues, field);
}

static void s_store_time(const souk_decoder_t *decoder, const souk_path_t *path,
                         const souk_value_t *value, int64_t *member) {
    if (decoder->is_json) {
        if (value->kind != SOUK_VALUE_STR || souk_time_parse(value->text, member) != SOUK_OK) {
            souk_path_issue(path, decoder->issues,
                            "must be a time such as 2026-11-24T10:00:00Z (RFC 3339)");
        }
    } else if (value->kind == SOUK_VALUE_TIME) {
        *member = value->integer;
    } else {
        souk_path_issue(path, decoder->issues, "must be a timestamp of the years 1 to 9999");
    }
}

static souk_err_t s_store_bytes(souk_decoder_t *decoder, const souk_rule_t *rule,
                                const souk_path_t *path, const souk_value_t *value,
                                souk_str_t *member) {
    souk_str_t bytes = value->text;
    if (decoder->is_json) {
        char *copy = NULL;
        if (value->kind == SOUK_VALUE_STR) {
            bytes.size = souk_base64_bytes(value->text.size);
            copy = souk_arena_alloc(decoder->arena, bytes.size);
            if (copy == NULL) {
                return SOUK_ERR_NO_MEMORY;
            }
        }
        if (copy == NULL || souk_base64_decode(value->text, copy) != SOUK_OK) {
            souk_path_issue(path, decoder->issues, "must be base64url without padding");
            return SOUK_OK;
        }
        bytes.data = copy;
    } else if (value->kind != SOUK_VALUE_BIN) {
        souk_path_issue(path, decoder->issues, "must be bytes");
        return SOUK_OK;
    }
    if (souk_count_check(path, decoder->issues, rule, bytes.size)) {
        *member = bytes;
    }
    return SOUK_OK;
}

souk_err_t souk_scalar_store(souk_decoder_t *decoder, const souk_rule_t *rule,
                             const souk_path_t *path, const souk_value_t *value, void *member) {
    souk_issues_t *issues = decoder->issues;
    if (rule->kind == SOUK_KIND_ANY) {
        souk_err_t err = souk_reader_any(&decoder->reader, value, member);
        if (err == SOUK_ERR_VALIDATION) {
            souk_path_issue(path, issues, "must have only numbers that a double can hold");
            return SOUK_OK;
        }
        return err;
    }
    switch (rule->kind) {
    case SOUK_KIND_BOOL:
        if (value->kind == SOUK_VALUE_BOOL) {
            *(bool *)member = value->boolean;
        } else {
            souk_path_issue(path, issues, "must be true or false");
        }
        break;
    case SOUK_KIND_INT:
        s_store_int(path, issues, rule, value, member);
        break;
    case SOUK_KIND_FLOAT:
        s_store_float(path, issues, rule, value, member);
        break;
    case SOUK_KIND_STR:
        s_store_str(decoder, rule, path, value, member);
        break;
    case SOUK_KIND_ENUM:
        s_store_enum(path, issues, rule->field, value, member);
        break;
    case SOUK_KIND_TIME:
        s_store_time(decoder, path, value, member);
        break;
    case SOUK_KIND_BYTES:
        SOUK_TRY(s_store_bytes(decoder, rule, path, value, member));
        break;
    default:
        souk_assert(false && "not a scalar");
    }
    return souk_reader_skip(&decoder->reader, value);
}

void souk_name_check(souk_decoder_t *decoder, const souk_path_t *path, souk_str_t name) {
    static const souk_rule_t rule = {
        .kind = SOUK_KIND_STR, .format = SOUK_FORMAT_LINE, .min = 1, .max = 64};
    if ((!decoder->is_utf8 && !s_text_check(path, decoder->issues, name)) ||
        !s_length_check(path, decoder->issues, &rule, name)) {
        return;
    }
    if (souk_format_check(rule.format, NULL, name) != NULL) {
        souk_path_issue(path, decoder->issues, "must have a name without control characters");
    }
}
