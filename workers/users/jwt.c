#include "jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "souk/base64.h"
#include "souk/buf.h"
#include "souk/id.h"
#include "souk/json.h"

#define SIGNATURE_BYTES 64
#define PART_BYTES_MAX ((size_t)4096)

struct users_signer {
    EVP_PKEY *key;
    uint8_t x[USERS_COORDINATE_BYTES], y[USERS_COORDINATE_BYTES];
};

/* ---- keys ---- */

static bool s_coordinate(const EVP_PKEY *key, const char *name,
                         uint8_t ret_bytes[USERS_COORDINATE_BYTES]) {
    BIGNUM *number = NULL;
    bool done = EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
                BN_bn2binpad(number, ret_bytes, USERS_COORDINATE_BYTES) == USERS_COORDINATE_BYTES;
    BN_free(number);
    return done;
}

/* Takes key in every case. NULL: it is no key on P-256. */
static users_signer_t *s_signer_of(EVP_PKEY *key) {
    users_signer_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->key = key;
    char group[32];
    size_t group_size = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof(group), &group_size) != 1 ||
        strcmp(group, "prime256v1") != 0 || !s_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, self->x) ||
        !s_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, self->y)) {
        users_signer_destroy(&self);
    }
    return self;
}

users_signer_t *users_signer_new(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    souk_assert(key != NULL);
    users_signer_t *self = s_signer_of(key);
    souk_assert(self != NULL);
    return self;
}

souk_err_t users_signer_load(souk_str_t der, users_signer_t **ret_self) {
    const unsigned char *at = (const unsigned char *)der.data;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)der.size);
    if (key == NULL) {
        return SOUK_ERR_INTERNAL;
    }
    users_signer_t *self = s_signer_of(key);
    if (self == NULL) {
        return SOUK_ERR_INTERNAL;
    }
    *ret_self = self;
    return SOUK_OK;
}

void users_signer_destroy(users_signer_t **self_p) {
    users_signer_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    EVP_PKEY_free(self->key);
    free(self);
    *self_p = NULL;
}

souk_err_t users_signer_private(const users_signer_t *self, souk_arena_t *arena,
                                souk_str_t *ret_der) {
    unsigned char *der = NULL;
    int size = i2d_PrivateKey(self->key, &der);
    souk_assert(size > 0);
    souk_str_t copy =
        souk_arena_copy(arena, (souk_str_t){.data = (const char *)der, .size = (size_t)size});
    OPENSSL_clear_free(der, (size_t)size);
    if (copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret_der = copy;
    return SOUK_OK;
}

void users_signer_public(const users_signer_t *self, uint8_t ret_x[USERS_COORDINATE_BYTES],
                         uint8_t ret_y[USERS_COORDINATE_BYTES]) {
    memcpy(ret_x, self->x, USERS_COORDINATE_BYTES);
    memcpy(ret_y, self->y, USERS_COORDINATE_BYTES);
}

/* ---- tokens ---- */

static void s_member(souk_buf_t *buf, const char *name, souk_str_t value) {
    souk_buf_append_byte(buf, buf->size == 0 ? '{' : ',');
    souk_json_write_str(buf, souk_str_of(name));
    souk_buf_append_byte(buf, ':');
    souk_json_write_str(buf, value);
}

static void s_member_int(souk_buf_t *buf, const char *name, int64_t value) {
    souk_buf_append_byte(buf, ',');
    souk_json_write_str(buf, souk_str_of(name));
    souk_buf_append_byte(buf, ':');
    souk_json_write_int(buf, value);
}

static void s_write_header(souk_buf_t *buf, souk_str_t kid) {
    s_member(buf, "alg", SOUK_STR("ES256"));
    s_member(buf, "typ", SOUK_STR("at+jwt"));
    s_member(buf, "kid", kid);
    souk_buf_append_byte(buf, '}');
}

static void s_write_claims(souk_buf_t *buf, const users_claims_t *claims) {
    char jti[SOUK_ID_BYTES_MAX];
    souk_str_t id = {.data = jti, .size = souk_id_new("", jti)};
    s_member(buf, "iss", claims->issuer);
    s_member(buf, "aud", claims->audience);
    s_member(buf, "sub", claims->subject);
    s_member_int(buf, "iat", claims->issued_s);
    s_member_int(buf, "exp", claims->expires_s);
    s_member(buf, "jti", id);
    s_member(buf, "sid", claims->session);
    souk_buf_append_str(buf, SOUK_STR(",\"roles\":["));
    for (size_t i = 0; i < claims->roles_count; i++) {
        if (i > 0) {
            souk_buf_append_byte(buf, ',');
        }
        souk_json_write_str(buf, claims->roles[i]);
    }
    souk_buf_append_str(buf, SOUK_STR("]}"));
}

static void s_append_base64(souk_buf_t *buf, const void *data, size_t bytes) {
    size_t chars = souk_base64_chars(bytes);
    uint8_t *room = souk_buf_reserve(buf, chars);
    if (room != NULL) {
        souk_base64_encode(data, bytes, (char *)room);
        buf->size += chars;
    }
}

/* JOSE wants the two numbers side by side; OpenSSL gives them in DER. */
static bool s_sign(const users_signer_t *signer, souk_str_t text,
                   uint8_t ret_signature[SIGNATURE_BYTES]) {
    unsigned char der[128];
    size_t der_bytes = sizeof(der);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool done =
        digest != NULL && EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, signer->key) == 1 &&
        EVP_DigestSign(digest, der, &der_bytes, (const unsigned char *)text.data, text.size) == 1;
    EVP_MD_CTX_free(digest);
    const unsigned char *at = der;
    ECDSA_SIG *pair = done ? d2i_ECDSA_SIG(NULL, &at, (long)der_bytes) : NULL;
    done = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), ret_signature, 32) == 32 &&
           BN_bn2binpad(ECDSA_SIG_get0_s(pair), ret_signature + 32, 32) == 32;
    ECDSA_SIG_free(pair);
    return done;
}

souk_err_t users_jwt_make(const users_signer_t *signer, const users_claims_t *claims,
                          souk_arena_t *arena, souk_str_t *ret_token) {
    SOUK_CLEANUP(souk_buf_done) souk_buf_t part, token;
    souk_buf_init(&part, PART_BYTES_MAX);
    souk_buf_init(&token, 2 * PART_BYTES_MAX);
    s_write_header(&part, claims->kid);
    s_append_base64(&token, part.data, part.size);
    souk_buf_append_byte(&token, '.');
    bool whole = !part.overflow;
    souk_buf_clear(&part);
    s_write_claims(&part, claims);
    s_append_base64(&token, part.data, part.size);
    uint8_t signature[SIGNATURE_BYTES];
    if (!whole || part.overflow || token.overflow ||
        !s_sign(signer, souk_buf_str(&token), signature)) {
        return SOUK_ERR_INTERNAL;
    }
    souk_buf_append_byte(&token, '.');
    s_append_base64(&token, signature, sizeof(signature));
    souk_str_t copy = souk_arena_copy(arena, souk_buf_str(&token));
    if (copy.data == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *ret_token = copy;
    return SOUK_OK;
}
