#include "gateway/token_cache.h"

#include <stdlib.h>

typedef struct {
    uint8_t hash[SOUK_TOKEN_HASH_BYTES];
    int64_t until_s; /* 0: free */
    uint64_t used;   /* by the cache's count of uses */
    uint32_t roles;
    uint16_t subject_size, principal_size;
    char texts[]; /* subject in SOUK_ID_BYTES_MAX, then principal */
} entry_t;

struct souk_token_cache {
    size_t rows_count;
    size_t entry_bytes, principal_bytes_max;
    uint64_t uses;
    char *entries;
};

souk_token_cache_t *souk_token_cache_new(size_t count, size_t principal_bytes_max) {
    souk_token_cache_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL && principal_bytes_max <= UINT16_MAX);
    self->principal_bytes_max = principal_bytes_max;
    size_t bytes = sizeof(entry_t) + SOUK_ID_BYTES_MAX + principal_bytes_max;
    self->entry_bytes = (bytes + 63) / 64 * 64;
    if (count > 0) {
        self->rows_count = 1;
        while (self->rows_count * SOUK_TOKEN_CACHE_WAYS < count) {
            self->rows_count *= 2;
        }
        self->entries = calloc(self->rows_count * SOUK_TOKEN_CACHE_WAYS, self->entry_bytes);
        souk_assert(self->entries != NULL);
    }
    return self;
}

void souk_token_cache_destroy(souk_token_cache_t **self_p) {
    souk_token_cache_t *self = *self_p;
    if (self != NULL) {
        free(self->entries);
        free(self);
        *self_p = NULL;
    }
}

static entry_t *s_at(const souk_token_cache_t *self, size_t row, size_t way) {
    return (entry_t *)(void *)(self->entries +
                               (row * SOUK_TOKEN_CACHE_WAYS + way) * self->entry_bytes);
}

/* The hash is of bytes that only who signs can choose freely, and its first bits are as good as any
 * others. */
static size_t s_row(const souk_token_cache_t *self, const uint8_t *hash) {
    uint64_t bits;
    memcpy(&bits, hash, sizeof(bits));
    return (size_t)bits & (self->rows_count - 1);
}

static entry_t *s_find(const souk_token_cache_t *self, const uint8_t *hash) {
    if (self->rows_count == 0) {
        return NULL;
    }
    size_t row = s_row(self, hash);
    for (size_t way = 0; way < SOUK_TOKEN_CACHE_WAYS; way++) {
        entry_t *entry = s_at(self, row, way);
        if (entry->until_s != 0 && memcmp(entry->hash, hash, sizeof(entry->hash)) == 0) {
            return entry;
        }
    }
    return NULL;
}

bool souk_token_cache_get(souk_token_cache_t *self, const uint8_t hash[SOUK_TOKEN_HASH_BYTES],
                          int64_t now_s, souk_token_t *ret) {
    entry_t *entry = s_find(self, hash);
    if (entry == NULL || entry->until_s <= now_s) {
        return false;
    }
    entry->used = ++self->uses;
    *ret = (souk_token_t){
        .roles = entry->roles,
        .until_s = entry->until_s,
        .subject = {entry->texts, entry->subject_size},
        .principal = {entry->texts + SOUK_ID_BYTES_MAX, entry->principal_size},
    };
    return true;
}

/* The entry of the row that is worth least. */
static entry_t *s_victim(const souk_token_cache_t *self, size_t row, int64_t now_s) {
    entry_t *victim = s_at(self, row, 0);
    for (size_t way = 0; way < SOUK_TOKEN_CACHE_WAYS; way++) {
        entry_t *entry = s_at(self, row, way);
        if (entry->until_s <= now_s) {
            return entry;
        }
        if (entry->used < victim->used) {
            victim = entry;
        }
    }
    return victim;
}

void souk_token_cache_put(souk_token_cache_t *self, const uint8_t hash[SOUK_TOKEN_HASH_BYTES],
                          const souk_token_t *token, int64_t now_s) {
    if (self->rows_count == 0 || token->until_s <= now_s ||
        token->subject.size > SOUK_ID_BYTES_MAX ||
        token->principal.size > self->principal_bytes_max) {
        return;
    }
    entry_t *entry = s_find(self, hash);
    if (entry == NULL) {
        entry = s_victim(self, s_row(self, hash), now_s);
    }
    memcpy(entry->hash, hash, sizeof(entry->hash));
    entry->until_s = token->until_s;
    entry->used = ++self->uses;
    entry->roles = token->roles;
    entry->subject_size = (uint16_t)token->subject.size;
    entry->principal_size = (uint16_t)token->principal.size;
    memcpy(entry->texts, token->subject.data, token->subject.size);
    memcpy(entry->texts + SOUK_ID_BYTES_MAX, token->principal.data, token->principal.size);
}

void souk_token_cache_clear(souk_token_cache_t *self) {
    if (self->rows_count > 0) {
        memset(self->entries, 0, self->rows_count * SOUK_TOKEN_CACHE_WAYS * self->entry_bytes);
    }
}
