#include "gateway/keys.h"

#include <sodium.h>
#include <stdlib.h>

#include "gateway/principal.h"
#include "souk/arena.h"
#include "souk/buf.h"

#define ARENA_BYTES_MAX (24 * 1024 * 1024)
#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 128
#define GROW_BY 64

_Static_assert(SOUK_KEY_HASH_BYTES == crypto_hash_sha256_BYTES, "hashes are SHA-256");

struct souk_keys {
    souk_arena_t *arena;
    souk_key_t *rows; /* by id, once sealed */
    size_t count;
    bool sealed;
};

souk_keys_t *souk_keys_new(void) {
    souk_keys_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->arena = souk_arena_new(ARENA_BYTES_MAX, 0);
    return self;
}

void souk_keys_destroy(souk_keys_t **self_p) {
    souk_keys_t *self = *self_p;
    if (self != NULL) {
        free(self->rows);
        souk_arena_destroy(&self->arena);
        free(self);
        *self_p = NULL;
    }
}

size_t souk_keys_count(const souk_keys_t *self) {
    return self->count;
}

/* ---- filling ---- */

static bool s_word(souk_str_t text, size_t min, size_t max, const char *also) {
    if (text.size < min || text.size > max) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(also, c) == NULL)) {
            return false;
        }
    }
    return true;
}

static const char *s_fault(const souk_keys_t *self, const souk_key_t *key) {
    if (self->count == SOUK_KEYS_MAX) {
        return "there are more than 4096 keys";
    }
    if (!s_word(key->id, 1, SOUK_KEY_ID_BYTES_MAX, "-")) {
        return "id must be 1 to 40 letters, digits or '-'";
    }
    if (!s_word(key->subject, 1, SOUK_KEY_SUBJECT_BYTES_MAX, "_-")) {
        return "subject must be 1 to 44 letters, digits, '_' or '-'";
    }
    for (size_t i = 0; i < key->scopes_count; i++) {
        if (i == SOUK_KEY_SCOPES_MAX || key->scopes[i].size == 0 ||
            key->scopes[i].size > SOUK_KEY_SCOPE_BYTES_MAX) {
            return "scopes must be at most 64 texts of 1 to 64 bytes";
        }
    }
    return NULL;
}

static bool s_copy(souk_keys_t *self, const souk_key_t *key, souk_key_t *ret) {
    souk_buf_t principal;
    souk_buf_init(&principal, 16 * 1024);
    souk_principal_write_key(&principal, key);
    *ret = *key;
    ret->id = souk_arena_copy(self->arena, key->id);
    ret->subject = souk_arena_copy(self->arena, key->subject);
    ret->principal = souk_arena_copy(self->arena, souk_buf_str(&principal));
    bool whole = !principal.overflow;
    souk_buf_done(&principal);
    souk_str_t *scopes = souk_arena_alloc_array(
        self->arena, key->scopes_count > 0 ? key->scopes_count : 1, sizeof(*scopes));
    if (scopes == NULL) {
        return false;
    }
    for (size_t i = 0; i < key->scopes_count; i++) {
        scopes[i] = souk_arena_copy(self->arena, key->scopes[i]);
    }
    ret->scopes = scopes;
    return whole && !souk_arena_overflowed(self->arena);
}

bool souk_keys_add(souk_keys_t *self, const souk_key_t *key, const char **ret_cause) {
    souk_assert(!self->sealed);
    const char *fault = s_fault(self, key);
    if (fault != NULL) {
        *ret_cause = fault;
        return false;
    }
    if (self->count % GROW_BY == 0) {
        souk_key_t *rows = realloc(self->rows, (self->count + GROW_BY) * sizeof(*rows));
        souk_assert(rows != NULL);
        self->rows = rows;
    }
    if (!s_copy(self, key, &self->rows[self->count])) {
        *ret_cause = "it is too large";
        return false;
    }
    self->count++;
    return true;
}

static int s_by_id(const void *a, const void *b) {
    souk_str_t left = ((const souk_key_t *)a)->id;
    souk_str_t right = ((const souk_key_t *)b)->id;
    size_t size = left.size < right.size ? left.size : right.size;
    int order = memcmp(left.data, right.data, size);
    return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

bool souk_keys_seal(souk_keys_t *self) {
    self->sealed = true;
    if (self->count > 0) {
        qsort(self->rows, self->count, sizeof(self->rows[0]), s_by_id);
    }
    for (size_t i = 1; i < self->count; i++) {
        if (s_by_id(&self->rows[i - 1], &self->rows[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* ---- checking ---- */

bool souk_key_token_read(souk_str_t token, souk_key_token_t *ret) {
    const size_t prefix_size = sizeof(SOUK_KEY_PREFIX) - 1;
    if (token.size < prefix_size || memcmp(token.data, SOUK_KEY_PREFIX, prefix_size) != 0) {
        return false;
    }
    const char *id = token.data + prefix_size;
    const char *mark = memchr(id, '_', token.size - prefix_size);
    if (mark == NULL) {
        return false;
    }
    ret->id = (souk_str_t){id, (size_t)(mark - id)};
    souk_str_t secret = {mark + 1, token.size - prefix_size - ret->id.size - 1};
    if (!s_word(ret->id, 1, SOUK_KEY_ID_BYTES_MAX, "-") ||
        !s_word(secret, SECRET_BYTES_MIN, SECRET_BYTES_MAX, "_-")) {
        return false;
    }
    crypto_hash_sha256(ret->hash, (const uint8_t *)secret.data, secret.size);
    return true;
}

const souk_key_t *souk_keys_find(const souk_keys_t *self, const souk_key_token_t *token) {
    souk_assert(self->sealed);
    souk_key_t wanted = {.id = token->id};
    if (self->count == 0) {
        return NULL;
    }
    const souk_key_t *key = bsearch(&wanted, self->rows, self->count, sizeof(wanted), s_by_id);
    return key != NULL && sodium_memcmp(token->hash, key->hash, sizeof(key->hash)) == 0 ? key
                                                                                        : NULL;
}

bool souk_key_has_scope(const souk_key_t *key, souk_str_t scope) {
    for (size_t i = 0; i < key->scopes_count; i++) {
        if (souk_str_equal(key->scopes[i], SOUK_STR("*")) ||
            souk_str_equal(key->scopes[i], scope)) {
            return true;
        }
    }
    return false;
}
