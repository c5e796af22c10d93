#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>

#include "gateway/keys.h"

#define SECRET "0123456789abcdef"

static souk_keys_t *s_set;

static void s_setup(void) {
    s_set = souk_keys_new();
}

static void s_teardown(void) {
    souk_keys_destroy(&s_set);
}

TestSuite(keys, .init = s_setup, .fini = s_teardown);

static bool s_add(const char *id, const char *subject, const souk_str_t *scopes, size_t count) {
    souk_key_t key = {.id = souk_str_of(id),
                      .subject = souk_str_of(subject),
                      .scopes = scopes,
                      .scopes_count = count};
    const char *cause = NULL;
    crypto_hash_sha256(key.hash, (const uint8_t *)SECRET, sizeof(SECRET) - 1);
    bool added = souk_keys_add(s_set, &key, &cause);
    cr_assert_eq(added, cause == NULL);
    return added;
}

static const souk_key_t *s_find(const char *text) {
    souk_key_token_t token;
    return souk_key_token_read(souk_str_of(text), &token) ? souk_keys_find(s_set, &token) : NULL;
}

Test(keys, a_set_holds_as_many_as_it_says) {
    char id[16], token[64];
    souk_str_t scopes[] = {SOUK_STR("orders:read"), SOUK_STR("stock:read")};
    for (int i = 0; i < SOUK_KEYS_MAX; i++) {
        snprintf(id, sizeof(id), "k%d", (i * 2654435761u) % 100000 * SOUK_KEYS_MAX + i);
        cr_assert(s_add(id, "usr_1", scopes, 2));
    }
    cr_assert_not(s_add("more", "usr_1", scopes, 2));
    cr_assert(souk_keys_seal(s_set));
    cr_assert_eq(souk_keys_count(s_set), SOUK_KEYS_MAX);
    for (int i = 0; i < SOUK_KEYS_MAX; i++) {
        snprintf(token, sizeof(token), "souk_k%d_" SECRET,
                 (i * 2654435761u) % 100000 * SOUK_KEYS_MAX + i);
        const souk_key_t *key = s_find(token);
        cr_assert(key != NULL && souk_key_has_scope(key, SOUK_STR("stock:read")), "%s", token);
    }
    cr_assert_null(s_find("souk_more_" SECRET));
}

Test(keys, an_id_stands_once) {
    cr_assert(s_add("one", "usr_1", NULL, 0));
    cr_assert(s_add("one", "usr_2", NULL, 0));
    cr_assert_not(souk_keys_seal(s_set));
}

Test(keys, what_cannot_be_a_key) {
    souk_str_t empty[] = {SOUK_STR("")}, many[SOUK_KEY_SCOPES_MAX + 1];
    char text[SOUK_KEY_SCOPE_BYTES_MAX + 2] = "";
    memset(text, 'a', sizeof(text) - 1);
    souk_str_t longer[] = {{text, SOUK_KEY_SCOPE_BYTES_MAX + 1}};
    for (size_t i = 0; i < SOUK_COUNT_OF(many); i++) {
        many[i] = SOUK_STR("a:b");
    }
    cr_assert_not(s_add("", "usr_1", NULL, 0));
    cr_assert_not(s_add("a_b", "usr_1", NULL, 0));
    cr_assert_not(s_add("01234567890123456789012345678901234567890", "usr_1", NULL, 0));
    cr_assert_not(s_add("a", "", NULL, 0));
    cr_assert_not(s_add("a", "usr 1", NULL, 0));
    cr_assert_not(s_add("a", "012345678901234567890123456789012345678901234", NULL, 0));
    cr_assert_not(s_add("a", "usr_1", empty, 1));
    cr_assert_not(s_add("a", "usr_1", longer, 1));
    cr_assert_not(s_add("a", "usr_1", many, SOUK_COUNT_OF(many)));
    cr_assert(s_add("a", "usr_1", many, SOUK_KEY_SCOPES_MAX));
    cr_assert(souk_keys_seal(s_set));
    cr_assert_eq(souk_keys_count(s_set), 1);
}

Test(keys, an_empty_set_knows_nobody) {
    cr_assert(souk_keys_seal(s_set));
    cr_assert_null(s_find("souk_a_" SECRET));
}
