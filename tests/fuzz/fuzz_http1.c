/* The HTTP parser: whatever the bytes, and however they are cut, it finds the same requests, keeps
 * within the buffer and its limits, and what it accepts has no byte that it should have refused.
 * The first input byte chooses the cut. */
#include <stdlib.h>

#include "gateway/http1.h"

static const souk_http1_limits_t s_limits = {
    .head_bytes_max = 1024, .target_bytes_max = 256, .headers_max = 16};
#define BODY_MAX 512

static void s_check_text(souk_str_t text, bool allow_space) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        bool fine = byte > 0x20 && byte != 0x7f;
        souk_assert(fine || (allow_space && (byte == ' ' || byte == '\t')));
    }
}

static void s_tell(const souk_http1_t *http1, const souk_buf_t *in, souk_buf_t *story) {
    souk_str_t target = souk_http1_target(http1, in);
    souk_str_t body = souk_http1_body(http1, in);
    souk_assert(target.size > 0 && target.size <= s_limits.target_bytes_max);
    souk_assert(body.size <= BODY_MAX && http1->total <= in->size);
    souk_assert(http1->headers_count <= s_limits.headers_max);
    s_check_text(target, false);
    souk_buf_printf(story, "%d %d %d %d\n", (int)http1->method, http1->minor, http1->keep_alive,
                    http1->chunked);
    souk_buf_append_str(story, target);
    souk_buf_append_str(story, souk_http1_path(http1, in));
    souk_buf_append_str(story, souk_http1_query(http1, in));
    for (size_t i = 0; i < http1->headers_count; i++) {
        s_check_text(souk_http1_name(http1, in, i), false);
        s_check_text(souk_http1_value(http1, in, i), true);
        souk_buf_append_str(story, souk_http1_name(http1, in, i));
        souk_buf_append_str(story, souk_http1_value(http1, in, i));
    }
    souk_buf_append_str(story, body);
}

static void s_read(const uint8_t *data, size_t size, size_t piece, souk_buf_t *story) {
    souk_http1_t http1;
    souk_buf_t in;
    souk_buf_init(&in, size + 64);
    souk_http1_init(&http1, &s_limits, BODY_MAX);
    for (size_t at = 0; at < size;) {
        size_t take = piece < size - at ? piece : size - at;
        souk_buf_append(&in, data + at, take);
        at += take;
        souk_http1_step_t step = SOUK_HTTP1_HEAD;
        while (step == SOUK_HTTP1_HEAD || step == SOUK_HTTP1_DONE) {
            step = souk_http1_step(&http1, &in);
            if (step == SOUK_HTTP1_DONE) {
                s_tell(&http1, &in, story);
                souk_buf_consume(&in, http1.total);
                souk_http1_init(&http1, &s_limits, BODY_MAX);
            }
        }
        if (step == SOUK_HTTP1_FAIL) {
            souk_buf_printf(story, "%d %s", (int)http1.err, http1.cause);
            break;
        }
    }
    souk_buf_done(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    souk_buf_t whole, cut;
    if (size < 2 || size > 16384) {
        return 0;
    }
    souk_buf_init(&whole, 1 << 20);
    souk_buf_init(&cut, 1 << 20);
    s_read(data + 1, size - 1, SIZE_MAX, &whole);
    s_read(data + 1, size - 1, (size_t)data[0] % 32 + 1, &cut);
    souk_assert(!whole.overflow && souk_str_equal(souk_buf_str(&whole), souk_buf_str(&cut)));
    souk_buf_done(&whole);
    souk_buf_done(&cut);
    return 0;
}
