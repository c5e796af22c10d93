#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/token_cache.h"

static souk_token_cache_t *s_cache;

static void s_teardown(void) {
    souk_token_cache_destroy(&s_cache);
}

TestSuite(token_cache, .fini = s_teardown);

/* number chooses the row, other the entry in it. */
static const uint8_t *s_hash(uint32_t number, uint32_t other) {
    static uint8_t hash[SOUK_TOKEN_HASH_BYTES];
    memset(hash, 0, sizeof(hash));
    memcpy(hash, &number, sizeof(number));
    memcpy(hash + 16, &other, sizeof(other));
    return hash;
}

static void s_put(uint32_t number, uint32_t other, int64_t until_s, int64_t now_s) {
    char subject[24];
    snprintf(subject, sizeof(subject), "usr_%u_%u", number, other);
    const souk_token_t token = {.roles = other,
                                .until_s = until_s,
                                .subject = souk_str_of(subject),
                                .principal = SOUK_STR("principal")};
    souk_token_cache_put(s_cache, s_hash(number, other), &token, now_s);
}

static bool s_has(uint32_t number, uint32_t other, int64_t now_s) {
    souk_token_t token;
    char subject[24];
    snprintf(subject, sizeof(subject), "usr_%u_%u", number, other);
    if (!souk_token_cache_get(s_cache, s_hash(number, other), now_s, &token)) {
        return false;
    }
    cr_assert(souk_str_equal(token.subject, souk_str_of(subject)));
    cr_assert(souk_str_equal(token.principal, SOUK_STR("principal")));
    cr_assert_eq(token.roles, other);
    return true;
}

Test(token_cache, finds_what_was_put_until_it_ends) {
    s_cache = souk_token_cache_new(64, 16);
    s_put(1, 1, 100, 50);
    cr_assert(s_has(1, 1, 50));
    cr_assert(s_has(1, 1, 99));
    cr_assert_not(s_has(1, 1, 100));
    cr_assert_not(s_has(1, 2, 50));
    cr_assert_not(s_has(2, 1, 50));
}

Test(token_cache, a_full_row_loses_what_was_used_longest_ago) {
    s_cache = souk_token_cache_new(8, 16);
    for (uint32_t i = 0; i < SOUK_TOKEN_CACHE_WAYS; i++) {
        s_put(0, i, 100, 1);
    }
    for (uint32_t i = 0; i < SOUK_TOKEN_CACHE_WAYS; i++) {
        cr_assert(i == 3 || s_has(0, i, 1));
    }
    s_put(0, 77, 100, 1);
    cr_assert(s_has(0, 77, 1));
    for (uint32_t i = 0; i < SOUK_TOKEN_CACHE_WAYS; i++) {
        cr_assert_eq(s_has(0, i, 1), i != 3, "%u", i);
    }
}

Test(token_cache, what_has_ended_goes_first) {
    s_cache = souk_token_cache_new(8, 16);
    for (uint32_t i = 0; i < SOUK_TOKEN_CACHE_WAYS; i++) {
        s_put(0, i, i == 5 ? 10 : 100, 1);
    }
    s_put(0, 77, 100, 20);
    for (uint32_t i = 0; i < SOUK_TOKEN_CACHE_WAYS; i++) {
        cr_assert_eq(s_has(0, i, 20), i != 5, "%u", i);
    }
}

Test(token_cache, it_never_holds_more_than_its_bound) {
    s_cache = souk_token_cache_new(100, 16);
    for (uint32_t i = 0; i < 10000; i++) {
        s_put(i * 2654435761u, i, 100, 1);
    }
    size_t held = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        held += s_has(i * 2654435761u, i, 1) ? 1 : 0;
    }
    cr_assert(held > 64 && held <= 128, "%zu", held);
}

Test(token_cache, the_same_token_takes_one_entry) {
    s_cache = souk_token_cache_new(8, 16);
    s_put(0, 1, 100, 1);
    for (uint32_t i = 0; i < 100; i++) {
        s_put(0, 2, 100 + i, 1);
    }
    cr_assert(s_has(0, 1, 1));
    cr_assert(s_has(0, 2, 150));
}

Test(token_cache, what_does_not_fit_is_not_kept) {
    s_cache = souk_token_cache_new(8, 4);
    s_put(0, 1, 100, 1);
    cr_assert_not(s_has(0, 1, 1));
}

Test(token_cache, is_empty_after_clear_and_without_room) {
    s_cache = souk_token_cache_new(8, 16);
    s_put(0, 1, 100, 1);
    souk_token_cache_clear(s_cache);
    cr_assert_not(s_has(0, 1, 1));
    souk_token_cache_destroy(&s_cache);
    s_cache = souk_token_cache_new(0, 16);
    s_put(0, 1, 100, 1);
    cr_assert_not(s_has(0, 1, 1));
    souk_token_cache_clear(s_cache);
}
