#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/auth.h"
#include "gateway/jwt.h"
#include "gateway/principal.h"
#include "gen/roles.h"
#include "signer.h"
#include "souk/mp.h"

#define NOW_S 1764028800
#define STALE_US 10000000
#define SECRET "0123456789abcdef"

static signer_t s_signer;
static souk_trust_board_t s_board;
static souk_guest_keys_t s_guest_keys;
static souk_auth_t *s_auth;
static souk_buf_t s_reply;
static souk_identity_t s_who;
static char s_path[] = "souk-auth-XXXXXX";
static int64_t s_now_us = 1000000000;

static void s_new(bool has_source, size_t cache_count) {
    s_auth = souk_auth_new(&(souk_auth_options_t){.keys_file = s_path,
                                                  .guest_keys = &s_guest_keys,
                                                  .board = &s_board,
                                                  .has_source = has_source,
                                                  .skew_s = 5,
                                                  .stale_us = STALE_US,
                                                  .cache_count = cache_count});
}

static void s_setup(void) {
    int fd = mkstemp(s_path);
    static const char file[] =
        "{\"keys\":[{\"id\":\"first\",\"scopes\":[\"catalog:write\"],\"sha256\":"
        "\"9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f\"}]}";
    cr_assert(fd >= 0 && write(fd, file, sizeof(file) - 1) == (ssize_t)sizeof(file) - 1);
    close(fd);
    signer_init(&s_signer);
    souk_trust_board_init(&s_board);
    souk_buf_init(&s_reply, 2 * 1024 * 1024);
    s_guest_keys = (souk_guest_keys_t){.count = 1, .keys = {"0123456789abcdef0123456789abcde"}};
    s_new(true, 64);
}

static void s_teardown(void) {
    souk_auth_destroy(&s_auth);
    souk_trust_board_done(&s_board);
    souk_buf_done(&s_reply);
    signer_done(&s_signer);
    unlink(s_path);
}

TestSuite(auth, .init = s_setup, .fini = s_teardown);

/* The source answers what stands in s_reply, and the thread looks. */
static void s_publish(void) {
    souk_trust_t *trust = NULL;
    cr_assert_eq(souk_trust_read(souk_buf_str(&s_reply), &trust), SOUK_OK);
    if (trust != NULL) {
        souk_trust_board_put(&s_board, &trust, s_now_us);
    }
    atomic_store(&s_board.heard_us, s_now_us);
    souk_auth_refresh(s_auth, s_now_us);
    souk_buf_clear(&s_reply);
}

static void s_publish_key(const char *kid) {
    signer_write_reply(&s_signer, kid, 1, &s_reply);
    s_publish();
}

static souk_auth_outcome_t s_ask(const char *token, int64_t now_s) {
    char header[SIGNER_TOKEN_BYTES_MAX + 8];
    snprintf(header, sizeof(header), "Bearer %s", token);
    return souk_auth_identify(s_auth, souk_str_of(header), now_s, &s_who);
}

static const char *s_token(const char *roles, int64_t expires_s) {
    return signer_sign(&s_signer, SIGNER_HEADER, signer_claims(roles, NOW_S, expires_s));
}

/* ---- users ---- */

Test(auth, a_user_is_known_by_an_access_token) {
    s_publish_key("k1");
    for (int i = 0; i < 2; i++) { /* verified, then from the cache */
        cr_assert_eq(s_ask(s_token("\"staff\"", NOW_S + 600), NOW_S), SOUK_AUTH_GOOD);
        cr_assert_eq(s_who.who, SOUK_WHO_USER);
        cr_assert(souk_str_equal(s_who.id, SOUK_STR(SIGNER_USER)));
        cr_assert_eq(s_who.roles, 1u << SOUK_USER_ROLE_STAFF);
        cr_assert_eq(s_who.until_s, NOW_S + 605);
        souk_buf_t expected;
        souk_buf_init(&expected, 4096);
        souk_principal_write_user(&expected, SOUK_STR(SIGNER_USER), SOUK_STR(SIGNER_SESSION),
                                  1u << SOUK_USER_ROLE_STAFF);
        cr_assert(souk_str_equal(s_who.principal, souk_buf_str(&expected)));
        souk_buf_done(&expected);
    }
}

/* The cache does not make a token live longer, nor does time stand still for it. */
Test(auth, a_cached_token_ends_when_it_would) {
    s_publish_key("k1");
    char token[SOUK_JWT_BYTES_MAX];
    snprintf(token, sizeof(token), "%s", s_token("", NOW_S + 600));
    cr_assert_eq(s_ask(token, NOW_S - 6), SOUK_AUTH_INVALID, "not yet");
    cr_assert_eq(s_ask(token, NOW_S - 5), SOUK_AUTH_GOOD);
    cr_assert_eq(s_ask(token, NOW_S + 604), SOUK_AUTH_GOOD);
    cr_assert_eq(s_ask(token, NOW_S + 605), SOUK_AUTH_EXPIRED);
    cr_assert_eq(s_ask(token, NOW_S + 100000), SOUK_AUTH_EXPIRED);
}

Test(auth, works_without_a_cache) {
    souk_auth_destroy(&s_auth);
    s_new(true, 0);
    s_publish_key("k1");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(s_ask(s_token("", NOW_S + 600), NOW_S), SOUK_AUTH_GOOD);
        cr_assert(souk_str_equal(s_who.id, SOUK_STR(SIGNER_USER)));
    }
}

Test(auth, a_key_that_left_the_set_signs_no_more) {
    s_publish_key("k1");
    char token[SOUK_JWT_BYTES_MAX];
    snprintf(token, sizeof(token), "%s", s_token("", NOW_S + 600));
    uint64_t before = souk_auth_generation(s_auth);
    cr_assert_eq(s_ask(token, NOW_S), SOUK_AUTH_GOOD);
    cr_assert_not(atomic_load(&s_board.wanted));
    s_publish_key("k2");
    cr_assert_neq(souk_auth_generation(s_auth), before);
    cr_assert_eq(s_ask(token, NOW_S), SOUK_AUTH_INVALID);
    cr_assert(atomic_load(&s_board.wanted), "somebody should ask for k1");
    cr_assert_eq(
        s_ask(signer_sign(&s_signer, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k2\"}",
                          signer_claims("", NOW_S, NOW_S + 60)),
              NOW_S),
        SOUK_AUTH_GOOD);
}

/* kid names a key, it does not make one good: another's key under a known name. */
Test(auth, a_forged_token_is_none) {
    signer_t forger;
    signer_init(&forger);
    s_publish_key("k1");
    cr_assert_eq(
        s_ask(signer_sign(&forger, SIGNER_HEADER, signer_claims("\"admin\"", NOW_S, NOW_S + 600)),
              NOW_S),
        SOUK_AUTH_INVALID);
    cr_assert_eq(s_who.principal.data, NULL);
    signer_done(&forger);
}

Test(auth, garbage_is_invalid) {
    s_publish_key("k1");
    static const char *const bad[] = {"eyJ",
                                      "eyJ.",
                                      "eyJ..",
                                      "eyJ...",
                                      "eyJhbGciOiJub25lIn0.e30.",
                                      "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_eq(s_ask(bad[i], NOW_S), SOUK_AUTH_INVALID, "%s", bad[i]);
        cr_assert_eq(s_who.who, SOUK_WHO_USER);
    }
    char longer[4000];
    memset(longer, 'A', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memcpy(longer, "eyJ", 3);
    cr_assert_eq(s_ask(longer, NOW_S), SOUK_AUTH_INVALID);
}

/* ---- keys ---- */

static void s_write_api_key(const char *id, const char *subject, const char *scope) {
    uint8_t hash[32];
    crypto_hash_sha256(hash, (const uint8_t *)SECRET, sizeof(SECRET) - 1);
    souk_mp_write_map(&s_reply, 5);
    souk_mp_write_str(&s_reply, SOUK_STR("id"));
    souk_mp_write_str(&s_reply, souk_str_of(id));
    souk_mp_write_str(&s_reply, SOUK_STR("sha256"));
    souk_mp_write_bin(&s_reply, (souk_str_t){(const char *)hash, sizeof(hash)});
    souk_mp_write_str(&s_reply, SOUK_STR("name"));
    souk_mp_write_nil(&s_reply);
    souk_mp_write_str(&s_reply, SOUK_STR("subject"));
    souk_mp_write_str(&s_reply, souk_str_of(subject));
    souk_mp_write_str(&s_reply, SOUK_STR("scopes"));
    souk_mp_write_array(&s_reply, 1);
    souk_mp_write_str(&s_reply, souk_str_of(scope));
}

static void s_begin_api_keys(uint32_t count) {
    souk_mp_write_map(&s_reply, 2);
    souk_mp_write_str(&s_reply, SOUK_STR("revision"));
    souk_mp_write_int(&s_reply, 3);
    souk_mp_write_str(&s_reply, SOUK_STR("api_keys"));
    souk_mp_write_array(&s_reply, count);
}

Test(auth, an_api_key_is_its_subject_until_it_is_revoked) {
    s_begin_api_keys(2);
    s_write_api_key("a", "usr_1", "orders:read");
    s_write_api_key("b", "usr_2", "orders:read");
    s_publish();
    cr_assert_eq(s_ask("souk_a_" SECRET, NOW_S), SOUK_AUTH_GOOD);
    cr_assert_eq(s_who.who, SOUK_WHO_API_KEY);
    cr_assert(souk_str_equal(s_who.id, SOUK_STR("a")));
    cr_assert(souk_str_equal(s_who.key->subject, SOUK_STR("usr_1")));
    cr_assert_eq(s_ask("souk_a_0123456789abcdeg", NOW_S), SOUK_AUTH_INVALID);
    uint64_t before = souk_auth_generation(s_auth);
    s_begin_api_keys(1);
    s_write_api_key("b", "usr_2", "orders:read");
    s_publish();
    cr_assert_neq(souk_auth_generation(s_auth), before);
    cr_assert_eq(s_ask("souk_a_" SECRET, NOW_S), SOUK_AUTH_INVALID);
    cr_assert_eq(s_ask("souk_b_" SECRET, NOW_S), SOUK_AUTH_GOOD);
}

Test(auth, as_many_api_keys_as_there_may_be) {
    char text[64];
    s_begin_api_keys(SOUK_KEYS_MAX + 2);
    for (int i = 0; i < SOUK_KEYS_MAX + 2; i++) {
        snprintf(text, sizeof(text), "key-%d", i);
        s_write_api_key(text, "usr_1", "orders:read");
    }
    souk_trust_t *trust = NULL;
    cr_assert_eq(souk_trust_read(souk_buf_str(&s_reply), &trust), SOUK_OK);
    cr_assert_eq(souk_trust_facts(trust).api_keys_count, SOUK_KEYS_MAX);
    cr_assert_eq(souk_trust_facts(trust).skipped, 2);
    souk_trust_unref(&trust);
    s_publish();
    for (int i = 0; i < SOUK_KEYS_MAX; i++) {
        snprintf(text, sizeof(text), "souk_key-%d_" SECRET, i);
        cr_assert_eq(s_ask(text, NOW_S), SOUK_AUTH_GOOD, "%s", text);
    }
}

Test(auth, a_bad_row_does_not_keep_the_others_out) {
    s_begin_api_keys(3);
    s_write_api_key("under_score", "usr_1", "orders:read");
    s_write_api_key("good", "usr_1", "orders:read");
    s_write_api_key("", "usr_1", "orders:read");
    s_publish();
    cr_assert_eq(s_ask("souk_good_" SECRET, NOW_S), SOUK_AUTH_GOOD);
}

Test(auth, replies_that_are_refused) {
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"", 0},
        {"\x80", 1},                                  /* no revision */
        {"\x90", 1},                                  /* a list */
        {"\x81\xa8revision\xa1x", 12},                /* text */
        {"\x81\xa8revision\x01\x01", 12},             /* more behind it */
        {"\x81\xa8revision", 9},                      /* cut */
        {"\x82\xa8revision\x01\xa4keys\x91\x90", 18}, /* a key that is a list */
        {"\x82\xa8revision\x01\xa8"
         "api_keys\xdd\xff\xff\xff\xff",
         25},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        souk_trust_t *trust = NULL;
        cr_assert_eq(souk_trust_read((souk_str_t){bad[i].bytes, bad[i].size}, &trust),
                     SOUK_ERR_BAD_REPLY, "%zu", i);
        cr_assert_null(trust);
    }
    souk_trust_t *trust = NULL;
    s_begin_api_keys(2);
    s_write_api_key("a", "usr_1", "x:y");
    s_write_api_key("a", "usr_2", "x:y");
    cr_assert_eq(souk_trust_read(souk_buf_str(&s_reply), &trust), SOUK_ERR_BAD_REPLY);
}

Test(auth, unchanged_is_a_few_bytes_and_nothing_new) {
    static const char unchanged[] = "\x82\xa8revision\x05\xa9unchanged\xc3";
    souk_trust_t *trust = (souk_trust_t *)&s_board;
    cr_assert_eq(souk_trust_read((souk_str_t){unchanged, sizeof(unchanged) - 1}, &trust), SOUK_OK);
    cr_assert_null(trust);
}

/* ---- what is known ---- */

Test(auth, before_the_first_answer_nobody_can_be_told) {
    cr_assert_not(souk_auth_knows_keys(s_auth));
    cr_assert_eq(s_ask(s_token("", NOW_S + 600), NOW_S), SOUK_AUTH_UNAVAILABLE);
    cr_assert_eq(s_ask("souk_a_" SECRET, NOW_S), SOUK_AUTH_UNAVAILABLE);
    cr_assert_eq(s_ask("souk__" SECRET, NOW_S), SOUK_AUTH_INVALID, "no key of any kind");
    s_publish_key("k1");
    cr_assert(souk_auth_knows_keys(s_auth));
    cr_assert_eq(s_ask(s_token("", NOW_S + 600), NOW_S), SOUK_AUTH_GOOD);
}

Test(auth, an_old_answer_stands_for_a_while) {
    s_publish_key("k1");
    char token[SOUK_JWT_BYTES_MAX];
    snprintf(token, sizeof(token), "%s", s_token("", NOW_S + 600));
    souk_auth_refresh(s_auth, s_now_us + STALE_US);
    cr_assert_eq(s_ask(token, NOW_S), SOUK_AUTH_GOOD);
    uint64_t before = souk_auth_generation(s_auth);
    souk_auth_refresh(s_auth, s_now_us + STALE_US + 1);
    cr_assert_eq(s_ask(token, NOW_S), SOUK_AUTH_UNAVAILABLE, "cached or not");
    cr_assert_neq(souk_auth_generation(s_auth), before);
    atomic_store(&s_board.heard_us, s_now_us + STALE_US);
    souk_auth_refresh(s_auth, s_now_us + STALE_US + 1);
    cr_assert_eq(s_ask(token, NOW_S), SOUK_AUTH_GOOD);
}

Test(auth, the_file_needs_no_source) {
    const char *cause = NULL;
    cr_assert_eq(souk_auth_refresh_file(s_auth, &cause), SOUK_KEYS_LOADED);
    cr_assert_eq(s_ask("souk_first_" SECRET, NOW_S), SOUK_AUTH_GOOD);
    cr_assert(souk_str_equal(s_who.key->subject, SOUK_STR("key_first")));
    uint64_t before = souk_auth_generation(s_auth);
    unlink(s_path);
    cr_assert_eq(souk_auth_refresh_file(s_auth, &cause), SOUK_KEYS_GONE);
    cr_assert_neq(souk_auth_generation(s_auth), before);
    cr_assert_eq(s_ask("souk_first_" SECRET, NOW_S), SOUK_AUTH_UNAVAILABLE);
}

Test(auth, without_a_source_there_are_no_users) {
    souk_auth_destroy(&s_auth);
    s_new(false, 64);
    cr_assert(souk_auth_knows_keys(s_auth));
    cr_assert_eq(s_ask(s_token("", NOW_S + 600), NOW_S), SOUK_AUTH_INVALID);
    cr_assert_eq(s_ask("souk_a_" SECRET, NOW_S), SOUK_AUTH_INVALID);
}

/* ---- guests, and others ---- */

Test(auth, a_guest_is_known_by_a_guest_token) {
    souk_guest_t guest;
    char token[SOUK_GUEST_TOKEN_BYTES + 1];
    cr_assert_eq(souk_guest_new(&s_guest_keys, NOW_S + 60, &guest, token), SOUK_OK);
    cr_assert_eq(s_ask(token, NOW_S), SOUK_AUTH_GOOD, "no source is needed");
    cr_assert_eq(s_who.who, SOUK_WHO_GUEST);
    cr_assert(souk_str_equal(s_who.id, souk_str_of(guest.subject)));
    cr_assert_eq(s_who.until_s, NOW_S + 60);
    cr_assert_eq(s_ask(token, NOW_S + 60), SOUK_AUTH_INVALID);
    token[60] ^= 1;
    cr_assert_eq(s_ask(token, NOW_S), SOUK_AUTH_INVALID);
}

Test(auth, other_headers_are_nobody) {
    static const char *const bad[] = {"",
                                      "Bearer",
                                      "Bearer ",
                                      "Bearer x",
                                      "Basic Zm9vOmJhcg==",
                                      "Bearersouk_first_" SECRET,
                                      "Bearer\tsouk_first_" SECRET,
                                      "souk_first_" SECRET};
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_eq(souk_auth_identify(s_auth, souk_str_of(bad[i]), NOW_S, &s_who),
                     SOUK_AUTH_INVALID, "%s", bad[i]);
        cr_assert_eq(s_who.who, SOUK_WHO_UNKNOWN);
    }
    cr_assert_eq(souk_auth_identify(s_auth, (souk_str_t){NULL, 0}, NOW_S, &s_who),
                 SOUK_AUTH_MISSING);
    cr_assert_eq(s_who.who, SOUK_WHO_NOBODY);
    const char *cause;
    cr_assert_eq(souk_auth_refresh_file(s_auth, &cause), SOUK_KEYS_LOADED);
    cr_assert_eq(souk_auth_identify(s_auth, SOUK_STR("bEARER   souk_first_" SECRET), NOW_S, &s_who),
                 SOUK_AUTH_GOOD, "the scheme's case and more spaces do not matter");
}

/* ---- who may ---- */

Test(auth, each_kind_lets_in_whom_it_says) {
    const souk_str_t scopes[] = {SOUK_STR("orders:read")};
    const souk_key_t key = {.scopes = scopes, .scopes_count = 1};
    const souk_identity_t nobody = {.who = SOUK_WHO_NOBODY}, guest = {.who = SOUK_WHO_GUEST},
                          customer = {.who = SOUK_WHO_USER, .roles = 1},
                          staff = {.who = SOUK_WHO_USER, .roles = 1u << SOUK_USER_ROLE_STAFF},
                          machine = {.who = SOUK_WHO_API_KEY, .key = &key};
    const struct {
        uint8_t auth;
        const char *scope;
        int expected[5]; /* of nobody, guest, customer, staff, machine */
    } rows[] = {
        {SOUK_AUTH_OPTIONAL,
         NULL,
         {SOUK_AUTH_GOOD, SOUK_AUTH_GOOD, SOUK_AUTH_GOOD, SOUK_AUTH_GOOD, SOUK_AUTH_GOOD}},
        {SOUK_AUTH_GUEST,
         NULL,
         {SOUK_AUTH_MISSING, SOUK_AUTH_GOOD, SOUK_AUTH_GOOD, SOUK_AUTH_GOOD, SOUK_AUTH_FORBIDDEN}},
        {SOUK_AUTH_USER,
         NULL,
         {SOUK_AUTH_MISSING, SOUK_AUTH_FORBIDDEN, SOUK_AUTH_GOOD, SOUK_AUTH_GOOD,
          SOUK_AUTH_FORBIDDEN}},
        {SOUK_AUTH_SCOPE,
         "orders:read",
         {SOUK_AUTH_MISSING, SOUK_AUTH_FORBIDDEN, SOUK_AUTH_FORBIDDEN, SOUK_AUTH_GOOD,
          SOUK_AUTH_GOOD}},
        {SOUK_AUTH_SCOPE,
         "orders:write",
         {SOUK_AUTH_MISSING, SOUK_AUTH_FORBIDDEN, SOUK_AUTH_FORBIDDEN, SOUK_AUTH_GOOD,
          SOUK_AUTH_FORBIDDEN}},
        {SOUK_AUTH_SCOPE,
         "keys:write",
         {SOUK_AUTH_MISSING, SOUK_AUTH_FORBIDDEN, SOUK_AUTH_FORBIDDEN, SOUK_AUTH_FORBIDDEN,
          SOUK_AUTH_FORBIDDEN}},
    };
    for (size_t i = 0; i < SOUK_COUNT_OF(rows); i++) {
        const souk_route_t route = {.auth = rows[i].auth, .scope = rows[i].scope};
        const souk_identity_t *who[] = {&nobody, &guest, &customer, &staff, &machine};
        for (size_t k = 0; k < SOUK_COUNT_OF(who); k++) {
            cr_assert_eq(
                souk_auth_permit(&route, who[k], k == 0 ? SOUK_AUTH_MISSING : SOUK_AUTH_GOOD),
                (souk_auth_outcome_t)rows[i].expected[k], "row %zu, who %zu", i, k);
            cr_assert_eq(souk_auth_permit(&route, who[k], SOUK_AUTH_EXPIRED), SOUK_AUTH_EXPIRED);
            cr_assert_eq(souk_auth_permit(&route, who[k], SOUK_AUTH_UNAVAILABLE),
                         SOUK_AUTH_UNAVAILABLE);
        }
    }
}
