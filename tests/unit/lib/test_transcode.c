/* msgpack -> JSON. Oracle: jansson reads what comes out, msgpack-c wrote what goes in. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "souk/json.h"
#include "souk/mp.h"
#include "souk/transcode.h"

static souk_buf_t s_in, s_out;

static void s_setup(void) {
    souk_buf_init(&s_in, 1 << 20);
    souk_buf_init(&s_out, 1 << 20);
}

static void s_teardown(void) {
    souk_buf_done(&s_in);
    souk_buf_done(&s_out);
}

TestSuite(transcode, .init = s_setup, .fini = s_teardown);

static souk_err_t s_transcode(souk_str_t bytes, souk_capture_t *captures, size_t count) {
    char *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    memcpy(copy, bytes.data, bytes.size);
    souk_buf_clear(&s_out);
    souk_err_t err =
        souk_transcode((souk_str_t){.data = copy, .size = bytes.size}, &s_out, captures, count);
    free(copy);
    return err;
}

static void s_expect(souk_str_t bytes, const char *json) {
    cr_assert_eq(s_transcode(bytes, NULL, 0), SOUK_OK, "%s", json);
    cr_assert(souk_str_equal(souk_buf_str(&s_out), souk_str_of(json)), "%.*s, not %s",
              (int)s_out.size, (const char *)s_out.data, json);
}
#define S_BYTES(literal) ((souk_str_t){.data = (literal), .size = sizeof(literal) - 1})

Test(transcode, every_kind) {
    s_expect(S_BYTES("\xc0"), "null");
    s_expect(S_BYTES("\xc3"), "true");
    s_expect(S_BYTES("\xc2"), "false");
    s_expect(S_BYTES("\xd3\x80\0\0\0\0\0\0\0"), "-9223372036854775808");
    s_expect(S_BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615");
    s_expect(S_BYTES("\xcb\x3f\xf8\0\0\0\0\0\0"), "1.5");
    s_expect(S_BYTES("\xca\x3f\xc0\0\0"), "1.5");
    s_expect(S_BYTES("\xa7 \"x\"\n\xc3\xa9"), "\" \\\"x\\\"\\n\xc3\xa9\"");
    s_expect(S_BYTES("\xa0"), "\"\"");
    s_expect(S_BYTES("\xc4\x00"), "\"\"");
    s_expect(S_BYTES("\xc4\x03\xfb\xff\xbf"), "\"-_-_\"");
    s_expect(S_BYTES("\xd6\xff\0\0\0\0"), "\"1970-01-01T00:00:00Z\"");
    s_expect(S_BYTES("\xd7\xff\0\0\x0f\xa0\0\0\0\0"), "\"1970-01-01T00:00:00.000001Z\"");
    s_expect(S_BYTES("\x90"), "[]");
    s_expect(S_BYTES("\x80"), "{}");
    s_expect(S_BYTES("\x93\x01\x92\x90\x80\x02"), "[1,[[],{}],2]");
    s_expect(S_BYTES("\x82\xa1"
                     "a\x81\xa0\x90\xa1"
                     "b\xc0"),
             "{\"a\":{\"\":[]},\"b\":null}");
}

Test(transcode, what_is_no_json_is_malformed) {
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"", 0},
        {"\xc1", 1},
        {"\x01\x02", 2},                                /* trailing */
        {"\x81\x01\x02", 3},                            /* key is an integer */
        {"\x81\xc0\x02", 3},                            /* key is nil */
        {"\x81\xc4\x01x\x02", 5},                       /* key is bin */
        {"\xa1\xff", 2},                                /* not UTF-8 */
        {"\xa2\xc0\x80", 3},                            /* overlong */
        {"\xa3\xed\xa0\x80", 4},                        /* surrogate */
        {"\x81\xa1\xff\x01", 4},                        /* in a key */
        {"\xa3x\0y", 4},                                /* U+0000 */
        {"\xcb\x7f\xf8\0\0\0\0\0\0", 9},                /* NaN */
        {"\xcb\xff\xf0\0\0\0\0\0\0", 9},                /* -infinity */
        {"\xca\x7f\x80\0\0", 5},                        /* infinity */
        {"\xd4\x01x", 3},                               /* another extension */
        {"\xc7\x0c\xff\0\0\0\0\x7f\0\0\0\0\0\0\0", 15}, /* a time out of range */
        {"\xdd\x04\0\0\0", 5},
        {"\xdf\xff\xff\xff\xff", 5},
        {"\x91", 1},
        {"\x82\xa1"
         "a\x01",
         4},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        cr_assert_eq(
            s_transcode((souk_str_t){.data = rows[i].bytes, .size = rows[i].size}, NULL, 0),
            SOUK_ERR_MALFORMED, "row %zu: %.*s", i, (int)s_out.size, (const char *)s_out.data);
    }
}

Test(transcode, depth_is_sixteen) {
    char bytes[20];
    memset(bytes, '\x91', sizeof(bytes));
    for (size_t depth = 1; depth <= 18; depth++) {
        bytes[depth] = '\x01';
        cr_assert_eq(s_transcode((souk_str_t){.data = bytes, .size = depth + 1}, NULL, 0),
                     depth <= 16 ? SOUK_OK : SOUK_ERR_MALFORMED, "depth %zu", depth);
        bytes[depth] = '\x91';
    }
}

Test(transcode, output_has_a_cap) {
    souk_buf_t small;
    souk_buf_init(&small, 10);
    cr_assert_eq(souk_transcode(S_BYTES("\xa8"
                                        "12345678"),
                                &small, NULL, 0),
                 SOUK_OK);
    cr_assert_eq(small.size, 10);
    souk_buf_clear(&small);
    cr_assert_eq(souk_transcode(S_BYTES("\xa9"
                                        "123456789"),
                                &small, NULL, 0),
                 SOUK_ERR_TOO_LARGE);
    souk_buf_clear(&small);
    cr_assert_eq(souk_transcode(S_BYTES("\x96\x01\x02\x03\x04\x05\x06"), &small, NULL, 0),
                 SOUK_ERR_TOO_LARGE);
    souk_buf_clear(&small);
    cr_assert_eq(souk_transcode(S_BYTES("\xc4\x08"
                                        "12345678"),
                                &small, NULL, 0),
                 SOUK_ERR_TOO_LARGE);
    souk_buf_done(&small);
}

Test(transcode, output_is_appended) {
    souk_buf_append_byte(&s_out, '!');
    cr_assert_eq(souk_transcode(S_BYTES("\x01"), &s_out, NULL, 0), SOUK_OK);
    cr_assert(souk_str_equal(souk_buf_str(&s_out), SOUK_STR("!1")));
}

Test(transcode, fields_are_captured) {
    souk_capture_t captures[] = {
        {.name = "id"}, {.name = "version"}, {.name = "page.next"}, {.name = "missing"}};
    s_in.size = 0;
    souk_mp_write_map(&s_in, 4);
    souk_mp_write_str(&s_in, SOUK_STR("data"));
    souk_mp_write_array(&s_in, 1);
    souk_mp_write_map(&s_in, 2);
    souk_mp_write_str(&s_in, SOUK_STR("id"));
    souk_mp_write_str(&s_in, SOUK_STR("inner"));
    souk_mp_write_str(&s_in, SOUK_STR("next"));
    souk_mp_write_str(&s_in, SOUK_STR("wrong"));
    souk_mp_write_str(&s_in, SOUK_STR("id"));
    souk_mp_write_str(&s_in, SOUK_STR("prod_1"));
    souk_mp_write_str(&s_in, SOUK_STR("version"));
    souk_mp_write_int(&s_in, -42);
    souk_mp_write_str(&s_in, SOUK_STR("page"));
    souk_mp_write_map(&s_in, 2);
    souk_mp_write_str(&s_in, SOUK_STR("next"));
    souk_mp_write_str(&s_in, SOUK_STR("cursor"));
    souk_mp_write_str(&s_in, SOUK_STR("deep"));
    souk_mp_write_map(&s_in, 1);
    souk_mp_write_str(&s_in, SOUK_STR("next"));
    souk_mp_write_str(&s_in, SOUK_STR("deeper"));
    cr_assert_eq(s_transcode(souk_buf_str(&s_in), captures, 4), SOUK_OK);
    cr_assert_str_eq(captures[0].value, "prod_1");
    cr_assert_str_eq(captures[1].value, "-42");
    cr_assert_str_eq(captures[2].value, "cursor");
    cr_assert_str_eq(captures[3].value, "");
}

Test(transcode, what_cannot_be_captured_is_empty) {
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"\x81\xa2id\xc0", 5},
        {"\x81\xa2id\xc3", 5},
        {"\x81\xa2id\x91\xa1x", 7},
        {"\x81\xa2id\xa3"
         "a\nb",
         8},
        {"\x91\xa2id", 4},
        {"\x82\xa2id\xa1x\xa2id\xc0", 10},
        {"\x05", 1},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_capture_t capture = {.name = "id", .value = "left over"};
        cr_assert_eq(
            s_transcode((souk_str_t){.data = rows[i].bytes, .size = rows[i].size}, &capture, 1),
            SOUK_OK);
        cr_assert_str_eq(capture.value, "", "row %zu", i);
    }
    char text[129] = "";
    memset(text, 'x', 128);
    for (size_t size = 127; size <= 128; size++) {
        souk_capture_t capture = {.name = "id"};
        souk_buf_clear(&s_in);
        souk_mp_write_map(&s_in, 1);
        souk_mp_write_str(&s_in, SOUK_STR("id"));
        souk_mp_write_str(&s_in, (souk_str_t){.data = text, .size = size});
        cr_assert_eq(s_transcode(souk_buf_str(&s_in), &capture, 1), SOUK_OK);
        cr_assert_eq(strlen(capture.value), size == 127 ? 127 : 0);
    }
}

/* A random value by msgpack-c, and the same for jansson. */
static json_t *s_random(msgpack_packer *packer, int depth) {
    static const char *const texts[] = {"",
                                        "a",
                                        "caf\xc3\xa9",
                                        "line\nbreak \"q\" \\ and a longer tail",
                                        "\xf0\x9f\x98\x80",
                                        "\x01\x7f/"};
    const char *text = texts[(size_t)rand() % SOUK_COUNT_OF(texts)];
    size_t size = strlen(text);
    int count = rand() % 20;
    json_t *value;
    switch (rand() % (depth < 4 ? 7 : 5)) {
    case 0:
        msgpack_pack_nil(packer);
        return json_null();
    case 1:
        msgpack_pack_true(packer);
        return json_true();
    case 2: {
        int64_t integer =
            (int64_t)(((uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand()) >>
                      rand() % 64);
        msgpack_pack_int64(packer, integer);
        return json_integer(integer);
    }
    case 3:
        msgpack_pack_double(packer, count + 0.375);
        return json_real(count + 0.375);
    case 4:
        msgpack_pack_str(packer, size);
        msgpack_pack_str_body(packer, text, size);
        return json_string(text);
    case 5:
        value = json_array();
        msgpack_pack_array(packer, (size_t)count);
        for (int i = 0; i < count; i++) {
            json_array_append_new(value, s_random(packer, depth + 1));
        }
        return value;
    default:
        value = json_object();
        msgpack_pack_map(packer, (size_t)count);
        for (int i = 0; i < count; i++) {
            char key[64];
            int key_size = snprintf(key, sizeof(key), "%s%d", text, i);
            msgpack_pack_str(packer, (size_t)key_size);
            msgpack_pack_str_body(packer, key, (size_t)key_size);
            json_object_set_new(value, key, s_random(packer, depth + 1));
        }
        return value;
    }
}

Test(transcode, random_values_read_back_by_jansson) {
    srand(29);
    for (int round = 0; round < 2000; round++) {
        msgpack_sbuffer bytes;
        msgpack_packer packer;
        msgpack_sbuffer_init(&bytes);
        msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
        json_t *value = s_random(&packer, 0);
        cr_assert_eq(s_transcode((souk_str_t){.data = bytes.data, .size = bytes.size}, NULL, 0),
                     SOUK_OK);
        json_t *back = json_loadb((const char *)s_out.data, s_out.size, JSON_DECODE_ANY, NULL);
        cr_assert(json_equal(value, back), "%.*s", (int)s_out.size, (const char *)s_out.data);
        for (size_t cut = 0; cut < bytes.size && cut < 300; cut++) {
            cr_assert_eq(s_transcode((souk_str_t){.data = bytes.data, .size = cut}, NULL, 0),
                         SOUK_ERR_MALFORMED);
        }
        json_decref(value);
        json_decref(back);
        msgpack_sbuffer_destroy(&bytes);
    }
}
