/* Opaque tokens: form, hashes, and what is refused. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "token.h"

static const char s_session[] = "ses_01JD3YV4M8Q6T0R7ZK5N2X9W1B";

Test(token, a_hash_is_sha256) {
    static const uint8_t expected[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    users_hash_t hash = users_hash_of(SOUK_STR("abc"));
    cr_assert_eq(memcmp(hash.bytes, expected, sizeof(expected)), 0);
    cr_assert(users_hash_matches(&hash, users_hash_str(&hash)));
    cr_assert(!users_hash_matches(&hash, (souk_str_t){0}));
    cr_assert(!users_hash_matches(&hash, (souk_str_t){.data = (char *)hash.bytes, .size = 31}));
}

Test(token, one_time_tokens_differ_and_hash_as_they_are_sent) {
    char one[USERS_ONE_TIME_CHARS + 1], two[USERS_ONE_TIME_CHARS + 1];
    users_hash_t hash;
    users_one_time_make("spr_", one, &hash);
    cr_assert_eq(strlen(one), USERS_ONE_TIME_CHARS);
    cr_assert_eq(strncmp(one, "spr_", 4), 0);
    users_hash_t again = users_hash_of(souk_str_of(one));
    cr_assert(users_hash_matches(&again, users_hash_str(&hash)));
    users_one_time_make("spr_", two, &hash);
    cr_assert_str_neq(one, two);
}

Test(token, a_refresh_token_names_its_session_and_keeps_its_family) {
    char first[USERS_REFRESH_CHARS + 1], second[USERS_REFRESH_CHARS + 1];
    users_refresh_t made, parsed, next;
    uint8_t family[16];
    users_refresh_make(s_session, NULL, first, &made);
    cr_assert_eq(strlen(first), USERS_REFRESH_CHARS);
    cr_assert(users_refresh_parse(souk_str_of(first), &parsed, family));
    cr_assert_str_eq(parsed.session, s_session);
    cr_assert(users_hash_matches(&parsed.family, users_hash_str(&made.family)));
    cr_assert(users_hash_matches(&parsed.current, users_hash_str(&made.current)));
    users_refresh_make(s_session, family, second, &next);
    cr_assert(users_hash_matches(&next.family, users_hash_str(&made.family)));
    cr_assert(!users_hash_matches(&next.current, users_hash_str(&made.current)));
}

Test(token, what_is_no_refresh_token_is_refused) {
    char text[USERS_REFRESH_CHARS + 1], bad[USERS_REFRESH_CHARS + 1];
    users_refresh_t refresh;
    uint8_t family[16];
    users_refresh_make(s_session, NULL, text, &refresh);
    cr_assert(!users_refresh_parse(SOUK_STR(""), &refresh, family));
    cr_assert(!users_refresh_parse((souk_str_t){.data = text, .size = USERS_REFRESH_CHARS - 1},
                                   &refresh, family));
    for (size_t i = 0; i < USERS_REFRESH_CHARS; i++) {
        memcpy(bad, text, sizeof(bad));
        bad[i] = '~';
        cr_assert(!users_refresh_parse(souk_str_of(bad), &refresh, family), "%zu", i);
    }
}

Test(token, an_api_key_is_as_the_gateway_reads_it) {
    char text[SOUK_ID_BYTES_MAX + USERS_SECRET_CHARS + 8];
    users_hash_t hash;
    users_api_key_make("key_01JD3YV4M8Q6T0R7ZK5N2X9W1B", text, &hash);
    cr_assert_eq(strncmp(text, "souk_01JD3YV4M8Q6T0R7ZK5N2X9W1B_", 32), 0);
    cr_assert_eq(strlen(text), 32 + USERS_SECRET_CHARS);
    users_hash_t of_secret = users_hash_of(souk_str_of(text + 32));
    cr_assert(users_hash_matches(&of_secret, users_hash_str(&hash)));
}

Test(token, recovery_codes_are_read_as_people_type_them) {
    char text[USERS_RECOVERY_CHARS + 1], code[USERS_RECOVERY_BYTES], typed[USERS_RECOVERY_BYTES];
    users_recovery_make(text);
    cr_assert_eq(strlen(text), USERS_RECOVERY_CHARS);
    cr_assert(users_recovery_form(souk_str_of(text), code));
    cr_assert(users_recovery_form(SOUK_STR(" oi23 4567-89ab-cdef "), typed));
    cr_assert_eq(memcmp(typed, "0123456789ABCDEF", sizeof(typed)), 0);
    static const char *const bad[] = {"", "0123-4567-89AB-CDE", "0123-4567-89AB-CDEFG",
                                      "0123-4567-89AB-CDEU"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert(!users_recovery_form(souk_str_of(bad[i]), code), "%s", bad[i]);
    }
}
