#include <criterion/criterion.h>

#include "gateway/etag.h"

Test(etag, is_made_from_a_plain_value_only) {
    char etag[SOUK_ETAG_BYTES_MAX];
    cr_assert_eq(souk_etag_make(SOUK_STR("42"), etag), 4);
    cr_assert_str_eq(etag, "\"42\"");
    cr_assert_eq(souk_etag_make(SOUK_STR(""), etag), 0);
    cr_assert_eq(souk_etag_make(SOUK_STR("a\"b"), etag), 0);
    cr_assert_eq(souk_etag_make(SOUK_STR("a b"), etag), 0);
    cr_assert_eq(souk_etag_make(SOUK_STR("a\r\nX: y"), etag), 0);
    cr_assert_eq(souk_etag_make(SOUK_STR("\xc3\xa9"), etag), 0);
    char longest[SOUK_ETAG_BYTES_MAX];
    memset(longest, 'a', sizeof(longest));
    cr_assert_eq(souk_etag_make((souk_str_t){longest, SOUK_ETAG_BYTES_MAX - 3}, etag),
                 SOUK_ETAG_BYTES_MAX - 1);
    cr_assert_eq(souk_etag_make((souk_str_t){longest, SOUK_ETAG_BYTES_MAX - 2}, etag), 0);
}

static bool s_matches(const char *list) {
    return souk_etag_matches(souk_str_of(list), SOUK_STR("\"42\""));
}

Test(etag, matches_lists_weakly) {
    cr_assert(s_matches("\"42\""));
    cr_assert(s_matches("*"));
    cr_assert(s_matches("W/\"42\""));
    cr_assert(s_matches("\"1\", \"a,b\" ,W/\"42\""));
    cr_assert(s_matches(" , \"42\""));
    cr_assert_not(s_matches("\"4\""));
    cr_assert_not(s_matches("\"420\""));
    cr_assert_not(s_matches("\"a,\"42\"\""));
    cr_assert_not(s_matches("42"));
    cr_assert_not(s_matches(""));
    cr_assert_not(s_matches("\"42"));
    cr_assert_not(s_matches("W/"));
    cr_assert_not(s_matches("w/\"42\""));
    cr_assert_not(s_matches("\"1\" x \"42\""));
}
