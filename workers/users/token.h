/* Opaque secrets that are handed out once and kept only as hashes. They are long and random, so one
 * SHA-256 is enough for all but recovery codes, which seal.h takes a keyed hash of.
 *
 *   one-time token  prefix + 32 bytes in base64url           (reset and verification of addresses)
 *   refresh token   srt_ + session's ULID + '.' + 48 bytes in base64url: 16 that stay for the
 *                   session's life (family), 32 that change with each exchange (current)
 *   API key         souk_ + id + '_' + 32 bytes in base64url (gateway/auth.h)
 *   recovery code   16 characters of Crockford base32 in groups of four
 *
 * The family bytes tell a former token of a session from a forgery by somebody who knows only the
 * session's id: so one row a session is all that reuse detection needs, however often it is
 * exchanged. */
#ifndef USERS_TOKEN_H
#define USERS_TOKEN_H

#include "souk/base.h"
#include "souk/id.h"

#define USERS_HASH_SIZE 32
#define USERS_ONE_TIME_CHARS 47 /* four of prefix, 43 */
#define USERS_REFRESH_CHARS 95  /* srt_, 26, '.', 64 */
#define USERS_SECRET_CHARS 43
#define USERS_RECOVERY_CHARS 19 /* 16 and three hyphens */
#define USERS_RECOVERY_BYTES 16 /* without hyphens */

typedef struct {
    uint8_t bytes[USERS_HASH_SIZE];
} users_hash_t;

static inline souk_str_t users_hash_str(const users_hash_t *hash) {
    return (souk_str_t){.data = (const char *)hash->bytes, .size = sizeof(hash->bytes)};
}

users_hash_t users_hash_of(souk_str_t text);
/* In constant time. stored may be of any size. */
bool users_hash_matches(const users_hash_t *hash, souk_str_t stored);

/* prefix: four characters. */
void users_one_time_make(const char *prefix, char ret_text[USERS_ONE_TIME_CHARS + 1],
                         users_hash_t *ret_hash);

typedef struct {
    char session[SOUK_ID_BYTES_MAX]; /* ses_..., NUL-terminated */
    users_hash_t family, current;
} users_refresh_t;

/* family: 16 bytes that stay; NULL makes new ones. */
void users_refresh_make(const char *session, const uint8_t *family,
                        char ret_text[USERS_REFRESH_CHARS + 1], users_refresh_t *ret_refresh);
/* False: not of this form. ret_family: its 16 bytes, for the next token. */
bool users_refresh_parse(souk_str_t text, users_refresh_t *ret_refresh, uint8_t ret_family[16]);

/* id: key_ + ULID. The text is what the owner sends; the hash is of the secret alone. */
void users_api_key_make(const char *id, char ret_text[SOUK_ID_BYTES_MAX + USERS_SECRET_CHARS + 8],
                        users_hash_t *ret_hash);

void users_recovery_make(char ret_text[USERS_RECOVERY_CHARS + 1]);
/* As typed (any case, with or without hyphens and spaces, O for 0, I and L for 1) -> its 16
 * characters. False: not of this form. */
bool users_recovery_form(souk_str_t typed, char ret_code[USERS_RECOVERY_BYTES]);

#endif
