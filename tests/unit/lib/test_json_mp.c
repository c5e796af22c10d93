/* JSON to msgpack. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "souk/json_mp.h"

static const char *s_hex(const char *json) {
    static char text[200];
    souk_arena_t *arena = souk_arena_new(65536, 0);
    souk_buf_t buf;
    souk_buf_init(&buf, 90);
    souk_err_t err = souk_json_to_mp(souk_str_of(json), arena, &buf);
    text[0] = '\0';
    for (size_t i = 0; err == SOUK_OK && i < buf.size; i++) {
        snprintf(text + 2 * i, sizeof(text) - 2 * i, "%02x", buf.data[i]);
    }
    souk_buf_done(&buf);
    souk_arena_destroy(&arena);
    return err == SOUK_OK ? text : "bad";
}

Test(json_mp, values_of_every_kind) {
    cr_assert_str_eq(s_hex("null"), "c0");
    cr_assert_str_eq(s_hex("[true, false]"), "92c3c2");
    cr_assert_str_eq(s_hex("[]"), "90");
    cr_assert_str_eq(s_hex("{}"), "80");
    cr_assert_str_eq(s_hex("-1"), "ff");
    cr_assert_str_eq(s_hex("1.5"), "cb3ff8000000000000");
    cr_assert_str_eq(s_hex("{\"a\": [1, {\"b\": null}], \"c\": \"\\u00e9\"}"), "82a1619201"
                                                                               "81a162c0"
                                                                               "a163a2c3a9");
}

Test(json_mp, what_is_no_json_is_refused) {
    static const char *const bad[] = {"", "{", "[1,]", "{\"a\"}", "1 2", "nul", "1e999"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_str_eq(s_hex(bad[i]), "bad", "%s", bad[i]);
    }
}
