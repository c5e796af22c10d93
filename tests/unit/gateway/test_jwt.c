#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/jwt.h"
#include "gen/roles.h"
#include "signer.h"
#include "souk/base64.h"

#define NOW_S 1764028800

static signer_t s_signer;
static souk_arena_t *s_arena;
static EVP_PKEY *s_key;

static void s_setup(void) {
    signer_init(&s_signer);
    s_arena = souk_arena_new(SOUK_JWT_ARENA_BYTES, SOUK_JWT_ARENA_BYTES);
    s_key = souk_jwt_key_new(souk_str_of(s_signer.x), souk_str_of(s_signer.y));
    cr_assert_not_null(s_key);
}

static void s_teardown(void) {
    signer_done(&s_signer);
    souk_arena_destroy(&s_arena);
    EVP_PKEY_free(s_key);
}

TestSuite(jwt, .init = s_setup, .fini = s_teardown);

static bool s_read(souk_str_t token, souk_jwt_t *ret) {
    souk_arena_reset(s_arena);
    return souk_jwt_read(token, s_arena, ret);
}

static bool s_reads(const char *header, const char *claims) {
    souk_jwt_t jwt;
    return s_read(souk_str_of(signer_sign(&s_signer, header, claims)), &jwt);
}

static const char *s_good(void) {
    return signer_sign(&s_signer, SIGNER_HEADER,
                       signer_claims("\"customer\",\"staff\"", NOW_S, NOW_S + 600));
}

Test(jwt, a_good_token_says_who) {
    souk_jwt_t jwt;
    cr_assert(s_read(souk_str_of(s_good()), &jwt));
    cr_assert(souk_str_equal(jwt.kid, SOUK_STR("k1")));
    cr_assert(souk_str_equal(jwt.issuer, SOUK_STR("souk")));
    cr_assert(souk_str_equal(jwt.subject, SOUK_STR(SIGNER_USER)));
    cr_assert(souk_str_equal(jwt.session, SOUK_STR(SIGNER_SESSION)));
    cr_assert_eq(jwt.roles, 1u << SOUK_USER_ROLE_CUSTOMER | 1u << SOUK_USER_ROLE_STAFF);
    cr_assert_eq(jwt.audiences_count, 1);
    cr_assert_eq(jwt.issued_s, NOW_S);
    cr_assert_eq(jwt.expires_s, NOW_S + 600);
    cr_assert(souk_jwt_signed_by(&jwt, s_key));
}

Test(jwt, a_token_of_another_key_is_not_signed) {
    signer_t other;
    signer_init(&other);
    EVP_PKEY *key = souk_jwt_key_new(souk_str_of(other.x), souk_str_of(other.y));
    souk_jwt_t jwt;
    cr_assert(s_read(souk_str_of(s_good()), &jwt));
    cr_assert_not(souk_jwt_signed_by(&jwt, key));
    memset(jwt.signature, 0, sizeof(jwt.signature));
    cr_assert_not(souk_jwt_signed_by(&jwt, s_key), "zeros sign nothing (CVE-2022-21449)");
    memset(jwt.signature, 0xff, sizeof(jwt.signature));
    cr_assert_not(souk_jwt_signed_by(&jwt, s_key));
    EVP_PKEY_free(key);
    signer_done(&other);
}

/* Each character is one of the header, the claims, the signature or a dot. */
Test(jwt, every_changed_character_is_noticed) {
    char token[SOUK_JWT_BYTES_MAX];
    souk_str_t text = {token, strlen(s_good())};
    memcpy(token, s_good(), text.size);
    for (size_t i = 0; i < text.size; i++) {
        char was = token[i];
        const char others[] = {was == 'A' ? 'B' : 'A', '.', '=', '\0', ' '};
        for (size_t k = 0; k < sizeof(others); k++) {
            token[i] = others[k];
            souk_jwt_t jwt;
            bool good = s_read(text, &jwt) && souk_jwt_signed_by(&jwt, s_key);
            cr_assert_eq(good, others[k] == was, "character %zu", i);
        }
        token[i] = was;
    }
}

Test(jwt, every_cut_token_is_none) {
    char token[SOUK_JWT_BYTES_MAX];
    size_t size = strlen(s_good());
    memcpy(token, s_good(), size);
    souk_jwt_t jwt;
    for (size_t cut = 0; cut < size; cut++) {
        cr_assert_not(s_read((souk_str_t){token, cut}, &jwt), "%zu", cut);
    }
    cr_assert(s_read((souk_str_t){token, size}, &jwt));
    token[size] = 'A';
    cr_assert_not(s_read((souk_str_t){token, size + 1}, &jwt));
    token[size] = '.';
    cr_assert_not(s_read((souk_str_t){token, size + 1}, &jwt));
}

Test(jwt, headers_that_are_refused) {
    char *claims = strdup(signer_claims("", NOW_S, NOW_S + 600));
    static const char *const bad[] = {
        "{\"alg\":\"none\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
        "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
        "{\"alg\":\"ES384\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
        "{\"alg\":\"es256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
        "{\"alg\":[\"ES256\"],\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"k1\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":1}",
        "{\"alg\":\"ES256\",\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"crit\":[\"b64\"]}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"jwk\":{}}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"jku\":\"http://evil\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"iss\":\"souk\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"} ,",
        "[]",
        "\"ES256\"",
        "{}",
        "",
        ("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":"
         "\"01234567890123456789012345678901234567890123456789012345678901234\"}"),
    };
    cr_assert(s_reads(SIGNER_HEADER, claims));
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_not(s_reads(bad[i], claims), "%s", bad[i]);
    }
    free(claims);
}

#define IDS "\"sub\":\"" SIGNER_USER "\",\"sid\":\"" SIGNER_SESSION "\""
#define TIMES "\"iat\":1,\"exp\":2"
#define NAMES "\"iss\":\"souk\",\"aud\":\"souk-api\""
#define ROLES "\"roles\":[]"

Test(jwt, claims_that_are_refused) {
    static const char *const bad[] = {
        "{}",
        "[]",
        "null",
        "{" NAMES "," IDS "," TIMES "}",
        "{" NAMES "," ROLES "," TIMES "}",
        "{" IDS "," ROLES "," TIMES "}",
        "{" NAMES "," IDS "," ROLES "}",
        "{" NAMES "," IDS "," ROLES ",\"iat\":1}",
        "{" NAMES "," IDS "," ROLES ",\"exp\":1}",
        "{" NAMES "," IDS "," ROLES "," TIMES ",\"exp\":3}",
        "{" NAMES "," IDS "," ROLES "," TIMES ",\"sub\":\"" SIGNER_USER "\"}",
        "{" NAMES "," IDS "," ROLES ",\"iat\":1,\"exp\":-2}",
        "{" NAMES "," IDS "," ROLES ",\"iat\":1,\"exp\":2.5}",
        "{" NAMES "," IDS "," ROLES ",\"iat\":1,\"exp\":\"2\"}",
        "{" NAMES "," IDS "," ROLES ",\"iat\":1,\"exp\":9223372036854775807}",
        "{" NAMES "," IDS "," ROLES ",\"iat\":1,\"exp\":99999999999999999999}",
        "{" NAMES "," IDS "," ROLES "," TIMES ",\"nbf\":null}",
        "{" NAMES "," IDS ",\"roles\":\"admin\"," TIMES "}",
        "{" NAMES "," IDS ",\"roles\":[1]," TIMES "}",
        "{" NAMES "," IDS ",\"roles\":{\"admin\":1}," TIMES "}",
        "{\"iss\":\"souk\",\"aud\":{}," IDS "," ROLES "," TIMES "}",
        "{\"iss\":\"souk\",\"aud\":[1]," IDS "," ROLES "," TIMES "}",
        "{\"iss\":\"souk\",\"aud\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]," IDS
        "," ROLES "," TIMES "}",
        "{\"iss\":null,\"aud\":\"souk-api\"," IDS "," ROLES "," TIMES "}",
        "{" NAMES ",\"sub\":\"gst_01JD3YV4M8Q6T0R7ZK5N2X9W1B\",\"sid\":\"" SIGNER_SESSION
        "\"," ROLES "," TIMES "}",
        "{" NAMES ",\"sub\":\"usr_1\",\"sid\":\"" SIGNER_SESSION "\"," ROLES "," TIMES "}",
        "{" NAMES ",\"sub\":\"" SIGNER_USER "\",\"sid\":\"" SIGNER_USER "\"," ROLES "," TIMES "}",
        "{" NAMES "," IDS "," ROLES "," TIMES "} {}",
        "{" NAMES "," IDS "," ROLES "," TIMES ",\"x\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}",
        "{" NAMES "," IDS "," ROLES "," TIMES ",\"x\":\"\x80\"}",
    };
    cr_assert(s_reads(SIGNER_HEADER, "{" NAMES "," IDS "," ROLES "," TIMES "}"));
    for (size_t i = 0; i < SOUK_COUNT_OF(bad); i++) {
        cr_assert_not(s_reads(SIGNER_HEADER, bad[i]), "%s", bad[i]);
    }
}

Test(jwt, claims_that_are_taken) {
    souk_jwt_t jwt;
    const char *claims = "{\"x\":{\"exp\":[1,{\"a\":null}]},\"alg\":\"none\",\"nbf\":7,"
                         "\"iss\":\"s\\u006fuk\",\"aud\":[\"a\",\"souk-api\"]," IDS
                         ",\"roles\":[\"admin\",\"wizard\",\"admin\"]," TIMES "}";
    cr_assert(s_read(souk_str_of(signer_sign(&s_signer, SIGNER_HEADER, claims)), &jwt));
    cr_assert_eq(jwt.not_before_s, 7);
    cr_assert(souk_str_equal(jwt.issuer, SOUK_STR("souk")));
    cr_assert_eq(jwt.audiences_count, 2);
    cr_assert_eq(jwt.roles, 1u << SOUK_USER_ROLE_ADMIN);
}

Test(jwt, a_long_token_is_none) {
    static char claims[6000];
    for (size_t pad = 0; pad < 5000; pad += 100) {
        memset(claims, 0, sizeof(claims));
        int size = snprintf(claims, sizeof(claims),
                            "{" NAMES "," IDS "," ROLES "," TIMES ",\"x\":\"%0*d\"}", (int)pad, 1);
        cr_assert(size > 0);
        souk_jwt_t jwt;
        souk_str_t token = souk_str_of(signer_sign(&s_signer, SIGNER_HEADER, claims));
        cr_assert_eq(s_read(token, &jwt), token.size <= SOUK_JWT_BYTES_MAX, "%zu", token.size);
    }
}

/* Escapes are decoded into the arena: the worst token has to fit, or be refused, not cut. */
Test(jwt, a_token_full_of_escapes_is_read_whole) {
    char roles[1300] = "";
    for (size_t size = 0; size + 12 < sizeof(roles);) {
        size += (size_t)snprintf(roles + size, sizeof(roles) - size, "%s\"\\u0061\"",
                                 size > 0 ? "," : "");
        if (size > 60 * 9) {
            break;
        }
    }
    souk_jwt_t jwt;
    cr_assert(s_read(
        souk_str_of(signer_sign(&s_signer, SIGNER_HEADER, signer_claims(roles, NOW_S, NOW_S + 1))),
        &jwt));
    cr_assert_eq(jwt.roles, 0);
}

static souk_jwt_verdict_t s_judge(const souk_jwt_t *jwt, int64_t now_s, int64_t skew_s) {
    const souk_jwt_rules_t rules = {.issuer = SOUK_STR("souk"),
                                    .audience = SOUK_STR("souk-api"),
                                    .now_s = now_s,
                                    .skew_s = skew_s};
    return souk_jwt_judge(jwt, &rules);
}

Test(jwt, times_hold_to_the_second) {
    souk_jwt_t jwt;
    cr_assert(s_read(souk_str_of(s_good()), &jwt));
    cr_assert_eq(s_judge(&jwt, NOW_S, 0), SOUK_JWT_GOOD);
    cr_assert_eq(s_judge(&jwt, NOW_S - 1, 0), SOUK_JWT_EARLY);
    cr_assert_eq(s_judge(&jwt, NOW_S + 599, 0), SOUK_JWT_GOOD);
    cr_assert_eq(s_judge(&jwt, NOW_S + 600, 0), SOUK_JWT_EXPIRED);
    cr_assert_eq(s_judge(&jwt, NOW_S - 5, 5), SOUK_JWT_GOOD);
    cr_assert_eq(s_judge(&jwt, NOW_S - 6, 5), SOUK_JWT_EARLY);
    cr_assert_eq(s_judge(&jwt, NOW_S + 604, 5), SOUK_JWT_GOOD);
    cr_assert_eq(s_judge(&jwt, NOW_S + 605, 5), SOUK_JWT_EXPIRED);
    jwt.not_before_s = NOW_S + 60;
    cr_assert_eq(s_judge(&jwt, NOW_S + 54, 5), SOUK_JWT_EARLY);
    cr_assert_eq(s_judge(&jwt, NOW_S + 55, 5), SOUK_JWT_GOOD);
}

Test(jwt, of_another_issuer_or_for_another_audience) {
    souk_jwt_t jwt;
    cr_assert(s_read(souk_str_of(s_good()), &jwt));
    jwt.issuer = SOUK_STR("souk2");
    cr_assert_eq(s_judge(&jwt, NOW_S, 0), SOUK_JWT_FOREIGN);
    jwt.issuer = SOUK_STR("souk");
    jwt.audiences[0] = SOUK_STR("souk-ap");
    cr_assert_eq(s_judge(&jwt, NOW_S, 0), SOUK_JWT_FOREIGN);
    jwt.audiences_count = 0;
    cr_assert_eq(s_judge(&jwt, NOW_S, 0), SOUK_JWT_FOREIGN);
}

Test(jwt, points_that_are_no_key) {
    char zero[44] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    souk_str_t x = souk_str_of(s_signer.x), y = souk_str_of(s_signer.y);
    cr_assert_null(souk_jwt_key_new(souk_str_of(zero), souk_str_of(zero)));
    cr_assert_null(souk_jwt_key_new(y, x), "not on the curve");
    cr_assert_null(souk_jwt_key_new((souk_str_t){x.data, 42}, y));
    cr_assert_null(souk_jwt_key_new(x, SOUK_STR("")));
    cr_assert_null(souk_jwt_key_new(x, SOUK_STR("=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")));
}
