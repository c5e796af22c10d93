#include <criterion/criterion.h>

#include "gateway/idem.h"
#include "souk/id.h"

static souk_err_t s_check(souk_class_t class, souk_key_rule_t rule, const char *header,
                          souk_idem_t *ret) {
    const souk_route_t route = {.class_ = (uint8_t) class, .key_rule = (uint8_t)rule};
    const char *reason = NULL;
    souk_err_t err = souk_idem_check(&route, souk_str_of(header), ret, &reason);
    cr_assert_eq(reason != NULL, err != SOUK_OK);
    return err;
}

Test(idem, follows_the_route_s_rule) {
    souk_idem_t idem;
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_REQUIRED, "k1", &idem), SOUK_OK);
    cr_assert_eq(idem.class_, SOUK_CLASS_KEYED);
    cr_assert(souk_str_equal(idem.key, SOUK_STR("k1")));
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_REQUIRED, NULL, &idem), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_OPTIONAL, "k1", &idem), SOUK_OK);
    cr_assert_eq(idem.class_, SOUK_CLASS_KEYED);
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_OPTIONAL, NULL, &idem), SOUK_OK);
    cr_assert_eq(idem.class_, SOUK_CLASS_UNKEYED);
    cr_assert_null(idem.key.data);
    cr_assert_eq(s_check(SOUK_CLASS_EXTERNAL, SOUK_KEY_OPTIONAL, NULL, &idem), SOUK_OK);
    cr_assert_eq(idem.class_, SOUK_CLASS_EXTERNAL);
    cr_assert_eq(s_check(SOUK_CLASS_READ, SOUK_KEY_NONE, "k1", &idem), SOUK_OK);
    cr_assert_eq(idem.class_, SOUK_CLASS_READ);
    cr_assert_null(idem.key.data);
}

Test(idem, takes_visible_ascii_up_to_255) {
    souk_idem_t idem;
    char key[257];
    memset(key, '~', sizeof(key));
    key[255] = '\0';
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_OPTIONAL, key, &idem), SOUK_OK);
    key[255] = '~';
    key[256] = '\0';
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_OPTIONAL, key, &idem), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_OPTIONAL, "", &idem), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_OPTIONAL, "a b", &idem), SOUK_ERR_MALFORMED);
    cr_assert_eq(s_check(SOUK_CLASS_KEYED, SOUK_KEY_OPTIONAL, "a\xc3\xa9", &idem),
                 SOUK_ERR_MALFORMED);
}

Test(idem, hash_is_sha256_of_the_request) {
    uint8_t hash[SOUK_IDEM_HASH_BYTES];
    char hex[2 * SOUK_IDEM_HASH_BYTES + 1] = {0};
    souk_idem_hash(SOUK_STR("POST"), SOUK_STR("/v1/orders?a=b"), SOUK_STR("{\"a\":1}"), hash);
    souk_hex(hash, sizeof(hash), hex);
    /* printf 'POST /v1/orders?a=b\n{"a":1}' | sha256sum */
    cr_assert_str_eq(hex, "f844bcd519547ded213fa1f918c4044b75e16e4954341563b3fec5d51b85a2e7");
}
