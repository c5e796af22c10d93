#include "gateway/auth.h"

#include <sodium.h>
#include <stdlib.h>

#include "gateway/jwt.h"
#include "gateway/principal.h"
#include "gateway/token_cache.h"

#define GUEST_PRINCIPAL_BYTES_MAX 128

struct souk_auth {
    souk_auth_options_t options;
    souk_keys_file_t *file;
    souk_trust_t *trust; /* NULL: the source has not answered yet */
    bool stale;          /* its answer is too old to go by */
    uint64_t board_generation, generation;
    souk_token_cache_t *cache;
    souk_arena_t *arena;  /* of one token */
    souk_buf_t principal; /* of the last guest, or of the last user who was not cached */
    souk_guest_t guest;
};

souk_auth_t *souk_auth_new(const souk_auth_options_t *options) {
    souk_auth_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    size_t principal_max = souk_principal_user_bytes_max();
    self->options = *options;
    self->file = souk_keys_file_new(options->keys_file);
    self->cache = souk_token_cache_new(options->cache_count, principal_max);
    self->arena = souk_arena_new(SOUK_JWT_ARENA_BYTES, SOUK_JWT_ARENA_BYTES);
    souk_buf_init(&self->principal, principal_max + GUEST_PRINCIPAL_BYTES_MAX);
    return self;
}

void souk_auth_destroy(souk_auth_t **self_p) {
    souk_auth_t *self = *self_p;
    if (self != NULL) {
        souk_keys_file_destroy(&self->file);
        souk_trust_unref(&self->trust);
        souk_token_cache_destroy(&self->cache);
        souk_arena_destroy(&self->arena);
        souk_buf_done(&self->principal);
        free(self);
        *self_p = NULL;
    }
}

/* ---- what is known ---- */

/* Takes over what is new on the board: one load when nothing is. */
static void s_follow(souk_auth_t *self) {
    souk_trust_board_t *board = self->options.board;
    if (atomic_load_explicit(&board->generation, memory_order_acquire) != self->board_generation) {
        souk_trust_unref(&self->trust);
        self->trust = souk_trust_board_take(board, &self->board_generation);
        souk_token_cache_clear(self->cache);
        self->stale = false;
        self->generation++;
    }
}

void souk_auth_refresh(souk_auth_t *self, int64_t now_us) {
    s_follow(self);
    bool stale = now_us - atomic_load(&self->options.board->heard_us) > self->options.stale_us;
    self->generation += stale != self->stale ? 1 : 0;
    self->stale = stale;
}

souk_keys_change_t souk_auth_refresh_file(souk_auth_t *self, const char **ret_cause) {
    souk_keys_change_t change = souk_keys_file_refresh(self->file, ret_cause);
    self->generation += change == SOUK_KEYS_SAME ? 0 : 1;
    return change;
}

size_t souk_auth_file_keys_count(const souk_auth_t *self) {
    return souk_keys_count(souk_keys_file_set(self->file));
}

bool souk_auth_knows_keys(const souk_auth_t *self) {
    return !self->options.has_source || (self->trust != NULL && !self->stale);
}

uint64_t souk_auth_generation(souk_auth_t *self) {
    s_follow(self);
    return self->generation;
}

/* ---- API keys ---- */

/* The file's keys are good whatever the source says: they are how its first key is made. */
static souk_auth_outcome_t s_api_key(souk_auth_t *self, souk_str_t text, int64_t now_s,
                                     souk_identity_t *ret) {
    souk_key_token_t token;
    ret->who = SOUK_WHO_API_KEY;
    if (!souk_key_token_read(text, &token)) {
        return SOUK_AUTH_INVALID;
    }
    const souk_key_t *key = souk_keys_find(souk_keys_file_set(self->file), &token);
    if (key == NULL && self->options.has_source) {
        if (!souk_auth_knows_keys(self)) {
            return SOUK_AUTH_UNAVAILABLE;
        }
        key = souk_keys_find(souk_trust_api_keys(self->trust), &token);
    }
    if (key == NULL) {
        return SOUK_AUTH_INVALID;
    }
    if (key->expires_s != 0 && now_s >= key->expires_s) {
        return SOUK_AUTH_EXPIRED;
    }
    ret->key = key;
    ret->id = key->id;
    ret->principal = key->principal;
    ret->until_s = key->expires_s != 0 ? key->expires_s : INT64_MAX;
    return SOUK_AUTH_GOOD;
}

/* ---- users ---- */

/* The costly half comes last: a token that cannot hold is not worth a signature. */
static souk_auth_outcome_t s_verify(souk_auth_t *self, const souk_jwt_t *jwt, int64_t now_s) {
    const souk_jwt_rules_t rules = {.issuer = souk_trust_issuer(self->trust),
                                    .audience = souk_trust_audience(self->trust),
                                    .now_s = now_s,
                                    .skew_s = self->options.skew_s};
    souk_jwt_verdict_t verdict = souk_jwt_judge(jwt, &rules);
    if (verdict != SOUK_JWT_GOOD) {
        return verdict == SOUK_JWT_EXPIRED ? SOUK_AUTH_EXPIRED : SOUK_AUTH_INVALID;
    }
    EVP_PKEY *key = souk_trust_key(self->trust, jwt->kid);
    if (key == NULL) {
        atomic_store(&self->options.board->wanted, true);
        return SOUK_AUTH_INVALID;
    }
    return souk_jwt_signed_by(jwt, key) ? SOUK_AUTH_GOOD : SOUK_AUTH_INVALID;
}

static void s_set_user(const souk_token_t *token, souk_identity_t *ret) {
    ret->id = token->subject;
    ret->principal = token->principal;
    ret->until_s = token->until_s;
    ret->roles = token->roles;
}

static souk_auth_outcome_t s_user(souk_auth_t *self, souk_str_t text, int64_t now_s,
                                  souk_identity_t *ret) {
    uint8_t hash[SOUK_TOKEN_HASH_BYTES];
    souk_token_t token;
    souk_jwt_t jwt;
    ret->who = SOUK_WHO_USER;
    if (text.size > SOUK_JWT_BYTES_MAX) {
        return SOUK_AUTH_INVALID;
    }
    if (!souk_auth_knows_keys(self)) {
        return SOUK_AUTH_UNAVAILABLE;
    }
    if (self->trust == NULL) { /* nobody signs tokens */
        return SOUK_AUTH_INVALID;
    }
    crypto_hash_sha256(hash, (const uint8_t *)text.data, text.size);
    if (souk_token_cache_get(self->cache, hash, now_s, &token)) {
        s_set_user(&token, ret);
        return SOUK_AUTH_GOOD;
    }
    souk_arena_reset(self->arena);
    if (!souk_jwt_read(text, self->arena, &jwt)) {
        return SOUK_AUTH_INVALID;
    }
    souk_auth_outcome_t outcome = s_verify(self, &jwt, now_s);
    if (outcome != SOUK_AUTH_GOOD) {
        return outcome;
    }
    souk_buf_clear(&self->principal);
    souk_principal_write_user(&self->principal, jwt.subject, jwt.session, jwt.roles);
    souk_assert(!self->principal.overflow); /* its ids have one length, the rest is ours */
    token = (souk_token_t){.roles = jwt.roles,
                           .until_s = jwt.expires_s + self->options.skew_s,
                           .subject = jwt.subject,
                           .principal = souk_buf_str(&self->principal)};
    souk_token_cache_put(self->cache, hash, &token, now_s);
    s_set_user(&token, ret);
    return SOUK_AUTH_GOOD;
}

/* ---- guests ---- */

static souk_auth_outcome_t s_guest(souk_auth_t *self, souk_str_t text, int64_t now_s,
                                   souk_identity_t *ret) {
    ret->who = SOUK_WHO_GUEST;
    if (souk_guest_check(self->options.guest_keys, text, now_s, &self->guest) != SOUK_OK) {
        return SOUK_AUTH_INVALID;
    }
    ret->id = (souk_str_t){self->guest.subject, SOUK_GUEST_SUBJECT_BYTES};
    souk_buf_clear(&self->principal);
    souk_principal_write_guest(&self->principal, ret->id);
    ret->principal = souk_buf_str(&self->principal);
    ret->until_s = self->guest.expires_s;
    return SOUK_AUTH_GOOD;
}

/* ---- all of them ---- */

/* Bearer TOKEN to the token. */
static bool s_bearer(souk_str_t authorization, souk_str_t *ret) {
    static const char scheme[] = "bearer ";
    const size_t scheme_size = sizeof(scheme) - 1;
    if (authorization.size < scheme_size ||
        strncasecmp(authorization.data, scheme, scheme_size) != 0) {
        return false;
    }
    souk_str_t token = {authorization.data + scheme_size, authorization.size - scheme_size};
    while (token.size > 0 && token.data[0] == ' ') {
        token.data++;
        token.size--;
    }
    *ret = token;
    return token.size > 0;
}

static bool s_begins(souk_str_t text, souk_str_t with) {
    return text.size >= with.size && memcmp(text.data, with.data, with.size) == 0;
}

souk_auth_outcome_t souk_auth_identify(souk_auth_t *self, souk_str_t authorization, int64_t now_s,
                                       souk_identity_t *ret) {
    souk_str_t token;
    *ret = (souk_identity_t){.who = SOUK_WHO_NOBODY, .until_s = INT64_MAX};
    if (authorization.data == NULL) {
        return SOUK_AUTH_MISSING;
    }
    s_follow(self);
    if (s_bearer(authorization, &token)) {
        if (s_begins(token, SOUK_STR(SOUK_JWT_PREFIX))) {
            return s_user(self, token, now_s, ret);
        }
        if (s_begins(token, SOUK_STR(SOUK_GUEST_PREFIX))) {
            return s_guest(self, token, now_s, ret);
        }
        if (s_begins(token, SOUK_STR(SOUK_KEY_PREFIX))) {
            return s_api_key(self, token, now_s, ret);
        }
    }
    ret->who = SOUK_WHO_UNKNOWN;
    return SOUK_AUTH_INVALID;
}

static bool s_has_scope(const souk_identity_t *identity, souk_str_t scope) {
    return identity->key != NULL ? souk_key_has_scope(identity->key, scope)
                                 : souk_principal_roles_have(identity->roles, scope);
}

souk_auth_outcome_t souk_auth_permit(const souk_route_t *route, const souk_identity_t *identity,
                                     souk_auth_outcome_t identified) {
    bool permitted = false;
    if (identified == SOUK_AUTH_MISSING && route->auth == SOUK_AUTH_OPTIONAL) {
        return SOUK_AUTH_GOOD;
    }
    if (identified != SOUK_AUTH_GOOD) {
        return identified;
    }
    switch ((souk_auth_rule_t)route->auth) {
    case SOUK_AUTH_NONE:
    case SOUK_AUTH_OPTIONAL:
        permitted = true;
        break;
    case SOUK_AUTH_GUEST:
        permitted = identity->who == SOUK_WHO_GUEST || identity->who == SOUK_WHO_USER;
        break;
    case SOUK_AUTH_USER:
        permitted = identity->who == SOUK_WHO_USER;
        break;
    case SOUK_AUTH_SCOPE:
        permitted = s_has_scope(identity, souk_str_of(route->scope));
        break;
    }
    return permitted ? SOUK_AUTH_GOOD : SOUK_AUTH_FORBIDDEN;
}
