/* What the two halves of the parser share (http1.c: the head; http1_body.c: the body). */
#ifndef SOUK_GATEWAY_HTTP1_STATE_H
#define SOUK_GATEWAY_HTTP1_STATE_H

#include "gateway/http1.h"

enum {
    SOUK_HTTP1_STATE_LINE,
    SOUK_HTTP1_STATE_FIELDS,
    SOUK_HTTP1_STATE_BODY,
    SOUK_HTTP1_STATE_CHUNK_SIZE,
    SOUK_HTTP1_STATE_CHUNK_DATA,
    SOUK_HTTP1_STATE_CHUNK_END,
    SOUK_HTTP1_STATE_TRAILERS,
    SOUK_HTTP1_STATE_DONE,
    SOUK_HTTP1_STATE_FAILED,
};

typedef enum {
    SOUK_HTTP1_LINE_WHOLE,
    SOUK_HTTP1_LINE_MORE,
    SOUK_HTTP1_LINE_LONG,
    SOUK_HTTP1_LINE_BAD,
} souk_http1_line_t;

/* Ends the parse. Returns SOUK_HTTP1_FAIL. */
souk_http1_step_t souk_http1_fail(souk_http1_t *self, souk_err_t err, const char *cause);
/* The next line without its CRLF, when it ends before offset end_max. Steps behind it. */
souk_http1_line_t souk_http1_line(souk_http1_t *self, const souk_buf_t *buf, size_t end_max,
                                  souk_str_t *ret_line);
/* name ":" OWS value OWS; false after souk_http1_fail. */
bool souk_http1_split_field(souk_http1_t *self, souk_str_t line, souk_str_t *ret_name,
                            souk_str_t *ret_value);
/* SOUK_HTTP1_KNOWN_COUNT: none of those. */
unsigned souk_http1_known_of(souk_str_t name);

/* One step in a state from SOUK_HTTP1_STATE_BODY on. SOUK_HTTP1_DONE: the state is over. */
souk_http1_step_t souk_http1_step_body(souk_http1_t *self, souk_buf_t *buf);
/* After SOUK_HTTP1_MORE in a chunked body: closes the gap that chunk framing left between the body
 * and what is still to be parsed, so that the buffer's cap holds for the decoded body. What moves
 * is at most one unfinished line. */
void souk_http1_compact(souk_http1_t *self, souk_buf_t *buf);

#endif
