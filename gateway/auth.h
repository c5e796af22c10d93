/* API keys: Authorization: Bearer souk_<id>_<secret>. The keys file holds only SHA-256 of each
 * secret:
 *
 *   {"keys": [{"id": "admin", "sha256": "<64 hex digits>", "scopes": ["*"], "name": "bootstrap"}]}
 *
 * id: 1-40 characters a-z A-Z 0-9 and '-'; secret: 16-128 characters a-z A-Z 0-9 '_' '-'. "*"
 * stands for all scopes. Secrets are random and long, so one plain hash is enough; a slow one would
 * only let strangers burn our CPU.
 *
 * Each thread has a set of its own and looks at the file's time of change at most once a second, so
 * that a change needs neither restart nor lock. */
#ifndef SOUK_GATEWAY_AUTH_H
#define SOUK_GATEWAY_AUTH_H

#include "souk/base.h"
#include "souk/err.h"

#define SOUK_KEYS_MAX 1024
#define SOUK_KEY_ID_BYTES_MAX 40
#define SOUK_KEY_SCOPES_MAX 32

typedef struct souk_keys souk_keys_t;

typedef struct {
    souk_str_t id;
    souk_str_t principal; /* the encoded map of docs/protocol.md, section 4 */
} souk_key_t;

/* A set that follows path. Nothing is read yet. */
souk_keys_t *souk_keys_new(const char *path);
void souk_keys_destroy(souk_keys_t **self_p);

typedef enum { SOUK_KEYS_SAME, SOUK_KEYS_LOADED, SOUK_KEYS_GONE, SOUK_KEYS_BAD } souk_keys_change_t;

/* Reads the file when it has changed since the last look. SOUK_KEYS_GONE: there is no file, the set
 * is empty. SOUK_KEYS_BAD: it cannot be read or breaks the format (cause says why, borrowed until
 * the next call): the set stays as it was. Each is told once for a change. */
souk_keys_change_t souk_keys_refresh(souk_keys_t *self, const char **ret_cause);
/* The same from text, for tests. */
souk_keys_change_t souk_keys_parse(souk_keys_t *self, souk_str_t text, const char **ret_cause);
size_t souk_keys_count(const souk_keys_t *self);

/* authorization: the header's value, data NULL when absent. SOUK_ERR_UNAUTHENTICATED: missing,
 * malformed, unknown or wrong. SOUK_ERR_FORBIDDEN: the key lacks scope
 * (*ret_key is set then too). The key is borrowed until the next refresh. */
SOUK_MUST_CHECK souk_err_t souk_keys_check(const souk_keys_t *self, souk_str_t authorization,
                                           souk_str_t scope, const souk_key_t **ret_key);

#endif
