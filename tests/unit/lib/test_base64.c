#include <criterion/criterion.h>
#include <stdlib.h>

#include "souk/base64.h"

Test(base64, known_texts) {
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "-_-_"},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        size_t bytes = strlen(rows[i].bytes), chars = strlen(rows[i].text);
        char text[16] = "", back[16] = "";
        cr_assert_eq(souk_base64_chars(bytes), chars);
        cr_assert_eq(souk_base64_bytes(chars), bytes);
        souk_base64_encode(rows[i].bytes, bytes, text);
        cr_assert_str_eq(text, rows[i].text);
        cr_assert_eq(souk_base64_decode(souk_str_of(rows[i].text), back), SOUK_OK);
        cr_assert_eq(memcmp(back, rows[i].bytes, bytes), 0);
    }
}

Test(base64, refuses_all_but_the_one_text) {
    static const char *const texts[] = {"A",   "AAAAA", "Zg==", "Zm8=", "Zh",
                                        "Zm9", "Z g",   "Zg+/", "Zg\n", "Z\xc3\xa9g"};
    for (size_t i = 0; i < SOUK_COUNT_OF(texts); i++) {
        char back[16];
        cr_assert_eq(souk_base64_decode(souk_str_of(texts[i]), back), SOUK_ERR_MALFORMED, "%s",
                     texts[i]);
    }
}

Test(base64, random_bytes_round_trip_in_their_very_room) {
    srand(5);
    for (size_t bytes = 0; bytes < 300; bytes++) {
        uint8_t *data = malloc(bytes + 1), *back = malloc(bytes > 0 ? bytes : 1);
        for (size_t i = 0; i < bytes; i++) {
            data[i] = (uint8_t)rand();
        }
        size_t chars = souk_base64_chars(bytes);
        char *text = malloc(chars > 0 ? chars : 1);
        souk_base64_encode(data, bytes, text);
        cr_assert_eq(souk_base64_bytes(chars), bytes);
        cr_assert_eq(souk_base64_decode((souk_str_t){.data = text, .size = chars}, back), SOUK_OK);
        cr_assert_eq(memcmp(data, back, bytes), 0);
        free(data);
        free(back);
        free(text);
    }
}
