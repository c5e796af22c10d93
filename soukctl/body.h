/* JSON text to the msgpack map of a request, as docs/protocol.md wants it. */
#ifndef SOUKCTL_BODY_H
#define SOUKCTL_BODY_H

#include "souk/buf.h"
#include "souk/err.h"
#include "souk/schema.h"

/* type: what the method takes, NULL when unknown; it says which strings are times or bytes. The
 * worker checks the rest. SOUK_ERR_MALFORMED: cause (a buffer of the caller) says why and where. */
SOUK_MUST_CHECK souk_err_t souk_body_from_json(const souk_type_t *type, souk_str_t text,
                                               souk_buf_t *body, char cause[160]);

#endif
