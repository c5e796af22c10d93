/* If-Match of what PostgreSQL holds. */
#ifndef ORDERS_VERSION_H
#define ORDERS_VERSION_H

#include "runtime/ctx.h"

/* SOUK_OK: if_match (without quotes) is "*", the version, or the version with the tag that an ETag
 * of two fields has behind it ("3-1f0c"). Else SOUK_ERR_PRECONDITION_FAILED, which tells the
 * version that stands. */
SOUK_MUST_CHECK souk_err_t orders_require_version(souk_ctx_t *ctx, souk_str_t if_match,
                                                  int64_t version);

#endif
