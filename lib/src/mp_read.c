/* The msgpack cursor. Every read works on a copy of the cursor and stores it back only on success.
 */
#include "souk/mp.h"

#include "souk/clock.h"

#define S_EXT_TIME (-1)
#define S_UNIX_S_MIN INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define S_UNIX_S_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

void souk_mp_cursor_init(souk_mp_cursor_t *self, const void *data, size_t bytes) {
    static const uint8_t nothing[1];
    self->at = data != NULL ? data : nothing;
    self->end = self->at + (data != NULL ? bytes : 0);
}

bool souk_mp_at_end(const souk_mp_cursor_t *self) {
    return self->at == self->end;
}

static size_t s_left(const souk_mp_cursor_t *self) {
    return (size_t)(self->end - self->at);
}

/* Reads a big-endian integer of 1, 2, 4 or 8 bytes. */
static inline bool s_big_endian(souk_mp_cursor_t *self, size_t bytes, uint64_t *ret_value) {
    if (s_left(self) < bytes) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | self->at[i];
    }
    self->at += bytes;
    *ret_value = value;
    return true;
}

static inline bool s_bytes(souk_mp_cursor_t *self, souk_mp_kind_t kind, size_t size,
                           souk_mp_token_t *ret_token) {
    if (s_left(self) < size) {
        return false;
    }
    ret_token->kind = kind;
    ret_token->as.bytes = (souk_str_t){.data = (const char *)self->at, .size = size};
    self->at += size;
    return true;
}

static inline bool s_container(const souk_mp_cursor_t *self, souk_mp_kind_t kind, uint64_t count,
                               souk_mp_token_t *ret_token) {
    if (s_left(self) < (kind == SOUK_MP_MAP ? 2 * count : count)) {
        return false;
    }
    ret_token->kind = kind;
    ret_token->as.count = (uint32_t)count;
    return true;
}

static bool s_integer(souk_mp_cursor_t *self, uint8_t head, souk_mp_token_t *ret_token) {
    uint64_t value;
    size_t bytes = (size_t)1 << (head & 3);
    if (!s_big_endian(self, bytes, &value)) {
        return false;
    }
    ret_token->kind = SOUK_MP_INT;
    if (head < 0xd0) {
        if (value > INT64_MAX) {
            ret_token->kind = SOUK_MP_UINT;
            ret_token->as.unsigned_integer = value;
        } else {
            ret_token->as.integer = (int64_t)value;
        }
        return true;
    }
    /* Two's complement of bytes * 8 bits, without a signed shift. */
    uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    ret_token->as.integer =
        (value & sign) != 0 ? -(int64_t)(sign - 1 - (value & (sign - 1))) - 1 : (int64_t)value;
    return true;
}

static bool s_float(souk_mp_cursor_t *self, size_t bytes, souk_mp_token_t *ret_token) {
    uint64_t bits;
    if (!s_big_endian(self, bytes, &bits)) {
        return false;
    }
    ret_token->kind = SOUK_MP_FLOAT;
    if (bytes == sizeof(float)) {
        uint32_t bits32 = (uint32_t)bits;
        float number;
        memcpy(&number, &bits32, sizeof(number));
        ret_token->as.number = (double)number;
    } else {
        memcpy(&ret_token->as.number, &bits, sizeof(bits));
    }
    return true;
}

/* size bytes long counts the extension's type byte not. */
static bool s_ext(souk_mp_cursor_t *self, uint64_t size, souk_mp_token_t *ret_token) {
    if (s_left(self) < 1) {
        return false;
    }
    uint8_t type = *self->at++;
    ret_token->ext_type = (int8_t)(type < 128 ? type : type - 256);
    return s_bytes(self, SOUK_MP_EXT, size, ret_token);
}

/* Heads 0xc0 to 0xdf. */
static bool s_read_tagged(souk_mp_cursor_t *self, uint8_t head, souk_mp_token_t *ret_token) {
    uint64_t size;
    switch (head) {
    case 0xc0:
        ret_token->kind = SOUK_MP_NIL;
        return true;
    case 0xc2:
    case 0xc3:
        ret_token->kind = SOUK_MP_BOOL;
        ret_token->as.boolean = head == 0xc3;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return s_big_endian(self, (size_t)1 << (head - 0xc4), &size) &&
               s_bytes(self, SOUK_MP_BIN, size, ret_token);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return s_big_endian(self, (size_t)1 << (head - 0xc7), &size) &&
               s_ext(self, size, ret_token);
    case 0xca:
    case 0xcb:
        return s_float(self, head == 0xca ? sizeof(float) : sizeof(double), ret_token);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return s_ext(self, (uint64_t)1 << (head - 0xd4), ret_token);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return s_big_endian(self, (size_t)1 << (head - 0xd9), &size) &&
               s_bytes(self, SOUK_MP_STR, size, ret_token);
    case 0xdc:
    case 0xdd:
        return s_big_endian(self, head == 0xdc ? 2 : 4, &size) &&
               s_container(self, SOUK_MP_ARRAY, size, ret_token);
    case 0xde:
    case 0xdf:
        return s_big_endian(self, head == 0xde ? 2 : 4, &size) &&
               s_container(self, SOUK_MP_MAP, size, ret_token);
    case 0xc1: /* reserved */
        return false;
    default: /* 0xcc to 0xcf, 0xd0 to 0xd3 */
        return s_integer(self, head, ret_token);
    }
}

/* All but the two most frequent forms. */
static souk_err_t s_read_other(souk_mp_cursor_t *self, souk_mp_token_t *ret_token) {
    souk_mp_cursor_t next = *self;
    souk_mp_token_t token = {.kind = SOUK_MP_INT};
    uint8_t head = *next.at++;
    bool ok = true;
    if (head >= 0xe0) {
        token.as.integer = (int64_t)head - 256;
    } else if (head >= 0xc0) {
        ok = s_read_tagged(&next, head, &token);
    } else {
        ok = s_container(&next, head < 0x90 ? SOUK_MP_MAP : SOUK_MP_ARRAY, head & 15, &token);
    }
    if (!ok) {
        return SOUK_ERR_MALFORMED;
    }
    *self = next;
    *ret_token = token;
    return SOUK_OK;
}

/* A string of at most 31 bytes: most keys, and many values. */
static inline bool s_read_short_str(souk_mp_cursor_t *self, souk_str_t *ret_text) {
    size_t size = (size_t)*self->at & 31;
    if ((*self->at & 0xe0) != 0xa0 || s_left(self) <= size) {
        return false;
    }
    *ret_text = (souk_str_t){.data = (const char *)self->at + 1, .size = size};
    self->at += 1 + size;
    return true;
}

souk_err_t souk_mp_read(souk_mp_cursor_t *self, souk_mp_token_t *ret_token) {
    if (self->at == self->end) {
        return SOUK_ERR_MALFORMED;
    }
    if (*self->at < 0x80) {
        ret_token->kind = SOUK_MP_INT;
        ret_token->as.integer = *self->at++;
        return SOUK_OK;
    }
    souk_str_t text;
    if (s_read_short_str(self, &text)) {
        ret_token->kind = SOUK_MP_STR;
        ret_token->as.bytes = text;
        return SOUK_OK;
    }
    return (*self->at & 0xe0) == 0xa0 ? SOUK_ERR_MALFORMED : s_read_other(self, ret_token);
}

souk_err_t souk_mp_skip(souk_mp_cursor_t *self) {
    souk_mp_cursor_t next = *self;
    uint64_t left[SOUK_MP_DEPTH_MAX]; /* values that the open containers still hold */
    size_t depth = 0;
    for (;;) {
        souk_mp_token_t token;
        SOUK_TRY(souk_mp_read(&next, &token));
        if (token.kind == SOUK_MP_ARRAY || token.kind == SOUK_MP_MAP) {
            if (depth == SOUK_MP_DEPTH_MAX) {
                return SOUK_ERR_MALFORMED;
            }
            left[depth++] = (uint64_t)token.as.count * (token.kind == SOUK_MP_MAP ? 2 : 1);
        } else if (depth > 0) {
            left[depth - 1]--;
        }
        while (depth > 0 && left[depth - 1] == 0) {
            depth--;
            if (depth > 0) {
                left[depth - 1]--;
            }
        }
        if (depth == 0) {
            *self = next;
            return SOUK_OK;
        }
    }
}

/* Reads a token of one kind; the cursor stays when it is another. */
static souk_err_t s_read_kind(souk_mp_cursor_t *self, souk_mp_kind_t kind,
                              souk_mp_token_t *ret_token) {
    souk_mp_cursor_t next = *self;
    SOUK_TRY(souk_mp_read(&next, ret_token));
    if (ret_token->kind != kind) {
        return SOUK_ERR_MALFORMED;
    }
    *self = next;
    return SOUK_OK;
}

souk_err_t souk_mp_read_array(souk_mp_cursor_t *self, uint32_t *ret_count) {
    souk_mp_token_t token;
    SOUK_TRY(s_read_kind(self, SOUK_MP_ARRAY, &token));
    *ret_count = token.as.count;
    return SOUK_OK;
}

souk_err_t souk_mp_read_map(souk_mp_cursor_t *self, uint32_t *ret_count) {
    souk_mp_token_t token;
    SOUK_TRY(s_read_kind(self, SOUK_MP_MAP, &token));
    *ret_count = token.as.count;
    return SOUK_OK;
}

souk_err_t souk_mp_read_uint(souk_mp_cursor_t *self, uint64_t max, uint64_t *ret_value) {
    souk_mp_cursor_t next = *self;
    souk_mp_token_t token;
    SOUK_TRY(souk_mp_read(&next, &token));
    if (token.kind == SOUK_MP_INT && token.as.integer >= 0) {
        token.as.unsigned_integer = (uint64_t)token.as.integer;
    } else if (token.kind != SOUK_MP_UINT) {
        return SOUK_ERR_MALFORMED;
    }
    if (token.as.unsigned_integer > max) {
        return SOUK_ERR_MALFORMED;
    }
    *self = next;
    *ret_value = token.as.unsigned_integer;
    return SOUK_OK;
}

souk_err_t souk_mp_read_int(souk_mp_cursor_t *self, int64_t *ret_value) {
    souk_mp_token_t token;
    SOUK_TRY(s_read_kind(self, SOUK_MP_INT, &token));
    *ret_value = token.as.integer;
    return SOUK_OK;
}

souk_err_t souk_mp_read_bool(souk_mp_cursor_t *self, bool *ret_value) {
    souk_mp_token_t token;
    SOUK_TRY(s_read_kind(self, SOUK_MP_BOOL, &token));
    *ret_value = token.as.boolean;
    return SOUK_OK;
}

souk_err_t souk_mp_read_str(souk_mp_cursor_t *self, souk_str_t *ret_text) {
    if (self->at < self->end && s_read_short_str(self, ret_text)) {
        return SOUK_OK;
    }
    souk_mp_token_t token;
    SOUK_TRY(s_read_kind(self, SOUK_MP_STR, &token));
    *ret_text = token.as.bytes;
    return SOUK_OK;
}

souk_err_t souk_mp_read_bin(souk_mp_cursor_t *self, souk_str_t *ret_bytes) {
    souk_mp_token_t token;
    SOUK_TRY(s_read_kind(self, SOUK_MP_BIN, &token));
    *ret_bytes = token.as.bytes;
    return SOUK_OK;
}

static bool s_skip_nil(souk_mp_cursor_t *self) {
    if (self->at == self->end || *self->at != 0xc0) {
        return false;
    }
    self->at++;
    return true;
}

souk_err_t souk_mp_read_str_or_nil(souk_mp_cursor_t *self, souk_str_t *ret_text) {
    if (s_skip_nil(self)) {
        *ret_text = (souk_str_t){0};
        return SOUK_OK;
    }
    return souk_mp_read_str(self, ret_text);
}

souk_err_t souk_mp_read_bin_or_nil(souk_mp_cursor_t *self, souk_str_t *ret_bytes) {
    if (s_skip_nil(self)) {
        *ret_bytes = (souk_str_t){0};
        return SOUK_OK;
    }
    return souk_mp_read_bin(self, ret_bytes);
}

souk_err_t souk_mp_time_of(const souk_mp_token_t *token, int64_t *ret_unix_us) {
    if (token->kind != SOUK_MP_EXT || token->ext_type != S_EXT_TIME) {
        return SOUK_ERR_MALFORMED;
    }
    souk_mp_cursor_t data;
    souk_mp_cursor_init(&data, token->as.bytes.data, token->as.bytes.size);
    uint64_t nanoseconds = 0, seconds = 0;
    switch (token->as.bytes.size) {
    case 4:
        (void)s_big_endian(&data, 4, &seconds);
        break;
    case 8:
        (void)s_big_endian(&data, 8, &seconds);
        nanoseconds = seconds >> 34;
        seconds &= (UINT64_C(1) << 34) - 1;
        break;
    case 12:
        (void)s_big_endian(&data, 4, &nanoseconds);
        (void)s_big_endian(&data, 8, &seconds);
        break;
    default:
        return SOUK_ERR_MALFORMED;
    }
    /* Counted from year 1: a negative number of seconds wraps to a small one, anything out of range
     * to a large one. */
    uint64_t since_min = seconds - (uint64_t)S_UNIX_S_MIN;
    if (nanoseconds > 999999999 || since_min > (uint64_t)(S_UNIX_S_MAX - S_UNIX_S_MIN)) {
        return SOUK_ERR_MALFORMED;
    }
    *ret_unix_us = ((int64_t)since_min + S_UNIX_S_MIN) * 1000000 + (int64_t)(nanoseconds / 1000);
    return SOUK_OK;
}
