/* A set of API keys: filled, sealed, then only read. Tokens are souk_<id>_<secret>; a set holds
 * only SHA-256 of each secret.
 *
 * id: 1-40 characters a-z A-Z 0-9 and '-'; secret: 16-128 characters a-z A-Z 0-9 '_' '-'. "*"
 * stands for all scopes. Secrets are random and long, so one plain hash is enough; a slow one would
 * only let strangers burn our CPU. */
#ifndef SOUK_GATEWAY_KEYS_H
#define SOUK_GATEWAY_KEYS_H

#include "souk/base.h"
#include "souk/err.h"

#define SOUK_KEYS_MAX 4096
#define SOUK_KEY_ID_BYTES_MAX 40
#define SOUK_KEY_SCOPES_MAX 64
#define SOUK_KEY_SCOPE_BYTES_MAX 64
#define SOUK_KEY_SUBJECT_BYTES_MAX 44
#define SOUK_KEY_HASH_BYTES 32
#define SOUK_KEY_PREFIX "souk_"

typedef struct souk_keys souk_keys_t;

typedef struct {
    souk_str_t id, subject;
    uint8_t hash[SOUK_KEY_HASH_BYTES];
    const souk_str_t *scopes;
    size_t scopes_count;
    int64_t expires_s; /* unix: from then on it is good for nothing; 0: never */
    souk_str_t
        principal; /* the encoded map of docs/protocol.md, section 4: made by souk_keys_add */
} souk_key_t;

souk_keys_t *souk_keys_new(void);
void souk_keys_destroy(souk_keys_t **self_p);

/* Copies the key. False: it is not added, *ret_cause says why (static text). */
bool souk_keys_add(souk_keys_t *self, const souk_key_t *key, const char **ret_cause);
/* Nothing is added afterwards. False: an id stands twice. */
bool souk_keys_seal(souk_keys_t *self);
size_t souk_keys_count(const souk_keys_t *self);

/* A token's parts. */
typedef struct {
    souk_str_t id; /* borrowed from the token */
    uint8_t hash[SOUK_KEY_HASH_BYTES];
} souk_key_token_t;

/* False: it has not the form of an API key. */
bool souk_key_token_read(souk_str_t token, souk_key_token_t *ret);
/* NULL: no such key, or another secret. Borrowed from the sealed set. */
const souk_key_t *souk_keys_find(const souk_keys_t *self, const souk_key_token_t *token);
bool souk_key_has_scope(const souk_key_t *key, souk_str_t scope);

#endif
