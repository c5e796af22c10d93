/* The msgpack cursor and writers. Oracle: msgpack-c. */
#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>

#include "souk/mp.h"

static souk_buf_t s_buf;
static souk_mp_cursor_t s_cursor;

static void s_setup(void) {
    souk_buf_init(&s_buf, 1 << 20);
}

static void s_teardown(void) {
    souk_buf_done(&s_buf);
}

TestSuite(mp, .init = s_setup, .fini = s_teardown);

/* A cursor over bytes in a block of their very size, so that a sanitizer sees a read beyond. */
static void *s_open(const void *bytes, size_t size) {
    void *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    souk_mp_cursor_init(&s_cursor, copy, size);
    return copy;
}

static void s_expect_bytes(const char *bytes, size_t size) {
    cr_assert(!s_buf.overflow);
    cr_assert_eq(s_buf.size, size, "%zu bytes", s_buf.size);
    cr_assert_arr_eq(s_buf.data, bytes, size);
    souk_buf_clear(&s_buf);
}
#define S_EXPECT_BYTES(literal) s_expect_bytes(literal, sizeof(literal) - 1)

Test(mp, integers_take_the_shortest_form) {
    static const struct {
        int64_t value;
        char bytes[10];
        size_t size;
    } rows[] = {
        {0, "\x00", 1},
        {127, "\x7f", 1},
        {128, "\xcc\x80", 2},
        {255, "\xcc\xff", 2},
        {256, "\xcd\x01\x00", 3},
        {65535, "\xcd\xff\xff", 3},
        {65536, "\xce\x00\x01\x00\x00", 5},
        {4294967295, "\xce\xff\xff\xff\xff", 5},
        {4294967296, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9},
        {INT64_MAX, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
        {-1, "\xff", 1},
        {-32, "\xe0", 1},
        {-33, "\xd0\xdf", 2},
        {-128, "\xd0\x80", 2},
        {-129, "\xd1\xff\x7f", 3},
        {-32768, "\xd1\x80\x00", 3},
        {-32769, "\xd2\xff\xff\x7f\xff", 5},
        {INT32_MIN, "\xd2\x80\x00\x00\x00", 5},
        {(int64_t)INT32_MIN - 1, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", 9},
        {INT64_MIN, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_mp_write_int(&s_buf, rows[i].value);
        s_expect_bytes(rows[i].bytes, rows[i].size);
        void *copy = s_open(rows[i].bytes, rows[i].size);
        int64_t value;
        cr_assert_eq(souk_mp_read_int(&s_cursor, &value), SOUK_OK);
        cr_assert_eq(value, rows[i].value);
        cr_assert(souk_mp_at_end(&s_cursor));
        free(copy);
        if (rows[i].value >= 0) {
            souk_mp_write_uint(&s_buf, (uint64_t)rows[i].value);
            s_expect_bytes(rows[i].bytes, rows[i].size);
        }
    }
    souk_mp_write_uint(&s_buf, UINT64_MAX);
    S_EXPECT_BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
}

Test(mp, integers_of_any_width_are_read) {
    static const struct {
        char bytes[10];
        size_t size;
        int64_t value;
    } rows[] = {
        {"\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 9, 5},
        {"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9, 5},
        {"\xd3\xff\xff\xff\xff\xff\xff\xff\xfb", 9, -5},
        {"\xd0\x7f", 2, 127},
        {"\xd1\x00\x05", 3, 5},
        {"\xd2\xff\xff\xff\xff", 5, -1},
        {"\xcd\x00\x05", 3, 5},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        void *copy = s_open(rows[i].bytes, rows[i].size);
        int64_t value;
        cr_assert_eq(souk_mp_read_int(&s_cursor, &value), SOUK_OK);
        cr_assert_eq(value, rows[i].value);
        free(copy);
    }
}

Test(mp, sizes_take_the_shortest_form) {
    static const struct {
        size_t size;
        char str[6], bin[6], array[6], map[6];
        size_t str_bytes, bin_bytes, container_bytes;
    } rows[] = {
        {0, "\xa0", "\xc4\x00", "\x90", "\x80", 1, 2, 1},
        {15, "\xaf", "\xc4\x0f", "\x9f", "\x8f", 1, 2, 1},
        {16, "\xb0", "\xc4\x10", "\xdc\x00\x10", "\xde\x00\x10", 1, 2, 3},
        {31, "\xbf", "\xc4\x1f", "\xdc\x00\x1f", "\xde\x00\x1f", 1, 2, 3},
        {32, "\xd9\x20", "\xc4\x20", "\xdc\x00\x20", "\xde\x00\x20", 2, 2, 3},
        {255, "\xd9\xff", "\xc4\xff", "\xdc\x00\xff", "\xde\x00\xff", 2, 2, 3},
        {256, "\xda\x01\x00", "\xc5\x01\x00", "\xdc\x01\x00", "\xde\x01\x00", 3, 3, 3},
        {65535, "\xda\xff\xff", "\xc5\xff\xff", "\xdc\xff\xff", "\xde\xff\xff", 3, 3, 3},
        {65536, "\xdb\x00\x01\x00\x00", "\xc6\x00\x01\x00\x00", "\xdd\x00\x01\x00\x00",
         "\xdf\x00\x01\x00\x00", 5, 5, 5},
    };
    char *text = calloc(1, 65536);
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_str_t bytes = {.data = text, .size = rows[i].size}, back;
        souk_mp_write_str(&s_buf, bytes);
        cr_assert_eq(s_buf.size, rows[i].str_bytes + bytes.size);
        cr_assert_arr_eq(s_buf.data, rows[i].str, rows[i].str_bytes);
        souk_mp_cursor_init(&s_cursor, s_buf.data, s_buf.size);
        cr_assert_eq(souk_mp_read_str(&s_cursor, &back), SOUK_OK);
        cr_assert(souk_str_equal(bytes, back) && souk_mp_at_end(&s_cursor));
        souk_buf_clear(&s_buf);
        souk_mp_write_bin(&s_buf, bytes);
        cr_assert_eq(s_buf.size, rows[i].bin_bytes + bytes.size);
        cr_assert_arr_eq(s_buf.data, rows[i].bin, rows[i].bin_bytes);
        souk_mp_cursor_init(&s_cursor, s_buf.data, s_buf.size);
        cr_assert_eq(souk_mp_read_bin(&s_cursor, &back), SOUK_OK);
        cr_assert(souk_str_equal(bytes, back) && souk_mp_at_end(&s_cursor));
        souk_buf_clear(&s_buf);
        souk_mp_write_array(&s_buf, (uint32_t)rows[i].size);
        s_expect_bytes(rows[i].array, rows[i].container_bytes);
        souk_mp_write_map(&s_buf, (uint32_t)rows[i].size);
        s_expect_bytes(rows[i].map, rows[i].container_bytes);
    }
    free(text);
}

Test(mp, other_scalars) {
    souk_mp_write_nil(&s_buf);
    souk_mp_write_bool(&s_buf, true);
    souk_mp_write_bool(&s_buf, false);
    souk_mp_write_float(&s_buf, 1.5);
    S_EXPECT_BYTES("\xc0\xc3\xc2\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00");
    souk_mp_token_t token;
    void *copy = s_open("\xca\xbf\xc0\x00\x00\xd5\x05xy", 9);
    cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_OK);
    cr_assert_eq(token.kind, SOUK_MP_FLOAT);
    cr_assert_float_eq(token.as.number, -1.5, 0);
    cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_OK);
    cr_assert_eq(token.kind, SOUK_MP_EXT);
    cr_assert_eq(token.ext_type, 5);
    cr_assert(souk_str_equal(token.as.bytes, SOUK_STR("xy")));
    cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_ERR_MALFORMED);
    free(copy);
    copy = s_open("\xc7\x00\x80\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_OK);
    cr_assert_eq(token.kind, SOUK_MP_EXT);
    cr_assert_eq(token.ext_type, -128);
    cr_assert_eq(token.as.bytes.size, 0);
    cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_OK);
    cr_assert_eq(token.kind, SOUK_MP_UINT);
    cr_assert_eq(token.as.unsigned_integer, UINT64_MAX);
    free(copy);
}

Test(mp, announced_sizes_beyond_the_input_are_refused) {
    static const struct {
        char bytes[16];
        size_t size;
    } rows[] = {
        {"\xdd\x04\x00\x00\x00", 5},
        {"\xdd\xff\xff\xff\xff\x01\x02", 7},
        {"\xdf\x04\x00\x00\x00", 5},
        {"\xdf\x80\x00\x00\x01\xc0\xc0", 7},
        {"\xdc\x00\x02\x01", 4},
        {"\xde\x00\x01\x01", 4},
        {"\x91", 1},
        {"\x81\xa0", 2},
        {"\xa1", 1},
        {"\xd9\x01", 2},
        {"\xda\x00\x01", 3},
        {"\xdb\xff\xff\xff\xffx", 6},
        {"\xc4\x02x", 3},
        {"\xc5\x00\x02x", 4},
        {"\xc6\xff\xff\xff\xff", 5},
        {"\xc7\x01\x05", 3},
        {"\xc7\x00", 2},
        {"\xc8\xff\xff\x05x", 5},
        {"\xc9\xff\xff\xff\xff\x05", 6},
        {"\xd4\x05", 2},
        {"\xd8\x05xxxxxxxxxxxxx", 15},
        {"\xc1", 1},
        {"\xcb\x00\x00\x00\x00", 5},
        {"", 0},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        void *copy = s_open(rows[i].bytes, rows[i].size);
        souk_mp_token_t token;
        const uint8_t *at = s_cursor.at;
        cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_ERR_MALFORMED, "row %zu", i);
        cr_assert_eq(souk_mp_skip(&s_cursor), SOUK_ERR_MALFORMED);
        cr_assert_eq(s_cursor.at, at, "the cursor stays");
        free(copy);
    }
    souk_mp_cursor_init(&s_cursor, NULL, 0);
    cr_assert(souk_mp_at_end(&s_cursor));
    cr_assert_eq(souk_mp_skip(&s_cursor), SOUK_ERR_MALFORMED);
}

Test(mp, typed_reads_leave_another_kind_alone) {
    souk_mp_write_str(&s_buf, SOUK_STR("x"));
    souk_mp_cursor_init(&s_cursor, s_buf.data, s_buf.size);
    uint32_t count;
    uint64_t u;
    int64_t i;
    bool b;
    souk_str_t str;
    cr_assert_eq(souk_mp_read_array(&s_cursor, &count), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_map(&s_cursor, &count), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_uint(&s_cursor, UINT64_MAX, &u), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_int(&s_cursor, &i), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_bool(&s_cursor, &b), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_bin(&s_cursor, &str), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_bin_or_nil(&s_cursor, &str), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_str_or_nil(&s_cursor, &str), SOUK_OK);
    cr_assert(souk_str_equal(str, SOUK_STR("x")));
    cr_assert_eq(souk_mp_read_str_or_nil(&s_cursor, &str), SOUK_ERR_MALFORMED);
}

Test(mp, unsigned_reads_have_a_maximum) {
    souk_mp_write_int(&s_buf, 300);
    souk_mp_write_int(&s_buf, -1);
    souk_mp_write_uint(&s_buf, UINT64_MAX);
    souk_mp_write_nil(&s_buf);
    souk_mp_write_nil(&s_buf);
    souk_mp_write_bool(&s_buf, true);
    souk_mp_cursor_init(&s_cursor, s_buf.data, s_buf.size);
    uint64_t u;
    int64_t i;
    souk_str_t str = SOUK_STR("x");
    cr_assert_eq(souk_mp_read_uint(&s_cursor, 299, &u), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_uint(&s_cursor, 300, &u), SOUK_OK);
    cr_assert_eq(u, 300);
    cr_assert_eq(souk_mp_read_uint(&s_cursor, UINT64_MAX, &u), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_int(&s_cursor, &i), SOUK_OK);
    cr_assert_eq(i, -1);
    cr_assert_eq(souk_mp_read_int(&s_cursor, &i), SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_mp_read_uint(&s_cursor, UINT64_MAX, &u), SOUK_OK);
    cr_assert_eq(u, UINT64_MAX);
    cr_assert_eq(souk_mp_read_str_or_nil(&s_cursor, &str), SOUK_OK);
    cr_assert_null(str.data);
    cr_assert_eq(str.size, 0);
    str = SOUK_STR("x");
    cr_assert_eq(souk_mp_read_bin_or_nil(&s_cursor, &str), SOUK_OK);
    cr_assert_null(str.data);
    bool b = false;
    cr_assert_eq(souk_mp_read_bool(&s_cursor, &b), SOUK_OK);
    cr_assert(b);
}

Test(mp, skip_has_a_depth) {
    for (int depth = 1; depth <= 18; depth++) {
        souk_buf_clear(&s_buf);
        for (int i = 0; i < depth; i++) {
            if (i % 2 == 0) {
                souk_mp_write_array(&s_buf, 2);
                souk_mp_write_int(&s_buf, 1);
            } else {
                souk_mp_write_map(&s_buf, 1);
                souk_mp_write_str(&s_buf, SOUK_STR("k"));
            }
        }
        souk_mp_write_nil(&s_buf);
        souk_mp_write_nil(&s_buf);
        souk_mp_cursor_init(&s_cursor, s_buf.data, s_buf.size);
        cr_assert_eq(souk_mp_skip(&s_cursor),
                     depth <= SOUK_MP_DEPTH_MAX ? SOUK_OK : SOUK_ERR_MALFORMED, "depth %d", depth);
        if (depth <= SOUK_MP_DEPTH_MAX) {
            cr_assert_eq(s_cursor.end - s_cursor.at, 1);
        }
    }
}

Test(mp, skip_takes_empty_containers) {
    void *copy = s_open("\x92\x90\x81\x80\x90\x05", 6);
    cr_assert_eq(souk_mp_skip(&s_cursor), SOUK_OK);
    cr_assert_eq(s_cursor.end - s_cursor.at, 1);
    free(copy);
}

Test(mp, writes_are_whole_or_not_at_all) {
    souk_buf_t small;
    souk_buf_init(&small, 8);
    souk_mp_write_str(&small, SOUK_STR("1234567"));
    cr_assert(!small.overflow);
    cr_assert_eq(small.size, 8);
    souk_buf_clear(&small);
    souk_mp_write_str(&small, SOUK_STR("12345678"));
    cr_assert(small.overflow);
    cr_assert_eq(small.size, 0);
    souk_mp_write_nil(&small);
    cr_assert_eq(small.size, 0);
    souk_buf_done(&small);
}

/* ---- times
 * ----------------------------------------------------------------------------------------------------------------------
 */

Test(mp, times_take_the_shortest_form) {
    static const struct {
        int64_t unix_us;
        char bytes[16];
        size_t size;
    } rows[] = {
        {0, "\xd6\xff\x00\x00\x00\x00", 6},
        {INT64_C(4294967295000000), "\xd6\xff\xff\xff\xff\xff", 6},
        {INT64_C(4294967296000000), "\xd7\xff\x00\x00\x00\x01\x00\x00\x00\x00", 10},
        {1, "\xd7\xff\x00\x00\x0f\xa0\x00\x00\x00\x00", 10},
        {INT64_C(17179869183999999), "\xd7\xff\xee\x6b\x18\x63\xff\xff\xff\xff", 10},
        {INT64_C(17179869184000000), "\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00",
         15},
        {-1, "\xc7\x0c\xff\x3b\x9a\xc6\x18\xff\xff\xff\xff\xff\xff\xff\xff", 15},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        souk_mp_write_time(&s_buf, rows[i].unix_us);
        s_expect_bytes(rows[i].bytes, rows[i].size);
        void *copy = s_open(rows[i].bytes, rows[i].size);
        souk_mp_token_t token;
        int64_t unix_us = 0;
        cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_OK);
        cr_assert_eq(souk_mp_time_of(&token, &unix_us), SOUK_OK);
        cr_assert_eq(unix_us, rows[i].unix_us);
        free(copy);
    }
}

static souk_err_t s_time_of(const char *bytes, size_t size, int64_t *ret_unix_us) {
    souk_mp_token_t token;
    souk_mp_cursor_init(&s_cursor, bytes, size);
    cr_assert_eq(souk_mp_read(&s_cursor, &token), SOUK_OK);
    return souk_mp_time_of(&token, ret_unix_us);
}

Test(mp, times_out_of_range_are_refused) {
    int64_t us = 5;
    /* 0001-01-01 and 9999-12-31T23:59:59.999999999 */
    cr_assert_eq(s_time_of("\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xf1\x88\x6e\x09\x00", 15, &us),
                 SOUK_OK);
    cr_assert_eq(us, INT64_C(-62135596800000000));
    cr_assert_eq(s_time_of("\xc7\x0c\xff\x3b\x9a\xc9\xff\x00\x00\x00\x3a\xff\xf4\x41\x7f", 15, &us),
                 SOUK_OK);
    cr_assert_eq(us, INT64_C(253402300799999999));
    static const struct {
        char bytes[16];
        size_t size;
    } rows[] = {
        {"\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xf1\x88\x6e\x08\xff", 15},
        {"\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x3a\xff\xf4\x41\x80", 15},
        {"\xc7\x0c\xff\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", 15},
        {"\xc7\x0c\xff\x3b\x9a\xca\x00\x00\x00\x00\x00\x00\x00\x00\x00", 15}, /* 10^9 ns */
        {"\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x00", 10},                     /* > 10^9 ns */
        {"\xd6\x01\x00\x00\x00\x00", 6},                                      /* type 1 */
        {"\xd5\xff\x00\x00", 4},                                              /* 2 bytes */
        {"\xc7\x00\xff", 3},
        {"\x05", 1},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        us = 5;
        cr_assert_eq(s_time_of(rows[i].bytes, rows[i].size, &us), SOUK_ERR_MALFORMED, "row %zu", i);
        cr_assert_eq(us, 5);
    }
}

/* ---- against msgpack-c
 * ----------------------------------------------------------------------------------------------------------
 */

static uint64_t s_random_bits(void) {
    uint64_t bits = (uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand();
    return bits >> rand() % 64;
}

/* Writes one random value by both libraries. */
static void s_write_both(msgpack_packer *packer, int depth) {
    static const char text[70000] = "text";
    int kind = rand() % (depth < 5 ? 9 : 7);
    uint32_t count = (uint32_t)(rand() % 5 == 0 ? rand() % 40 : rand() % 5);
    size_t size = rand() % 100 == 0 ? s_random_bits() % sizeof(text) : (size_t)(rand() % 40);
    uint64_t bits = s_random_bits();
    double number;
    memcpy(&number, &bits, sizeof(number));
    switch (kind) {
    case 0:
        souk_mp_write_nil(&s_buf);
        msgpack_pack_nil(packer);
        break;
    case 1:
        souk_mp_write_bool(&s_buf, bits & 1);
        bits & 1 ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
        break;
    case 2:
        souk_mp_write_int(&s_buf, (int64_t)bits);
        msgpack_pack_int64(packer, (int64_t)bits);
        break;
    case 3:
        souk_mp_write_int(&s_buf, -(int64_t)(bits >> 1));
        msgpack_pack_int64(packer, -(int64_t)(bits >> 1));
        break;
    case 4:
        souk_mp_write_float(&s_buf, number);
        msgpack_pack_double(packer, number);
        break;
    case 5:
        souk_mp_write_str(&s_buf, (souk_str_t){.data = text, .size = size});
        msgpack_pack_str(packer, size);
        msgpack_pack_str_body(packer, text, size);
        break;
    case 6:
        souk_mp_write_bin(&s_buf, (souk_str_t){.data = text, .size = size});
        msgpack_pack_bin(packer, size);
        msgpack_pack_bin_body(packer, text, size);
        break;
    default:
        if (kind == 7) {
            souk_mp_write_array(&s_buf, count);
            msgpack_pack_array(packer, count);
        } else {
            souk_mp_write_map(&s_buf, count);
            msgpack_pack_map(packer, count);
        }
        for (uint32_t i = 0; i < (kind == 7 ? count : 2 * count); i++) {
            s_write_both(packer, depth + 1);
        }
    }
}

/* Reads the next value and compares it with msgpack-c's. */
static void s_compare(souk_mp_cursor_t *cursor, const msgpack_object *object) {
    souk_mp_token_t token;
    cr_assert_eq(souk_mp_read(cursor, &token), SOUK_OK);
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        cr_assert_eq(token.kind, SOUK_MP_NIL);
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        cr_assert_eq(token.kind, SOUK_MP_BOOL);
        cr_assert_eq(token.as.boolean, object->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        cr_assert_eq(token.kind, object->via.u64 > INT64_MAX ? SOUK_MP_UINT : SOUK_MP_INT);
        cr_assert_eq(token.as.unsigned_integer, object->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        cr_assert_eq(token.kind, SOUK_MP_INT);
        cr_assert_eq(token.as.integer, object->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        cr_assert_eq(token.kind, SOUK_MP_FLOAT);
        cr_assert_eq(memcmp(&token.as.number, &object->via.f64, 8), 0);
        break;
    case MSGPACK_OBJECT_STR:
        cr_assert_eq(token.kind, SOUK_MP_STR);
        cr_assert_eq(token.as.bytes.size, object->via.str.size);
        cr_assert(token.as.bytes.size == 0 ||
                  memcmp(token.as.bytes.data, object->via.str.ptr, token.as.bytes.size) == 0);
        break;
    case MSGPACK_OBJECT_BIN:
        cr_assert_eq(token.kind, SOUK_MP_BIN);
        cr_assert_eq(token.as.bytes.size, object->via.bin.size);
        cr_assert(token.as.bytes.size == 0 ||
                  memcmp(token.as.bytes.data, object->via.bin.ptr, token.as.bytes.size) == 0);
        break;
    case MSGPACK_OBJECT_ARRAY:
        cr_assert_eq(token.kind, SOUK_MP_ARRAY);
        cr_assert_eq(token.as.count, object->via.array.size);
        for (uint32_t i = 0; i < token.as.count; i++) {
            s_compare(cursor, &object->via.array.ptr[i]);
        }
        break;
    case MSGPACK_OBJECT_MAP:
        cr_assert_eq(token.kind, SOUK_MP_MAP);
        cr_assert_eq(token.as.count, object->via.map.size);
        for (uint32_t i = 0; i < token.as.count; i++) {
            s_compare(cursor, &object->via.map.ptr[i].key);
            s_compare(cursor, &object->via.map.ptr[i].val);
        }
        break;
    case MSGPACK_OBJECT_EXT:
        cr_assert_fail("no extensions are written");
    }
}

Test(mp, random_documents_agree_with_msgpack_c) {
    srand(1);
    for (int round = 0; round < 3000; round++) {
        msgpack_sbuffer bytes;
        msgpack_packer packer;
        msgpack_unpacked unpacked;
        msgpack_sbuffer_init(&bytes);
        msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
        msgpack_unpacked_init(&unpacked);
        souk_buf_clear(&s_buf);
        s_write_both(&packer, 0);
        cr_assert(!s_buf.overflow);
        s_expect_bytes(bytes.data, bytes.size);
        cr_assert_eq(msgpack_unpack_next(&unpacked, bytes.data, bytes.size, NULL),
                     MSGPACK_UNPACK_SUCCESS);
        souk_mp_cursor_init(&s_cursor, bytes.data, bytes.size);
        s_compare(&s_cursor, &unpacked.data);
        cr_assert(souk_mp_at_end(&s_cursor));
        souk_mp_cursor_init(&s_cursor, bytes.data, bytes.size);
        cr_assert_eq(souk_mp_skip(&s_cursor), SOUK_OK);
        cr_assert(souk_mp_at_end(&s_cursor));
        if (bytes.size < 2000) {
            for (size_t size = 0; size < bytes.size; size++) {
                void *copy = s_open(bytes.data, size);
                cr_assert_eq(souk_mp_skip(&s_cursor), SOUK_ERR_MALFORMED, "cut at %zu", size);
                free(copy);
            }
        }
        msgpack_unpacked_destroy(&unpacked);
        msgpack_sbuffer_destroy(&bytes);
    }
}
