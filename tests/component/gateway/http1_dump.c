/* Reads byte streams (4 bytes of length, little-endian, then the bytes) from standard input and
 * prints what the parser makes of each: a line "R METHOD TARGET MINOR BODY NAME=VALUE ..." for each
 * request (all but method and minor in hexadecimal), "E" for an error, and "." at the end of a
 * stream. Nothing is read behind a request that ends its connection. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/http1.h"

#define STREAM_BYTES_MAX 65536
#define BODY_BYTES_MAX 4096

static const souk_http1_limits_t s_limits = {
    .head_bytes_max = 8192, .target_bytes_max = 4096, .headers_max = SOUK_HTTP1_HEADERS_MAX};

static void s_print_hex(souk_str_t text) {
    for (size_t i = 0; i < text.size; i++) {
        printf("%02x", (unsigned)(uint8_t)text.data[i]);
    }
}

static void s_print(const souk_http1_t *http1, const souk_buf_t *in) {
    printf("R %s ", souk_http_method_name(http1->method));
    s_print_hex(souk_http1_target(http1, in));
    printf(" %d ", http1->minor);
    s_print_hex(souk_http1_body(http1, in));
    for (size_t i = 0; i < http1->headers_count; i++) {
        putchar(' ');
        s_print_hex(souk_http1_name(http1, in, i));
        putchar('=');
        s_print_hex(souk_http1_value(http1, in, i));
    }
    putchar('\n');
}

static void s_dump(souk_buf_t *in) {
    souk_http1_t http1;
    souk_http1_step_t step = SOUK_HTTP1_HEAD;
    bool keep_alive = true;
    souk_http1_init(&http1, &s_limits, BODY_BYTES_MAX);
    while (keep_alive && (step == SOUK_HTTP1_HEAD || step == SOUK_HTTP1_DONE)) {
        step = souk_http1_step(&http1, in);
        if (step == SOUK_HTTP1_DONE) {
            s_print(&http1, in);
            keep_alive = http1.keep_alive;
            souk_buf_consume(in, http1.total);
            souk_http1_init(&http1, &s_limits, BODY_BYTES_MAX);
        }
    }
    if (step == SOUK_HTTP1_FAIL) {
        puts("E");
    }
    puts(".");
}

int main(void) {
    uint8_t prefix[4];
    while (fread(prefix, 1, sizeof(prefix), stdin) == sizeof(prefix)) {
        size_t size =
            prefix[0] | (size_t)prefix[1] << 8 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 24;
        souk_buf_t in;
        souk_buf_init(&in, STREAM_BYTES_MAX);
        uint8_t *room = souk_buf_reserve(&in, size + 1);
        if (room == NULL || fread(room, 1, size, stdin) != size) {
            return 1;
        }
        in.size = size;
        s_dump(&in);
        souk_buf_done(&in);
    }
    return 0;
}
