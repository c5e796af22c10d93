/* What the database holds but may not know: secrets under SOUK_USERS_SECRET_KEY, with libsodium
 * (XChaCha20-Poly1305, random nonce). The label says what a secret is and whose, and is
 * authenticated with it: a row's secret does not open in another row's place. */
#ifndef USERS_SEAL_H
#define USERS_SEAL_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/err.h"
#include "token.h"

typedef struct {
    uint8_t bytes[32];
} users_secret_t;

/* 64 hexadecimal digits. SOUK_ERR_VALIDATION: it is not. */
SOUK_MUST_CHECK souk_err_t users_secret_parse(const char *hex, users_secret_t *ret_secret);

/* In the arena. */
SOUK_MUST_CHECK souk_err_t users_seal(const users_secret_t *secret, souk_str_t label,
                                      souk_str_t plain, souk_arena_t *arena,
                                      souk_str_t *ret_sealed);
/* SOUK_ERR_INTERNAL: sealed under another key or label, or damaged. */
SOUK_MUST_CHECK souk_err_t users_open(const users_secret_t *secret, souk_str_t label,
                                      souk_str_t sealed, souk_arena_t *arena,
                                      souk_str_t *ret_plain);
/* A keyed hash (BLAKE2b) of what is too short for a plain one. */
users_hash_t users_secret_hash(const users_secret_t *secret, souk_str_t label, souk_str_t text);

#endif
