#include "keys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "rotate.h"
#include "souk/base64.h"
#include "souk/clock.h"
#include "souk/log.h"
#include "souk/roles.h"

#define SET_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define SUBJECT_BYTES_MAX 44

struct users_keyset {
    atomic_int references;
    int64_t revision;
    souk_arena_t *arena; /* holds what follows */
    users_verifier_t *public_keys;
    size_t public_count;
    users_credential_t *known;
    size_t known_count;
    users_signer_t *signer; /* the active key; NULL: it cannot be opened */
    souk_str_t kid;
};

struct users_keys {
    pthread_mutex_t mutex;
    users_keyset_t *set; /* under mutex; NULL before the first */
    int64_t followed_us; /* under mutex: when the set was last known to be the database's */
};

/* ---- the set that stands ---- */

users_keys_t *users_keys_new(void) {
    users_keys_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    souk_assert(pthread_mutex_init(&self->mutex, NULL) == 0);
    self->followed_us = souk_clock_mono_us();
    return self;
}

void users_keys_destroy(users_keys_t **self_p) {
    users_keys_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    users_keyset_release(&self->set);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

users_keyset_t *users_keys_hold(users_keys_t *self) {
    pthread_mutex_lock(&self->mutex);
    users_keyset_t *set = self->set;
    if (set != NULL) {
        atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&self->mutex);
    return set;
}

void users_keyset_release(users_keyset_t **self_p) {
    users_keyset_t *self = *self_p;
    *self_p = NULL;
    if (self != NULL &&
        atomic_fetch_sub_explicit(&self->references, 1, memory_order_acq_rel) == 1) {
        users_signer_destroy(&self->signer);
        souk_arena_destroy(&self->arena);
        free(self);
    }
}

bool users_keys_loaded(users_keys_t *self) {
    pthread_mutex_lock(&self->mutex);
    bool loaded = self->set != NULL && self->set->signer != NULL;
    pthread_mutex_unlock(&self->mutex);
    return loaded;
}

int64_t users_keys_age_us(users_keys_t *self) {
    pthread_mutex_lock(&self->mutex);
    int64_t age_us = souk_clock_mono_us() - self->followed_us;
    pthread_mutex_unlock(&self->mutex);
    return age_us;
}

static void s_replace(users_keys_t *self, users_keyset_t *set) {
    pthread_mutex_lock(&self->mutex);
    users_keyset_t *former = set != NULL ? self->set : NULL;
    if (set != NULL) {
        self->set = set;
    }
    self->followed_us = souk_clock_mono_us();
    pthread_mutex_unlock(&self->mutex);
    users_keyset_release(&former);
}

souk_err_t users_keys_sign(users_keys_t *self, users_claims_t *claims, souk_arena_t *arena,
                           souk_str_t *ret_token) {
    SOUK_CLEANUP(users_keyset_release) users_keyset_t *set = users_keys_hold(self);
    if (set == NULL || set->signer == NULL) {
        return SOUK_ERR_UNAVAILABLE;
    }
    claims->kid = set->kid;
    return users_jwt_make(set->signer, claims, arena, ret_token);
}

int64_t users_keyset_revision(const users_keyset_t *self) {
    return self->revision;
}

const users_verifier_t *users_keyset_public(const users_keyset_t *self, size_t *ret_count) {
    *ret_count = self->public_count;
    return self->public_keys;
}

const users_credential_t *users_keyset_known(const users_keyset_t *self, size_t *ret_count) {
    *ret_count = self->known_count;
    return self->known;
}

/* ---- from the database ---- */

static const souk_pg_stmt_t s_revision = {.name = "users_keys_revision",
                                          .sql = "SELECT revision FROM auth_revision"};
static const souk_pg_stmt_t s_signing = {
    .name = "users_keys_signing",
    .sql = "SELECT kid, state = 'active', x, y, sealed FROM signing_keys"
           " ORDER BY state <> 'active', kid DESC LIMIT 64"};
static const souk_pg_stmt_t s_known = {
    .name = "users_keys_known",
    .sql = "SELECT k.id, k.hash, array_to_string(k.scopes, ' '), k.expires_at,"
           " k.owner_id IS NOT NULL, array_to_string(u.roles, ' ') FROM api_keys k"
           " LEFT JOIN users u ON u.id = k.owner_id WHERE k.revoked_at IS NULL"
           " AND (k.expires_at IS NULL OR k.expires_at > now())"
           " AND (k.owner_id IS NULL OR u.status = 'active') ORDER BY k.id LIMIT $1"};

static souk_str_t s_base64(souk_arena_t *arena, souk_str_t bytes) {
    size_t chars = souk_base64_chars(bytes.size);
    char *text = souk_arena_alloc(arena, chars + 1);
    if (text == NULL) {
        return (souk_str_t){0};
    }
    souk_base64_encode(bytes.data, bytes.size, text);
    return (souk_str_t){.data = text, .size = chars};
}

static void s_open_signer(const users_t *service, users_keyset_t *set, const souk_pg_rows_t *rows,
                          size_t row) {
    souk_str_t kid = souk_pg_get_str(rows, row, 0), der;
    SOUK_CLEANUP(souk_arena_destroy) souk_arena_t *work = souk_arena_new(16384, 0);
    if (users_open(&service->secret, kid, souk_pg_get_str(rows, row, 4), work, &der) != SOUK_OK ||
        users_signer_load(der, &set->signer) != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "US-KEY-UNREADABLE", SOUK_F_STR("kid", kid));
    }
}

static souk_err_t s_fill_signing(const users_t *service, users_keyset_t *set,
                                 const souk_pg_rows_t *rows) {
    size_t count = souk_pg_count(rows);
    set->public_keys = souk_arena_alloc_array(set->arena, count + 1, sizeof(*set->public_keys));
    if (set->public_keys == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        users_verifier_t *key = &set->public_keys[set->public_count++];
        key->kid = souk_arena_copy(set->arena, souk_pg_get_str(rows, i, 0));
        key->x = s_base64(set->arena, souk_pg_get_str(rows, i, 2));
        key->y = s_base64(set->arena, souk_pg_get_str(rows, i, 3));
        if (souk_pg_get_bool(rows, i, 1)) {
            set->kid = key->kid;
            s_open_signer(service, set, rows, i);
        }
    }
    return SOUK_OK;
}

/* All of them together must: USERS_AUTH_KEYS_BYTES_MAX. */
static bool s_scopes_fit(souk_str_t joined) {
    size_t count = 1;
    for (size_t i = 0; i < joined.size; i++) {
        count += joined.data[i] == ' ';
    }
    return joined.size <= USERS_API_KEY_SCOPES_BYTES_MAX && count <= USERS_API_KEY_SCOPES_MAX;
}

/* What is left of a key's scopes when it may do no more than its owner's roles: "" or words joined
 * by spaces. */
static void s_cut(souk_str_t scopes, uint32_t roles, souk_buf_t *ret_scopes) {
    bool all = users_scopes_have(scopes, SOUK_STR("*"));
    for (size_t i = 0; i < souk_scopes_count; i++) {
        souk_str_t scope = souk_str_of(souk_scopes[i]);
        if (users_roles_have(roles, scope) && (all || users_scopes_have(scopes, scope))) {
            if (ret_scopes->size > 0) {
                souk_buf_append_byte(ret_scopes, ' ');
            }
            souk_buf_append_str(ret_scopes, scope);
        }
    }
}

static souk_str_t s_effective(souk_arena_t *arena, const souk_pg_rows_t *rows, size_t row) {
    souk_str_t scopes = souk_pg_get_str(rows, row, 2);
    uint32_t roles = users_roles_of(souk_pg_get_str(rows, row, 5));
    if (!souk_pg_get_bool(rows, row, 4) || users_roles_have(roles, SOUK_STR("*"))) {
        return souk_arena_copy(arena, scopes);
    }
    SOUK_CLEANUP(souk_buf_done) souk_buf_t cut;
    souk_buf_init(&cut, USERS_API_KEY_SCOPES_BYTES_MAX);
    s_cut(scopes, roles, &cut);
    return cut.size > 0 && !cut.overflow ? souk_arena_copy(arena, souk_buf_str(&cut))
                                         : (souk_str_t){0};
}

static souk_err_t s_fill_known(users_keyset_t *set, const souk_pg_rows_t *rows) {
    size_t count = souk_pg_count(rows);
    set->known = souk_arena_alloc_array(set->arena, count + 1, sizeof(*set->known));
    if (set->known == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        souk_str_t subject = souk_pg_get_str(rows, i, 0), hash = souk_pg_get_str(rows, i, 1);
        souk_str_t scopes = s_effective(set->arena, rows, i);
        if (subject.size <= 4 || subject.size > SUBJECT_BYTES_MAX ||
            hash.size != sizeof(set->known->hash.bytes) || scopes.size == 0 ||
            !s_scopes_fit(scopes)) {
            continue; /* a row by another hand opens nothing, nor does a key that may do nothing */
        }
        users_credential_t *key = &set->known[set->known_count++];
        key->subject = souk_arena_copy(set->arena, subject);
        key->id = (souk_str_t){.data = key->subject.data + 4, .size = subject.size - 4};
        key->scopes = scopes;
        key->expires_us = souk_pg_get_time(rows, i, 3);
        memcpy(key->hash.bytes, hash.data, hash.size);
    }
    return souk_arena_overflowed(set->arena) ? SOUK_ERR_NO_MEMORY : SOUK_OK;
}

/* revision: the one seen before both reads. What changed meanwhile is read once more in the next
 * turn. */
static souk_err_t s_load(users_t *service, souk_pg_t *pg, souk_arena_t *arena, int64_t revision) {
    const souk_pg_rows_t *known, *signing;
    souk_pg_args_t args;
    souk_pg_args_init(&args, arena);
    souk_pg_int(&args, USERS_API_KEYS_MAX);
    SOUK_TRY(souk_pg_exec(pg, USERS_STEP_MS, arena, &s_known, &args, &known));
    SOUK_TRY(souk_pg_exec(pg, USERS_STEP_MS, arena, &s_signing, NULL, &signing));
    users_keyset_t *set = calloc(1, sizeof(*set));
    souk_assert(set != NULL);
    atomic_init(&set->references, 1);
    set->arena = souk_arena_new(SET_BYTES_MAX, 0);
    souk_err_t err = s_fill_signing(service, set, signing);
    if (err == SOUK_OK) {
        err = s_fill_known(set, known);
    }
    if (err != SOUK_OK) {
        users_keyset_release(&set);
        return err;
    }
    set->revision = revision;
    souk_log(SOUK_LOG_INFO, "US-KEYS-LOADED", SOUK_F_INT("revision", revision),
             SOUK_F_INT("signing_keys", set->public_count),
             SOUK_F_INT("api_keys", set->known_count));
    s_replace(service->keys, set);
    return SOUK_OK;
}

souk_err_t users_keys_follow(users_t *service, souk_pg_t *pg, souk_arena_t *arena) {
    const souk_pg_rows_t *rows;
    SOUK_TRY(souk_pg_exec(pg, USERS_STEP_MS, arena, &s_revision, NULL, &rows));
    int64_t revision = souk_pg_get_int(rows, 0, 0);
    SOUK_CLEANUP(users_keyset_release) users_keyset_t *set = users_keys_hold(service->keys);
    if (set == NULL || set->public_count == 0) {
        SOUK_TRY(users_keys_turn(service, pg, arena));
        return s_load(service, pg, arena, revision);
    }
    if (set->revision != revision) {
        return s_load(service, pg, arena, revision);
    }
    s_replace(service->keys, NULL);
    return SOUK_OK;
}

souk_err_t users_keys_turn(users_t *service, souk_pg_t *pg, souk_arena_t *arena) {
    users_rotation_t rotation = {0};
    SOUK_TRY(souk_pg_begin(pg, USERS_STEP_MS));
    souk_err_t err = users_rotate(service, pg, arena, &rotation);
    if (err == SOUK_OK) {
        err = souk_pg_commit(pg);
    } else {
        souk_pg_rollback(pg);
    }
    SOUK_TRY(err);
    if (rotation.changed) {
        souk_log(SOUK_LOG_INFO, "US-KEY-ROTATED", SOUK_F_TEXT("by", "keeper"));
    }
    return SOUK_OK;
}
