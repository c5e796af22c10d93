/* Signing keys (P-256) and the access tokens they sign: ES256, typ at+jwt (RFC 9068). */
#ifndef USERS_JWT_H
#define USERS_JWT_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/err.h"

#define USERS_COORDINATE_BYTES 32
#define USERS_KID_BYTES_MAX 40

typedef struct users_signer users_signer_t;

/* A new key pair. */
users_signer_t *users_signer_new(void);
/* From what users_signer_private gave. SOUK_ERR_INTERNAL: it is no private key on P-256. */
SOUK_MUST_CHECK souk_err_t users_signer_load(souk_str_t der, users_signer_t **ret_self);
void users_signer_destroy(users_signer_t **self_p);

/* The private key in DER, in the arena; the public point's coordinates, 32 bytes each. */
SOUK_MUST_CHECK souk_err_t users_signer_private(const users_signer_t *self, souk_arena_t *arena,
                                                souk_str_t *ret_der);
void users_signer_public(const users_signer_t *self, uint8_t ret_x[USERS_COORDINATE_BYTES],
                         uint8_t ret_y[USERS_COORDINATE_BYTES]);

typedef struct {
    souk_str_t kid, issuer, audience, subject, session;
    const souk_str_t *roles;
    size_t roles_count;
    int64_t issued_s, expires_s;
} users_claims_t;

/* The compact form, in the arena; jti is a new ULID. Any thread. */
SOUK_MUST_CHECK souk_err_t users_jwt_make(const users_signer_t *signer,
                                          const users_claims_t *claims, souk_arena_t *arena,
                                          souk_str_t *ret_token);

#endif
