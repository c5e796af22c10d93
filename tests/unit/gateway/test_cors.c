#include <criterion/criterion.h>

#include "gateway/cors.h"

Test(cors, allows_listed_origins_exactly) {
    souk_cors_t cors;
    cr_assert(souk_cors_init(&cors, SOUK_STR("https://shop.example.com, http://localhost:3000")));
    cr_assert(souk_cors_varies(&cors));
    cr_assert(souk_str_equal(souk_cors_allow(&cors, SOUK_STR("http://localhost:3000")),
                             SOUK_STR("http://localhost:3000")));
    const char *others[] = {"https://shop.example.com.evil.example",
                            "https://shop.example.co",
                            "null",
                            "",
                            "HTTPS://shop.example.com",
                            "http://localhost:30001",
                            "https://shop.example.com/"};
    for (size_t i = 0; i < SOUK_COUNT_OF(others); i++) {
        cr_assert_null(souk_cors_allow(&cors, souk_str_of(others[i])).data, "%s", others[i]);
    }
}

Test(cors, allows_all_or_none) {
    souk_cors_t cors;
    cr_assert(souk_cors_init(&cors, SOUK_STR("*")));
    cr_assert_not(souk_cors_varies(&cors));
    cr_assert(souk_str_equal(souk_cors_allow(&cors, SOUK_STR("https://a")), SOUK_STR("*")));
    cr_assert(souk_cors_init(&cors, SOUK_STR("")));
    cr_assert_not(souk_cors_varies(&cors));
    cr_assert_null(souk_cors_allow(&cors, SOUK_STR("https://a")).data);
}

Test(cors, refuses_what_is_no_origin) {
    souk_cors_t cors;
    const char *bad[] = {"shop.example.com", "https://", "https://a/b", "://a", "https://a b"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_not(souk_cors_init(&cors, souk_str_of(bad[i])), "%s", bad[i]);
    }
}
