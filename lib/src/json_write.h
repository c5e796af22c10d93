/* What the transcoder needs of the JSON writer besides json.h. Private to lib. */
#ifndef SOUK_JSON_WRITE_H
#define SOUK_JSON_WRITE_H

#include "souk/buf.h"

#define SOUK_JSON_INT_BYTES 20 /* the sign and 19 digits */

/* Appends text as a JSON string, U+FFFD in place of what is not UTF-8. Returns false when text had
 * such, or U+0000, which Souk's JSON reader does not take. */
bool souk_json_write_checked(souk_buf_t *buf, souk_str_t text);

/* Writes value in decimal, without NUL; returns the size. */
size_t souk_json_print_int(int64_t value, char text[SOUK_JSON_INT_BYTES]);

#endif
