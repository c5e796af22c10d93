/* The msgpack cursor against msgpack-c: what our cursor takes, msgpack-c takes with the same end;
 * and what we write of what we read, reads and writes as the same bytes again. (msgpack-c is not
 * asked about what we refuse: it would believe announced sizes.) */
#include <msgpack.h>
#include <stdlib.h>

#include "souk/mp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void s_write(souk_buf_t *buf, const souk_mp_token_t *token) {
    switch (token->kind) {
    case SOUK_MP_NIL:
        souk_mp_write_nil(buf);
        break;
    case SOUK_MP_BOOL:
        souk_mp_write_bool(buf, token->as.boolean);
        break;
    case SOUK_MP_INT:
        souk_mp_write_int(buf, token->as.integer);
        break;
    case SOUK_MP_UINT:
        souk_mp_write_uint(buf, token->as.unsigned_integer);
        break;
    case SOUK_MP_FLOAT:
        souk_mp_write_float(buf, token->as.number);
        break;
    case SOUK_MP_STR:
        souk_mp_write_str(buf, token->as.bytes);
        break;
    case SOUK_MP_BIN:
        souk_mp_write_bin(buf, token->as.bytes);
        break;
    case SOUK_MP_ARRAY:
        souk_mp_write_array(buf, token->as.count);
        break;
    case SOUK_MP_MAP:
        souk_mp_write_map(buf, token->as.count);
        break;
    case SOUK_MP_EXT: {
        int64_t unix_us;
        if (souk_mp_time_of(token, &unix_us) == SOUK_OK) {
            souk_mp_write_time(buf, unix_us);
        } else {
            souk_mp_write_nil(buf);
        }
        break;
    }
    }
}

/* Writes all tokens of bytes anew. */
static void s_rewrite(souk_str_t bytes, souk_buf_t *buf) {
    souk_mp_cursor_t cursor;
    souk_mp_token_t token;
    souk_mp_cursor_init(&cursor, bytes.data, bytes.size);
    while (!souk_mp_at_end(&cursor)) {
        souk_err_t err = souk_mp_read(&cursor, &token);
        souk_assert(err == SOUK_OK);
        s_write(buf, &token);
    }
    souk_assert(!buf->overflow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    souk_mp_cursor_t cursor;
    souk_mp_cursor_init(&cursor, data, size);
    if (souk_mp_skip(&cursor) != SOUK_OK) {
        souk_mp_token_t token;
        while (souk_mp_read(&cursor, &token) == SOUK_OK) {
        }
        return 0;
    }
    size_t taken = size - (size_t)(cursor.end - cursor.at), offset = 0;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    msgpack_unpack_return rc = msgpack_unpack_next(&unpacked, (const char *)data, size, &offset);
    souk_assert(rc == MSGPACK_UNPACK_SUCCESS && offset == taken);
    msgpack_unpacked_destroy(&unpacked);

    souk_buf_t first, second;
    souk_buf_init(&first, 4 * size + 16);
    souk_buf_init(&second, 4 * size + 16);
    s_rewrite((souk_str_t){.data = (const char *)data, .size = taken}, &first);
    s_rewrite(souk_buf_str(&first), &second);
    souk_assert(souk_str_equal(souk_buf_str(&first), souk_buf_str(&second)));
    souk_buf_done(&first);
    souk_buf_done(&second);
    return 0;
}
