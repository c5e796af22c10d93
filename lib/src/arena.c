/* Two lists of chunks: `used` (its head is the one that allocations are cut from) and `spare` (kept
 * by the last reset). A request that is large for a chunk gets one of its own behind the head, so
 * that the head's rest is not lost. The cap counts the chunks' payload, used and spare together;
 * spare ones are given back before a request is refused.
 *
 * Under AddressSanitizer everything that is not handed out is poisoned, so that reading past a
 * string is found although its neighbour lies in the same chunk. */
#include "souk/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define S_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define S_ASAN 1
#endif
#endif
#ifdef S_ASAN
#include <sanitizer/asan_interface.h>
#define S_POISON(at, bytes) ASAN_POISON_MEMORY_REGION(at, bytes)
#define S_UNPOISON(at, bytes) ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#else
#define S_POISON(at, bytes) ((void)(at), (void)(bytes))
#define S_UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

#define S_ALIGN alignof(max_align_t)
#define S_CHUNK_BYTES_MIN ((size_t)4096)
#define S_CHUNK_BYTES_MAX ((size_t)65536)

typedef struct s_chunk {
    struct s_chunk *next;
    size_t capacity;
    size_t used;
    alignas(max_align_t) unsigned char data[];
} s_chunk_t;

typedef struct s_hook {
    struct s_hook *next;
    void (*fn)(void *arg);
    void *arg;
} s_hook_t;

struct souk_arena {
    s_chunk_t *used, *spare;
    s_hook_t *hooks; /* in the arena itself, last registered first */
    size_t cap_bytes, keep_bytes;
    size_t held_bytes; /* payload of all chunks */
    size_t used_bytes;
    bool overflow;
};

souk_arena_t *souk_arena_new(size_t cap_bytes, size_t keep_bytes) {
    souk_arena_t *self = calloc(1, sizeof(*self));
    souk_assert(self != NULL);
    self->cap_bytes = cap_bytes;
    self->keep_bytes = keep_bytes;
    return self;
}

static void s_chunk_free(souk_arena_t *self, s_chunk_t *chunk) {
    self->held_bytes -= chunk->capacity;
    S_UNPOISON(chunk->data, chunk->capacity);
    free(chunk);
}

static void s_spare_free(souk_arena_t *self) {
    while (self->spare != NULL) {
        s_chunk_t *chunk = self->spare;
        self->spare = chunk->next;
        s_chunk_free(self, chunk);
    }
}

void souk_arena_destroy(souk_arena_t **self_p) {
    souk_arena_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    self->keep_bytes = 0;
    souk_arena_reset(self);
    free(self);
    *self_p = NULL;
}

/* A chunk with room for bytes: a spare one, or a new one that the cap allows. NULL when there is
 * none. */
static s_chunk_t *s_chunk_take(souk_arena_t *self, size_t bytes) {
    for (s_chunk_t **at = &self->spare; *at != NULL; at = &(*at)->next) {
        s_chunk_t *chunk = *at;
        if (chunk->capacity >= bytes) {
            *at = chunk->next;
            return chunk;
        }
    }
    if (bytes > self->cap_bytes - self->held_bytes) {
        s_spare_free(self);
    }
    size_t room = self->cap_bytes - self->held_bytes;
    if (bytes > room) {
        return NULL;
    }
    size_t capacity = self->held_bytes;
    capacity = capacity < S_CHUNK_BYTES_MIN ? S_CHUNK_BYTES_MIN : capacity;
    capacity = capacity > S_CHUNK_BYTES_MAX ? S_CHUNK_BYTES_MAX : capacity;
    capacity = capacity < bytes ? bytes : capacity;
    capacity = capacity > room ? room : capacity;
    s_chunk_t *chunk = malloc(sizeof(*chunk) + capacity);
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (s_chunk_t){.capacity = capacity};
    S_POISON(chunk->data, capacity);
    self->held_bytes += capacity;
    return chunk;
}

/* Makes a chunk with room for bytes; the head stays the head when the new one would only serve this
 * request. */
static s_chunk_t *s_chunk_add(souk_arena_t *self, size_t bytes) {
    s_chunk_t *chunk = s_chunk_take(self, bytes);
    if (chunk == NULL) {
        return NULL;
    }
    s_chunk_t *head = self->used;
    if (head != NULL && chunk->capacity - bytes < head->capacity - head->used) {
        chunk->next = head->next;
        head->next = chunk;
    } else {
        chunk->next = head;
        self->used = chunk;
    }
    return chunk;
}

/* As souk_arena_alloc, not zeroed. */
static void *s_take(souk_arena_t *self, size_t bytes) {
    size_t size = (bytes + S_ALIGN - 1) & ~(S_ALIGN - 1);
    if (size == 0) {
        size = S_ALIGN;
    }
    s_chunk_t *chunk = self->used;
    if (size < bytes || chunk == NULL || size > chunk->capacity - chunk->used) {
        chunk = size < bytes ? NULL : s_chunk_add(self, size);
        if (chunk == NULL) {
            self->overflow = true;
            return NULL;
        }
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += size;
    self->used_bytes += size;
    S_UNPOISON(memory, bytes);
    return memory;
}

void *souk_arena_alloc(souk_arena_t *self, size_t bytes) {
    void *memory = s_take(self, bytes);
    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

void *souk_arena_alloc_array(souk_arena_t *self, size_t count, size_t item_bytes) {
    if (item_bytes != 0 && count > SIZE_MAX / item_bytes) {
        self->overflow = true;
        return NULL;
    }
    return souk_arena_alloc(self, count * item_bytes);
}

souk_str_t souk_arena_copy(souk_arena_t *self, souk_str_t bytes) {
    char *copy = s_take(self, bytes.size + 1);
    if (copy == NULL) {
        return (souk_str_t){0};
    }
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    copy[bytes.size] = '\0';
    return (souk_str_t){.data = copy, .size = bytes.size};
}

souk_str_t souk_arena_printf(souk_arena_t *self, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    souk_assert(size >= 0);
    char *text = s_take(self, (size_t)size + 1);
    if (text != NULL) {
        vsnprintf(text, (size_t)size + 1, format, again);
    }
    va_end(again);
    return (souk_str_t){.data = text, .size = text != NULL ? (size_t)size : 0};
}

souk_err_t souk_arena_on_reset(souk_arena_t *self, void (*fn)(void *arg), void *arg) {
    s_hook_t *hook = s_take(self, sizeof(*hook));
    if (hook == NULL) {
        return SOUK_ERR_NO_MEMORY;
    }
    *hook = (s_hook_t){.next = self->hooks, .fn = fn, .arg = arg};
    self->hooks = hook;
    return SOUK_OK;
}

void souk_arena_reset(souk_arena_t *self) {
    while (self->hooks != NULL) {
        s_hook_t *hook = self->hooks;
        self->hooks = hook->next;
        hook->fn(hook->arg);
    }
    size_t kept_bytes = 0;
    s_chunk_t *lists[2] = {self->used, self->spare};
    self->used = NULL;
    self->spare = NULL;
    for (size_t i = 0; i < SOUK_COUNT_OF(lists); i++) {
        for (s_chunk_t *chunk = lists[i], *next; chunk != NULL; chunk = next) {
            next = chunk->next;
            if (chunk->capacity > self->keep_bytes - kept_bytes) {
                s_chunk_free(self, chunk);
                continue;
            }
            kept_bytes += chunk->capacity;
            chunk->used = 0;
            S_POISON(chunk->data, chunk->capacity);
            chunk->next = self->spare;
            self->spare = chunk;
        }
    }
    self->used_bytes = 0;
    self->overflow = false;
}

bool souk_arena_overflowed(const souk_arena_t *self) {
    return self->overflow;
}

size_t souk_arena_used_bytes(const souk_arena_t *self) {
    return self->used_bytes;
}
