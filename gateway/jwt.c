#include "gateway/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "souk/base64.h"
#include "souk/err.h"
#include "souk/id.h"
#include "souk/json.h"
#include "souk/roles.h"

#define COORDINATE_BYTES 32
#define COORDINATE_CHARS 43
#define SIGNATURE_CHARS 86
#define TIME_S_MAX INT64_C(253402300799) /* the end of the year 9999 */
#define ROLES_IN_TOKEN_MAX 64

/* ---- members ---- */

typedef struct {
    souk_json_reader_t json;
    souk_json_token_t token;
    souk_jwt_t *jwt;
    uint32_t seen; /* bits of member_t */
} reader_t;

typedef enum {
    MEMBER_ALG,
    MEMBER_TYP,
    MEMBER_KID,
    MEMBER_ISS,
    MEMBER_AUD,
    MEMBER_SUB,
    MEMBER_SID,
    MEMBER_ROLES,
    MEMBER_IAT,
    MEMBER_EXP,
    MEMBER_NBF,
    MEMBERS_COUNT,
} member_t;

#define HEADER_MEMBERS (1u << MEMBER_ALG | 1u << MEMBER_TYP | 1u << MEMBER_KID)
#define CLAIMS_REQUIRED                                                                            \
    (1u << MEMBER_ISS | 1u << MEMBER_AUD | 1u << MEMBER_SUB | 1u << MEMBER_SID |                   \
     1u << MEMBER_ROLES | 1u << MEMBER_IAT | 1u << MEMBER_EXP)

static const char *const s_names[MEMBERS_COUNT] = {
    [MEMBER_ALG] = "alg", [MEMBER_TYP] = "typ", [MEMBER_KID] = "kid", [MEMBER_ISS] = "iss",
    [MEMBER_AUD] = "aud", [MEMBER_SUB] = "sub", [MEMBER_SID] = "sid", [MEMBER_ROLES] = "roles",
    [MEMBER_IAT] = "iat", [MEMBER_EXP] = "exp", [MEMBER_NBF] = "nbf",
};

static bool s_next(reader_t *reader) {
    return souk_json_next(&reader->json, &reader->token) == SOUK_OK;
}

static bool s_text(reader_t *reader, souk_str_t *ret) {
    if (!s_next(reader) || reader->token.kind != SOUK_JSON_STRING || reader->token.text.size == 0) {
        return false;
    }
    *ret = reader->token.text;
    return true;
}

static bool s_is(reader_t *reader, souk_str_t wanted) {
    souk_str_t text;
    return s_text(reader, &text) && souk_str_equal(text, wanted);
}

static bool s_time(reader_t *reader, int64_t *ret_s) {
    return s_next(reader) && reader->token.kind == SOUK_JSON_NUMBER &&
           souk_json_int(reader->token.text, ret_s) == SOUK_OK && *ret_s >= 0 &&
           *ret_s <= TIME_S_MAX;
}

static bool s_id(reader_t *reader, const char *prefix, souk_str_t *ret) {
    return s_text(reader, ret) && souk_id_valid(*ret, prefix);
}

static bool s_roles(reader_t *reader) {
    if (!s_next(reader) || reader->token.kind != SOUK_JSON_ARRAY) {
        return false;
    }
    for (size_t count = 0; s_next(reader); count++) {
        if (reader->token.kind == SOUK_JSON_ARRAY_END) {
            return true;
        }
        if (reader->token.kind != SOUK_JSON_STRING || count == ROLES_IN_TOKEN_MAX) {
            return false;
        }
        size_t role = souk_user_role_of(reader->token.text);
        reader->jwt->roles |= role < souk_user_roles_count ? 1u << role : 0;
    }
    return false;
}

static bool s_audience(reader_t *reader) {
    souk_jwt_t *jwt = reader->jwt;
    if (!s_next(reader)) {
        return false;
    }
    if (reader->token.kind == SOUK_JSON_STRING) {
        jwt->audiences[jwt->audiences_count++] = reader->token.text;
        return true;
    }
    if (reader->token.kind != SOUK_JSON_ARRAY) {
        return false;
    }
    while (s_next(reader)) {
        if (reader->token.kind == SOUK_JSON_ARRAY_END) {
            return true;
        }
        if (reader->token.kind != SOUK_JSON_STRING ||
            jwt->audiences_count == SOUK_JWT_AUDIENCES_MAX) {
            return false;
        }
        jwt->audiences[jwt->audiences_count++] = reader->token.text;
    }
    return false;
}

static bool s_value(reader_t *reader, member_t member) {
    souk_jwt_t *jwt = reader->jwt;
    switch (member) {
    case MEMBER_ALG:
        return s_is(reader, SOUK_STR("ES256"));
    case MEMBER_TYP:
        return s_is(reader, SOUK_STR("at+jwt"));
    case MEMBER_KID:
        return s_text(reader, &jwt->kid) && jwt->kid.size <= SOUK_JWT_KID_BYTES_MAX;
    case MEMBER_ISS:
        return s_text(reader, &jwt->issuer);
    case MEMBER_AUD:
        return s_audience(reader);
    case MEMBER_SUB:
        return s_id(reader, "usr_", &jwt->subject);
    case MEMBER_SID:
        return s_id(reader, "ses_", &jwt->session);
    case MEMBER_ROLES:
        return s_roles(reader);
    case MEMBER_IAT:
        return s_time(reader, &jwt->issued_s);
    case MEMBER_EXP:
        return s_time(reader, &jwt->expires_s);
    case MEMBER_NBF:
        return s_time(reader, &jwt->not_before_s);
    case MEMBERS_COUNT:
        break;
    }
    return souk_json_next(&reader->json, &reader->token) == SOUK_OK &&
           souk_json_skip(&reader->json, &reader->token) == SOUK_OK;
}

static member_t s_member(const reader_t *reader, uint32_t among) {
    size_t member = 0;
    while (member < MEMBERS_COUNT &&
           ((among >> member & 1) == 0 ||
            !souk_str_equal(souk_str_of(s_names[member]), reader->token.text))) {
        member++;
    }
    return (member_t)member;
}

/* One JSON object. known: the members that are read; strict: there may be no others. Every known
 * one stands once at most. */
static bool s_object(reader_t *reader, souk_str_t text, souk_arena_t *arena, uint32_t known,
                     bool strict) {
    souk_json_reader_init(&reader->json, text, arena);
    if (!s_next(reader) || reader->token.kind != SOUK_JSON_OBJECT) {
        return false;
    }
    while (s_next(reader)) {
        if (reader->token.kind == SOUK_JSON_OBJECT_END) {
            return s_next(reader) && reader->token.kind == SOUK_JSON_END;
        }
        member_t member = s_member(reader, known);
        uint32_t bit = member < MEMBERS_COUNT ? 1u << member : 0;
        if ((reader->seen & bit) != 0 || (strict && bit == 0) || !s_value(reader, member)) {
            return false;
        }
        reader->seen |= bit;
    }
    return false;
}

/* ---- the token ---- */

static bool s_decode(souk_str_t segment, souk_arena_t *arena, souk_str_t *ret) {
    size_t bytes = souk_base64_bytes(segment.size);
    char *out = bytes > 0 ? souk_arena_alloc(arena, bytes) : NULL;
    if (out == NULL || souk_base64_decode(segment, out) != SOUK_OK) {
        return false;
    }
    *ret = (souk_str_t){out, bytes};
    return true;
}

/* Cuts a segment off; the last one has no dot behind it. */
static souk_str_t s_segment(souk_str_t *rest) {
    const char *dot = rest->size > 0 ? memchr(rest->data, '.', rest->size) : NULL;
    souk_str_t segment = {rest->data, dot != NULL ? (size_t)(dot - rest->data) : rest->size};
    size_t taken = segment.size + (dot != NULL ? 1 : 0);
    rest->data += taken;
    rest->size -= taken;
    return segment;
}

bool souk_jwt_read(souk_str_t token, souk_arena_t *arena, souk_jwt_t *ret) {
    if (token.size == 0 || token.size > SOUK_JWT_BYTES_MAX) {
        return false;
    }
    souk_jwt_t jwt = {.roles = 0};
    reader_t reader = {.jwt = &jwt};
    souk_str_t rest = token, header, claims;
    souk_str_t header64 = s_segment(&rest);
    souk_str_t claims64 = s_segment(&rest);
    jwt.signed_part = (souk_str_t){token.data, header64.size + 1 + claims64.size};
    if (rest.size != SIGNATURE_CHARS || jwt.signed_part.size + 1 + rest.size != token.size ||
        souk_base64_decode(rest, jwt.signature) != SOUK_OK || !s_decode(header64, arena, &header) ||
        !s_decode(claims64, arena, &claims)) {
        return false;
    }
    if (!s_object(&reader, header, arena, HEADER_MEMBERS, true) || reader.seen != HEADER_MEMBERS) {
        return false;
    }
    if (!s_object(&reader, claims, arena, CLAIMS_REQUIRED | 1u << MEMBER_NBF, false) ||
        (reader.seen & CLAIMS_REQUIRED) != CLAIMS_REQUIRED) {
        return false;
    }
    *ret = jwt;
    return true;
}

souk_jwt_verdict_t souk_jwt_judge(const souk_jwt_t *self, const souk_jwt_rules_t *rules) {
    bool for_us = false;
    for (size_t i = 0; i < self->audiences_count; i++) {
        for_us = for_us || souk_str_equal(self->audiences[i], rules->audience);
    }
    if (!for_us || !souk_str_equal(self->issuer, rules->issuer)) {
        return SOUK_JWT_FOREIGN;
    }
    if (rules->now_s - rules->skew_s >= self->expires_s) {
        return SOUK_JWT_EXPIRED;
    }
    if (rules->now_s + rules->skew_s < self->not_before_s ||
        rules->now_s + rules->skew_s < self->issued_s) {
        return SOUK_JWT_EARLY;
    }
    return SOUK_JWT_GOOD;
}

/* ---- the signature ---- */

static EVP_PKEY *s_key_of_point(uint8_t *point, size_t point_bytes) {
    char group[] = "prime256v1";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, point_bytes),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    bool made = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
                EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    return made ? key : NULL;
}

static bool s_on_curve(EVP_PKEY *key) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

EVP_PKEY *souk_jwt_key_new(souk_str_t x, souk_str_t y) {
    uint8_t point[1 + 2 * COORDINATE_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    if (x.size != COORDINATE_CHARS || y.size != COORDINATE_CHARS ||
        souk_base64_decode(x, point + 1) != SOUK_OK ||
        souk_base64_decode(y, point + 1 + COORDINATE_BYTES) != SOUK_OK) {
        return NULL;
    }
    EVP_PKEY *key = s_key_of_point(point, sizeof(point));
    if (key != NULL && !s_on_curve(key)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* r and s side by side (RFC 7518, section 3.4) as the DER that OpenSSL reads. Returns its length,
 * 0 when there is no memory. */
static size_t s_der(const uint8_t *signature, uint8_t *ret_der, size_t der_bytes) {
    BIGNUM *r = BN_bin2bn(signature, COORDINATE_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(signature + COORDINATE_BYTES, COORDINATE_BYTES, NULL);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    if (r == NULL || s == NULL || pair == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return 0;
    }
    int size = i2d_ECDSA_SIG(pair, NULL);
    size_t written = 0;
    if (size > 0 && (size_t)size <= der_bytes) {
        written = (size_t)i2d_ECDSA_SIG(pair, &ret_der);
    }
    ECDSA_SIG_free(pair);
    return written;
}

bool souk_jwt_signed_by(const souk_jwt_t *self, EVP_PKEY *key) {
    uint8_t der[80]; /* two integers of at most 33 bytes with their heads */
    size_t der_size = s_der(self->signature, der, sizeof(der));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = der_size > 0 && ctx != NULL &&
                EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
                EVP_DigestVerify(ctx, der, der_size, (const uint8_t *)self->signed_part.data,
                                 self->signed_part.size) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good;
}
