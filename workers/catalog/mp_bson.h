/* msgpack <-> BSON, without a schema: how documents are kept readable in MongoDB and come back byte
 * for byte.
 *
 * str = UTF-8 string, int = int64, float = double, bool, nil = null, array, map = document,
 * timestamp = date (milliseconds: writers cut their times to that). Keys may hold anything in
 * msgpack, while some servers refuse '.', '$' and empty names: '%', '.', '$' are written as %25,
 * %2E, %24 and the empty key as %. Other kinds are SOUK_ERR_MALFORMED. At most SOUK_MP_DEPTH_MAX
 * levels. */
#ifndef CATALOG_MP_BSON_H
#define CATALOG_MP_BSON_H

#include <bson/bson.h>

#include "souk/base.h"
#include "souk/buf.h"
#include "souk/err.h"

/* Appends the pairs of one msgpack map to ret. */
SOUK_MUST_CHECK souk_err_t catalog_mp_to_bson(souk_str_t map, bson_t *ret);
/* Appends the document (borrowed bytes of one BSON document) as one msgpack map. */
SOUK_MUST_CHECK souk_err_t catalog_mp_from_bson(souk_str_t document, souk_buf_t *ret);

#endif
