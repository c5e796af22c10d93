/* base64url without padding (RFC 4648, section 5): how bytes stand in JSON, cursors and tokens. */
#ifndef SOUK_BASE64_H
#define SOUK_BASE64_H

#include "souk/base.h"
#include "souk/err.h"

/* Characters that so many bytes take; bytes that so many characters hold. */
static inline size_t souk_base64_chars(size_t bytes) {
    return bytes / 3 * 4 + (bytes % 3 * 4 + 2) / 3;
}
static inline size_t souk_base64_bytes(size_t chars) {
    return chars / 4 * 3 + chars % 4 * 3 / 4;
}

/* Writes souk_base64_chars(bytes) characters, not terminated. */
void souk_base64_encode(const void *data, size_t bytes, char *ret_text);
/* Writes souk_base64_bytes(text.size) bytes. SOUK_ERR_MALFORMED for padding, other characters,
 * impossible lengths, and last characters with bits that an encoder would not have set: so one text
 * only stands for some bytes. ret_data is then undefined. */
SOUK_MUST_CHECK souk_err_t souk_base64_decode(souk_str_t text, void *ret_data);

#endif
