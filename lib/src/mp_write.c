/* The msgpack writers. A value is appended whole or not at all. */
#include "souk/mp.h"

#include "text.h"

#define S_HEAD_BYTES_MAX 9

static inline uint8_t *s_put(uint8_t *at, uint8_t head, uint64_t value, size_t bytes) {
    *at++ = head;
    for (size_t i = bytes; i > 0; i--) {
        at[i - 1] = (uint8_t)(value & 0xff);
        value >>= 8;
    }
    return at + bytes;
}

static uint8_t *s_put_uint(uint8_t *at, uint64_t value) {
    if (value < 0x80) {
        *at = (uint8_t)value;
        return at + 1;
    }
    if (value <= UINT8_MAX) {
        return s_put(at, 0xcc, value, 1);
    }
    if (value <= UINT16_MAX) {
        return s_put(at, 0xcd, value, 2);
    }
    if (value <= UINT32_MAX) {
        return s_put(at, 0xce, value, 4);
    }
    return s_put(at, 0xcf, value, 8);
}

/* The head of a size that has no form in the head byte itself: 8 bits (head8 == 0: there is none),
 * 16 and 32 bits. */
static uint8_t *s_put_size(uint8_t *at, uint8_t head8, uint8_t head16, uint64_t size) {
    if (head8 != 0 && size <= UINT8_MAX) {
        return s_put(at, head8, size, 1);
    }
    if (size <= UINT16_MAX) {
        return s_put(at, head16, size, 2);
    }
    return s_put(at, (uint8_t)(head16 + 1), size, 4);
}

void souk_mp_write_nil(souk_buf_t *buf) {
    souk_buf_append_byte(buf, 0xc0);
}

void souk_mp_write_bool(souk_buf_t *buf, bool value) {
    souk_buf_append_byte(buf, value ? 0xc3 : 0xc2);
}

/* Appends the bytes from head to end, a local array: so that a value fits that ends exactly at the
 * cap. */
static inline void s_append(souk_buf_t *buf, const uint8_t *head, const uint8_t *end) {
    souk_buf_append(buf, head, (size_t)(end - head));
}

/* Room for any head, when there is such: then a value need not be built aside. */
static inline uint8_t *s_head_room(souk_buf_t *buf) {
    bool fits = !buf->overflow && buf->capacity - buf->size >= S_HEAD_BYTES_MAX;
    return fits ? buf->data + buf->size : NULL;
}

void souk_mp_write_uint(souk_buf_t *buf, uint64_t value) {
    uint8_t *room = s_head_room(buf);
    if (room != NULL) {
        buf->size += (size_t)(s_put_uint(room, value) - room);
        return;
    }
    uint8_t head[S_HEAD_BYTES_MAX];
    s_append(buf, head, s_put_uint(head, value));
}

void souk_mp_write_int(souk_buf_t *buf, int64_t value) {
    uint64_t bits = (uint64_t)value;
    if (value >= 0) {
        souk_mp_write_uint(buf, bits);
        return;
    }
    uint8_t head[S_HEAD_BYTES_MAX];
    uint8_t *end;
    if (value >= -32) {
        *head = (uint8_t)(bits & 0xff);
        end = head + 1;
    } else if (value >= INT8_MIN) {
        end = s_put(head, 0xd0, bits, 1);
    } else if (value >= INT16_MIN) {
        end = s_put(head, 0xd1, bits, 2);
    } else if (value >= INT32_MIN) {
        end = s_put(head, 0xd2, bits, 4);
    } else {
        end = s_put(head, 0xd3, bits, 8);
    }
    s_append(buf, head, end);
}

void souk_mp_write_float(souk_buf_t *buf, double value) {
    uint8_t head[S_HEAD_BYTES_MAX];
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    s_append(buf, head, s_put(head, 0xcb, bits, 8));
}

/* Head and bytes together, or neither. msgpack knows no more than UINT32_MAX of anything. */
static void s_append_sized(souk_buf_t *buf, const uint8_t *head, const uint8_t *end,
                           souk_str_t bytes) {
    size_t head_bytes = (size_t)(end - head);
    if (bytes.size > UINT32_MAX) {
        buf->overflow = true;
        return;
    }
    uint8_t *at = souk_buf_reserve(buf, head_bytes + bytes.size);
    if (at == NULL) {
        return;
    }
    memcpy(at, head, head_bytes);
    if (bytes.size > 0) {
        memcpy(at + head_bytes, bytes.data, bytes.size);
    }
    buf->size += head_bytes + bytes.size;
}

void souk_mp_write_str(souk_buf_t *buf, souk_str_t text) {
    if (text.size < 32) {
        uint8_t *at = souk_buf_reserve(buf, text.size + 1);
        if (at != NULL) {
            *at = (uint8_t)(0xa0 | text.size);
            souk_text_copy((char *)at + 1, text);
            buf->size += text.size + 1;
        }
        return;
    }
    uint8_t head[S_HEAD_BYTES_MAX];
    s_append_sized(buf, head, s_put_size(head, 0xd9, 0xda, text.size), text);
}

void souk_mp_write_bin(souk_buf_t *buf, souk_str_t bytes) {
    uint8_t head[S_HEAD_BYTES_MAX];
    s_append_sized(buf, head, s_put_size(head, 0xc4, 0xc5, bytes.size), bytes);
}

void souk_mp_write_array(souk_buf_t *buf, uint32_t count) {
    if (count < 16) {
        souk_buf_append_byte(buf, (uint8_t)(0x90 | count));
        return;
    }
    uint8_t head[S_HEAD_BYTES_MAX];
    s_append(buf, head, s_put_size(head, 0, 0xdc, count));
}

void souk_mp_write_map(souk_buf_t *buf, uint32_t count) {
    if (count < 16) {
        souk_buf_append_byte(buf, (uint8_t)(0x80 | count));
        return;
    }
    uint8_t head[S_HEAD_BYTES_MAX];
    s_append(buf, head, s_put_size(head, 0, 0xde, count));
}

void souk_mp_write_time(souk_buf_t *buf, int64_t unix_us) {
    int64_t seconds = unix_us / 1000000, us = unix_us % 1000000;
    if (us < 0) {
        us += 1000000;
        seconds--;
    }
    uint64_t nanoseconds = (uint64_t)us * 1000;
    uint8_t text[15];
    uint8_t *end;
    if (seconds < 0 || seconds >> 34 != 0) {
        end = s_put(text, 0xc7, 12, 1);
        end = s_put(end, 0xff, nanoseconds, 4);
        /* s_put writes a head byte first: the seconds' top byte serves as that. */
        end = s_put(end, (uint8_t)((uint64_t)seconds >> 56), (uint64_t)seconds, 7);
    } else if (nanoseconds == 0 && seconds <= UINT32_MAX) {
        *text = 0xd6;
        end = s_put(text + 1, 0xff, (uint64_t)seconds, 4);
    } else {
        *text = 0xd7;
        end = s_put(text + 1, 0xff, nanoseconds << 34 | (uint64_t)seconds, 8);
    }
    s_append(buf, text, end);
}
