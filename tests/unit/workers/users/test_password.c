/* The policy of new passwords, and their hashes. */
#include <criterion/criterion.h>

#include "password.h"

static souk_arena_t *s_arena;

static void s_setup(void) {
    s_arena = souk_arena_new(1 << 20, 0);
}

static void s_teardown(void) {
    souk_arena_destroy(&s_arena);
}

TestSuite(password, .init = s_setup, .fini = s_teardown);

static const char *s_objection(const char *text) {
    souk_str_t password;
    cr_assert_eq(users_password_form(s_arena, souk_str_of(text), &password), SOUK_OK);
    return users_password_objection(s_arena, password, SOUK_STR("ada.lovelace@example.com"));
}

Test(password, length_counts_code_points_after_composition) {
    cr_assert_not_null(s_objection("seven77"));
    cr_assert_null(s_objection("eight888"));
    cr_assert_null(s_objection("\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c-7"));
    cr_assert_not_null(s_objection("e\xcc\x81"
                                   "123456")); /* eight before, seven after */
    char text[4 * 129 + 1] = "";
    for (size_t i = 0; i < 64; i++) {
        strcat(text, "\xf0\x9f\x90\x88\xf0\x9f\x90\x95");
    }
    cr_assert_null(s_objection(text));
    strcat(text, "x");
    cr_assert_not_null(s_objection(text));
}

Test(password, what_guessers_try_first_is_refused) {
    static const char *const bad[] = {
        "password",
        "PassWord1",
        "QWERTYUIOP",
        "12345678",
        "aaaaaaaaaa",
        "\xc3\xa9\xc3\xa9"
        "\xc3\xa9\xc3\xa9"
        "\xc3\xa9\xc3\xa9"
        "\xc3\xa9\xc3\xa9",
        "ada.lovelace",
        "Ada.Lovelace@Example.com",
        "iloveyou",
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_not_null(s_objection(bad[i]), "%s", bad[i]);
    }
    cr_assert_null(s_objection("ada.lovelace likes looms"));
    cr_assert_null(s_objection("correct horse"));
}

Test(password, too_long_a_text_is_no_password) {
    char text[USERS_PASSWORD_BYTES_MAX + 1];
    memset(text, 'x', sizeof(text));
    souk_str_t password;
    cr_assert_eq(
        users_password_form(s_arena, (souk_str_t){.data = text, .size = sizeof(text)}, &password),
        SOUK_ERR_VALIDATION);
}

Test(password, a_hash_is_of_its_password_only_and_knows_its_parameters) {
    users_hasher_options_t options = {
        .operations = 1, .memory_bytes = 8192, .running_max = 1, .inside_max = 1, .wait_ms = 1000};
    users_hasher_t *hasher = users_hasher_new(&options);
    char hash[USERS_HASH_BYTES_MAX], other[USERS_HASH_BYTES_MAX];
    souk_str_t password = SOUK_STR("correct horse");
    cr_assert_eq(users_hasher_make(hasher, password, 1000, hash), SOUK_OK);
    cr_assert_eq(users_hasher_make(hasher, password, 1000, other), SOUK_OK);
    cr_assert_str_neq(hash, other);
    cr_assert(strncmp(hash, "$argon2id$", 10) == 0);
    bool right = false;
    cr_assert_eq(users_hasher_verify(hasher, souk_str_of(hash), password, 1000, &right), SOUK_OK);
    cr_assert(right);
    cr_assert_eq(
        users_hasher_verify(hasher, souk_str_of(hash), SOUK_STR("wrong horse"), 1000, &right),
        SOUK_OK);
    cr_assert(!right);
    uint64_t before = users_hasher_count(hasher);
    cr_assert_eq(users_hasher_verify(hasher, (souk_str_t){0}, password, 1000, &right), SOUK_OK);
    cr_assert(!right);
    cr_assert_eq(users_hasher_count(hasher), before + 1, "nobody's password costs the same");
    cr_assert(!users_hasher_outdated(hasher, souk_str_of(hash)));
    users_hasher_destroy(&hasher);
    options.operations = 2;
    hasher = users_hasher_new(&options);
    cr_assert(users_hasher_outdated(hasher, souk_str_of(hash)));
    cr_assert(users_hasher_outdated(hasher, SOUK_STR("not a hash")));
    cr_assert_eq(users_hasher_verify(hasher, souk_str_of(hash), password, 1000, &right), SOUK_OK);
    cr_assert(right, "an older hash still opens");
    users_hasher_destroy(&hasher);
}
