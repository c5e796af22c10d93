/* A strict, incremental HTTP/1.1 request parser (RFC 9112) over the bytes that a connection has
 * read. It copies nothing: what it finds are offsets into the buffer, so the buffer may move
 * between steps.
 *
 * Everything that request smuggling uses is an error: see the notes in http1.c. After an error the
 * connection must be closed. */
#ifndef SOUK_GATEWAY_HTTP1_H
#define SOUK_GATEWAY_HTTP1_H

#include "gateway/http_text.h"
#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

#define SOUK_HTTP1_HEADERS_MAX 100
#define SOUK_HTTP1_HEAD_BYTES_MAX 65535

/* Header fields that the gateway itself reads; the parser notes where they are. Of these only
 * If-None-Match and Connection may come twice. */
typedef enum {
    SOUK_HTTP1_HOST,
    SOUK_HTTP1_CONTENT_LENGTH,
    SOUK_HTTP1_TRANSFER_ENCODING,
    SOUK_HTTP1_EXPECT,
    SOUK_HTTP1_AUTHORIZATION,
    SOUK_HTTP1_CONTENT_TYPE,
    SOUK_HTTP1_IDEMPOTENCY_KEY,
    SOUK_HTTP1_IF_NONE_MATCH,
    SOUK_HTTP1_ORIGIN,
    SOUK_HTTP1_REQUEST_ID,
    SOUK_HTTP1_TRACEPARENT,
    SOUK_HTTP1_CORS_METHOD, /* Access-Control-Request-Method */
    SOUK_HTTP1_CONNECTION,
    SOUK_HTTP1_KNOWN_COUNT,
} souk_http1_known_t;

typedef struct {
    uint32_t
        head_bytes_max; /* request line and fields with their line ends; also of the trailers */
    uint32_t target_bytes_max; /* the request target */
    uint32_t headers_max;      /* fields; also of the trailers */
} souk_http1_limits_t;

typedef struct {
    uint16_t name_at, name_size, value_at, value_size;
} souk_http1_field_t;

typedef enum {
    SOUK_HTTP1_MORE, /* feed more bytes */
    SOUK_HTTP1_HEAD, /* the head is complete (told once): the owner may narrow body_bytes_max */
    SOUK_HTTP1_DONE, /* the request is complete: total bytes of the buffer */
    SOUK_HTTP1_FAIL, /* err and cause say why */
} souk_http1_step_t;

typedef struct {
    const souk_http1_limits_t *limits; /* borrowed */
    uint8_t state;
    uint8_t known[SOUK_HTTP1_KNOWN_COUNT]; /* 1 + index of the field; 0: absent */
    bool blank_seen;                       /* an empty line stood before the request line */
    souk_http_method_t method;
    uint8_t minor;        /* HTTP/1.minor */
    bool keep_alive;      /* what version and Connection ask for */
    bool chunked;         /* the body is or was chunked */
    bool expect_continue; /* the client waits for 100 before it sends the body */
    bool if_none_match_twice;
    souk_err_t err;
    const char *cause; /* static text */
    uint16_t target_at, target_size, path_at, path_size, query_at, query_size;
    uint16_t head_size; /* where the head ended */
    uint16_t headers_count;
    uint16_t trailers_count;
    uint32_t extension_bytes, trailer_bytes;
    size_t at, scan;           /* start of what is parsed next; how far a line end was looked for */
    size_t body_at, body_size; /* body as decoded; stands behind the head */
    size_t body_bytes_max;
    uint64_t left; /* of the announced body, or of this chunk */
    size_t total;  /* DONE: bytes of the buffer that the request took */
    souk_http1_field_t headers[SOUK_HTTP1_HEADERS_MAX];
} souk_http1_t;

/* Ready for a request whose first byte is (or will be) the first of the buffer. */
void souk_http1_init(souk_http1_t *self, const souk_http1_limits_t *limits, size_t body_bytes_max);

/* Goes on with the bytes in buf. A chunked body is decoded in place, so buf may get shorter.
 * Between steps bytes may only be appended. */
souk_http1_step_t souk_http1_step(souk_http1_t *self, souk_buf_t *buf);

/* True while a request has begun and is not complete. */
bool souk_http1_in_head(const souk_http1_t *self, const souk_buf_t *buf);
bool souk_http1_in_body(const souk_http1_t *self);

/* Parts of the request: valid from HEAD (body: from DONE), borrowed from buf. */
souk_str_t souk_http1_target(const souk_http1_t *self, const souk_buf_t *buf);
souk_str_t souk_http1_path(const souk_http1_t *self, const souk_buf_t *buf);
souk_str_t souk_http1_query(const souk_http1_t *self, const souk_buf_t *buf);
souk_str_t souk_http1_body(const souk_http1_t *self, const souk_buf_t *buf);
souk_str_t souk_http1_name(const souk_http1_t *self, const souk_buf_t *buf, size_t index);
souk_str_t souk_http1_value(const souk_http1_t *self, const souk_buf_t *buf, size_t index);
/* data is NULL when the field is absent. */
souk_str_t souk_http1_known(const souk_http1_t *self, const souk_buf_t *buf,
                            souk_http1_known_t known);

#endif
