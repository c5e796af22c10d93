/* A growable byte buffer with a cap: what encoders write to. */
#ifndef SOUK_BUF_H
#define SOUK_BUF_H

#include "souk/base.h"

/* Initialise by souk_buf_init. An append that would go beyond max, or for which the heap has no
 * memory, sets overflow and changes nothing, and so does every later one until clear: an encoder
 * may check once at the end, and the content never has a hole. */
typedef struct {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t max;
    bool overflow;
} souk_buf_t;

void souk_buf_init(souk_buf_t *self, size_t max_bytes);
void souk_buf_done(souk_buf_t *self);

/* Forgets the content and overflow, keeps the memory. */
void souk_buf_clear(souk_buf_t *self);
/* Gives memory beyond keep_bytes and beyond the content back. */
void souk_buf_shrink(souk_buf_t *self, size_t keep_bytes);

/* The slow path of souk_buf_reserve. */
uint8_t *souk_buf_grow(souk_buf_t *self, size_t bytes);

/* Room for at least bytes (1 or more) besides the content: the first free byte, or NULL on
 * overflow. The caller adds to size. */
static inline uint8_t *souk_buf_reserve(souk_buf_t *self, size_t bytes) {
    if (bytes < self->capacity - self->size && !self->overflow) {
        return self->data + self->size;
    }
    return souk_buf_grow(self, bytes);
}

void souk_buf_append(souk_buf_t *self, const void *data, size_t bytes);
void souk_buf_append_str(souk_buf_t *self, souk_str_t text);
static inline void souk_buf_append_byte(souk_buf_t *self, uint8_t byte) {
    uint8_t *room = souk_buf_reserve(self, 1);
    if (room != NULL) {
        *room = byte;
        self->size++;
    }
}
void souk_buf_printf(souk_buf_t *self, const char *format, ...) SOUK_PRINTF(2, 3);
/* Drops the first bytes of the content. */
void souk_buf_consume(souk_buf_t *self, size_t bytes);

static inline souk_str_t souk_buf_str(const souk_buf_t *self) {
    return (souk_str_t){.data = (const char *)self->data, .size = self->size};
}

#endif
