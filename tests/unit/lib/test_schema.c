/* The schema engine: JSON, msgpack and parameters to structs, and back. The descriptor that has
 * every kind is in schema_thing.h. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/catalog.h"
#include "gen/diag.h"
#include "schema_thing.h"
#include "souk/mp.h"
#include "souk/transcode.h"

static souk_arena_t *s_arena;
static souk_issues_t s_issues;
static souk_buf_t s_buf;
static thing_t s_thing;
static char *s_copy;

static void s_setup(void) {
    s_arena = souk_arena_new(1 << 16, 0);
    souk_issues_init(&s_issues);
    souk_buf_init(&s_buf, 1 << 16);
}

static void s_teardown(void) {
    free(s_copy);
    souk_buf_done(&s_buf);
    souk_arena_destroy(&s_arena);
}

TestSuite(schema, .init = s_setup, .fini = s_teardown);

/* Input in a block of its very size, so that a sanitizer sees a read beyond. */
static souk_str_t s_input(souk_str_t bytes) {
    free(s_copy);
    s_copy = malloc(bytes.size > 0 ? bytes.size : 1);
    if (bytes.size > 0) {
        memcpy(s_copy, bytes.data, bytes.size);
    }
    return (souk_str_t){.data = s_copy, .size = bytes.size};
}

static void s_clear(void) {
    memset(&s_thing, 0, sizeof(s_thing));
    souk_issues_init(&s_issues);
}

static souk_err_t s_from_json(const char *text) {
    s_clear();
    return souk_schema_from_json(&s_thing_type, s_input(souk_str_of(text)), s_arena, &s_thing,
                                 &s_issues);
}

static souk_err_t s_from_mp(void) {
    s_clear();
    return souk_schema_from_mp(&s_thing_type, s_input(souk_buf_str(&s_buf)), s_arena, &s_thing,
                               &s_issues);
}

static souk_err_t s_from_text(unsigned bit, const char *key, const char *text) {
    return souk_schema_from_text(&s_thing_type, &s_thing_fields[bit], souk_str_of(key),
                                 souk_str_of(text), s_arena, &s_thing, &s_issues);
}

/* The issues are these pairs of pointer and reason, ended by NULL. */
static void s_expect_issues(const char *what, ...) {
    va_list args;
    va_start(args, what);
    size_t count = 0;
    for (const char *pointer; (pointer = va_arg(args, const char *)) != NULL; count++) {
        const char *reason = va_arg(args, const char *);
        cr_assert_lt(count, s_issues.count, "%s: %s %s is missing", what, pointer, reason);
        cr_assert_str_eq(s_issues.items[count].pointer, pointer, "%s: %s", what,
                         s_issues.items[count].reason);
        cr_assert_str_eq(s_issues.items[count].reason, reason, "%s: %s", what, pointer);
    }
    va_end(args);
    cr_assert_eq(s_issues.count, count, "%s: also %s %s", what, s_issues.items[count].pointer,
                 s_issues.items[count].reason);
}

static void s_refuse(const char *text, const char *pointer, const char *reason) {
    cr_assert_eq(s_from_json(text), SOUK_ERR_VALIDATION, "%s", text);
    s_expect_issues(text, pointer, reason, NULL);
    cr_assert_eq(s_issues.items[0].source, SOUK_SOURCE_BODY);
}

static void s_take(const char *text) {
    souk_err_t err = s_from_json(text);
    cr_assert_eq(err, SOUK_OK, "%s: %s %s", text, s_issues.items[0].pointer,
                 s_issues.items[0].reason);
    cr_assert_eq(s_issues.count, 0);
    cr_assert_eq(s_issues.err, SOUK_OK);
}

static bool s_has(unsigned bit) {
    return souk_bits_has(&s_thing.bits, bit);
}

static void s_expect_str(souk_str_t text, const char *expected) {
    cr_assert(souk_str_equal(text, souk_str_of(expected)), "%.*s", (int)text.size, text.data);
}

/* ---- JSON
 * -----------------------------------------------------------------------------------------------------------
 */

static const char s_full[] =
    "{\"flag\":false,\"count\":-5,\"ratio\":0.25,\"name\":\"abc\",\"status\":\"archived\","
    "\"at\":\"2026-11-24T10:00:00.5+01:00\",\"blob\":\"_-8\",\"part\":{\"amount\":7,\"label\":null}"
    ","
    "\"numbers\":[1,-5,99],\"parts\":[{\"amount\":1},{\"amount\":2,\"label\":\"b\"}],\"labels\":["
    "\"x\",\"y\"],"
    "\"attributes\":{\"a\":\"1\",\"b\":\"2\"},\"choices\":{\"c\":[\"1\",\"2\"],\"d\":[\"3\"]},"
    "\"extra\":{\"k\":[1,null,true,2.5,\"s\"]}}";

static void s_expect_full(void) {
    cr_assert_eq(s_thing.bits.has, (1u << (THING_EXTRA + 1)) - (1u << THING_FLAG));
    cr_assert_eq(s_thing.bits.nil, 0);
    cr_assert(!s_thing.flag);
    cr_assert_eq(s_thing.count, -5);
    cr_assert_float_eq(s_thing.ratio, 0.25, 0);
    s_expect_str(s_thing.name, "abc");
    cr_assert_eq(s_thing.status, 2);
    cr_assert_eq(s_thing.at, INT64_C(1795510800500000));
    s_expect_str(s_thing.blob, "\xff\xef");
    cr_assert_eq(s_thing.part.amount, 7);
    cr_assert(souk_bits_nil(&s_thing.part.bits, 1));
    const int64_t *numbers = s_thing.numbers.items;
    cr_assert_eq(s_thing.numbers.count, 3);
    cr_assert(numbers[0] == 1 && numbers[1] == -5 && numbers[2] == 99);
    const part_t *parts = s_thing.parts.items;
    cr_assert_eq(s_thing.parts.count, 2);
    cr_assert(parts[0].amount == 1 && parts[1].amount == 2);
    cr_assert(!souk_bits_has(&parts[0].bits, 1));
    s_expect_str(parts[1].label, "b");
    const souk_str_t *labels = s_thing.labels.items;
    cr_assert_eq(s_thing.labels.count, 2);
    s_expect_str(labels[1], "y");
    cr_assert_eq(s_thing.attributes.count, 2);
    s_expect_str(s_thing.attributes.items[1].name, "b");
    s_expect_str(s_thing.attributes.items[1].value, "2");
    cr_assert_eq(s_thing.choices.count, 3);
    s_expect_str(s_thing.choices.items[1].name, "c");
    s_expect_str(s_thing.choices.items[1].value, "2");
    s_expect_str(s_thing.choices.items[2].name, "d");
    static const char extra[] = "\x81\xa1k\x95\x01\xc0\xc3\xcb\x40\x04\0\0\0\0\0\0\xa1s";
    cr_assert_eq(s_thing.extra.size, sizeof(extra) - 1);
    cr_assert_arr_eq(s_thing.extra.data, extra, sizeof(extra) - 1);
}

Test(schema, every_kind_is_read) {
    s_take(s_full);
    s_expect_full();
    s_take("{}");
    cr_assert_eq(s_thing.bits.has, 0);
}

Test(schema, strings_are_borrowed_unless_escaped) {
    s_take("{\"name\":\"ab\"}");
    cr_assert(s_thing.name.data > s_copy && s_thing.name.data < s_copy + 13);
    cr_assert_eq(souk_arena_used_bytes(s_arena), 0);
    s_take("{\"na\\u006de\":\"a\\u00e9\"}");
    s_expect_str(s_thing.name, "a\xc3\xa9");
}

Test(schema, absent_and_null_differ) {
    s_take("{\"name\":null,\"part\":null,\"extra\":null}");
    cr_assert(s_has(THING_NAME) && souk_bits_nil(&s_thing.bits, THING_NAME));
    cr_assert(souk_bits_nil(&s_thing.bits, THING_PART) &&
              souk_bits_nil(&s_thing.bits, THING_EXTRA));
    cr_assert(!s_has(THING_COUNT));
    s_refuse("{\"count\":null}", "/count", "must not be null");
    s_refuse("{\"flag\":null}", "/flag", "must not be null");
    s_refuse("{\"numbers\":null}", "/numbers", "must not be null");
    s_refuse("{\"attributes\":null}", "/attributes", "must not be null");
    s_refuse("{\"parts\":[null]}", "/parts/0", "must not be null");
    s_refuse("{\"numbers\":[1,null]}", "/numbers/1", "must not be null");
    s_refuse("{\"part\":{\"amount\":null}}", "/part/amount", "must not be null");
    s_refuse("{\"attributes\":{\"a\":null}}", "/attributes/a", "must not be null");
}

Test(schema, wrong_types) {
    s_refuse("{\"flag\":1}", "/flag", "must be true or false");
    s_refuse("{\"flag\":\"true\"}", "/flag", "must be true or false");
    s_refuse("{\"count\":\"1\"}", "/count", "must be an integer");
    s_refuse("{\"count\":[1,{\"a\":2}]}", "/count", "must be an integer");
    s_refuse("{\"ratio\":\"1\"}", "/ratio", "must be a number that a double can hold");
    s_refuse("{\"ratio\":true}", "/ratio", "must be a number that a double can hold");
    s_refuse("{\"name\":1}", "/name", "must be a string");
    s_refuse("{\"name\":{\"x\":1}}", "/name", "must be a string");
    s_refuse("{\"status\":1}", "/status", "must be one of: draft, active, archived");
    s_refuse("{\"status\":\"Draft\"}", "/status", "must be one of: draft, active, archived");
    s_refuse("{\"status\":\"draf\"}", "/status", "must be one of: draft, active, archived");
    s_refuse("{\"at\":5}", "/at", "must be a time such as 2026-11-24T10:00:00Z (RFC 3339)");
    s_refuse("{\"at\":\"2026-11-24\"}", "/at",
             "must be a time such as 2026-11-24T10:00:00Z (RFC 3339)");
    s_refuse("{\"blob\":\"Zg==\"}", "/blob", "must be base64url without padding");
    s_refuse("{\"blob\":[]}", "/blob", "must be base64url without padding");
    s_refuse("{\"part\":[]}", "/part", "must be an object");
    s_refuse("{\"part\":5}", "/part", "must be an object");
    s_refuse("{\"numbers\":{\"0\":1}}", "/numbers", "must be an array");
    s_refuse("{\"numbers\":[1,\"2\"]}", "/numbers/1", "must be an integer");
    s_refuse("{\"parts\":[{\"amount\":1},5]}", "/parts/1", "must be an object");
    s_refuse("{\"attributes\":[]}", "/attributes", "must be an object");
    s_refuse("{\"attributes\":{\"a\":1}}", "/attributes/a", "must be a string");
    s_refuse("{\"choices\":{\"a\":\"1\"}}", "/choices/a", "must be an array");
    s_refuse("{\"choices\":{\"a\":[1]}}", "/choices/a/0", "must be a string");
    s_refuse("{\"choices\":{\"a\":[]}}", "/choices/a", "must have at least 1 item");
    s_refuse("{\"extra\":[1e999]}", "/extra", "must have only numbers that a double can hold");
    s_refuse("[]", "", "must be an object");
    s_refuse("null", "", "must not be null");
    s_refuse("5", "", "must be an object");
}

Test(schema, integers_and_floats_have_bounds) {
    s_take("{\"count\":9223372036854775807}");
    cr_assert_eq(s_thing.count, INT64_MAX);
    s_take("{\"count\":-9223372036854775808}");
    cr_assert_eq(s_thing.count, INT64_MIN);
    s_take("{\"count\":-0}");
    cr_assert_eq(s_thing.count, 0);
    s_refuse("{\"count\":9223372036854775808}", "/count", "must be at most 9223372036854775807");
    s_refuse("{\"count\":-9223372036854775809}", "/count", "must be at least -9223372036854775808");
    s_refuse("{\"count\":1.0}", "/count", "must be an integer");
    s_refuse("{\"count\":1e2}", "/count", "must be an integer");
    s_refuse("{\"part\":{\"amount\":-1}}", "/part/amount", "must be at least 0");
    s_refuse("{\"part\":{\"amount\":101}}", "/part/amount", "must be at most 100");
    s_refuse("{\"part\":{\"amount\":99999999999999999999}}", "/part/amount", "must be at most 100");
    s_take("{\"part\":{\"amount\":100}}");
    s_refuse("{\"numbers\":[-6]}", "/numbers/0", "must be at least -5");
    s_refuse("{\"numbers\":[100]}", "/numbers/0", "must be at most 99");
    s_take("{\"ratio\":-2.5}");
    s_take("{\"ratio\":3}");
    cr_assert_float_eq(s_thing.ratio, 3, 0);
    s_refuse("{\"ratio\":-2.6}", "/ratio", "must be at least -2.5");
    s_refuse("{\"ratio\":1.1e300}", "/ratio", "must be at most 1.0000000000000001e+300");
    s_refuse("{\"ratio\":1e999}", "/ratio", "must be a number that a double can hold");
}

Test(schema, lengths_count_characters_bytes_and_items) {
    s_refuse("{\"name\":\"a\"}", "/name", "must have at least 2 characters");
    s_refuse("{\"name\":\"\"}", "/name", "must have at least 2 characters");
    s_refuse("{\"name\":\"abcde\"}", "/name", "must have at most 4 characters");
    s_take("{\"name\":\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"}");
    s_refuse("{\"name\":\"\xf0\x9f\x98\x80\"}", "/name", "must have at least 2 characters");
    s_refuse("{\"name\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}", "/name",
             "must have at most 4 characters");
    s_refuse("{\"blob\":\"\"}", "/blob", "must have at least 1 byte");
    s_refuse("{\"blob\":\"AAAAAAA\"}", "/blob", "must have at most 4 bytes");
    s_take("{\"blob\":\"AAAAAA\"}");
    cr_assert_eq(s_thing.blob.size, 4);
    s_refuse("{\"numbers\":[]}", "/numbers", "must have at least 1 item");
    s_take("{\"numbers\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}");
    cr_assert_eq(s_thing.numbers.count, 20);
    for (int64_t i = 0; i < 20; i++) {
        cr_assert_eq(((const int64_t *)s_thing.numbers.items)[i], i + 1);
    }
    s_refuse("{\"numbers\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,\"x\"]}", "/numbers",
             "must have at most 20 items");
    s_take("{\"parts\":[]}");
    cr_assert_eq(s_thing.parts.count, 0);
    s_take("{\"parts\":[{\"amount\":1},{\"amount\":2},{\"amount\":3}]}");
    cr_assert_eq(((const part_t *)s_thing.parts.items)[2].amount, 3);
    s_refuse("{\"parts\":[{\"amount\":1},{\"amount\":2},{\"amount\":3},{\"bad\":[4]}]}", "/parts",
             "must have at most 3 items");
    s_refuse("{\"labels\":[\"\"]}", "/labels/0", "must have at least 1 character");
    s_refuse("{\"attributes\":{}}", "/attributes", "must have at least 1 item");
    s_refuse("{\"attributes\":{\"a\":\"1234\"}}", "/attributes/a",
             "must have at most 3 characters");
    s_refuse("{\"choices\":{\"a\":[\"1\",\"2\"],\"b\":[\"3\",\"4\",\"5\"]}}", "/choices",
             "must have at most 4 items");
}

Test(schema, maps_beyond_their_most_are_refused) {
    char text[400] = "{\"attributes\":{";
    for (int i = 0; i < 13; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"k%d\":\"v\"",
                 i > 0 ? "," : "", i);
    }
    strcat(text, "}}");
    s_refuse(text, "/attributes", "must have at most 12 items");
}

Test(schema, mass_assignment_is_refused) {
    s_refuse("{\"id\":\"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B\"}", "/id",
             "belongs in the path, not in the body");
    s_refuse("{\"if_match\":\"3\"}", "/if_match", "belongs in the header, not in the body");
    s_refuse("{\"limit\":5}", "/limit", "belongs in the query, not in the body");
    s_refuse("{\"is_admin\":true}", "/is_admin", "is not known");
    s_refuse("{\"If-Match\":{\"a\":[1,2,{}]}}", "/If-Match", "is not known");
    s_refuse("{\"part\":{\"amount\":1,\"bits\":1}}", "/part/bits", "is not known");
    s_refuse("{\"\":1}", "/", "is not known");
    s_refuse("{\"a/b~c\":1}", "/a~1b~0c", "is not known");
    cr_assert_eq(s_thing.bits.has, 0);
}

Test(schema, duplicates_are_refused) {
    s_refuse("{\"count\":1,\"count\":2}", "/count", "is there twice");
    cr_assert_eq(s_thing.count, 1);
    s_refuse("{\"name\":null,\"name\":\"ab\"}", "/name", "is there twice");
    s_refuse("{\"part\":{\"amount\":1,\"amount\":1}}", "/part/amount", "is there twice");
    s_refuse("{\"attributes\":{\"a\":\"1\",\"b\":\"1\",\"a\":\"2\"}}", "/attributes/a",
             "is there twice");
    s_refuse("{\"attributes\":{\"a\":\"1\",\"\\u0061\":\"2\"}}", "/attributes/a", "is there twice");
    s_refuse("{\"choices\":{\"a\":[\"1\"],\"a\":[\"2\"]}}", "/choices/a", "is there twice");
    s_refuse("{\"labels\":[\"a\",\"b\",\"a\"]}", "/labels/2", "is there twice");
    s_take("{\"numbers\":[1,1]}");
}

Test(schema, names_of_maps_are_checked) {
    s_refuse("{\"attributes\":{\"\":\"1\"}}", "/attributes/", "must have at least 1 character");
    s_refuse("{\"attributes\":{\"a\\u0007\":\"1\"}}", "/attributes/a\a",
             "must have a name without control characters");
    char text[200];
    snprintf(text, sizeof(text), "{\"attributes\":{\"%065d\":\"1\"}}", 0);
    cr_assert_eq(s_from_json(text), SOUK_ERR_VALIDATION);
    cr_assert_str_eq(s_issues.items[0].reason, "must have at most 64 characters");
    snprintf(text, sizeof(text), "{\"attributes\":{\"%064d\":\"1\"}}", 0);
    s_take(text);
}

Test(schema, all_bad_fields_are_listed_up_to_eight) {
    cr_assert_eq(s_from_json("{\"flag\":0,\"count\":\"\",\"part\":{\"amount\":-1,\"label\":5,\"x\":"
                             "1},\"numbers\":[\"a\",500]}"),
                 SOUK_ERR_VALIDATION);
    s_expect_issues("all", "/flag", "must be true or false", "/count", "must be an integer",
                    "/part/amount", "must be at least 0", "/part/label", "must be a string",
                    "/part/x", "is not known", "/numbers/0", "must be an integer", "/numbers/1",
                    "must be at most 99", NULL);
    cr_assert_eq(
        s_from_json(
            "{\"numbers\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"],\"parts\":[{}]}"),
        SOUK_ERR_VALIDATION);
    cr_assert_eq(s_issues.count, 8);
    cr_assert_eq(s_issues.omitted, 2);
    cr_assert_str_eq(s_issues.items[7].pointer, "/numbers/7");
}

Test(schema, syntax_errors_name_line_and_column) {
    cr_assert_eq(s_from_json("{\"count\":\"x\",\n \"flag\": tru}"), SOUK_ERR_MALFORMED);
    s_expect_issues("syntax", "/count", "must be an integer", "",
                    "line 2, column 10: a value is expected", NULL);
    cr_assert_eq(s_issues.err, SOUK_ERR_MALFORMED);
    cr_assert_eq(s_from_json(""), SOUK_ERR_MALFORMED);
    s_expect_issues("empty", "", "line 1, column 1: the text ends where a value is expected", NULL);
    cr_assert_eq(s_from_json("{} x"), SOUK_ERR_MALFORMED);
    s_expect_issues("after", "", "line 1, column 4: text follows the value", NULL);
    cr_assert_eq(s_from_json("{\"name\":\"\xc0\x80\"}"), SOUK_ERR_MALFORMED);
    s_expect_issues("UTF-8", "", "line 1, column 10: the text is not valid UTF-8", NULL);
    cr_assert_eq(s_from_json("{\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"), SOUK_ERR_MALFORMED);
    s_expect_issues("depth", "/x", "is not known", "", "line 1, column 21: more than 16 levels",
                    NULL);
    cr_assert_eq(s_from_json("{\"extra\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_from_json("{\"extra\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}"), SOUK_OK);
}

Test(schema, every_prefix_is_malformed) {
    for (size_t size = 0; size < sizeof(s_full) - 1; size++) {
        char text[sizeof(s_full)];
        memcpy(text, s_full, size);
        text[size] = '\0';
        cr_assert_eq(s_from_json(text), SOUK_ERR_MALFORMED, "%s", text);
        souk_arena_reset(s_arena);
    }
}

Test(schema, long_pointers_and_reasons_are_cut_between_characters) {
    char text[600] = "{\"";
    for (int i = 0; i < 100; i++) {
        strcat(text, "\xe2\x82\xac");
    }
    strcat(text, "\":1}");
    cr_assert_eq(s_from_json(text), SOUK_ERR_VALIDATION);
    cr_assert_eq(strlen(s_issues.items[0].pointer), 157, "%zu", strlen(s_issues.items[0].pointer));
    souk_issues_add(&s_issues, SOUK_ERR_VALIDATION, SOUK_SOURCE_BODY, "", "%s", text);
    cr_assert(strlen(s_issues.items[1].reason) >= 109);
    for (int i = 0; i < 2; i++) {
        size_t size = strlen(i == 0 ? s_issues.items[0].pointer : s_issues.items[1].reason);
        cr_assert_eq((size - (i == 0 ? 1 : 2)) % 3, 0);
    }
}

Test(schema, full_arena_is_no_memory) {
    souk_arena_destroy(&s_arena);
    s_arena = souk_arena_new(64, 0);
    cr_assert_eq(s_from_json("{\"numbers\":[1,2,3,4,5,6,7,8]}"), SOUK_OK);
    souk_arena_reset(s_arena);
    cr_assert_eq(s_from_json("{\"numbers\":[1,2,3,4,5,6,7,8,9]}"), SOUK_ERR_NO_MEMORY);
    souk_arena_reset(s_arena);
    cr_assert_eq(s_from_json("{\"attributes\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}}"),
                 SOUK_ERR_NO_MEMORY);
    souk_arena_reset(s_arena);
    cr_assert_eq(
        s_from_json(
            "{\"extra\":\"12345678901234567890123456789012345678901234567890123456789012345\"}"),
        SOUK_ERR_NO_MEMORY);
}

Test(schema, any_value_becomes_msgpack) {
    static const struct {
        const char *json, *bytes;
        size_t size;
    } rows[] = {
        {"true", "\xc3", 1},
        {"\"\\u00e9\"", "\xa2\xc3\xa9", 3},
        {"-1", "\xff", 1},
        {"1e1", "\xcb\x40\x24\0\0\0\0\0\0", 9},
        {"9223372036854775808", "\xcb\x43\xe0\0\0\0\0\0\0", 9},
        {"[]", "\x90", 1},
        {"{}", "\x80", 1},
        {"[[],{\"a\":{}},[1]]",
         "\x93\x90\x81\xa1"
         "a\x80\x91\x01",
         8},
        {"[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "\x9f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},
        {"[[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,7],5]",
         "\x92\xdc\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\x05", 21},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        char text[100];
        snprintf(text, sizeof(text), "{\"extra\":%s,\"count\":3}", rows[i].json);
        s_take(text);
        cr_assert_eq(s_thing.extra.size, rows[i].size, "%s", rows[i].json);
        cr_assert_arr_eq(s_thing.extra.data, rows[i].bytes, rows[i].size);
        cr_assert_eq(s_thing.count, 3);
    }
}

/* ---- presence
 * -------------------------------------------------------------------------------------------------------
 */

Test(schema, check_lists_what_is_missing) {
    s_clear();
    cr_assert_eq(souk_schema_check(&s_thing_type, &s_thing, &s_issues), SOUK_ERR_VALIDATION);
    s_expect_issues("empty", "id", "is required", "If-Match", "is required", "",
                    "must have at least 1 field", NULL);
    cr_assert_eq(s_issues.items[0].source, SOUK_SOURCE_PATH);
    cr_assert_eq(s_issues.items[1].source, SOUK_SOURCE_HEADER);
    s_take("{\"part\":{},\"parts\":[{\"amount\":1},{\"label\":\"x\"}]}");
    souk_bits_set(&s_thing.bits, THING_ID);
    souk_bits_set(&s_thing.bits, THING_IF_MATCH);
    cr_assert_eq(souk_schema_check(&s_thing_type, &s_thing, &s_issues), SOUK_ERR_VALIDATION);
    s_expect_issues("nested", "/part/amount", "is required", "/parts/1/amount", "is required",
                    NULL);
    s_take("{\"part\":null,\"parts\":[]}");
    souk_bits_set(&s_thing.bits, THING_ID);
    souk_bits_set(&s_thing.bits, THING_IF_MATCH);
    cr_assert_eq(souk_schema_check(&s_thing_type, &s_thing, &s_issues), SOUK_OK);
}

Test(schema, what_is_bad_is_not_called_missing_too) {
    cr_assert_eq(s_from_json("{\"part\":5,\"parts\":[5,null,{\"amount\":\"x\"}]}"),
                 SOUK_ERR_VALIDATION);
    souk_bits_set(&s_thing.bits, THING_ID);
    souk_bits_set(&s_thing.bits, THING_IF_MATCH);
    size_t before = s_issues.count;
    cr_assert_eq(before, 4);
    cr_assert_eq(souk_schema_check(&s_thing_type, &s_thing, &s_issues), SOUK_OK);
    cr_assert_eq(s_issues.count, before);
}

Test(schema, the_gravest_error_wins) {
    static const souk_err_t ascending[] = {SOUK_ERR_VALIDATION, SOUK_ERR_UNKNOWN_PARAMETER,
                                           SOUK_ERR_PRECONDITION_REQUIRED, SOUK_ERR_MALFORMED};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            souk_issues_init(&s_issues);
            souk_issues_add(&s_issues, ascending[i], SOUK_SOURCE_QUERY, "a", "b");
            souk_issues_add(&s_issues, ascending[j], SOUK_SOURCE_QUERY, "a", "b");
            cr_assert_eq(s_issues.err, ascending[i > j ? i : j]);
        }
    }
    souk_issues_init(&s_issues);
    for (int i = 0; i < 20; i++) {
        souk_issues_add(&s_issues, i == 19 ? SOUK_ERR_MALFORMED : SOUK_ERR_VALIDATION,
                        SOUK_SOURCE_QUERY, "a", "%d", i);
    }
    cr_assert_eq(s_issues.count, 8);
    cr_assert_eq(s_issues.omitted, 12);
    cr_assert_eq(s_issues.err, SOUK_ERR_MALFORMED);
}

/* ---- path, query, headers
 * -------------------------------------------------------------------------------------------- */

static void s_refuse_text(unsigned bit, const char *key, const char *text, const char *pointer,
                          const char *reason) {
    s_clear();
    cr_assert_eq(s_from_text(bit, key, text), SOUK_ERR_VALIDATION, "%s", text);
    s_expect_issues(text, pointer, reason, NULL);
    cr_assert_eq(s_issues.items[0].source, s_thing_fields[bit].source);
}

Test(schema, parameters_of_every_kind) {
    cr_assert_eq(s_from_text(THING_ID, "", "prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B"), SOUK_OK);
    s_expect_str(s_thing.id, "prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B");
    cr_assert_eq(s_from_text(THING_LIMIT, "", "50"), SOUK_OK);
    cr_assert_eq(s_thing.limit, 50);
    cr_assert_eq(s_from_text(THING_FLAG, "", "true"), SOUK_OK);
    cr_assert(s_thing.flag);
    cr_assert_eq(s_from_text(THING_RATIO, "", "1.5"), SOUK_OK);
    cr_assert_float_eq(s_thing.ratio, 1.5, 0);
    cr_assert_eq(s_from_text(THING_STATUS, "", "archived"), SOUK_OK);
    cr_assert_eq(s_thing.status, 2);
    cr_assert_eq(s_from_text(THING_AT, "", "1970-01-01T00:00:01Z"), SOUK_OK);
    cr_assert_eq(s_thing.at, 1000000);
    cr_assert_eq(s_from_text(THING_BLOB, "", "Zg"), SOUK_OK);
    s_expect_str(s_thing.blob, "f");
    cr_assert_eq(s_issues.count, 0);
    s_refuse_text(THING_ID, "", "prod_1", "id", "must be an identifier as this API makes them");
    s_refuse_text(THING_LIMIT, "", "", "limit", "must be an integer");
    s_refuse_text(THING_LIMIT, "", "x", "limit", "must be an integer");
    s_refuse_text(THING_LIMIT, "", "1.5", "limit", "must be an integer");
    s_refuse_text(THING_LIMIT, "", "007", "limit", "must be an integer");
    s_refuse_text(THING_LIMIT, "", "--5", "limit", "must be an integer");
    s_refuse_text(THING_LIMIT, "", "-", "limit", "must be an integer");
    s_refuse_text(THING_LIMIT, "", " 5", "limit", "must be an integer");
    s_refuse_text(THING_LIMIT, "", "0", "limit", "must be at least 1");
    s_refuse_text(THING_LIMIT, "", "101", "limit", "must be at most 100");
    s_refuse_text(THING_LIMIT, "", "99999999999999999999", "limit", "must be at most 100");
    s_refuse_text(THING_Q, "", "", "q", "must have at least 1 character");
    s_refuse_text(THING_Q, "", "123456", "q", "must have at most 5 characters");
    s_refuse_text(THING_Q, "", "a\xff", "q", "must be valid UTF-8");
    s_refuse_text(THING_Q, "", "a\nb", "q", "must be one line without control characters");
    s_clear();
    cr_assert_eq(souk_schema_from_text(&s_thing_type, &s_thing_fields[THING_Q], SOUK_STR(""),
                                       (souk_str_t){.data = "a\0b", .size = 3}, s_arena, &s_thing,
                                       &s_issues),
                 SOUK_ERR_VALIDATION);
    s_expect_issues("NUL", "q", "must not have the character U+0000", NULL);
    s_clear();
    cr_assert_eq(s_from_text(THING_FLAG, "", "1"), SOUK_ERR_VALIDATION);
    s_expect_issues("bool", "/flag", "must be true or false", NULL);
    cr_assert_eq(s_from_text(THING_RATIO, "", "nan"), SOUK_ERR_VALIDATION);
    cr_assert_eq(s_from_text(THING_RATIO, "", ""), SOUK_ERR_VALIDATION);
}

Test(schema, parameter_given_twice_is_an_issue) {
    cr_assert_eq(s_from_text(THING_LIMIT, "", "5"), SOUK_OK);
    cr_assert_eq(s_from_text(THING_LIMIT, "", "5"), SOUK_ERR_VALIDATION);
    s_expect_issues("twice", "limit", "must be given only once", NULL);
    cr_assert_eq(s_from_text(THING_Q, "", "ab"), SOUK_OK, "an earlier issue is not this one's");
}

Test(schema, entity_tags_lose_their_quotes) {
    cr_assert_eq(s_from_text(THING_IF_MATCH, "", "\"3\""), SOUK_OK);
    s_expect_str(s_thing.if_match, "3");
    s_clear();
    cr_assert_eq(s_from_text(THING_IF_MATCH, "", "*"), SOUK_OK);
    s_expect_str(s_thing.if_match, "*");
    static const char *const bad[] = {"3",   "",        "\"",           "\"\"",  "\"3",
                                      "3\"", "W/\"3\"", "\"1\", \"2\"", "\"*\"", "**"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        s_clear();
        cr_assert_eq(s_from_text(THING_IF_MATCH, "", bad[i]), SOUK_ERR_VALIDATION, "%s", bad[i]);
        cr_assert_str_eq(s_issues.items[0].pointer, "If-Match");
        cr_assert_eq(s_issues.items[0].source, SOUK_SOURCE_HEADER);
    }
}

Test(schema, repeated_query_parameters_make_a_list) {
    for (int i = 0; i < 9; i++) {
        souk_str_t text = souk_arena_printf(s_arena, "tag-%d", i);
        cr_assert_eq(s_from_text(THING_TAG, "", text.data), SOUK_OK);
    }
    const souk_str_t *tags = s_thing.tag.items;
    cr_assert_eq(s_thing.tag.count, 9);
    for (int i = 0; i < 9; i++) {
        s_expect_str(tags[i], souk_arena_printf(s_arena, "tag-%d", i).data);
    }
    cr_assert_eq(s_from_text(THING_TAG, "", "more"), SOUK_ERR_VALIDATION);
    s_expect_issues("too many", "tag", "must have at most 9 items", NULL);
    s_clear();
    cr_assert_eq(s_from_text(THING_TAG, "", "a"), SOUK_OK);
    cr_assert_eq(s_from_text(THING_TAG, "", "a"), SOUK_ERR_VALIDATION);
    cr_assert_eq(s_from_text(THING_TAG, "", "B"), SOUK_ERR_VALIDATION);
    s_expect_issues("tags", "tag", "is there twice with the same value", "tag",
                    "must be words of a-z and 0-9 joined by single hyphens", NULL);
}

Test(schema, prefixed_query_parameters_make_a_multimap) {
    static const char *const rows[][2] = {{"size", "s"},   {"color", "red"},  {"size", "m"},
                                          {"fit", "slim"}, {"color", "blue"}, {"size", "l"}};
    static const char *const expected[][2] = {{"size", "s"},    {"size", "m"},     {"size", "l"},
                                              {"color", "red"}, {"color", "blue"}, {"fit", "slim"}};
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        cr_assert_eq(s_from_text(THING_OPTION, rows[i][0], rows[i][1]), SOUK_OK);
    }
    cr_assert_eq(s_thing.option.count, 6);
    for (size_t i = 0; i < SOUK_COUNT_OF(expected); i++) {
        s_expect_str(s_thing.option.items[i].name, expected[i][0]);
        s_expect_str(s_thing.option.items[i].value, expected[i][1]);
    }
    souk_bits_t *bits = &s_thing.bits;
    bits->has &= 1u << THING_OPTION;
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
    static const char bytes[] = "\x81\xa6option\x83\xa4size\x93\xa1s\xa1m\xa1l\xa5"
                                "color\x92\xa3red\xa4"
                                "blue\xa3"
                                "fit\x91\xa4slim";
    cr_assert_eq(s_buf.size, sizeof(bytes) - 1);
    cr_assert_arr_eq(s_buf.data, bytes, sizeof(bytes) - 1);
    s_refuse_text(THING_OPTION, "", "x", "option.", "must have at least 1 character");
    s_refuse_text(THING_OPTION, "color", "", "option.color", "must have at least 1 character");
    s_refuse_text(THING_OPTION, "color", "123456", "option.color",
                  "must have at most 5 characters");
    s_refuse_text(THING_OPTION, "c\xff", "1", "option.c", "must be valid UTF-8");
    s_clear();
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(s_from_text(THING_OPTION, "a", "x"), SOUK_OK);
    }
    cr_assert_eq(s_from_text(THING_OPTION, "a", "x"), SOUK_ERR_VALIDATION);
    s_expect_issues("too many", "option", "must have at most 10 items", NULL);
}

Test(schema, fields_are_found_by_source_and_name) {
    souk_str_t key;
    const souk_type_t *type = &s_thing_type;
    cr_assert_eq(souk_type_field(type, SOUK_STR("name")), &s_thing_fields[THING_NAME]);
    cr_assert_null(souk_type_field(type, SOUK_STR("nam")));
    cr_assert_null(souk_type_field(type, SOUK_STR("")));
    cr_assert_eq(souk_type_field_from(type, SOUK_SOURCE_HEADER, SOUK_STR("iF-mAtCh"), &key),
                 &s_thing_fields[THING_IF_MATCH]);
    cr_assert_null(souk_type_field_from(type, SOUK_SOURCE_HEADER, SOUK_STR("if_match"), &key));
    cr_assert_eq(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR("limit"), &key),
                 &s_thing_fields[THING_LIMIT]);
    cr_assert_null(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR("Limit"), &key));
    cr_assert_null(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR("count"), &key),
                   "a body field");
    cr_assert_null(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR("id"), &key),
                   "a path field");
    cr_assert_null(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR(""), &key));
    cr_assert_null(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR("option"), &key));
    cr_assert_null(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR("limit.x"), &key));
    cr_assert_eq(souk_type_field_from(type, SOUK_SOURCE_QUERY, SOUK_STR("option.color.dark"), &key),
                 &s_thing_fields[THING_OPTION]);
    s_expect_str(key, "color.dark");
    cr_assert_eq(souk_type_field_from(type, SOUK_SOURCE_PATH, SOUK_STR("id"), &key),
                 &s_thing_fields[THING_ID]);
}

/* ---- msgpack
 * --------------------------------------------------------------------------------------------------------
 */

static void s_complete(void) {
    s_thing.id = SOUK_STR("prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B");
    s_thing.if_match = SOUK_STR("3");
    souk_bits_set(&s_thing.bits, THING_ID);
    souk_bits_set(&s_thing.bits, THING_IF_MATCH);
}

Test(schema, json_to_msgpack_and_back) {
    s_take(s_full);
    s_complete();
    uint64_t has = s_thing.bits.has;
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
    cr_assert_eq(s_from_mp(), SOUK_OK, "%s %s", s_issues.items[0].pointer,
                 s_issues.items[0].reason);
    cr_assert_eq(s_thing.bits.has, has);
    cr_assert_eq(s_thing.limit, 24, "the default");
    s_thing.bits.has &= ~(uint64_t)(1u << THING_ID | 1u << THING_IF_MATCH);
    s_expect_full();
    souk_buf_t again;
    souk_buf_init(&again, 1 << 16);
    cr_assert_eq(souk_transcode(souk_buf_str(&s_buf), &again, NULL, 0), SOUK_OK);
    souk_buf_append_byte(&again, 0);
    char expected[1000];
    snprintf(expected, sizeof(expected),
             "{\"id\":\"prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B\",\"if_match\":\"3\",%s", s_full + 1);
    char *at = strstr(expected, "2026-11-24T10:00:00.5+01:00");
    memmove(at + 24, at + 27, strlen(at + 27) + 1);
    memcpy(at, "2026-11-24T09:00:00.500Z", 24);
    cr_assert_str_eq((const char *)again.data, expected);
    souk_buf_done(&again);
}

Test(schema, defaults_fill_what_is_absent_on_the_wire) {
    s_clear();
    s_complete();
    s_thing.count = 1;
    souk_bits_set(&s_thing.bits, THING_COUNT);
    uint64_t has = s_thing.bits.has;
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
    cr_assert_eq(s_from_mp(), SOUK_OK);
    cr_assert_eq(s_thing.bits.has, has, "their bits stay clear");
    cr_assert_eq(s_thing.limit, 24);
    cr_assert(s_thing.flag);
    cr_assert_eq(s_thing.status, 1);
    s_expect_str(s_thing.name, "unnamed");
    souk_buf_clear(&s_buf);
    souk_bits_set_nil(&s_thing.bits, THING_NAME);
    souk_bits_set(&s_thing.bits, THING_FLAG);
    s_thing.flag = false;
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
    cr_assert_eq(s_from_mp(), SOUK_OK);
    cr_assert(!s_thing.flag);
    cr_assert_null(s_thing.name.data, "null is not absent");
    s_take("{\"count\":1}");
    cr_assert_eq(s_thing.status, 0, "JSON's reader applies none");
}

Test(schema, wire_ignores_unknown_keys_and_checks_the_rest) {
    souk_mp_write_map(&s_buf, 6);
    souk_mp_write_str(&s_buf, SOUK_STR("future"));
    souk_mp_write_array(&s_buf, 2);
    souk_mp_write_map(&s_buf, 1);
    souk_mp_write_int(&s_buf, 1);
    souk_mp_write_nil(&s_buf);
    souk_mp_write_bool(&s_buf, true);
    souk_mp_write_str(&s_buf, SOUK_STR("id"));
    souk_mp_write_str(&s_buf, SOUK_STR("x"));
    souk_mp_write_str(&s_buf, SOUK_STR("count"));
    souk_mp_write_uint(&s_buf, UINT64_MAX);
    souk_mp_write_str(&s_buf, SOUK_STR("count"));
    souk_mp_write_int(&s_buf, 1);
    souk_mp_write_str(&s_buf, SOUK_STR("name"));
    souk_mp_write_str(&s_buf, SOUK_STR("\xff\xfe"));
    souk_mp_write_str(&s_buf, SOUK_STR("option"));
    souk_mp_write_map(&s_buf, 1);
    souk_mp_write_str(&s_buf, SOUK_STR("color"));
    souk_mp_write_array(&s_buf, 2);
    souk_mp_write_str(&s_buf, SOUK_STR("red"));
    souk_mp_write_str(&s_buf, SOUK_STR(""));
    cr_assert_eq(s_from_mp(), SOUK_ERR_VALIDATION);
    s_expect_issues("wire", "id", "must be an identifier as this API makes them", "/count",
                    "must be at most 9223372036854775807", "/count", "is there twice", "/name",
                    "must be valid UTF-8", "option.color", "must have at least 1 character",
                    "If-Match", "is required", NULL);
    cr_assert_eq(s_issues.items[0].source, SOUK_SOURCE_PATH);
    cr_assert_eq(s_issues.items[4].source, SOUK_SOURCE_QUERY);
}

/* One field on the wire, complete with what is required. */
static void s_refuse_wire(const char *name, souk_str_t value, const char *pointer,
                          const char *reason) {
    souk_buf_clear(&s_buf);
    souk_mp_write_map(&s_buf, 3);
    souk_mp_write_str(&s_buf, SOUK_STR("id"));
    souk_mp_write_str(&s_buf, SOUK_STR("prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B"));
    souk_mp_write_str(&s_buf, SOUK_STR("if_match"));
    souk_mp_write_str(&s_buf, SOUK_STR("3"));
    souk_mp_write_str(&s_buf, souk_str_of(name));
    souk_buf_append_str(&s_buf, value);
    souk_err_t err = s_from_mp();
    cr_assert_eq(err, pointer == NULL ? SOUK_OK : SOUK_ERR_VALIDATION, "%s: %s", name,
                 s_issues.items[0].reason);
    if (pointer != NULL) {
        s_expect_issues(name, pointer, reason, NULL);
    }
}

Test(schema, wrong_types_on_the_wire) {
    s_refuse_wire("at", SOUK_STR("\xa1x"), "/at", "must be a timestamp of the years 1 to 9999");
    s_refuse_wire("at", SOUK_STR("\xd4\x05x"), "/at", "must be a timestamp of the years 1 to 9999");
    s_refuse_wire("blob", SOUK_STR("\xa2Zg"), "/blob", "must be bytes");
    s_refuse_wire("blob", SOUK_STR("\xc4\x05xxxxx"), "/blob", "must have at most 4 bytes");
    s_refuse_wire("name", SOUK_STR("\xc4\x02xx"), "/name", "must be a string");
    s_refuse_wire("name", (souk_str_t){.data = "\xa3x\0y", .size = 4}, "/name",
                  "must not have the character U+0000");
    s_refuse_wire("ratio", SOUK_STR("\xcb\x7f\xf8zzzzzz"), "/ratio",
                  "must be a number that a double can hold");
    s_refuse_wire("ratio", (souk_str_t){.data = "\xcb\x7f\xf0\0\0\0\0\0\0", .size = 9}, "/ratio",
                  "must be a number that a double can hold");
    s_refuse_wire("ratio", SOUK_STR("\x05"), NULL, NULL);
    cr_assert_float_eq(s_thing.ratio, 5, 0);
    s_refuse_wire("flag", SOUK_STR("\x01"), "/flag", "must be true or false");
    s_refuse_wire("count", SOUK_STR("\xcb\x3f\xf8zzzzzz"), "/count", "must be an integer");
    s_refuse_wire("numbers", SOUK_STR("\x92\x01\x93\x01\x02\x03"), "/numbers/1",
                  "must be an integer");
    s_refuse_wire("parts", SOUK_STR("\x91\xc0"), "/parts/0", "must not be null");
}

Test(schema, malformed_msgpack_is_one_issue) {
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"", 0},
        {"\x81", 1},
        {"\xc1", 1},
        {"\x81\x01\x02", 3},
        {"\x80\x80", 2},
        {"\xdf\x04\0\0\0", 5},
        {"\x81\xa7numbers\xdd\x04\0\0\0", 14},
        {"\x81\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01", 21}};
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_buf_clear(&s_buf);
        souk_buf_append(&s_buf, rows[i].bytes, rows[i].size);
        cr_assert_eq(s_from_mp(), SOUK_ERR_MALFORMED, "row %zu", i);
        cr_assert_str_eq(s_issues.items[s_issues.count - 1].reason, "is not valid msgpack");
    }
    souk_buf_clear(&s_buf);
    souk_buf_append_byte(&s_buf, 0x90);
    cr_assert_eq(s_from_mp(), SOUK_ERR_VALIDATION);
    s_expect_issues("array", "", "must be an object", NULL);
}

Test(schema, every_prefix_of_msgpack_is_malformed) {
    s_take(s_full);
    s_complete();
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
    size_t whole = s_buf.size;
    for (s_buf.size = 0; s_buf.size < whole; s_buf.size++) {
        cr_assert_eq(s_from_mp(), SOUK_ERR_MALFORMED, "%zu bytes", s_buf.size);
    }
}

Test(schema, announced_counts_do_not_take_memory) {
    souk_arena_destroy(&s_arena);
    s_arena = souk_arena_new(1024, 0);
    /* 60 items that are there, where 3 are allowed. */
    souk_mp_write_map(&s_buf, 1);
    souk_mp_write_str(&s_buf, SOUK_STR("parts"));
    souk_mp_write_array(&s_buf, 60);
    for (int i = 0; i < 60; i++) {
        souk_mp_write_nil(&s_buf);
    }
    cr_assert_eq(s_from_mp(), SOUK_ERR_VALIDATION);
    cr_assert_leq(souk_arena_used_bytes(s_arena), 4 * sizeof(part_t));
}

Test(schema, encoded_values_are_copied_as_they_are) {
    souk_str_t items[] = {SOUK_STR("\x81\xa6"
                                   "amount\x01"),
                          SOUK_STR("\xc0")};
    s_clear();
    s_complete();
    s_thing.raw = items[0];
    s_thing.raws = (souk_list_t){.items = items, .count = 2};
    souk_bits_set(&s_thing.bits, THING_RAW);
    souk_bits_set(&s_thing.bits, THING_RAWS);
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
    cr_assert_eq(s_from_mp(), SOUK_OK);
    cr_assert(souk_str_equal(s_thing.raw, items[0]));
    cr_assert_eq(s_thing.raws.count, 2);
    cr_assert(souk_str_equal(((const souk_str_t *)s_thing.raws.items)[0], items[0]));
    cr_assert(souk_str_equal(((const souk_str_t *)s_thing.raws.items)[1], items[1]));
    cr_assert_eq(souk_schema_check(&s_thing_type, &s_thing, &s_issues), SOUK_OK);
}

Test(schema, enum_out_of_range_is_a_bug, .signal = SIGABRT) {
    s_thing.status = 3;
    souk_bits_set(&s_thing.bits, THING_STATUS);
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
}

Test(schema, encoding_past_the_cap_is_an_overflow) {
    s_take(s_full);
    souk_schema_to_mp(&s_thing_type, &s_thing, &s_buf);
    souk_buf_t exact;
    souk_buf_init(&exact, s_buf.size);
    souk_schema_to_mp(&s_thing_type, &s_thing, &exact);
    cr_assert(!exact.overflow);
    souk_buf_done(&exact);
    souk_buf_init(&exact, s_buf.size - 1);
    souk_schema_to_mp(&s_thing_type, &s_thing, &exact);
    cr_assert(exact.overflow);
    souk_buf_done(&exact);
}

/* ---- generated descriptors
 * ------------------------------------------------------------------------------------------ */

Test(schema, generated_echo_round_trips) {
    diag_echo_req_t req = {0}, back = {0};
    cr_assert_eq(souk_schema_from_json(&diag_echo_req_type,
                                       SOUK_STR("{\"text\":\"hello\",\"number\":42}"), s_arena,
                                       &req, &s_issues),
                 SOUK_OK);
    cr_assert_eq(souk_schema_check(&diag_echo_req_type, &req, &s_issues), SOUK_OK);
    souk_schema_to_mp(&diag_echo_req_type, &req, &s_buf);
    cr_assert_eq(
        souk_schema_from_mp(&diag_echo_req_type, souk_buf_str(&s_buf), s_arena, &back, &s_issues),
        SOUK_OK);
    s_expect_str(back.text, "hello");
    cr_assert_eq(back.number, 42);
}

Test(schema, generated_product_patch_is_a_merge_patch) {
    catalog_products_update_req_t req = {0};
    souk_str_t text = SOUK_STR("{\"name\":\"New\",\"description\":null,\"tags\":[]}");
    cr_assert_eq(
        souk_schema_from_json(&catalog_products_update_req_type, text, s_arena, &req, &s_issues),
        SOUK_OK, "%s %s", s_issues.items[0].pointer, s_issues.items[0].reason);
    cr_assert(souk_bits_nil(&req.bits, CATALOG_PRODUCTS_UPDATE_REQ_DESCRIPTION_BIT));
    cr_assert(souk_bits_has(&req.bits, CATALOG_PRODUCTS_UPDATE_REQ_TAGS_BIT));
    cr_assert_eq(req.tags.count, 0);
    cr_assert(!souk_bits_has(&req.bits, CATALOG_PRODUCTS_UPDATE_REQ_SLUG_BIT));
    cr_assert_eq(souk_schema_check(&catalog_products_update_req_type, &req, &s_issues),
                 SOUK_ERR_PRECONDITION_REQUIRED);
    cr_assert_eq(s_issues.err, SOUK_ERR_PRECONDITION_REQUIRED);
}
