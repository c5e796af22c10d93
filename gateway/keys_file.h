/* The keys file: API keys that are there without a database, so that a new shop has its first one.
 *
 *   {"keys": [{"id": "admin", "sha256": "<64 hex digits>", "scopes": ["*"], "name": "bootstrap"}]}
 *
 * Its keys are their own subjects, key_<id>. Each thread has a set of its own and looks at the
 * file's time of change at most once a second, so that a change needs neither restart nor lock. */
#ifndef SOUK_GATEWAY_KEYS_FILE_H
#define SOUK_GATEWAY_KEYS_FILE_H

#include "gateway/keys.h"

typedef struct souk_keys_file souk_keys_file_t;

/* A set that follows path. Nothing is read yet. */
souk_keys_file_t *souk_keys_file_new(const char *path);
void souk_keys_file_destroy(souk_keys_file_t **self_p);

typedef enum { SOUK_KEYS_SAME, SOUK_KEYS_LOADED, SOUK_KEYS_GONE, SOUK_KEYS_BAD } souk_keys_change_t;

/* Reads the file when it has changed since the last look. SOUK_KEYS_GONE: there is no file, the set
 * is empty. SOUK_KEYS_BAD: it cannot be read or breaks the format (cause says why, borrowed until
 * the next call): the set stays as it was. Each is told once for a change. */
souk_keys_change_t souk_keys_file_refresh(souk_keys_file_t *self, const char **ret_cause);
/* The same from text, for tests. */
souk_keys_change_t souk_keys_file_parse(souk_keys_file_t *self, souk_str_t text,
                                        const char **ret_cause);
/* Never NULL; borrowed until the next refresh. */
const souk_keys_t *souk_keys_file_set(const souk_keys_file_t *self);

#endif
