/* Access tokens: JWTs (RFC 7519, RFC 9068) that the users service signed with ES256. Nothing else
 * is one: the algorithm is not negotiated (RFC 8725, section 3.1).
 *
 * Header: exactly alg "ES256", typ "at+jwt", kid. Claims: iss, aud (a text or a list), sub (usr_
 * and a ULID), sid (ses_ and a ULID), roles (a list), iat, exp, maybe nbf (whole seconds); others
 * are skipped. No member may stand twice. */
#ifndef SOUK_GATEWAY_JWT_H
#define SOUK_GATEWAY_JWT_H

#include <openssl/evp.h>

#include "souk/arena.h"
#include "souk/base.h"

#define SOUK_JWT_BYTES_MAX 2048
#define SOUK_JWT_KID_BYTES_MAX 64
#define SOUK_JWT_AUDIENCES_MAX 8
#define SOUK_JWT_SIGNATURE_BYTES 64
#define SOUK_JWT_ARENA_BYTES 8192 /* enough for what one token is decoded to */
#define SOUK_JWT_PREFIX "eyJ"     /* base64url of {" */

typedef struct {
    souk_str_t kid, issuer, subject, session;
    souk_str_t audiences[SOUK_JWT_AUDIENCES_MAX];
    size_t audiences_count;
    uint32_t roles; /* bits by index of souk_user_roles; unknown names give nothing */
    int64_t issued_s, not_before_s, expires_s;
    souk_str_t signed_part;
    uint8_t signature[SOUK_JWT_SIGNATURE_BYTES];
} souk_jwt_t;

/* Texts are borrowed from token and arena. False: it has not this form. */
bool souk_jwt_read(souk_str_t token, souk_arena_t *arena, souk_jwt_t *ret);

typedef enum {
    SOUK_JWT_GOOD,
    SOUK_JWT_EXPIRED,
    SOUK_JWT_EARLY,   /* issued or valid only in the future */
    SOUK_JWT_FOREIGN, /* of another issuer, or for somebody else */
} souk_jwt_verdict_t;

typedef struct {
    souk_str_t issuer, audience;
    int64_t now_s, skew_s; /* how far the issuer's clock may be from ours */
} souk_jwt_rules_t;

/* Whether the claims hold; the signature is another question. */
souk_jwt_verdict_t souk_jwt_judge(const souk_jwt_t *self, const souk_jwt_rules_t *rules);

/* A public key from the coordinates of a JWK on P-256, base64url. NULL: they are no point of it.
 * Owned by the caller (EVP_PKEY_free). */
EVP_PKEY *souk_jwt_key_new(souk_str_t x, souk_str_t y);
bool souk_jwt_signed_by(const souk_jwt_t *self, EVP_PKEY *key);

#endif
