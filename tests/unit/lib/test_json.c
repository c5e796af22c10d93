/* The JSON reader and writer. Oracle: jansson. */
#include <criterion/criterion.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "souk/json.h"

static souk_arena_t *s_arena;
static souk_buf_t s_buf;
static souk_json_reader_t s_reader;
static char *s_copy;

static void s_setup(void) {
    s_arena = souk_arena_new(1 << 20, 1 << 16);
    souk_buf_init(&s_buf, 1 << 20);
}

static void s_teardown(void) {
    free(s_copy);
    souk_buf_done(&s_buf);
    souk_arena_destroy(&s_arena);
}

TestSuite(json, .init = s_setup, .fini = s_teardown);

/* A reader over text in a block of its very size, so that a sanitizer sees a read beyond. */
static void s_open(souk_str_t text) {
    free(s_copy);
    s_copy = malloc(text.size > 0 ? text.size : 1);
    if (text.size > 0) {
        memcpy(s_copy, text.data, text.size);
    }
    souk_json_reader_init(&s_reader, (souk_str_t){.data = s_copy, .size = text.size}, s_arena);
}

/* Reads text to its end; returns the error. */
static souk_err_t s_read_all(souk_str_t text) {
    souk_json_token_t token;
    s_open(text);
    do {
        souk_err_t err = souk_json_next(&s_reader, &token);
        if (err != SOUK_OK) {
            return err;
        }
    } while (token.kind != SOUK_JSON_END);
    return SOUK_OK;
}

static void s_expect_refused(const char *text, const char *cause, size_t offset) {
    cr_assert_eq(s_read_all(souk_str_of(text)), SOUK_ERR_MALFORMED, "%s", text);
    cr_assert_str_eq(s_reader.cause, cause, "%s: %s", text, s_reader.cause);
    cr_assert_eq((size_t)(s_reader.at - s_reader.start), offset, "%s: at %td", text,
                 s_reader.at - s_reader.start);
    souk_json_token_t token;
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_ERR_MALFORMED, "an error stays");
}

Test(json, tokens_come_in_order) {
    static const struct {
        souk_json_kind_t kind;
        const char *text;
        size_t offset;
    } rows[] = {
        {SOUK_JSON_OBJECT, "", 1},         {SOUK_JSON_KEY, "a", 2},
        {SOUK_JSON_ARRAY, "", 7},          {SOUK_JSON_NUMBER, "1", 8},
        {SOUK_JSON_NUMBER, "-2.5e+3", 11}, {SOUK_JSON_TRUE, "", 19},
        {SOUK_JSON_FALSE, "", 24},         {SOUK_JSON_NULL, "", 30},
        {SOUK_JSON_STRING, "x", 35},       {SOUK_JSON_OBJECT, "", 39},
        {SOUK_JSON_OBJECT_END, "", 40},    {SOUK_JSON_ARRAY_END, "", 41},
        {SOUK_JSON_KEY, "b", 43},          {SOUK_JSON_STRING, "", 47},
        {SOUK_JSON_OBJECT_END, "", 49},    {SOUK_JSON_END, "", 51},
        {SOUK_JSON_END, "", 51},
    };
    s_open(SOUK_STR(" {\"a\" :[1, -2.5e+3,true,false,null,\"x\",{}],\"b\":\"\"}\n"));
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_json_token_t token;
        cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
        cr_assert_eq(token.kind, rows[i].kind, "token %zu", i);
        cr_assert(souk_str_equal(token.text, souk_str_of(rows[i].text)), "token %zu", i);
        cr_assert_eq(token.offset, rows[i].offset, "token %zu at %zu", i, token.offset);
    }
}

Test(json, plain_strings_are_borrowed_and_escaped_ones_copied) {
    souk_json_token_t token;
    s_open(SOUK_STR(
        "[\"caf\xc3\xa9 "
        "\xf0\x9f\x98\x80\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83D\\uDe00!\"]"));
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    cr_assert_eq(token.text.data, s_reader.start + 2);
    cr_assert(souk_str_equal(token.text, SOUK_STR("caf\xc3\xa9 \xf0\x9f\x98\x80")));
    cr_assert_eq(souk_arena_used_bytes(s_arena), 0);
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    cr_assert(souk_str_equal(token.text,
                             SOUK_STR("\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!")));
    cr_assert_gt(souk_arena_used_bytes(s_arena), 0);
}

Test(json, grammar_errors_have_cause_and_place) {
    s_expect_refused("", "the text ends where a value is expected", 0);
    s_expect_refused("  ", "the text ends where a value is expected", 2);
    s_expect_refused("[1,]", "a value is expected", 3);
    s_expect_refused("[,1]", "a value is expected", 1);
    s_expect_refused("[1 2]", "a comma or ] is expected", 3);
    s_expect_refused("[1}", "a comma or ] is expected", 2);
    s_expect_refused("[1", "a comma or ] is expected", 2);
    s_expect_refused("{\"a\":1,}", "a key in quotes is expected", 7);
    s_expect_refused("{a:1}", "a key in quotes is expected", 1);
    s_expect_refused("{1:1}", "a key in quotes is expected", 1);
    s_expect_refused("{", "a key in quotes is expected", 1);
    s_expect_refused("{\"a\"", "a colon is expected", 4);
    s_expect_refused("{\"a\" 1}", "a colon is expected", 5);
    s_expect_refused("{\"a\":}", "a value is expected", 5);
    s_expect_refused("{\"a\":1 \"b\":2}", "a comma or } is expected", 7);
    s_expect_refused("{\"a\":1]", "a comma or } is expected", 6);
    s_expect_refused("1 1", "text follows the value", 2);
    s_expect_refused("{}{}", "text follows the value", 2);
    s_expect_refused("nul", "a value is expected", 0);
    s_expect_refused("nulL", "a value is expected", 0);
    s_expect_refused("True", "a value is expected", 0);
    s_expect_refused("'a'", "a value is expected", 0);
    s_expect_refused("]", "a value is expected", 0);
    s_expect_refused("\xef\xbb\xbf{}", "a value is expected", 0);
    s_expect_refused("\v1", "a value is expected", 0);
    s_expect_refused("// x\n1", "a value is expected", 0);
}

Test(json, number_grammar) {
    static const char *const good[] = {"0",    "-0",   "1",    "10",
                                       "-1",   "0.0",  "0.10", "1e1",
                                       "1E+1", "1e-1", "0e0",  "123456789012345678901234567890",
                                       "1e999"};
    static const struct {
        const char *text, *cause;
        size_t offset;
    } bad[] = {
        {"-", "a number is not valid", 0},      {"+1", "a value is expected", 0},
        {".5", "a value is expected", 0},       {"1.", "a number is not valid", 0},
        {"1.e1", "a number is not valid", 0},   {"1e", "a number is not valid", 0},
        {"1e+", "a number is not valid", 0},    {"-a", "a number is not valid", 0},
        {"01", "text follows the value", 1},    {"-01", "text follows the value", 2},
        {"0x1", "text follows the value", 1},   {"1.5.2", "text follows the value", 3},
        {"1e5x", "text follows the value", 3},  {"NaN", "a value is expected", 0},
        {"Infinity", "a value is expected", 0}, {"1_0", "text follows the value", 1},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(good); i++) {
        cr_assert_eq(s_read_all(souk_str_of(good[i])), SOUK_OK, "%s", good[i]);
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        s_expect_refused(bad[i].text, bad[i].cause, bad[i].offset);
    }
    cr_assert_eq(s_read_all((souk_str_t){.data = "1\0", .size = 2}), SOUK_ERR_MALFORMED,
                 "a NUL after a number");
}

Test(json, strings_are_checked) {
    s_expect_refused("\"abc", "the text ends inside a string", 4);
    s_expect_refused("\"abc\n\"", "a control character in a string", 4);
    s_expect_refused("\"\x1f\"", "a control character in a string", 1);
    s_expect_refused("\"12345678\x01\"", "a control character in a string", 9);
    s_expect_refused("\"\\x41\"", "an escape sequence is not valid", 1);
    s_expect_refused("\"\\", "an escape sequence is not valid", 1);
    s_expect_refused("\"\\u12", "an escape sequence is not valid", 1);
    s_expect_refused("\"\\u12G4\"", "an escape sequence is not valid", 1);
    s_expect_refused("\"\\U0041\"", "an escape sequence is not valid", 1);
    s_expect_refused("\"\\u0000\"", "the character U+0000 is not allowed", 1);
    s_expect_refused("\"\\ud800\"", "a surrogate stands alone", 1);
    s_expect_refused("\"\\udc00\"", "a surrogate stands alone", 1);
    s_expect_refused("\"\\ud800\\ud800\"", "a surrogate stands alone", 1);
    s_expect_refused("\"\\ud800x\"", "a surrogate stands alone", 1);
    s_expect_refused("\"\\ud800\\u0041\"", "a surrogate stands alone", 1);
    s_expect_refused("\"\xc0\x80\"", "the text is not valid UTF-8", 1);
    s_expect_refused("\"\xed\xa0\x80\"", "the text is not valid UTF-8", 1);
    s_expect_refused("\"\xf5\x80\x80\x80\"", "the text is not valid UTF-8", 1);
    s_expect_refused("\"ab\xe2\x82\"", "the text is not valid UTF-8", 3);
    s_expect_refused("{\"\xff\":1}", "the text is not valid UTF-8", 2);
    cr_assert_eq(s_read_all((souk_str_t){.data = "\"a\0b\"", .size = 5}), SOUK_ERR_MALFORMED);
    cr_assert_str_eq(s_reader.cause, "a control character in a string");
    cr_assert_eq(s_read_all((souk_str_t){.data = "\"\\\0\"", .size = 4}), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_read_all(SOUK_STR("\"\x7f\"")), SOUK_OK);
}

/* A special byte at every place of every word is seen. */
Test(json, scanning_by_words_misses_nothing) {
    static const char specials[] = {'"', '\\', 0, 1, 0x1f, (char)0x80, (char)0xff};
    for (size_t s = 0; s < sizeof(specials); s++) {
        for (size_t at = 0; at < 40; at++) {
            char text[64];
            memset(text, '!', sizeof(text)); /* '!' and ' ' are next to '"' and the controls */
            text[0] = '"';
            text[1 + at] = specials[s];
            souk_err_t err = s_read_all((souk_str_t){.data = text, .size = 50});
            cr_assert_eq(err, SOUK_ERR_MALFORMED);
            if (specials[s] != '"') {
                cr_assert_eq(s_reader.at - s_reader.start, 1 + (ptrdiff_t)at, "special %zu at %zu",
                             s, at);
            }
        }
    }
}

Test(json, depth_is_sixteen) {
    char text[64];
    for (size_t depth = 1; depth <= 18; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        souk_err_t err = s_read_all((souk_str_t){.data = text, .size = 2 * depth});
        cr_assert_eq(err, depth <= SOUK_JSON_DEPTH_MAX ? SOUK_OK : SOUK_ERR_MALFORMED, "depth %zu",
                     depth);
    }
    cr_assert_str_eq(s_reader.cause, "more than 16 levels");
    cr_assert_eq(s_reader.at - s_reader.start, 16);
}

Test(json, skip_passes_one_value) {
    souk_json_token_t token;
    s_open(SOUK_STR("{\"a\":{\"b\":[1,[2],{}],\"c\\n\":\"\\u00e9\"},\"d\":5}"));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    }
    cr_assert_eq(token.kind, SOUK_JSON_OBJECT);
    cr_assert_eq(souk_json_skip(&s_reader, &token), SOUK_OK);
    cr_assert_eq(souk_arena_used_bytes(s_arena), 0, "what is skipped is not decoded");
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    cr_assert(souk_str_equal(token.text, SOUK_STR("d")));
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    cr_assert_eq(souk_json_skip(&s_reader, &token), SOUK_OK);
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    cr_assert_eq(token.kind, SOUK_JSON_OBJECT_END);
    s_open(SOUK_STR("[[1,x]]"));
    cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
    cr_assert_eq(souk_json_skip(&s_reader, &token), SOUK_ERR_MALFORMED);
}

Test(json, full_arena_is_no_memory) {
    souk_arena_destroy(&s_arena);
    s_arena = souk_arena_new(16, 0);
    cr_assert_eq(s_read_all(SOUK_STR("[\"\\n234567890123\"]")), SOUK_OK);
    cr_assert_eq(s_read_all(SOUK_STR("[\"\\n23456789012345\"]")), SOUK_ERR_NO_MEMORY);
}

Test(json, positions_count_from_one) {
    unsigned line, column;
    s_open(SOUK_STR("a\nbc\n\nd"));
    static const unsigned rows[][3] = {{0, 1, 1}, {1, 1, 2}, {2, 2, 1}, {4, 2, 3},
                                       {6, 4, 1}, {7, 4, 2}, {99, 4, 2}};
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_json_position(&s_reader, rows[i][0], &line, &column);
        cr_assert_eq(line, rows[i][1]);
        cr_assert_eq(column, rows[i][2]);
    }
}

/* ---- numbers
 * --------------------------------------------------------------------------------------------------------
 */

Test(json, integers) {
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"7", 7},
                {"-7", -7},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN},
                {"9007199254740993", 9007199254740993}};
    static const char *const bad[] = {"",
                                      "-",
                                      "00",
                                      "01",
                                      "-01",
                                      "1.0",
                                      "1e1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      "1a"};
    for (size_t i = 0; i < SOUK_COUNT_OF(good); i++) {
        int64_t value = 99;
        cr_assert_eq(souk_json_int(souk_str_of(good[i].text), &value), SOUK_OK, "%s", good[i].text);
        cr_assert_eq(value, good[i].value);
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        int64_t value = 99;
        cr_assert_eq(souk_json_int(souk_str_of(bad[i]), &value), SOUK_ERR_MALFORMED, "%s", bad[i]);
        cr_assert_eq(value, 99);
    }
    int64_t value;
    cr_assert_eq(souk_json_int((souk_str_t){0}, &value), SOUK_ERR_MALFORMED);
}

Test(json, floats_read_as_strtod_does) {
    static const char *const good[] = {"0",
                                       "-0",
                                       "0.1",
                                       "-0.1",
                                       "1e22",
                                       "1e23",
                                       "123456789012345",
                                       "1234567890123456",
                                       "0.000000000000001",
                                       "1.7976931348623157e308",
                                       "5e-324",
                                       "1e-999",
                                       "2.2250738585072011e-308",
                                       "9007199254740993",
                                       "0.30000000000000004",
                                       "179769313486231570000000000000000000000e270",
                                       "4.35",
                                       "1E2",
                                       "100e-2"};
    static const char *const bad[] = {"",     "-",     ".5",     "1.", "1e", "nan",    "inf",
                                      "0x10", "1e999", "-1e999", "1 ", "01", "1.8e308"};
    for (size_t i = 0; i < SOUK_COUNT_OF(good); i++) {
        double value = 99, expected = strtod(good[i], NULL);
        cr_assert_eq(souk_json_float(souk_str_of(good[i]), &value), SOUK_OK, "%s", good[i]);
        cr_assert_eq(memcmp(&value, &expected, sizeof(value)), 0, "%s", good[i]);
    }
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        double value = 99;
        cr_assert_eq(souk_json_float(souk_str_of(bad[i]), &value), SOUK_ERR_MALFORMED, "%s",
                     bad[i]);
        cr_assert_float_eq(value, 99, 0);
    }
    char digits[129];
    double value;
    memset(digits, '1', sizeof(digits));
    cr_assert_eq(souk_json_float((souk_str_t){.data = digits, .size = 127}, &value), SOUK_OK);
    cr_assert_eq(souk_json_float((souk_str_t){.data = digits, .size = 128}, &value),
                 SOUK_ERR_MALFORMED);
    srand(9);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s%d.%0*d", rand() % 2 ? "-" : "", rand() % 100000,
                 1 + rand() % 9, rand() % 10);
        double expected = strtod(text, NULL);
        cr_assert_eq(souk_json_float(souk_str_of(text), &value), SOUK_OK, "%s", text);
        cr_assert_eq(memcmp(&value, &expected, sizeof(value)), 0, "%s", text);
    }
}

static void s_expect_written(const char *expected) {
    cr_assert(souk_str_equal(souk_buf_str(&s_buf), souk_str_of(expected)), "%.*s", (int)s_buf.size,
              (const char *)s_buf.data);
    souk_buf_clear(&s_buf);
}

Test(json, writes_integers_as_printf_does) {
    static const int64_t values[] = {0,   1,   -1,   9,    10,        99,        100,
                                     101, 999, 1000, -100, INT64_MAX, INT64_MIN, 1234567890123};
    char text[32];
    for (size_t i = 0; i < SOUK_COUNT_OF(values); i++) {
        souk_json_write_int(&s_buf, values[i]);
        snprintf(text, sizeof(text), "%lld", (long long)values[i]);
        s_expect_written(text);
    }
    srand(13);
    for (int i = 0; i < 100000; i++) {
        int64_t value =
            (int64_t)(((uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand()) >>
                      rand() % 64);
        value = rand() % 2 ? value : (int64_t)(0 - (uint64_t)value);
        souk_json_write_int(&s_buf, value);
        snprintf(text, sizeof(text), "%lld", (long long)value);
        s_expect_written(text);
    }
}

Test(json, writes_the_shortest_float_that_reads_back) {
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "0"},
                {-0.0, "-0"},
                {1, "1"},
                {-2, "-2"},
                {0.1, "0.1"},
                {0.30000000000000004, "0.30000000000000004"},
                {1e15, "1e+15"},
                {1e21, "1e+21"},
                {999999999999999, "999999999999999"},
                {5e-324, "4.94065645841247e-324"},
                {DBL_MAX, "1.7976931348623157e+308"},
                {19.99, "19.99"},
                {1.0 / 3, "0.3333333333333333"}};
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_json_write_float(&s_buf, rows[i].value);
        s_expect_written(rows[i].text);
    }
    srand(17);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = (uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand();
        double value, back;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value)) {
            continue;
        }
        souk_json_write_float(&s_buf, value);
        cr_assert_eq(souk_json_float(souk_buf_str(&s_buf), &back), SOUK_OK);
        cr_assert_eq(memcmp(&value, &back, sizeof(value)), 0, "%.17g", value);
        cr_assert_eq(s_read_all(souk_buf_str(&s_buf)), SOUK_OK);
        souk_buf_clear(&s_buf);
    }
}

Test(json, writes_strings) {
    souk_json_write_str(&s_buf, SOUK_STR("plain text, longer than a word"));
    s_expect_written("\"plain text, longer than a word\"");
    souk_json_write_str(&s_buf, (souk_str_t){0});
    s_expect_written("\"\"");
    souk_json_write_str(&s_buf,
                        SOUK_STR("\"\\/\b\f\n\r\t\x01\x1f\x7f caf\xc3\xa9 \xf0\x9f\x98\x80"));
    s_expect_written("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f caf\xc3\xa9 \xf0\x9f\x98\x80\"");
    souk_json_write_str(&s_buf, (souk_str_t){.data = "a\0b", .size = 3});
    s_expect_written("\"a\\u0000b\"");
    souk_json_write_str(&s_buf, SOUK_STR("a\xff"
                                         "b\xed\xa0\x80 1234567890 \xc3"));
    s_expect_written("\"a\xef\xbf\xbd"
                     "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd 1234567890 \xef\xbf\xbd\"");
}

Test(json, writing_past_the_cap_is_an_overflow) {
    souk_buf_t small;
    souk_buf_init(&small, 10);
    souk_json_write_str(&small, SOUK_STR("12345678"));
    cr_assert(!small.overflow);
    cr_assert_eq(small.size, 10);
    souk_buf_clear(&small);
    souk_json_write_str(&small, SOUK_STR("123456789"));
    cr_assert(small.overflow);
    souk_buf_clear(&small);
    souk_json_write_str(&small, SOUK_STR("\n\n\n\n\n\n"));
    cr_assert(small.overflow);
    souk_buf_done(&small);
}

/* ---- against jansson
 * ------------------------------------------------------------------------------------------------
 */

static json_t *s_random_value(int depth) {
    static const char *const texts[] = {"",
                                        "a",
                                        "name",
                                        "caf\xc3\xa9",
                                        "line\nbreak \"quoted\" \\",
                                        "\xf0\x9f\x98\x80 and more than eight bytes",
                                        "\x01\x1f\x7f",
                                        "/"};
    switch (rand() % (depth < 5 ? 8 : 6)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(rand() % 2);
    case 2:
        return json_integer(
            (json_int_t)(((uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand()) >>
                         rand() % 64));
    case 3:
        return json_real((rand() - RAND_MAX / 2) / 1024.0);
    case 4:
    case 5:
        return json_string(texts[(size_t)rand() % SOUK_COUNT_OF(texts)]);
    case 6: {
        json_t *array = json_array();
        for (int count = rand() % 6; count > 0; count--) {
            json_array_append_new(array, s_random_value(depth + 1));
        }
        return array;
    }
    default: {
        json_t *object = json_object();
        for (int count = rand() % 6; count > 0; count--) {
            char key[32];
            snprintf(key, sizeof(key), "%s%d", texts[(size_t)rand() % SOUK_COUNT_OF(texts)],
                     rand() % 100);
            json_object_set_new(object, key, s_random_value(depth + 1));
        }
        return object;
    }
    }
}

/* The value that begins with token, as our reader sees it, in jansson's terms. */
static json_t *s_build(const souk_json_token_t *token) {
    souk_json_token_t next;
    switch (token->kind) {
    case SOUK_JSON_NULL:
        return json_null();
    case SOUK_JSON_TRUE:
        return json_true();
    case SOUK_JSON_FALSE:
        return json_false();
    case SOUK_JSON_STRING:
        return json_stringn(token->text.data, token->text.size);
    case SOUK_JSON_NUMBER: {
        int64_t integer;
        double number;
        if (souk_json_int(token->text, &integer) == SOUK_OK) {
            return json_integer(integer);
        }
        cr_assert_eq(souk_json_float(token->text, &number), SOUK_OK);
        return json_real(number);
    }
    case SOUK_JSON_ARRAY: {
        json_t *array = json_array();
        for (;;) {
            cr_assert_eq(souk_json_next(&s_reader, &next), SOUK_OK);
            if (next.kind == SOUK_JSON_ARRAY_END) {
                return array;
            }
            json_array_append_new(array, s_build(&next));
        }
    }
    case SOUK_JSON_OBJECT: {
        json_t *object = json_object();
        for (;;) {
            cr_assert_eq(souk_json_next(&s_reader, &next), SOUK_OK);
            if (next.kind == SOUK_JSON_OBJECT_END) {
                return object;
            }
            cr_assert_eq(next.kind, SOUK_JSON_KEY);
            char *key = strndup(next.text.data, next.text.size);
            cr_assert_eq(souk_json_next(&s_reader, &next), SOUK_OK);
            json_object_set_new(object, key, s_build(&next));
            free(key);
        }
    }
    default:
        cr_assert_fail("no value");
        return NULL;
    }
}

Test(json, random_documents_agree_with_jansson) {
    static const size_t flags[] = {JSON_COMPACT, JSON_INDENT(2), JSON_ENSURE_ASCII,
                                   JSON_ENSURE_ASCII | JSON_ESCAPE_SLASH};
    srand(19);
    for (int round = 0; round < 2000; round++) {
        json_t *value = s_random_value(0);
        char *text =
            json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17) | flags[round % 4]);
        souk_json_token_t token;
        souk_arena_reset(s_arena);
        s_open(souk_str_of(text));
        cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK, "%s", text);
        json_t *back = s_build(&token);
        cr_assert_eq(souk_json_next(&s_reader, &token), SOUK_OK);
        cr_assert_eq(token.kind, SOUK_JSON_END);
        cr_assert(json_equal(value, back), "%s", text);
        if (*text == '{' || *text == '[') {
            size_t size = strlen(text);
            for (size_t cut = 0; cut < size && size < 400; cut++) {
                cr_assert_eq(s_read_all((souk_str_t){.data = text, .size = cut}),
                             SOUK_ERR_MALFORMED, "%.*s", (int)cut, text);
            }
        }
        json_decref(back);
        json_decref(value);
        free(text);
    }
}

Test(json, written_strings_agree_with_jansson) {
    srand(23);
    for (int round = 0; round < 20000; round++) {
        char text[40];
        size_t size = (size_t)(rand() % 40);
        for (size_t i = 0; i < size; i++) {
            text[i] = (char)(1 + rand() % 127);
        }
        souk_json_write_str(&s_buf, (souk_str_t){.data = text, .size = size});
        json_t *back = json_loadb((const char *)s_buf.data, s_buf.size, JSON_DECODE_ANY, NULL);
        cr_assert_not_null(back);
        cr_assert_eq(json_string_length(back), size);
        cr_assert_eq(memcmp(json_string_value(back), text, size), 0);
        json_decref(back);
        souk_buf_clear(&s_buf);
    }
}
