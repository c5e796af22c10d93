/* What the auth_source said: who signs access tokens, and API keys. Read-only once made, shared by
 * all threads, freed by the last one that lets go. */
#ifndef SOUK_GATEWAY_TRUST_H
#define SOUK_GATEWAY_TRUST_H

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "gateway/keys.h"

#define SOUK_TRUST_KEYS_MAX 64

typedef struct souk_trust souk_trust_t;

typedef struct {
    int64_t revision;
    size_t keys_count, api_keys_count;
    size_t skipped; /* keys that cannot be used */
} souk_trust_facts_t;

/* body: the reply, one msgpack map (schemas/README.md). *ret_self NULL: nothing has changed.
 * SOUK_ERR_BAD_REPLY: it has not that form. A key that has it but cannot be used is left out and
 * counted, so that one bad row does not keep a revoked key alive. */
SOUK_MUST_CHECK souk_err_t souk_trust_read(souk_str_t body, souk_trust_t **ret_self);
souk_trust_t *souk_trust_ref(souk_trust_t *self);
void souk_trust_unref(souk_trust_t **self_p);

souk_trust_facts_t souk_trust_facts(const souk_trust_t *self);
souk_str_t souk_trust_issuer(const souk_trust_t *self);
souk_str_t souk_trust_audience(const souk_trust_t *self);
/* NULL: unknown. Borrowed. */
EVP_PKEY *souk_trust_key(const souk_trust_t *self, souk_str_t kid);
const souk_keys_t *souk_trust_api_keys(const souk_trust_t *self);

/* Where the thread that asks leaves the newest one and the others find it. Only a change takes the
 * lock. */
typedef struct {
    pthread_mutex_t lock;
    souk_trust_t *newest;        /* NULL: there was never one */
    _Atomic uint64_t generation; /* grows with each change */
    _Atomic int64_t heard_us;    /* monotonic: the last good answer; 0: none yet */
    _Atomic bool wanted;         /* somebody met a key that is unknown here: ask now */
} souk_trust_board_t;

void souk_trust_board_init(souk_trust_board_t *self);
void souk_trust_board_done(souk_trust_board_t *self);
/* heard_us: when it was told. */
void souk_trust_board_put(souk_trust_board_t *self, souk_trust_t **trust_p, int64_t heard_us);
/* A reference of the caller's own, or NULL. */
souk_trust_t *souk_trust_board_take(souk_trust_board_t *self, uint64_t *ret_generation);

#endif
