/* Access tokens: their form, and the signature checked by OpenSSL from the public coordinates
 * alone. */
#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "jwt.h"
#include "souk/base64.h"

static souk_arena_t *s_arena;

static void s_setup(void) {
    s_arena = souk_arena_new(1 << 20, 0);
}

static void s_teardown(void) {
    souk_arena_destroy(&s_arena);
}

TestSuite(jwt, .init = s_setup, .fini = s_teardown);

static EVP_PKEY *s_public(const users_signer_t *signer) {
    uint8_t point[65] = {4};
    users_signer_public(signer, point + 1, point + 33);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    cr_assert_eq(EVP_PKEY_fromdata_init(context), 1);
    cr_assert_eq(EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(context);
    return key;
}

static bool s_verify(EVP_PKEY *key, souk_str_t signed_text, const uint8_t signature[64]) {
    ECDSA_SIG *pair = ECDSA_SIG_new();
    ECDSA_SIG_set0(pair, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL));
    unsigned char *der = NULL;
    int der_bytes = i2d_ECDSA_SIG(pair, &der);
    ECDSA_SIG_free(pair);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good = EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(digest, der, (size_t)der_bytes,
                                 (const unsigned char *)signed_text.data, signed_text.size) == 1;
    EVP_MD_CTX_free(digest);
    OPENSSL_free(der);
    return good;
}

static souk_str_t s_decoded(souk_str_t part) {
    char *data = souk_arena_alloc(s_arena, souk_base64_bytes(part.size) + 1);
    cr_assert_eq(souk_base64_decode(part, data), SOUK_OK);
    return (souk_str_t){.data = data, .size = souk_base64_bytes(part.size)};
}

static souk_str_t s_make(const users_signer_t *signer) {
    static const souk_str_t roles[] = {{"customer", 8}, {"admin", 5}};
    const users_claims_t claims = {.kid = SOUK_STR("kid_1"),
                                   .issuer = SOUK_STR("https://shop.example"),
                                   .audience = SOUK_STR("souk"),
                                   .subject = SOUK_STR("usr_1"),
                                   .session = SOUK_STR("ses_1"),
                                   .roles = roles,
                                   .roles_count = 2,
                                   .issued_s = 1700000000,
                                   .expires_s = 1700000600};
    souk_str_t token;
    cr_assert_eq(users_jwt_make(signer, &claims, s_arena, &token), SOUK_OK);
    return token;
}

Test(jwt, says_what_it_was_given_and_verifies) {
    users_signer_t *signer = users_signer_new(), *other = users_signer_new();
    souk_str_t token = s_make(signer);
    const char *dot = memchr(token.data, '.', token.size);
    const char *second = memchr(dot + 1, '.', token.size - (size_t)(dot + 1 - token.data));
    souk_str_t header =
        s_decoded((souk_str_t){.data = token.data, .size = (size_t)(dot - token.data)});
    souk_str_t claims =
        s_decoded((souk_str_t){.data = dot + 1, .size = (size_t)(second - dot - 1)});
    souk_str_t signature = s_decoded(
        (souk_str_t){.data = second + 1, .size = token.size - (size_t)(second + 1 - token.data)});
    cr_assert(souk_str_equal(header,
                             SOUK_STR("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"kid_1\"}")));
    static const char expected[] =
        "{\"iss\":\"https://shop.example\",\"aud\":\"souk\",\"sub\":\"usr_1\",\"iat\":1700000000,"
        "\"exp\":1700000600,\"jti\":\"";
    cr_assert_eq(strncmp(claims.data, expected, sizeof(expected) - 1), 0, "%s", claims.data);
    cr_assert_not_null(
        strstr(claims.data, "\",\"sid\":\"ses_1\",\"roles\":[\"customer\",\"admin\"]}"));
    cr_assert_eq(signature.size, 64);
    souk_str_t signed_text = {.data = token.data, .size = (size_t)(second - token.data)};
    EVP_PKEY *key = s_public(signer), *wrong = s_public(other);
    cr_assert(s_verify(key, signed_text, (const uint8_t *)signature.data));
    cr_assert(!s_verify(wrong, signed_text, (const uint8_t *)signature.data));
    EVP_PKEY_free(key);
    EVP_PKEY_free(wrong);
    users_signer_destroy(&signer);
    users_signer_destroy(&other);
}

/* r and s lose leading zeros in DER about once in 128 signatures. */
Test(jwt, every_signature_has_64_bytes) {
    users_signer_t *signer = users_signer_new();
    EVP_PKEY *key = s_public(signer);
    for (int i = 0; i < 600; i++) {
        souk_str_t token = s_make(signer);
        souk_str_t tail = {.data = token.data + token.size - 86, .size = 86};
        cr_assert_eq(tail.data[-1], '.');
        souk_str_t signed_text = {.data = token.data, .size = token.size - 87};
        cr_assert(s_verify(key, signed_text, (const uint8_t *)s_decoded(tail).data));
        souk_arena_reset(s_arena);
    }
    EVP_PKEY_free(key);
    users_signer_destroy(&signer);
}

Test(jwt, a_key_pair_survives_being_stored) {
    users_signer_t *signer = users_signer_new(), *loaded = NULL;
    souk_str_t der;
    uint8_t x[32], y[32], loaded_x[32], loaded_y[32];
    cr_assert_eq(users_signer_private(signer, s_arena, &der), SOUK_OK);
    cr_assert_eq(users_signer_load(der, &loaded), SOUK_OK);
    users_signer_public(signer, x, y);
    users_signer_public(loaded, loaded_x, loaded_y);
    cr_assert_eq(memcmp(x, loaded_x, 32), 0);
    cr_assert_eq(memcmp(y, loaded_y, 32), 0);
    users_signer_t *none = NULL;
    cr_assert_eq(users_signer_load(SOUK_STR("no key"), &none), SOUK_ERR_INTERNAL);
    cr_assert_null(none);
    users_signer_destroy(&signer);
    users_signer_destroy(&loaded);
}
