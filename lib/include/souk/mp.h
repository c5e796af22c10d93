/* msgpack: a writer onto souk_buf_t and a cursor that reads borrowed bytes. Format:
 * github.com/msgpack/msgpack, spec.md.
 *
 * Cursor rule: no length that the input announces is believed beyond the bytes that remain (an
 * array of n elements needs at least n bytes, a map 2n), so that a reader may size an allocation by
 * it. */
#ifndef SOUK_MP_H
#define SOUK_MP_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

#define SOUK_MP_DEPTH_MAX 16

typedef enum {
    SOUK_MP_NIL,
    SOUK_MP_BOOL,
    SOUK_MP_INT,  /* fits int64_t */
    SOUK_MP_UINT, /* above INT64_MAX */
    SOUK_MP_FLOAT,
    SOUK_MP_STR,
    SOUK_MP_BIN,
    SOUK_MP_ARRAY,
    SOUK_MP_MAP,
    SOUK_MP_EXT,
} souk_mp_kind_t;

typedef struct {
    souk_mp_kind_t kind;
    int8_t ext_type;
    union {
        bool boolean;
        int64_t integer;
        uint64_t unsigned_integer;
        double number;
        souk_str_t bytes; /* STR, BIN, EXT: borrowed from the input */
        uint32_t count;   /* ARRAY: elements; MAP: pairs; they follow in the input */
    } as;
} souk_mp_token_t;

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} souk_mp_cursor_t;

void souk_mp_cursor_init(souk_mp_cursor_t *self, const void *data, size_t bytes);
bool souk_mp_at_end(const souk_mp_cursor_t *self);

/* Reads one token (for a container: its head). SOUK_ERR_MALFORMED on truncated or reserved input;
 * the cursor then stays. Strings are not checked for UTF-8 here. */
SOUK_MUST_CHECK souk_err_t souk_mp_read(souk_mp_cursor_t *self, souk_mp_token_t *ret_token);
/* Skips one whole value, at most SOUK_MP_DEPTH_MAX deep. */
SOUK_MUST_CHECK souk_err_t souk_mp_skip(souk_mp_cursor_t *self);

/* Typed reads: SOUK_ERR_MALFORMED when the next value is of another kind or out of range; the
 * cursor then stays. */
SOUK_MUST_CHECK souk_err_t souk_mp_read_array(souk_mp_cursor_t *self, uint32_t *ret_count);
SOUK_MUST_CHECK souk_err_t souk_mp_read_map(souk_mp_cursor_t *self, uint32_t *ret_count);
SOUK_MUST_CHECK souk_err_t souk_mp_read_uint(souk_mp_cursor_t *self, uint64_t max,
                                             uint64_t *ret_value);
SOUK_MUST_CHECK souk_err_t souk_mp_read_int(souk_mp_cursor_t *self, int64_t *ret_value);
SOUK_MUST_CHECK souk_err_t souk_mp_read_bool(souk_mp_cursor_t *self, bool *ret_value);
SOUK_MUST_CHECK souk_err_t souk_mp_read_str(souk_mp_cursor_t *self, souk_str_t *ret_text);
SOUK_MUST_CHECK souk_err_t souk_mp_read_bin(souk_mp_cursor_t *self, souk_str_t *ret_bytes);
/* nil gives an empty result with data == NULL. */
SOUK_MUST_CHECK souk_err_t souk_mp_read_str_or_nil(souk_mp_cursor_t *self, souk_str_t *ret_text);
SOUK_MUST_CHECK souk_err_t souk_mp_read_bin_or_nil(souk_mp_cursor_t *self, souk_str_t *ret_bytes);

/* Writers use the shortest form. Overflow is the buffer's sticky flag. */
void souk_mp_write_nil(souk_buf_t *buf);
void souk_mp_write_bool(souk_buf_t *buf, bool value);
void souk_mp_write_int(souk_buf_t *buf, int64_t value);
void souk_mp_write_uint(souk_buf_t *buf, uint64_t value);
void souk_mp_write_float(souk_buf_t *buf, double value);
void souk_mp_write_str(souk_buf_t *buf, souk_str_t text);
void souk_mp_write_bin(souk_buf_t *buf, souk_str_t bytes);
void souk_mp_write_array(souk_buf_t *buf, uint32_t count);
void souk_mp_write_map(souk_buf_t *buf, uint32_t count);
/* The msgpack timestamp extension (type -1) from microseconds since 1970-01-01 UTC. */
void souk_mp_write_time(souk_buf_t *buf, int64_t unix_us);
/* Timestamps of all three sizes to microseconds; SOUK_ERR_MALFORMED when out of the range
 * 0001..9999 or another extension. */
SOUK_MUST_CHECK souk_err_t souk_mp_time_of(const souk_mp_token_t *token, int64_t *ret_unix_us);

#endif
