/* Guest tokens: gst.<payload>.<mac>, both parts base64url. Whoever holds the keys can make and
 * check one without a database. The payload is 35 bytes: a version (1), the ULID as 26 characters,
 * and the end in unix seconds (8 bytes, big-endian). The mac is HMAC-SHA256 over all before the
 * second dot.
 *
 * Keys rotate by a list: the first signs, all are accepted. A new key goes last on every process,
 * then first, and the old one leaves when the last token that it signed has ended. */
#ifndef SOUK_GUEST_H
#define SOUK_GUEST_H

#include "souk/base.h"
#include "souk/err.h"

#define SOUK_GUEST_KEYS_MAX 16
#define SOUK_GUEST_KEY_BYTES 32
#define SOUK_GUEST_SUBJECT_BYTES 30 /* gst_ and a ULID */
#define SOUK_GUEST_TOKEN_BYTES 95
#define SOUK_GUEST_PREFIX "gst."

typedef struct {
    size_t count; /* 0: no token is good */
    uint8_t keys[SOUK_GUEST_KEYS_MAX][SOUK_GUEST_KEY_BYTES];
} souk_guest_keys_t;

typedef struct {
    char subject[SOUK_GUEST_SUBJECT_BYTES + 1]; /* NUL-terminated */
    int64_t expires_s;                          /* unix */
} souk_guest_t;

/* text: keys of 64 hexadecimal digits, separated by commas; empty: none. SOUK_ERR_MALFORMED:
 * anything else, a key that stands twice, more than SOUK_GUEST_KEYS_MAX. */
SOUK_MUST_CHECK souk_err_t souk_guest_keys_parse(souk_str_t text, souk_guest_keys_t *ret);
/* Wipes them. */
void souk_guest_keys_done(souk_guest_keys_t *self);

/* A new guest with a token, NUL-terminated. SOUK_ERR_UNAVAILABLE: there is no key. */
SOUK_MUST_CHECK souk_err_t souk_guest_new(const souk_guest_keys_t *self, int64_t expires_s,
                                          souk_guest_t *ret,
                                          char ret_token[SOUK_GUEST_TOKEN_BYTES + 1]);
/* SOUK_ERR_UNAUTHENTICATED: not one of ours, or past its end at now_s (unix). */
SOUK_MUST_CHECK souk_err_t souk_guest_check(const souk_guest_keys_t *self, souk_str_t token,
                                            int64_t now_s, souk_guest_t *ret);

#endif
