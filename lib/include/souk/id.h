/* Identifiers: prefix + ULID (48 bits of milliseconds, 80 random bits, Crockford base32;
 * github.com/ulid/spec), sortable by time. */
#ifndef SOUK_ID_H
#define SOUK_ID_H

#include "souk/base.h"

#define SOUK_ULID_CHARS 26
#define SOUK_ID_BYTES_MAX 40

/* Writes prefix (at most 12 characters, such as "prod_") and a new ULID, NUL-terminated. Within a
 * thread, ids of one millisecond ascend. Random bits are from the kernel (getrandom, buffered per
 * thread). Returns the length. */
size_t souk_id_new(const char *prefix, char ret_id[SOUK_ID_BYTES_MAX]);
/* The least id of a millisecond: all ids made before it are less. Times that no ULID has become the
 * nearest that one has. Returns the length. */
size_t souk_id_floor(const char *prefix, int64_t unix_ms, char ret_id[SOUK_ID_BYTES_MAX]);
bool souk_id_valid(souk_str_t id, const char *prefix);

/* bytes random bytes; from the kernel, buffered per thread. */
void souk_random(void *ret_data, size_t bytes);
/* Two lower-case hexadecimal digits for each byte; hex is not terminated. */
void souk_hex(const void *data, size_t bytes, char *ret_hex);

#endif
