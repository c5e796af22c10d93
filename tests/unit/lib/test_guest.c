#include <criterion/criterion.h>
#include <sodium.h>

#include "souk/base64.h"
#include "souk/guest.h"
#include "souk/id.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define NOW_S 1764028800

static souk_guest_keys_t s_keys(const char *text) {
    souk_guest_keys_t keys;
    cr_assert_eq(souk_guest_keys_parse(souk_str_of(text), &keys), SOUK_OK, "%s", text);
    return keys;
}

static souk_guest_t s_new(const souk_guest_keys_t *keys, char *token) {
    souk_guest_t guest;
    cr_assert_eq(souk_guest_new(keys, NOW_S + 60, &guest, token), SOUK_OK);
    return guest;
}

static souk_err_t s_check(const souk_guest_keys_t *keys, const char *token, int64_t now_s) {
    souk_guest_t guest = {.subject = "untouched"};
    souk_err_t err = souk_guest_check(keys, souk_str_of(token), now_s, &guest);
    cr_assert(err == SOUK_OK || strcmp(guest.subject, "untouched") == 0);
    return err;
}

Test(guest, a_token_opens_what_it_was_made_for) {
    souk_guest_keys_t keys = s_keys(KEY_A);
    char token[SOUK_GUEST_TOKEN_BYTES + 1];
    souk_guest_t made = s_new(&keys, token), seen;
    cr_assert(souk_id_valid(souk_str_of(made.subject), "gst_"));
    cr_assert_eq(strlen(token), SOUK_GUEST_TOKEN_BYTES);
    cr_assert_eq(souk_guest_check(&keys, souk_str_of(token), NOW_S, &seen), SOUK_OK);
    cr_assert_str_eq(seen.subject, made.subject);
    cr_assert_eq(seen.expires_s, NOW_S + 60);
}

Test(guest, it_ends) {
    souk_guest_keys_t keys = s_keys(KEY_A);
    char token[SOUK_GUEST_TOKEN_BYTES + 1];
    s_new(&keys, token);
    cr_assert_eq(s_check(&keys, token, NOW_S + 59), SOUK_OK);
    cr_assert_eq(s_check(&keys, token, NOW_S + 60), SOUK_ERR_UNAUTHENTICATED);
}

Test(guest, keys_rotate) {
    souk_guest_keys_t old = s_keys(KEY_A), both = s_keys(KEY_B "," KEY_A), new = s_keys(KEY_B);
    char before[SOUK_GUEST_TOKEN_BYTES + 1], after[SOUK_GUEST_TOKEN_BYTES + 1];
    s_new(&old, before);
    s_new(&both, after);
    cr_assert_eq(s_check(&both, before, NOW_S), SOUK_OK);
    cr_assert_eq(s_check(&both, after, NOW_S), SOUK_OK);
    cr_assert_eq(s_check(&new, after, NOW_S), SOUK_OK, "the first key signs");
    cr_assert_eq(s_check(&new, before, NOW_S), SOUK_ERR_UNAUTHENTICATED);
}

Test(guest, every_changed_character_is_noticed) {
    souk_guest_keys_t keys = s_keys(KEY_A);
    char token[SOUK_GUEST_TOKEN_BYTES + 1];
    s_new(&keys, token);
    for (size_t i = 0; i < SOUK_GUEST_TOKEN_BYTES; i++) {
        char was = token[i];
        const char others[] = {was == 'A' ? 'B' : 'A', '.', '=', '\0', (char)(was ^ 1)};
        for (size_t k = 0; k < sizeof(others); k++) {
            token[i] = others[k];
            souk_guest_t guest;
            souk_str_t text = {token, SOUK_GUEST_TOKEN_BYTES};
            bool same = others[k] == was;
            cr_assert_eq(souk_guest_check(&keys, text, NOW_S, &guest) == SOUK_OK, same,
                         "character %zu", i);
        }
        token[i] = was;
    }
}

Test(guest, every_other_length_is_none) {
    souk_guest_keys_t keys = s_keys(KEY_A);
    char token[SOUK_GUEST_TOKEN_BYTES + 2];
    s_new(&keys, token);
    token[SOUK_GUEST_TOKEN_BYTES] = 'A';
    souk_guest_t guest;
    for (size_t size = 0; size <= SOUK_GUEST_TOKEN_BYTES + 1; size++) {
        cr_assert_eq(souk_guest_check(&keys, (souk_str_t){token, size}, NOW_S, &guest) == SOUK_OK,
                     size == SOUK_GUEST_TOKEN_BYTES);
    }
    cr_assert_eq(souk_guest_check(&keys, (souk_str_t){NULL, 0}, NOW_S, &guest),
                 SOUK_ERR_UNAUTHENTICATED);
}

/* A payload that we signed but do not know the form of. */
Test(guest, another_version_is_none) {
    souk_guest_keys_t keys = s_keys(KEY_A);
    char token[SOUK_GUEST_TOKEN_BYTES + 1];
    s_new(&keys, token);
    uint8_t payload[35], mac[32];
    cr_assert_eq(souk_base64_decode((souk_str_t){token + 4, 47}, payload), SOUK_OK);
    payload[0] = 2;
    souk_base64_encode(payload, sizeof(payload), token + 4);
    crypto_auth_hmacsha256(mac, (const uint8_t *)token, 51, keys.keys[0]);
    souk_base64_encode(mac, sizeof(mac), token + 52);
    cr_assert_eq(s_check(&keys, token, NOW_S), SOUK_ERR_UNAUTHENTICATED);
}

Test(guest, the_signature_is_hmac_sha256_of_all_before_it) {
    souk_guest_keys_t keys = s_keys(KEY_A);
    char token[SOUK_GUEST_TOKEN_BYTES + 1], expected[43];
    s_new(&keys, token);
    uint8_t mac[32];
    crypto_auth_hmacsha256(mac, (const uint8_t *)token, 51, keys.keys[0]);
    souk_base64_encode(mac, sizeof(mac), expected);
    cr_assert_arr_eq(token + 52, expected, sizeof(expected));
}

Test(guest, without_keys_there_are_no_guests) {
    souk_guest_keys_t none = s_keys(""), keys = s_keys(KEY_A);
    char token[SOUK_GUEST_TOKEN_BYTES + 1], other[SOUK_GUEST_TOKEN_BYTES + 1];
    souk_guest_t guest;
    s_new(&keys, token);
    cr_assert_eq(s_check(&none, token, NOW_S), SOUK_ERR_UNAUTHENTICATED);
    cr_assert_eq(souk_guest_new(&none, NOW_S, &guest, other), SOUK_ERR_UNAVAILABLE);
}

Test(guest, keys_that_are_refused) {
    static const char *const bad[] = {
        "00",
        KEY_A ",",
        "," KEY_A,
        KEY_A ",," KEY_B,
        KEY_A KEY_B,
        KEY_A "," KEY_A,
        " " KEY_A,
        "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "0:0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        souk_guest_keys_t keys = {.count = 77};
        cr_assert_eq(souk_guest_keys_parse(souk_str_of(bad[i]), &keys), SOUK_ERR_MALFORMED, "%s",
                     bad[i]);
        cr_assert_eq(keys.count, 77, "untouched");
    }
    enum { MANY = SOUK_GUEST_KEYS_MAX + 1 };
    char many[MANY * 65 + 1];
    for (int i = 0; i < MANY; i++) {
        snprintf(many + i * 65, 66, "%02x%s,", i, &KEY_A[2]);
    }
    souk_guest_keys_t keys;
    cr_assert_eq(souk_guest_keys_parse((souk_str_t){many, MANY * 65 - 1}, &keys),
                 SOUK_ERR_MALFORMED);
    cr_assert_eq(souk_guest_keys_parse((souk_str_t){many, (MANY - 1) * 65 - 1}, &keys), SOUK_OK);
    cr_assert_eq(keys.count, SOUK_GUEST_KEYS_MAX);
    souk_guest_keys_done(&keys);
    cr_assert_eq(keys.count, 0);
}
