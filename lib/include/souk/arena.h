/* A bump allocator for the memory of one request: fixed cap, freed all at once. */
#ifndef SOUK_ARENA_H
#define SOUK_ARENA_H

#include "souk/base.h"
#include "souk/err.h"

typedef struct souk_arena souk_arena_t;

/* An arena that never holds more than cap_bytes; chunks are taken from the heap as they are needed
 * and kept over resets up to keep_bytes. Owned by the caller. */
souk_arena_t *souk_arena_new(size_t cap_bytes, size_t keep_bytes);
void souk_arena_destroy(souk_arena_t **self_p);

/* Zeroed memory, aligned for any type, valid until reset. NULL when the cap is reached: then the
 * overflow flag stays set until reset, so that a caller may check once at the end. */
void *souk_arena_alloc(souk_arena_t *self, size_t bytes);
void *souk_arena_alloc_array(souk_arena_t *self, size_t count, size_t item_bytes);

/* A copy of bytes in the arena (a NUL is added behind it, not counted). data is NULL on overflow.
 */
souk_str_t souk_arena_copy(souk_arena_t *self, souk_str_t bytes);
souk_str_t souk_arena_printf(souk_arena_t *self, const char *format, ...) SOUK_PRINTF(2, 3);

/* Calls fn(arg) at the next reset or destroy, last registered first: for foreign resources
 * (PGresult, bson_t). */
SOUK_MUST_CHECK souk_err_t souk_arena_on_reset(souk_arena_t *self, void (*fn)(void *arg),
                                               void *arg);

void souk_arena_reset(souk_arena_t *self);
bool souk_arena_overflowed(const souk_arena_t *self);
size_t souk_arena_used_bytes(const souk_arena_t *self);

#endif
