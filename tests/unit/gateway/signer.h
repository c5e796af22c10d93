/* Makes what the users service makes: keys, access tokens, the reply of the auth_source. */
#ifndef SIGNER_H
#define SIGNER_H

#include <openssl/evp.h>

#include "souk/buf.h"

#define SIGNER_USER "usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B"
#define SIGNER_SESSION "ses_01JD3YV4M8Q6T0R7ZK5N2X9W1C"
#define SIGNER_HEADER "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}"
#define SIGNER_TOKEN_BYTES_MAX 8192

typedef struct {
    EVP_PKEY *key;
    char x[44], y[44]; /* base64url, NUL-terminated */
} signer_t;

void signer_init(signer_t *self);
void signer_done(signer_t *self);

/* Signs header.claims, both as given. Returns a static text. */
const char *signer_sign(const signer_t *self, const char *header, const char *claims);
/* Claims of a token that holds for iss "souk", aud "souk-api"; roles: the list's inside. Static. */
const char *signer_claims(const char *roles, int64_t issued_s, int64_t expires_s);

/* The reply with this signer's key as kid, nothing else; kid NULL: no key. */
void signer_write_reply(const signer_t *self, const char *kid, int64_t revision, souk_buf_t *buf);

#endif
