#include <criterion/criterion.h>
#include <stdlib.h>

#include "souk/json.h"

/* Text in a block of its very size, so that a sanitizer sees a read beyond. */
static bool s_valid(const void *bytes, size_t size) {
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    bool valid = souk_utf8_valid((souk_str_t){.data = copy, .size = size});
    free(copy);
    return valid;
}

/* Table 3-7 of Unicode, decoded the slow way. */
static bool s_valid_slowly(const uint8_t *at, size_t size) {
    while (size > 0) {
        uint32_t code = at[0];
        size_t bytes = code < 0x80       ? 1
                       : code >> 5 == 6  ? 2
                       : code >> 4 == 14 ? 3
                       : code >> 3 == 30 ? 4
                                         : 0;
        if (bytes == 0 || bytes > size) {
            return false;
        }
        code = bytes == 1 ? code : code & (0xffu >> (bytes + 1));
        for (size_t i = 1; i < bytes; i++) {
            if (at[i] >> 6 != 2) {
                return false;
            }
            code = code << 6 | (at[i] & 63);
        }
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
        at += bytes;
        size -= bytes;
    }
    return true;
}

Test(utf8, edges_of_the_table) {
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"", true},
        {"plain ASCII text of more than eight bytes", true},
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xc2", false},
        {"\xe2\x82", false},
        {"\xf0\x9f\x98", false},
        {"\xc2\x41", false},
        {"\xe2\x82\x41", false},
        {"12345678\xc3\xa9", true},
        {"1234567\xc3\xa9", true},
        {"12345678\xc3", false},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        cr_assert_eq(s_valid(rows[i].text, strlen(rows[i].text)), rows[i].valid, "row %zu", i);
    }
    cr_assert(souk_utf8_valid((souk_str_t){0}));
}

Test(utf8, all_texts_of_three_bytes) {
    for (uint32_t bits = 0; bits < 1 << 24; bits++) {
        uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        souk_str_t text = {.data = (const char *)bytes, .size = 3};
        if (souk_utf8_valid(text) != s_valid_slowly(bytes, 3)) {
            cr_assert_fail("%06x", bits);
        }
    }
}

Test(utf8, random_texts_agree_with_the_slow_way) {
    static const uint8_t often[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xdf,
                                    0xe0, 0xed, 0xef, 0xf0, 0xf4, 'a',  'b',  'c',  'd'};
    srand(3);
    for (int round = 0; round < 500000; round++) {
        uint8_t bytes[20];
        size_t size = (size_t)(rand() % 20);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = often[(size_t)rand() % sizeof(often)];
        }
        if (s_valid(bytes, size) != s_valid_slowly(bytes, size)) {
            cr_assert_fail("round %d", round);
        }
    }
}

Test(utf8, counts_characters) {
    cr_assert_eq(souk_utf8_count(SOUK_STR("")), 0);
    cr_assert_eq(souk_utf8_count(SOUK_STR("abc")), 3);
    cr_assert_eq(souk_utf8_count(SOUK_STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!")), 4);
}
