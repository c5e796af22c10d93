/* msgpack -> JSON without a schema: how the gateway answers without knowing a reply's type. */
#ifndef SOUK_TRANSCODE_H
#define SOUK_TRANSCODE_H

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

#define SOUK_CAPTURES_MAX 4

/* Fields whose scalar value the caller wants besides (ETag, id for Location, page.next): of the
 * top-level map, or "outer.inner" of a map in it. */
typedef struct {
    const char *name;
    char value[128]; /* as text (str as it is, int in decimal), NUL-terminated; empty when absent,
                        of another kind, too long, or with control characters */
} souk_capture_t;

/* Appends the one msgpack value in bytes as JSON. Times print as RFC 3339 UTC, bin as base64url
 * without padding. SOUK_ERR_MALFORMED on invalid msgpack, trailing bytes, other extensions, keys
 * that are no strings, bad UTF-8, U+0000, NaN or infinities, more than 16 levels;
 * SOUK_ERR_TOO_LARGE when the buffer's cap is met. The buffer's content is then undefined. */
SOUK_MUST_CHECK souk_err_t souk_transcode(souk_str_t bytes, souk_buf_t *json,
                                          souk_capture_t *captures, size_t captures_count);

#endif
