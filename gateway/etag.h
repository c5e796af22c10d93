/* Entity tags (RFC 9110, 8.8.3 and 13.1.2). Ours are strong and made of a value that a reply
 * carries. */
#ifndef SOUK_GATEWAY_ETAG_H
#define SOUK_GATEWAY_ETAG_H

#include "souk/base.h"

#define SOUK_ETAG_BYTES_MAX 136

/* Writes "value" with its quotes and a NUL; returns the length, 0 when value is empty, too long or
 * holds what a tag may not. */
size_t souk_etag_make(souk_str_t value, char ret_etag[SOUK_ETAG_BYTES_MAX]);

/* True when If-None-Match names etag (weak comparison) or is *. A malformed list matches nothing.
 */
bool souk_etag_matches(souk_str_t if_none_match, souk_str_t etag);

#endif
