/* Time-based one-time passwords (RFC 6238): HMAC-SHA-1, steps of 30 s, six digits, one step of
 * clock difference either way. */
#ifndef USERS_TOTP_H
#define USERS_TOTP_H

#include "souk/base.h"
#include "souk/buf.h"

#define USERS_TOTP_SECRET_BYTES 20
#define USERS_TOTP_BASE32_CHARS 32
#define USERS_TOTP_STEP_S 30
#define USERS_TOTP_DIGITS 6

/* The code of a step; digits is 6 to 8. */
uint32_t users_totp_code(souk_str_t secret, uint64_t step, unsigned digits);
/* code: six digits, spaces allowed. True: it is that of a step near unix_s and after last_step (a
 * code is good once); *ret_step is that step. */
bool users_totp_check(souk_str_t secret, souk_str_t code, int64_t unix_s, int64_t last_step,
                      int64_t *ret_step);
/* As people type it; not terminated. */
void users_totp_base32(const uint8_t secret[USERS_TOTP_SECRET_BYTES],
                       char ret_text[USERS_TOTP_BASE32_CHARS]);
/* otpauth://totp/..., what an authenticator reads from a QR code. */
void users_totp_uri(souk_buf_t *buf, souk_str_t issuer, souk_str_t account, souk_str_t base32);

#endif
