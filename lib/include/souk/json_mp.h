/* JSON as the database gives it -> one msgpack value, for replies that pass it on. */
#ifndef SOUK_JSON_MP_H
#define SOUK_JSON_MP_H

#include "souk/arena.h"
#include "souk/buf.h"

/* SOUK_ERR_MALFORMED: no JSON, or a number that neither int64_t nor double holds. Overflow is the
 * buffer's. */
SOUK_MUST_CHECK souk_err_t souk_json_to_mp(souk_str_t json, souk_arena_t *arena, souk_buf_t *buf);

#endif
