/* Passwords: which ones are taken, and Argon2id hashes of them (libsodium), a bounded number at a
 * time: each takes memory_bytes and a core for tens of milliseconds. */
#ifndef USERS_PASSWORD_H
#define USERS_PASSWORD_H

#include "souk/arena.h"
#include "souk/base.h"
#include "souk/err.h"

#define USERS_PASSWORD_POINTS_MIN 8
#define USERS_PASSWORD_POINTS_MAX 128
#define USERS_PASSWORD_BYTES_MAX 1024
#define USERS_HASH_BYTES_MAX 128 /* with the NUL */

/* NFC, so that the same keys make the same bytes on every device. In the arena. A text that is too
 * long to be anybody's password is SOUK_ERR_VALIDATION. */
SOUK_MUST_CHECK souk_err_t users_password_form(souk_arena_t *arena, souk_str_t text,
                                               souk_str_t *ret_password);
/* Why a new password is not taken; NULL when it is. email_folded: the owner's, data NULL when
 * unknown. The arena is for working. */
const char *users_password_objection(souk_arena_t *arena, souk_str_t password,
                                     souk_str_t email_folded);

typedef struct users_hasher users_hasher_t;

typedef struct {
    uint64_t operations;
    size_t memory_bytes;
    uint32_t running_max;
    uint32_t inside_max; /* running and waiting; one more is refused at once */
    uint32_t wait_ms;    /* how long a call waits for its turn */
} users_hasher_options_t;

/* Hashes once itself, for users_hasher_verify of nobody. */
users_hasher_t *users_hasher_new(const users_hasher_options_t *options);
void users_hasher_destroy(users_hasher_t **self_p);

/* Any thread. At most wait_ms and timeout_ms for a turn, then SOUK_ERR_OVERLOADED; at once
 * where as many are inside as may be. */
SOUK_MUST_CHECK souk_err_t users_hasher_make(users_hasher_t *self, souk_str_t password,
                                             uint32_t timeout_ms,
                                             char ret_hash[USERS_HASH_BYTES_MAX]);
/* hash: data NULL for an account that does not exist: the same work, and never right. */
SOUK_MUST_CHECK souk_err_t users_hasher_verify(users_hasher_t *self, souk_str_t hash,
                                               souk_str_t password, uint32_t timeout_ms,
                                               bool *ret_right);
/* The hash was made with other parameters than new ones are. */
bool users_hasher_outdated(const users_hasher_t *self, souk_str_t hash);
uint32_t users_hasher_running(users_hasher_t *self);
/* Hashes that were begun since the start: what tests compare instead of times. */
uint64_t users_hasher_count(users_hasher_t *self);

#endif
