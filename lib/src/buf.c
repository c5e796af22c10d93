#include "souk/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define S_CAPACITY_MIN ((size_t)256)

void souk_buf_init(souk_buf_t *self, size_t max_bytes) {
    *self = (souk_buf_t){.max = max_bytes};
}

void souk_buf_done(souk_buf_t *self) {
    free(self->data);
    *self = (souk_buf_t){0};
}

void souk_buf_clear(souk_buf_t *self) {
    self->size = 0;
    self->overflow = false;
}

void souk_buf_shrink(souk_buf_t *self, size_t keep_bytes) {
    size_t capacity = self->size > keep_bytes ? self->size : keep_bytes;
    if (self->capacity <= capacity) {
        return;
    }
    if (capacity == 0) {
        free(self->data);
        self->data = NULL;
        self->capacity = 0;
        return;
    }
    uint8_t *data = realloc(self->data, capacity);
    if (data != NULL) {
        self->data = data;
        self->capacity = capacity;
    }
}

uint8_t *souk_buf_grow(souk_buf_t *self, size_t bytes) {
    if (self->overflow || bytes > self->max || self->size > self->max - bytes) {
        self->overflow = true;
        return NULL;
    }
    size_t needed = self->size + bytes;
    if (needed > self->capacity) {
        size_t capacity = self->capacity < S_CAPACITY_MIN ? S_CAPACITY_MIN : self->capacity;
        while (capacity < needed && capacity <= self->max / 2) {
            capacity *= 2;
        }
        capacity = capacity < needed || capacity > self->max ? self->max : capacity;
        uint8_t *data = realloc(self->data, capacity);
        if (data == NULL) {
            self->overflow = true;
            return NULL;
        }
        self->data = data;
        self->capacity = capacity;
    }
    return self->data + self->size;
}

void souk_buf_append(souk_buf_t *self, const void *data, size_t bytes) {
    if (bytes == 0) {
        return;
    }
    uint8_t *room = souk_buf_reserve(self, bytes);
    if (room != NULL) {
        memcpy(room, data, bytes);
        self->size += bytes;
    }
}

void souk_buf_append_str(souk_buf_t *self, souk_str_t text) {
    souk_buf_append(self, text.data, text.size);
}

void souk_buf_printf(souk_buf_t *self, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    souk_assert(size >= 0);
    /* vsnprintf writes a NUL behind the text, which the buffer's cap need not have room for. */
    if (!self->overflow && (size_t)size < self->max && self->size < self->max - (size_t)size) {
        uint8_t *room = souk_buf_reserve(self, (size_t)size + 1);
        if (room != NULL) {
            vsnprintf((char *)room, (size_t)size + 1, format, again);
            self->size += (size_t)size;
        }
    } else {
        char *text = malloc((size_t)size + 1);
        if (text != NULL) {
            vsnprintf(text, (size_t)size + 1, format, again);
            souk_buf_append(self, text, (size_t)size);
            free(text);
        } else {
            self->overflow = true;
        }
    }
    va_end(again);
}

void souk_buf_consume(souk_buf_t *self, size_t bytes) {
    souk_assert(bytes <= self->size);
    self->size -= bytes;
    if (self->size > 0 && bytes > 0) {
        memmove(self->data, self->data + bytes, self->size);
    }
}
