/* Secrets at rest. */
#include <criterion/criterion.h>

#include "seal.h"

static const char s_hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

Test(seal, a_key_is_64_hexadecimal_digits) {
    users_secret_t secret;
    cr_assert_eq(users_secret_parse(s_hex, &secret), SOUK_OK);
    cr_assert_eq(secret.bytes[31], 0x1f);
    static const char *const bad[] = {
        "", "00", "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_eq(users_secret_parse(bad[i], &secret), SOUK_ERR_VALIDATION);
    }
}

Test(seal, opens_under_its_own_key_and_label_only) {
    souk_arena_t *arena = souk_arena_new(65536, 0);
    users_secret_t secret, other;
    cr_assert_eq(users_secret_parse(s_hex, &secret), SOUK_OK);
    other = secret;
    other.bytes[0] ^= 1;
    souk_str_t sealed, plain;
    cr_assert_eq(users_seal(&secret, SOUK_STR("totp usr_1"), SOUK_STR("12345"), arena, &sealed),
                 SOUK_OK);
    cr_assert_eq(users_open(&secret, SOUK_STR("totp usr_1"), sealed, arena, &plain), SOUK_OK);
    cr_assert(souk_str_equal(plain, SOUK_STR("12345")));
    cr_assert_eq(users_open(&secret, SOUK_STR("totp usr_2"), sealed, arena, &plain),
                 SOUK_ERR_INTERNAL);
    cr_assert_eq(users_open(&other, SOUK_STR("totp usr_1"), sealed, arena, &plain),
                 SOUK_ERR_INTERNAL);
    for (size_t size = 0; size < sealed.size; size++) {
        souk_str_t cut = {.data = sealed.data, .size = size};
        cr_assert_eq(users_open(&secret, SOUK_STR("totp usr_1"), cut, arena, &plain),
                     SOUK_ERR_INTERNAL);
    }
    souk_arena_destroy(&arena);
}

Test(seal, keyed_hashes_depend_on_key_label_and_text) {
    users_secret_t secret, other;
    cr_assert_eq(users_secret_parse(s_hex, &secret), SOUK_OK);
    other = secret;
    other.bytes[0] ^= 1;
    users_hash_t hash = users_secret_hash(&secret, SOUK_STR("a"), SOUK_STR("bc"));
    users_hash_t same = users_secret_hash(&secret, SOUK_STR("a"), SOUK_STR("bc"));
    users_hash_t moved = users_secret_hash(&secret, SOUK_STR("ab"), SOUK_STR("c"));
    users_hash_t elsewhere = users_secret_hash(&other, SOUK_STR("a"), SOUK_STR("bc"));
    cr_assert(users_hash_matches(&hash, users_hash_str(&same)));
    cr_assert(!users_hash_matches(&hash, users_hash_str(&moved)));
    cr_assert(!users_hash_matches(&hash, users_hash_str(&elsewhere)));
}
