/* Why a decision refuses, kept aside until the refusal is final (commit.h). */
#ifndef CATALOG_OBJECTION_H
#define CATALOG_OBJECTION_H

#include "runtime/ctx.h"
#include "souk/base.h"
#include "souk/err.h"

/* One message, and where (JSON pointer, "" for the whole). Zero: none. */
typedef struct {
    souk_err_t err;
    char pointer[64];
    char detail[200];
} catalog_objection_t;

/* Fills it and returns err. */
souk_err_t catalog_refuse(catalog_objection_t *self, souk_err_t err, const char *pointer,
                          const char *format, ...) SOUK_PRINTF(4, 5);
/* If-Match against the version that stands: SOUK_OK, or refused as SOUK_ERR_PRECONDITION_FAILED.
 * if_match is a version or "*", without quotes. */
SOUK_MUST_CHECK souk_err_t catalog_require_version(catalog_objection_t *self, souk_str_t if_match,
                                                   int64_t version);
/* Makes it the call's error and returns that. */
souk_err_t catalog_object(souk_ctx_t *ctx, const catalog_objection_t *self);

#endif
