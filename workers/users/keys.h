/* Signing keys and API keys: the set that this worker uses, as of the database's revision of it.
 *
 * The keeper's thread replaces the set; handlers take a reference to the one that stands, so that
 * none waits for another. While the database is away the last set goes on. */
#ifndef USERS_KEYS_H
#define USERS_KEYS_H

#include "jwt.h"
#include "users.h"

#define USERS_SIGNING_KEYS_MAX 64
#define USERS_API_KEYS_MAX 2048
#define USERS_API_KEY_SCOPES_MAX 32
#define USERS_API_KEY_SCOPES_BYTES_MAX 256 /* joined by spaces */
/* As a gateway gets it, encoded: map and names 40, id 42, subject 46, SHA-256 34, time 16; scopes
 * as joined, with a byte more for each beyond 31 bytes and three for the list. With the signing
 * keys and a margin all of them fit one envelope. */
#define USERS_API_KEY_BYTES_MAX (178 + USERS_API_KEY_SCOPES_BYTES_MAX * 33 / 32 + 4)
#define USERS_SIGNING_KEY_BYTES_MAX 192
#define USERS_AUTH_KEYS_BYTES_MAX                                                                  \
    (USERS_API_KEYS_MAX * USERS_API_KEY_BYTES_MAX +                                                \
     USERS_SIGNING_KEYS_MAX * USERS_SIGNING_KEY_BYTES_MAX + 1024)

typedef struct users_keyset users_keyset_t;

users_keys_t *users_keys_new(void);
void users_keys_destroy(users_keys_t **self_p);

/* The set that stands, with a reference; NULL before the first. */
users_keyset_t *users_keys_hold(users_keys_t *self);
void users_keyset_release(users_keyset_t **self_p);
/* There is a set, and it can sign. */
bool users_keys_loaded(users_keys_t *self);
/* Time since the set was last known to be the database's. */
int64_t users_keys_age_us(users_keys_t *self);

/* Signs by the active key: claims->kid is set here. */
SOUK_MUST_CHECK souk_err_t users_keys_sign(users_keys_t *self, users_claims_t *claims,
                                           souk_arena_t *arena, souk_str_t *ret_token);

/* What is in a set; borrowed from it. */
typedef struct {
    souk_str_t kid, x, y; /* x, y: base64url */
} users_verifier_t;
typedef struct {
    souk_str_t id, subject, scopes; /* scopes joined by spaces */
    users_hash_t hash;
    int64_t expires_us; /* INT64_MIN: never */
} users_credential_t;

int64_t users_keyset_revision(const users_keyset_t *self);
const users_verifier_t *users_keyset_public(const users_keyset_t *self, size_t *ret_count);
const users_credential_t *users_keyset_known(const users_keyset_t *self, size_t *ret_count);

/* Background. follow reads the database's set when its revision is another; turn makes the first
 * keys, changes the one that signs when it is due, forgets what nobody needs. */
SOUK_MUST_CHECK souk_err_t users_keys_follow(users_t *service, souk_pg_t *pg, souk_arena_t *arena);
SOUK_MUST_CHECK souk_err_t users_keys_turn(users_t *service, souk_pg_t *pg, souk_arena_t *arena);

#endif
