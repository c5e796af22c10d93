#include "signer.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <stdio.h>

#include "souk/base64.h"
#include "souk/mp.h"

void signer_init(signer_t *self) {
    uint8_t point[65];
    size_t size = 0;
    self->key = EVP_EC_gen("P-256");
    souk_assert(self->key != NULL);
    int rc = EVP_PKEY_get_octet_string_param(self->key, OSSL_PKEY_PARAM_PUB_KEY, point,
                                             sizeof(point), &size);
    souk_assert(rc == 1 && size == sizeof(point) && point[0] == 4);
    memset(self->x, 0, sizeof(self->x));
    memset(self->y, 0, sizeof(self->y));
    souk_base64_encode(point + 1, 32, self->x);
    souk_base64_encode(point + 33, 32, self->y);
}

void signer_done(signer_t *self) {
    EVP_PKEY_free(self->key);
}

/* DER of OpenSSL to r and s side by side. */
static void s_raw(const uint8_t *der, size_t size, uint8_t ret[64]) {
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
    souk_assert(pair != NULL);
    souk_assert(BN_bn2binpad(ECDSA_SIG_get0_r(pair), ret, 32) == 32);
    souk_assert(BN_bn2binpad(ECDSA_SIG_get0_s(pair), ret + 32, 32) == 32);
    ECDSA_SIG_free(pair);
}

static size_t s_append64(char *text, size_t at, const void *data, size_t bytes) {
    souk_assert(at + souk_base64_chars(bytes) + 2 < SIGNER_TOKEN_BYTES_MAX);
    souk_base64_encode(data, bytes, text + at);
    return at + souk_base64_chars(bytes);
}

const char *signer_sign(const signer_t *self, const char *header, const char *claims) {
    static char text[SIGNER_TOKEN_BYTES_MAX];
    uint8_t der[80], raw[64];
    size_t der_size = sizeof(der);
    memset(text, 0, sizeof(text));
    size_t at = s_append64(text, 0, header, strlen(header));
    text[at++] = '.';
    at = s_append64(text, at, claims, strlen(claims));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, self->key, NULL);
    souk_assert(rc == 1);
    rc = EVP_DigestSign(ctx, der, &der_size, (const uint8_t *)text, at);
    souk_assert(rc == 1);
    EVP_MD_CTX_free(ctx);
    s_raw(der, der_size, raw);
    text[at++] = '.';
    s_append64(text, at, raw, sizeof(raw));
    return text;
}

const char *signer_claims(const char *roles, int64_t issued_s, int64_t expires_s) {
    static char text[4096];
    int size = snprintf(text, sizeof(text),
                        "{\"iss\":\"souk\",\"aud\":\"souk-api\",\"sub\":\"" SIGNER_USER
                        "\",\"sid\":\"" SIGNER_SESSION
                        "\",\"jti\":\"j\",\"roles\":[%s],\"iat\":%lld,\"exp\":%lld}",
                        roles, (long long)issued_s, (long long)expires_s);
    souk_assert(size > 0 && (size_t)size < sizeof(text));
    return text;
}

static void s_pair(souk_buf_t *buf, const char *name, const char *value) {
    souk_mp_write_str(buf, souk_str_of(name));
    souk_mp_write_str(buf, souk_str_of(value));
}

void signer_write_reply(const signer_t *self, const char *kid, int64_t revision, souk_buf_t *buf) {
    souk_mp_write_map(buf, 5);
    souk_mp_write_str(buf, SOUK_STR("revision"));
    souk_mp_write_int(buf, revision);
    s_pair(buf, "issuer", "souk");
    s_pair(buf, "audience", "souk-api");
    souk_mp_write_str(buf, SOUK_STR("keys"));
    souk_mp_write_array(buf, kid != NULL ? 1 : 0);
    if (kid != NULL) {
        souk_mp_write_map(buf, 3);
        s_pair(buf, "kid", kid);
        s_pair(buf, "x", self->x);
        s_pair(buf, "y", self->y);
    }
    souk_mp_write_str(buf, SOUK_STR("api_keys"));
    souk_mp_write_array(buf, 0);
}
