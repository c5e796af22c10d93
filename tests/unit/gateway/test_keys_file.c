#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/keys_file.h"
#include "souk/mp.h"

/* SHA-256 of "0123456789abcdef" and "fedcba9876543210" */
#define HASH_A "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"
#define HASH_B "3465f6e6975baa864ca957f0914ecda9bf7eb601ac31ac20a5dc3d329279a843"
#define TOKEN_A "souk_one_0123456789abcdef"
#define TOKEN_B "souk_two-2_fedcba9876543210"

static souk_keys_file_t *s_file;
static char s_path[] = "souk-keys-XXXXXX";

static void s_setup(void) {
    int fd = mkstemp(s_path);
    cr_assert(fd >= 0);
    close(fd);
    unlink(s_path);
    s_file = souk_keys_file_new(s_path);
}

static void s_teardown(void) {
    souk_keys_file_destroy(&s_file);
    unlink(s_path);
}

TestSuite(keys_file, .init = s_setup, .fini = s_teardown);

static souk_keys_change_t s_parse(const char *text) {
    const char *cause = NULL;
    souk_keys_change_t change = souk_keys_file_parse(s_file, souk_str_of(text), &cause);
    cr_assert_eq(cause != NULL, change == SOUK_KEYS_BAD, "%s", text);
    return change;
}

static const souk_key_t *s_find(const char *text) {
    souk_key_token_t token;
    return souk_key_token_read(souk_str_of(text), &token)
               ? souk_keys_find(souk_keys_file_set(s_file), &token)
               : NULL;
}

static bool s_has(const char *text, const char *scope) {
    const souk_key_t *key = s_find(text);
    return key != NULL && souk_key_has_scope(key, souk_str_of(scope));
}

#define TWO_KEYS                                                                                   \
    "{\"keys\": [{\"id\": \"two-2\", \"sha256\": \"" HASH_B                                        \
    "\", \"scopes\": [\"*\"], \"name\": \"everything\"},"                                          \
    "{\"id\":\"one\",\"sha256\":\"" HASH_A "\",\"scopes\":[\"catalog:read\",\"orders:read\"]}]}"

Test(keys_file, knows_keys_by_secret_and_scope) {
    cr_assert_eq(s_parse(TWO_KEYS), SOUK_KEYS_LOADED);
    cr_assert_eq(souk_keys_count(souk_keys_file_set(s_file)), 2);
    cr_assert(s_has(TOKEN_A, "catalog:read"));
    cr_assert(s_has(TOKEN_A, "orders:read"));
    cr_assert_not(s_has(TOKEN_A, "catalog:write"));
    cr_assert_not(s_has(TOKEN_A, "catalog:rea"));
    cr_assert(s_has(TOKEN_B, "catalog:write"));
}

Test(keys_file, refuses_all_else) {
    cr_assert_eq(s_parse(TWO_KEYS), SOUK_KEYS_LOADED);
    const char *bad[] = {"",
                         "souk_",
                         "souk_one",
                         "souk_one_",
                         "souk_one_0123456789abcde",
                         "souk_one_0123456789abcdeg",
                         "souk_two-2_0123456789abcdef",
                         "souk_none_0123456789abcdef",
                         "Souk_one_0123456789abcdef",
                         "xsouk_one_0123456789abcdef",
                         "souk_one_0123456789abcdef x",
                         "souk__0123456789abcdef"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_null(s_find(bad[i]), "%s", bad[i]);
    }
}

Test(keys_file, tells_the_worker_who_asks) {
    cr_assert_eq(s_parse(TWO_KEYS), SOUK_KEYS_LOADED);
    const souk_key_t *key = s_find(TOKEN_A);
    cr_assert_not_null(key);
    souk_mp_cursor_t cursor;
    uint32_t count = 0;
    souk_str_t text;
    souk_mp_cursor_init(&cursor, key->principal.data, key->principal.size);
    cr_assert_eq(souk_mp_read_map(&cursor, &count), SOUK_OK);
    cr_assert_eq(count, 3);
    const char *expected[] = {"sub", "key_one", "kind", "api_key", "scopes"};
    for (size_t i = 0; i < SOUK_COUNT_OF(expected); i++) {
        cr_assert_eq(souk_mp_read_str(&cursor, &text), SOUK_OK);
        cr_assert(souk_str_equal(text, souk_str_of(expected[i])));
    }
    cr_assert_eq(souk_mp_read_array(&cursor, &count), SOUK_OK);
    cr_assert_eq(count, 2);
}

Test(keys_file, keeps_its_keys_when_a_file_is_bad) {
    cr_assert_eq(s_parse(TWO_KEYS), SOUK_KEYS_LOADED);
    const char *bad[] = {"",
                         "[]",
                         "{}",
                         "{\"keys\":[]",
                         "{\"keys\":[]} x",
                         "{\"keys\":{}}",
                         "{\"keys\":[1]}",
                         "{\"keys\":[{}]}",
                         "{\"keys\":[{\"id\":\"a\"}]}",
                         "{\"keys\":[{\"sha256\":\"" HASH_A "\"}]}",
                         "{\"keys\":[{\"id\":\"a_b\",\"sha256\":\"" HASH_A "\"}]}",
                         "{\"keys\":[{\"id\":\"\",\"sha256\":\"" HASH_A "\"}]}",
                         "{\"keys\":[{\"id\":\"a\",\"sha256\":\"12\"}]}",
                         "{\"keys\":[{\"id\":\"a\",\"sha256\":\"z" HASH_A "\"}]}",
                         "{\"keys\":[{\"id\":\"a\",\"sha256\":\"" HASH_A "\",\"scopes\":\"*\"}]}",
                         "{\"keys\":[{\"id\":\"a\",\"sha256\":\"" HASH_A "\",\"scopes\":[1]}]}",
                         "{\"keys\":[{\"id\":\"a\",\"sha256\":\"" HASH_A "\",\"x\":1}]}",
                         "{\"keys\":[{\"id\":\"a\",\"sha256\":\"" HASH_A
                         "\"},{\"id\":\"a\",\"sha256\":\"" HASH_A "\"}]}",
                         "{\"keys\":[],\"more\":1}"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_eq(s_parse(bad[i]), SOUK_KEYS_BAD, "%s", bad[i]);
        cr_assert(s_has(TOKEN_A, "catalog:read"));
    }
    cr_assert_eq(s_parse("{\"keys\":[]}"), SOUK_KEYS_LOADED);
    cr_assert_null(s_find(TOKEN_A));
}

/* As a careful operator does: a new file under another name, then renamed. */
static void s_replace(const char *text) {
    char name[64];
    snprintf(name, sizeof(name), "%s.new", s_path);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    cr_assert_eq(rename(name, s_path), 0);
}

Test(keys_file, follows_the_file) {
    const char *cause = NULL;
    cr_assert_eq(souk_keys_file_refresh(s_file, &cause), SOUK_KEYS_GONE);
    cr_assert_eq(souk_keys_file_refresh(s_file, &cause), SOUK_KEYS_SAME);
    s_replace(TWO_KEYS);
    cr_assert_eq(souk_keys_file_refresh(s_file, &cause), SOUK_KEYS_LOADED);
    cr_assert_eq(souk_keys_file_refresh(s_file, &cause), SOUK_KEYS_SAME);
    cr_assert(s_has(TOKEN_A, "catalog:read"));
    s_replace("{\"keys\":[");
    cr_assert_eq(souk_keys_file_refresh(s_file, &cause), SOUK_KEYS_BAD);
    cr_assert_not_null(cause);
    cr_assert_eq(souk_keys_file_refresh(s_file, &cause), SOUK_KEYS_SAME);
    cr_assert(s_has(TOKEN_A, "catalog:read"));
    unlink(s_path);
    cr_assert_eq(souk_keys_file_refresh(s_file, &cause), SOUK_KEYS_GONE);
    cr_assert_null(s_find(TOKEN_A));
}
